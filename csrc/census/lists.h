/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What holders that are lists of struct pages share: walking lists on all
 * cores, checking what each entry names, keeping what is wrong.
 */
#ifndef PA_CENSUS_LISTS_H
#define PA_CENSUS_LISTS_H

#include <stdio.h>

#include "census/census.h"
#include "kernel/list.h"

/* One thread's state while lists are walked. */
struct pa_list_worker {
	struct pa_census *census;
	/* Borrowed; a list can be as long as the machine has pages. */
	const struct pa_job *job;
	struct pa_memory *memory;
	/* The name of the list being walked, for its faults. */
	char name[128];
	PA_ARRAY(struct pa_list_fault) faults;
	/* Of pa_list_fault_add(): those that another read is to judge, too. */
	uint64_t faults_met;
	struct pa_disturbed disturbed;
	uint64_t references;
	uint64_t unreadable;
	/* Our own failure inside of a visitor, which then stops. */
	struct pa_error *err;
};

/* Walks one of the lists 0 .. n-1; @worker is a struct pa_list_worker. */
typedef struct pa_error *(*pa_list_item_fn)(void *worker, uint64_t index);

/* Runs @item for all lists on the job's threads and merges what they found. */
struct pa_error *pa_lists_run(struct pa_census *census, struct pa_job *job,
			      enum pa_census_part part, const char *phase,
			      pa_list_item_fn item, uint64_t nr_lists);

/*
 * Walks the list at @fault->head, at most @limit entries, from both ends where
 * it is broken. A break of the list becomes a fault made from @fault.
 */
struct pa_error *pa_list_check(struct pa_list_worker *worker,
			       const struct pa_list_fault *fault,
			       uint64_t limit, pa_list_visit_fn visit,
			       void *arg);

/*
 * The page whose lru member is at @node: fills fault->pfn and target and gives
 * its class byte. False if that is no usable or free page (a stale fault is
 * then kept) or of no known section (counted). The class may be unknown.
 */
bool pa_list_entry(struct pa_list_worker *worker, uint64_t node,
		   struct pa_list_fault *fault, uint8_t **class_ret);

/*
 * Whether this read judges what is wrong with an entry: see pa_census_judges().
 * A break is always kept: it says how far the walk came. False if out of memory.
 */
bool pa_list_judges(struct pa_list_worker *worker,
		    const struct pa_list_fault *fault, bool *ret);

/* Keeps a copy under the list's name, if judged; false if out of memory. */
bool pa_list_fault_add(struct pa_list_worker *worker,
		       const struct pa_list_fault *fault);
/* The same of a fault that pa_list_judges() has said is judged. */
bool pa_list_fault_keep(struct pa_list_worker *worker,
			const struct pa_list_fault *fault);

#endif
