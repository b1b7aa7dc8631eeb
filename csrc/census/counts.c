// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The pass that compares: one item of work is one section. Struct pages are
 * read only where a page is in use.
 */
#include "census/counts.h"

#include <stdlib.h>

#include "census/aside.h"
#include "census/folio_count.h"
#include "census/page_mapcount.h"
#include "census/zones_now.h"

/* Uninteresting pages that are read rather than split a run: 4 KiB of them. */
#define MAX_GAP 64

static bool is_interesting(uint8_t byte)
{
	switch (byte & PA_CLASS_MASK) {
	case PA_CLASS_DEVICE:
	case PA_CLASS_TAIL:
	case PA_CLASS_RESERVED:
	case PA_CLASS_USED:
	case PA_CLASS_USED_HEAD:
	case PA_CLASS_LRU:
	case PA_CLASS_LRU_UNEVICTABLE:
	case PA_CLASS_HUGETLB:
	case PA_CLASS_ZERO:
	case PA_CLASS_FROZEN:
	case PA_CLASS_FROZEN_HEAD:
		return true;
	default:
		return false;
	}
}

/* The next run of pages, all but small gaps of it interesting. */
static bool next_stretch(const uint8_t *classes, uint64_t nr, uint64_t *first,
			 uint64_t *end)
{
	uint64_t i = *end, last;

	while (i < nr && !is_interesting(classes[i]))
		i++;
	if (i == nr)
		return false;
	*first = last = i;
	for (; i < nr && i - last <= MAX_GAP; i++)
		if (is_interesting(classes[i]))
			last = i;
	*end = last + 1;
	return true;
}

static struct pa_error *count_run(struct pa_folio_counter *c,
				  const uint8_t *classes,
				  const struct pa_memmap_run *run)
{
	uint32_t size = c->kernel->page_format.size;

	for (uint64_t i = 0; i < run->nr; i++) {
		if (!is_interesting(classes[i]))
			continue;

		struct pa_error *err = pa_folio_count_page(
			c, run->pfn + i, run->pages + i * size, run->nr - i,
			classes[i]);

		if (err)
			return err;
	}
	return NULL;
}

static struct pa_error *count_section(void *worker, uint64_t index)
{
	struct pa_folio_counter *c = worker;
	const struct pa_sections *sections = &c->kernel->sections;
	const uint8_t *classes = c->census->classes[index];
	uint64_t start = sections->list.items[index].nr
			 << sections->pages_shift;
	size_t kept = c->counts.list.length;
	uint64_t first, end = 0;
	struct pa_error *err = NULL;

	if (!classes)
		return NULL;
	c->account = &c->census->accounts->sections[index];
	c->section_mask = sections->pages - 1;
	while (!err && next_stretch(classes, sections->pages, &first, &end)) {
		uint64_t pfn = start + first;

		while (!err && pfn < start + end) {
			struct pa_memmap_run run;

			err = pa_memmap_run(c->memmap, pfn, start + end - pfn,
					    &run);
			if (err)
				break;
			if (run.presence == PA_PRESENT)
				err = count_run(c, classes + (pfn - start),
						&run);
			pfn += run.nr;
		}
	}
	if (!err)
		err = pa_folio_count_end(c);
	return err ? err : pa_set_aside(c, kept);
}

static struct pa_error *counter_start(void *arg, void **ret)
{
	struct pa_census *census = arg;
	struct pa_folio_counter *c = calloc(1, sizeof(*c));

	if (!c)
		return &pa_error_no_memory;
	c->census = census;
	c->kernel = census->kernel;
	c->page_mapcounts = census->counts->page_mapcounts;
	c->counts.nodes = calloc(c->kernel->zones.nodes.length + 1,
				 sizeof(*c->counts.nodes));

	struct pa_error *err = c->counts.nodes ?
				       pa_memmap_create(c->kernel, &c->memmap) :
				       &pa_error_no_memory;

	if (err) {
		free(c->counts.nodes);
		free(c);
		return err;
	}
	*ret = c;
	return NULL;
}

static void add_node(struct pa_node_count *to, const struct pa_node_count *from)
{
	/* All members are int64_t. */
	int64_t *a = (int64_t *)to;
	const int64_t *b = (const int64_t *)from;

	for (size_t i = 0; i < sizeof(*to) / sizeof(*a); i++)
		a[i] += b[i];
}

static void add_aside(struct pa_aside *to, const struct pa_aside *from)
{
	if (!to->folios || (from->folios && from->first_pfn < to->first_pfn))
		to->first_pfn = from->first_pfn;
	to->folios += from->folios;
	to->pages += from->pages;
	to->refs += from->refs;
}

static struct pa_error *counter_finish(void *arg, void *worker, bool failed)
{
	struct pa_census *census = arg;
	struct pa_counts *counts = census->counts;
	struct pa_folio_counter *c = worker;
	struct pa_error *err = NULL;

	for (size_t i = 0; i < c->kernel->zones.nodes.length; i++)
		add_node(&counts->nodes[i], &c->counts.nodes[i]);
	for (int i = 0; i < PA_NR_FOLIO_KINDS; i++) {
		counts->folios[i] += c->counts.folios[i];
		counts->stored[i] += c->counts.stored[i];
		counts->explained[i] += c->counts.explained[i];
	}
	counts->nr_discrepancies += c->counts.nr_discrepancies;
	counts->maps += c->counts.maps;
	counts->entire += c->counts.entire;
	counts->pins += c->counts.pins;
	for (int i = 0; i < PA_NR_ASIDE_KINDS; i++)
		add_aside(&counts->asides[i], &c->counts.asides[i]);
	counts->unjudged += c->counts.unjudged;
	if (!failed &&
	    (!pa_array_extend(&counts->list, &c->counts.list) ||
	     !pa_disturbed_extend(&census->disturbed, &c->disturbed)))
		err = &pa_error_no_memory;
	pa_disturbed_deinit(&c->disturbed);
	pa_array_deinit(&c->counts.list);
	free(c->counts.nodes);
	pa_memmap_destroy(c->memmap);
	free(c);
	return err;
}

static int compare_discrepancies(const void *a, const void *b)
{
	const struct pa_discrepancy *x = a, *y = b;

	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

struct pa_error *pa_census_counts(struct pa_census *census, struct pa_job *job)
{
	static const struct pa_work work = {
		.start = counter_start,
		.item = count_section,
		.finish = counter_finish,
	};
	uint64_t nr = census->kernel->sections.list.length;
	struct pa_counts *counts = calloc(1, sizeof(*counts));

	if (!counts)
		return &pa_error_no_memory;
	census->counts = counts;
	counts->nodes = calloc(census->kernel->zones.nodes.length + 1,
			       sizeof(*counts->nodes));
	if (!counts->nodes)
		return &pa_error_no_memory;
	pa_job_phase(job, "counts", nr);

	struct pa_error *err = pa_pinner_find(census->kernel, &counts->pinner);

	if (!err)
		err = pa_page_mapcounts_kept(census, &counts->page_mapcounts);
	if (!err)
		err = pa_job_run(job, &work, census, nr);
	if (!err)
		err = pa_zones_now(census, &census->zones_counted);
	if (!err && counts->list.length)
		qsort(counts->list.items, counts->list.length,
		      sizeof(*counts->list.items), compare_discrepancies);
	return err;
}

void pa_counts_destroy(struct pa_counts *counts)
{
	if (!counts)
		return;
	pa_array_deinit(&counts->list);
	free(counts->nodes);
	free(counts);
}
