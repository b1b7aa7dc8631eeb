/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages that kernel stacks are made of, and from where on their words count:
 * what lies below the stack pointer, behind a system call's frames, on the
 * stack of a task that is gone or on an interrupt stack that nobody is on,
 * names pages released long ago.
 */
#ifndef PA_CENSUS_STACK_PAGES_H
#define PA_CENSUS_STACK_PAGES_H

#include "census/census.h"
#include "kernel/kernel_tables.h"

struct pa_stack_page {
	uint64_t pfn;
	/* Virtual address of the page as part of the stack. */
	uint64_t va;
	/* Virtual address of the task_struct; 0: nobody's. */
	uint64_t task;
	/* The whole stack, and its live words: [end, end) if there are none. */
	uint64_t base, end, live, live_end;
};

static inline bool pa_stack_page_is_live(const struct pa_stack_page *page,
					 uint64_t va)
{
	return va >= page->live && va < page->live_end;
}

struct pa_stack_pages {
	/* By pfn, each once. */
	PA_ARRAY(struct pa_stack_page) list;
	/* Tasks whose stacks could not be read; all of it, if it is not 0. */
	uint64_t unread;
};

struct pa_error *pa_stack_pages_init(const struct pa_census *census,
				     const struct pa_kernel_tables *tables,
				     struct pa_memory *memory,
				     struct pa_stack_pages *ret);
void pa_stack_pages_deinit(struct pa_stack_pages *stacks);

/* NULL: @pfn is no stack's. */
const struct pa_stack_page *
pa_stack_pages_find(const struct pa_stack_pages *stacks, uint64_t pfn);

#endif
