/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walkers: tasks that go through memory by pfn, and from each to its struct
 * page. They are whom memory that goes away under them surprises.
 */
#ifndef PA_CENSUS_WALKERS_H
#define PA_CENSUS_WALKERS_H

#include "census/census.h"

enum pa_walk {
	PA_WALK_COMPACTION,
	/* alloc_contig_range() and what it calls. */
	PA_WALK_CONTIG,
	/* Isolating or returning pageblocks, for others than it. */
	PA_WALK_ISOLATION,
	/* memory_failure(), soft_offline_page(), unpoison_memory(). */
	PA_WALK_MEMORY_ERROR,
	PA_WALK_KHUGEPAGED,
	PA_WALK_DAMON,
	/* /proc/kpageflags and its like, page_idle. */
	PA_WALK_PROC,
	PA_NR_WALKS,
};

extern const char *const pa_walk_names[PA_NR_WALKS];

/* Of a compact_control. */
enum pa_walker_position {
	PA_POSITION_MIGRATE,
	PA_POSITION_FREE,
	PA_POSITION_FAST_START,
	PA_NR_POSITIONS,
};

extern const char *const pa_walker_position_names[PA_NR_POSITIONS];

/* Of the pages that one walker works on; more are of no use to a reader. */
#define PA_WALKER_MAX_PFNS 16

struct pa_walker {
	/* Virtual address of the task_struct. */
	uint64_t task;
	uint32_t pid;
	char comm[16];
	enum pa_walk walk;
	/* The innermost of its functions that go by pfn; a literal. */
	const char *function;
	/* It is in online_pages() or offline_pages(): it knows what it does. */
	bool hotplug;
	/* It handles a memory error, whatever it does for that just now. */
	bool memory_error;
	/* Virtual address of its struct compact_control; 0: it has none. */
	uint64_t control;
	/* Borrowed from the kernel; NULL without a control. */
	const struct pa_zone *zone;
	/* Where its scanners are; PA_NO_PFN: this kernel does not tell. */
	uint64_t positions[PA_NR_POSITIONS];
	/*
	 * Pages that its live words name by pfn and by struct page both: as
	 * good as certain that it works on them. Rising.
	 */
	size_t nr_pfns;
	uint64_t pfns[PA_WALKER_MAX_PFNS];
	/*
	 * ->memory_error: poisoned pages that it names by pfn or by struct
	 * page: action_result() has no use for more than the pfn.
	 */
	size_t nr_poisoned;
	uint64_t poisoned[PA_WALKER_MAX_PFNS];
};

struct pa_walkers {
	PA_ARRAY(struct pa_walker) list;
	/* Tasks whose stacks could not be read. */
	uint64_t unread;
};

/* @ret is zeroed before. */
struct pa_error *pa_walkers_init(const struct pa_census *census,
				 struct pa_memory *memory,
				 struct pa_walkers *ret);
void pa_walkers_deinit(struct pa_walkers *walkers);

/*
 * What @pfn is, as stale-page-reference has it; the memory block's state where
 * it is going offline.
 */
const char *pa_walker_target(const struct pa_census *census, uint64_t pfn);

#endif
