// SPDX-License-Identifier: LGPL-2.1-or-later
/* The counts of one folio that a reader asks about. */
#include <stdlib.h>

#include "census/counts.h"
#include "census/folio_count.h"

static struct pa_error *count_run(struct pa_folio_counter *c,
				  const struct pa_memmap_run *run)
{
	uint32_t size = c->kernel->page_format.size;

	for (uint64_t i = 0; i < run->nr; i++) {
		const uint8_t *byte = pa_census_class(c->census, run->pfn + i);
		struct pa_error *err =
			byte ? pa_folio_count_page(c, run->pfn + i,
						   run->pages + i * size,
						   run->nr - i, *byte) :
			       NULL;

		if (err)
			return err;
	}
	return NULL;
}

static struct pa_error *count_pages(struct pa_folio_counter *c, uint64_t pfn,
				    uint64_t end)
{
	const struct pa_accounts *accounts = c->census->accounts;
	struct pa_error *err = NULL;

	while (!err && pfn < end) {
		uint64_t to = pa_min(end, (pfn | c->section_mask) + 1);
		struct pa_memmap_run run;

		c->account = pa_account_find(accounts, pfn);
		if (!c->account)
			return NULL;
		err = pa_memmap_run(c->memmap, pfn, to - pfn, &run);
		if (err || run.presence != PA_PRESENT)
			break;
		err = count_run(c, &run);
		pfn += run.nr;
	}
	return err ? err : pa_folio_count_end(c);
}

struct pa_error *pa_count_folio(struct pa_census *census, uint64_t pfn,
				uint64_t nr, struct pa_discrepancy *ret)
{
	const struct pa_kernel *kernel = census->kernel;
	struct pa_folio_counter *c = calloc(1, sizeof(*c));
	struct pa_error *err = NULL;

	if (!c)
		return &pa_error_no_memory;
	c->census = census;
	c->kernel = kernel;
	c->section_mask = kernel->sections.pages - 1;
	c->page_mapcounts = census->counts->page_mapcounts;
	c->all = true;
	c->counts.nodes = calloc(kernel->zones.nodes.length + 1,
				 sizeof(*c->counts.nodes));
	if (!c->counts.nodes)
		err = &pa_error_no_memory;
	if (!err)
		err = pa_memmap_create(kernel, &c->memmap);
	if (!err)
		err = count_pages(c, pfn, pfn + nr);
	*ret = (struct pa_discrepancy){ .pfn = pfn, .mapcount_pfn = PA_NO_PFN };
	if (!err && c->counts.list.length)
		*ret = c->counts.list.items[0];
	pa_array_deinit(&c->counts.list);
	pa_memmap_destroy(c->memmap);
	free(c->counts.nodes);
	free(c);
	return err;
}
