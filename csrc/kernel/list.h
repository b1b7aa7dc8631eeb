/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Doubly linked lists: include/linux/list.h. */
#ifndef PA_KERNEL_LIST_H
#define PA_KERNEL_LIST_H

#include "kernel/memory.h"

enum pa_list_end {
	/* Back at the head, every link answered by its neighbour. */
	PA_LIST_WHOLE,
	/* node->next->prev is not node, or a link is no kernel address. */
	PA_LIST_BROKEN,
	/* An entry could not be read. */
	PA_LIST_UNREADABLE,
	/* The visitor stopped, or more entries than the limit. */
	PA_LIST_STOPPED,
	PA_LIST_ENDLESS,
};

struct pa_list_result {
	enum pa_list_end end;
	/* Entries visited. */
	uint64_t length;
	/* Where it broke: the entry whose link is wrong, and what it says. */
	uint64_t node;
	uint64_t link;
};

/* Called with each entry's list_head address; false stops the walk. */
typedef bool (*pa_list_visit_fn)(void *arg, uint64_t node);

/*
 * Walks the list at @head (the address of the list_head itself), at most
 * @limit entries. What is wrong with the list is a result; errors are ours.
 */
struct pa_error *pa_list_walk(struct pa_memory *memory, uint64_t head,
			      uint64_t limit, pa_list_visit_fn visit, void *arg,
			      struct pa_list_result *ret);

/* The same from the list's end: what comes behind a break. */
struct pa_error *pa_list_walk_back(struct pa_memory *memory, uint64_t head,
				   uint64_t limit, pa_list_visit_fn visit,
				   void *arg, struct pa_list_result *ret);

/* Whether a list_head at @address may have these links: empty, or not. */
static inline bool pa_is_list_head(uint64_t next, uint64_t prev,
				   uint64_t address)
{
	return pa_is_kernel_address(next) && pa_is_kernel_address(prev) &&
	       !((next | prev) & 7) && (next == address) == (prev == address);
}

#endif
