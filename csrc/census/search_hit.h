/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thread's side of the search: from words to hits. */
#ifndef PA_CENSUS_SEARCH_HIT_H
#define PA_CENSUS_SEARCH_HIT_H

#include "census/search.h"
#include "census/words.h"
#include "kernel/memmap.h"

/* SLUB counts the objects of a slab in 15 bits. */
#define PA_MAX_SLAB_OBJECTS 32768

/* Shared by all threads, read-only but for the result's totals. */
struct pa_search {
	const struct pa_places *places;
	const struct pa_census *census;
	const struct pa_kernel *kernel;
	const struct pa_search_query *query;
	struct pa_word_ranges ranges;
	/* Text, page tables and memmap: physical, sorted, disjoint. */
	PA_ARRAY(struct pa_phys_range) skipped;
	uint64_t piece_pages, pieces_per_section;
	struct pa_search_result *result;
};

struct pa_searcher {
	const struct pa_search *search;
	/* Owned. */
	struct pa_memory *memory;
	struct pa_memmap *memmap;
	uint8_t *buffer;
	/* Hits kept, by needle: strong ones and others; owned. */
	uint8_t *kept;
	PA_ARRAY(struct pa_search_hit) hits, unusable;
	/* What the page with the last hit is. */
	uint64_t page;
	const struct pa_stack_page *stack;
	const struct pa_slab *slab;
	/* Allocated objects of the slab with the last hit. */
	const struct pa_slab *objects_of;
	uint64_t allocated[PA_MAX_SLAB_OBJECTS / 64];
	/* Which CPU's registers are searched, or -1. */
	int cpu;
	/* This thread's counts. */
	uint64_t nr_hits, nr_unusable, dropped[PA_NR_SEARCH_DROPS];
	uint64_t bytes, excluded_bytes, unreadable_bytes, unknown_pages;
};

/* The ranges of words that may name a page of @search's needles. */
void pa_search_ranges(struct pa_search *search);

/* Looks at @nr (at most PA_WORDS_MAX) words, the first of which is at @phys. */
struct pa_error *pa_search_words(struct pa_searcher *s, uint64_t phys,
				 const uint8_t *words, unsigned int nr);

#endif
