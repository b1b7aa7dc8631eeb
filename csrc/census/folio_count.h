/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One folio's counts, stored and counted, by the dumped kernel's own rules. */
#ifndef PA_CENSUS_FOLIO_COUNT_H
#define PA_CENSUS_FOLIO_COUNT_H

#include "census/counts.h"

/* One thread's state. Pages come by rising pfn within a section. */
struct pa_folio_counter {
	struct pa_census *census;
	const struct pa_kernel *kernel;
	struct pa_memmap *memmap;
	/* Of the section that the pass is in. */
	const struct pa_account *account;
	uint64_t section_mask;
	/* Keeps folios whose counts agree, too. */
	bool all;
	/* Slab, page tables and others whose type says whose they are. */
	bool typed;
	/* census->counts->page_mapcounts */
	bool page_mapcounts;
	/* The page, or the head, was met on an LRU list. */
	bool listed;
	/* This thread's sums and discrepancies. */
	struct pa_counts counts;
	/* See pa_census. */
	struct pa_disturbed disturbed;

	/* The compound page that the pass is in: pfn < end. */
	uint64_t end, next;
	/* Its tails are of no interest: nothing maps it. */
	bool quiet;
	bool judge_maps, judge_refs;
	struct pa_discrepancy folio;
	struct pa_node_count *node;
	/* What each page's _mapcount has beside its own maps. */
	int64_t raised;
	uint64_t nr_mapped_stored, nr_mapped_counted, mapcounts;
	int64_t entire_stored;
	uint8_t head[PA_FOLIO_HEAD_PAGES * 128];
};

/*
 * Counts the page at @pfn, of class byte @byte, whose struct page and those of
 * the @nr - 1 behind it are at @page.
 */
struct pa_error *pa_folio_count_page(struct pa_folio_counter *c, uint64_t pfn,
				     const uint8_t *page, uint64_t nr,
				     uint8_t byte);

/* Ends the compound page that the pass is in, if it is in one. */
struct pa_error *pa_folio_count_end(struct pa_folio_counter *c);

#endif
