/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Private lists: pages linked by their lru members to a head that is no page,
 * as those that compaction, reclaim and migration work on.
 */
#ifndef PA_CENSUS_PRIVATE_LIST_H
#define PA_CENSUS_PRIVATE_LIST_H

#include "base/map.h"
#include "census/census.h"

/* No private list is longer. */
#define PA_PRIVATE_LIST_MAX PA_BIT(22)

/* What walks have found; one thread's. Zeroed but for the borrowed three. */
struct pa_private_lists {
	/* Borrowed; the classes of pages are known. */
	const struct pa_census *census;
	const struct pa_kernel *kernel;
	struct pa_memory *memory;
	/* Links met before, to the head that they lead to, or 0: to none. */
	struct pa_map met;
	/* Where nodes were read, and the pages that they link. */
	struct pa_memory_page near, near_next;
};

void pa_private_lists_deinit(struct pa_private_lists *lists);

/* The pfn of the page whose lru is at @node, or PA_NO_PFN: not a page. */
uint64_t pa_private_list_pfn(const struct pa_private_lists *lists,
			     uint64_t node);

/*
 * The head of the list that the page at @pfn is on: links that all answer each
 * other lead to it; 0: there is none. Those before the page need not: v5.10
 * frees lists of pages without taking each off first (free_unref_page_list(),
 * free_pcppages_bulk()). list_del() leaves poison in a page that was taken off
 * a list, so a lost page has none. Nor has one whose links lead to pages of the
 * allocator's or the LRU's lists: a running kernel has put it back there.
 */
struct pa_error *pa_private_list_head(struct pa_private_lists *lists,
				      uint64_t pfn, uint64_t *head_ret);

#endif
