/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Maps that rmap counts and no page table shows, as a task has the entry in
 * hand. collapse_huge_page() clears a PMD and looks at the table of pages behind
 * it: what it does not collapse is mapped again later (of its pages, some are
 * neither isolated nor locked). ptep_modify_prot_start() and move_ptes() clear an
 * entry and set it again under the lock.
 */
#ifndef PA_CENSUS_ENTRY_IN_HAND_H
#define PA_CENSUS_ENTRY_IN_HAND_H

#include "census/census.h"

struct pa_entry_in_hand {
	uint64_t pfn;
	/* Virtual address of the task_struct. */
	uint64_t task;
};

struct pa_entries_in_hand {
	/* By pfn, then task. */
	PA_ARRAY(struct pa_entry_in_hand) list;
};

/*
 * Empty where page tables were not walked. @ret is zeroed before, and the
 * caller's to deinit in any case.
 */
struct pa_error *pa_entries_in_hand_init(const struct pa_census *census,
					 struct pa_memory *memory,
					 struct pa_entries_in_hand *ret);
void pa_entries_in_hand_deinit(struct pa_entries_in_hand *entries);

/* The first task that has an entry of a page of [pfn, end); 0: none. */
uint64_t pa_entries_in_hand_find(const struct pa_entries_in_hand *entries,
				 uint64_t pfn, uint64_t end);

#endif
