/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Isolated folios: taken off the LRU onto a private list, with a reference, by
 * reclaim, compaction or migration.
 */
#ifndef PA_CENSUS_ISOLATED_H
#define PA_CENSUS_ISOLATED_H

#include "census/census.h"

struct pa_isolated {
	uint64_t pfn;
	/* Virtual addresses: the list's head, and whose stack it is on. */
	uint64_t head, task;
	/*
	 * collapse_file() has more references of what is on its list: the one
	 * that it found the folio with, and, once the huge page is in the
	 * cache, the cache's.
	 */
	bool collapsing;
};

/* Base pages of one node. */
struct pa_isolated_count {
	/* On private lists, as NR_ISOLATED_ANON and NR_ISOLATED_FILE count. */
	uint64_t anon, file;
	/*
	 * Off the LRU and neither on such a list nor in a batch: in somebody's
	 * hands, or what only looks like a folio of the LRU.
	 */
	uint64_t other_anon, other_file;
};

struct pa_isolated_census {
	/* By pfn; hugetlb folios too, which no node counts. */
	PA_ARRAY(struct pa_isolated) list;
	/* By index in kernel->zones.nodes, and one for what is of none. */
	struct pa_isolated_count *nodes;
	/*
	 * Virtual address of a task_struct: who is in the middle of isolating
	 * folios or of putting them back, so that counts are not exact; 0:
	 * nobody.
	 */
	uint64_t mover;
};

/* NULL is allowed. */
void pa_isolated_census_destroy(struct pa_isolated_census *isolated);

/* The isolated folio that starts at @pfn; NULL if there is none. */
const struct pa_isolated *
pa_isolated_find(const struct pa_isolated_census *isolated, uint64_t pfn);

#endif
