// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/page_mapcount.h"

#include "census/page_table.h"

/* Folios none of whose pages has a mapcount that are believed to be like all. */
#define ENOUGH 64

/* Folios of whose maps some are by pages, with a mapcount in a page and without. */
struct seen {
	unsigned int with, without;
};

/* Goes by what is kept for all of the folio. */
static struct pa_error *is_mapped_by_pages(const struct pa_census *census,
					   struct pa_memmap *memmap,
					   const struct pa_mm_id_folio *folio,
					   bool *ret)
{
	const struct pa_mapcount_format *m = &census->kernel->mapcount_format;
	const uint8_t *byte = pa_census_class(census, folio->pfn), *head;
	uint8_t class = byte ? *byte & PA_CLASS_MASK : PA_CLASS_UNKNOWN;
	struct pa_error *err;

	*ret = false;
	if (class != PA_CLASS_LRU && class != PA_CLASS_LRU_UNEVICTABLE)
		return NULL;
	err = pa_memmap_page(memmap, folio->pfn,
			     pa_min(PA_FOLIO_HEAD_PAGES, PA_BIT(folio->order)),
			     &head);
	if (!err)
		*ret = pa_mapcount(head, m->large) >
		       pa_mapcount(head, m->entire);
	if (!pa_error_is_target(err))
		return err;
	pa_error_destroy(err);
	return NULL;
}

static struct pa_error *look_at(const struct pa_census *census,
				struct pa_memmap *memmap,
				const struct pa_mm_id_folio *folio,
				struct seen *seen)
{
	const struct pa_kernel *kernel = census->kernel;
	uint32_t size = kernel->page_format.size;
	uint64_t pfn = folio->pfn, end = pfn + PA_BIT(folio->order);
	bool mapped;
	struct pa_error *err =
		is_mapped_by_pages(census, memmap, folio, &mapped);

	if (err || !mapped)
		return err;
	while (pfn < end) {
		struct pa_memmap_run run;

		err = pa_memmap_run(memmap, pfn, end - pfn, &run);
		/* What is not there tells nothing. */
		if (err || run.presence != PA_PRESENT)
			return err;
		for (uint64_t i = 0; i < run.nr; i++) {
			if (pa_mapcount(run.pages + i * size,
					kernel->mapcount_format.page) <= 0)
				continue;
			seen->with++;
			return NULL;
		}
		pfn += run.nr;
	}
	seen->without++;
	return NULL;
}

struct pa_error *pa_page_mapcounts_kept(const struct pa_census *census,
					bool *ret)
{
	const struct pa_mapcount_format *m = &census->kernel->mapcount_format;
	const struct pa_page_tables *tables = census->page_tables;
	struct seen seen = { 0 };
	struct pa_memmap *memmap;
	struct pa_error *err;

	*ret = m->nr_pages_mapped || !m->large;
	/* The ids of mms are as old as the option. */
	if (!*ret || !m->large || !m->entire || !tables ||
	    !tables->mm_ids.list.length)
		return NULL;
	err = pa_memmap_create(census->kernel, &memmap);
	if (err)
		return err;
	for (size_t i = 0; !err && i < tables->mm_ids.list.length &&
			   !seen.with && seen.without < ENOUGH;
	     i++)
		err = look_at(census, memmap, &tables->mm_ids.list.items[i],
			      &seen);
	*ret = seen.with || !seen.without;
	pa_memmap_destroy(memmap);
	return err;
}
