/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages that somebody waits for, and what can be said of why: whether what is
 * waited for holds still, and who has the page in hand.
 */
#ifndef PA_CENSUS_WAITERS_H
#define PA_CENSUS_WAITERS_H

#include "census/census.h"
#include "kernel/wait.h"

/* A page with waiters: for a folio's flag its first page. */
struct pa_waited {
	uint64_t pfn;
	/* Its waiters: [first, first + nr) of the list. */
	size_t first, nr;
	/* False: the struct page could not be read. */
	bool readable;
	/* As they are: what is waited for may have ended already. */
	bool locked, writeback;
	uint32_t refcount;
	/*
	 * The first task, of those that don't wait for this page themselves,
	 * that has one of the folio's pages in hand (census/handled.h); 0: none.
	 */
	uint64_t task;
};

struct pa_waiting {
	struct pa_waiters waiters;
	/* By pfn. */
	PA_ARRAY(struct pa_waited) pages;
};

/* @memory is the caller's. PA_ERROR_MISSING as pa_waiters_init(). */
struct pa_error *pa_waiting_init(const struct pa_census *census,
				 struct pa_memory *memory,
				 struct pa_waiting *ret);
void pa_waiting_deinit(struct pa_waiting *waiting);

#endif
