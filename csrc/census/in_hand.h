/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What tasks have in hand that are in the middle of taking references of many
 * pages, or of dropping them: the array that get_user_pages() fills, and what
 * is made of it, are named by the caller's frame only until all is done.
 */
#ifndef PA_CENSUS_IN_HAND_H
#define PA_CENSUS_IN_HAND_H

#include "census/census.h"
#include "census/place.h"

enum pa_in_hand_tasks {
	/* Those that drop references one by one that a holder shows still. */
	PA_IN_HAND_DROPPING,
	/* Those that allocate bios, or drop what one has. */
	PA_IN_HAND_BIOS,
	/* Those that drop fragments of socket buffers. */
	PA_IN_HAND_SKBS,
	/* Those of the first, and all others that take or drop references of many pages. */
	PA_IN_HAND_ALL,
};

/* A word of a live stack frame, or of a CPU's registers. */
struct pa_in_hand_word {
	uint64_t address;
	/* Virtual address of the task_struct. */
	uint64_t task;
};

struct pa_in_hand {
	/* By address: of these tasks, and of the objects that they name. */
	PA_ARRAY(struct pa_in_hand_word) words;
	/* By address: of all other tasks (PA_IN_HAND_ALL). */
	PA_ARRAY(struct pa_in_hand_word) others;
};

/*
 * @ret is zeroed before. Stacks that can't be read are left out, which
 * census->stacks_unread says.
 */
struct pa_error *pa_in_hand_init(const struct pa_census *census,
				 struct pa_memory *memory,
				 enum pa_in_hand_tasks tasks,
				 struct pa_in_hand *ret);
void pa_in_hand_deinit(struct pa_in_hand *in_hand);

/* The first task that has an address of [start, end); 0: none. */
uint64_t pa_in_hand_find(const struct pa_in_hand *in_hand, uint64_t start,
			 uint64_t end);

/*
 * The same for what is at @place: an object, an area, or a page. Objects that
 * live for one call only may be any task's.
 */
uint64_t pa_in_hand_place(const struct pa_in_hand *in_hand,
			  const struct pa_place *place);

#endif
