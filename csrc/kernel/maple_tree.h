/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Maple trees: include/linux/maple_tree.h, lib/maple_tree.c. */
#ifndef PA_KERNEL_MAPLE_TREE_H
#define PA_KERNEL_MAPLE_TREE_H

#include "kernel/memory.h"

struct pa_maple_result {
	/* Nodes that could not be read, and that make no sense. */
	uint64_t unreadable, corrupt;
};

/*
 * Called with each entry, in rising order, and the indices [first, last] that
 * it is stored for. False stops the walk.
 */
typedef bool (*pa_maple_visit_fn)(void *arg, uint64_t first, uint64_t last,
				  uint64_t entry);

/*
 * Walks the struct maple_tree at @tree. What is wrong with it is a result;
 * errors are ours.
 */
struct pa_error *pa_maple_tree_walk(struct pa_memory *memory,
				    const struct pa_layout *layout,
				    uint64_t tree, pa_maple_visit_fn visit,
				    void *arg, struct pa_maple_result *ret);

#endif
