/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* XArrays: include/linux/xarray.h, lib/xarray.c. */
#ifndef PA_KERNEL_XARRAY_H
#define PA_KERNEL_XARRAY_H

#include "kernel/memory.h"

struct pa_xarray_entry {
	/* The indices [first, last] that it covers. */
	uint64_t first, last;
	/* A pointer, or a value: odd. */
	uint64_t entry;
	/* Virtual address of its slot: the first of a multi-index entry's. */
	uint64_t slot;
};

/*
 * Called for each entry; zero entries, retry entries and empty slots are left
 * out. False stops the walk.
 */
typedef bool (*pa_xarray_visit_fn)(void *arg,
				   const struct pa_xarray_entry *entry);

struct pa_xarray_result {
	/* Nodes that could not be read or are no nodes: parts left out. */
	uint64_t unreadable;
	uint64_t corrupt;
};

/* Walks the struct xarray at @xarray. Errors are ours, not the array's. */
struct pa_error *pa_xarray_walk(struct pa_memory *memory,
				const struct pa_layout *layout, uint64_t xarray,
				pa_xarray_visit_fn visit, void *arg,
				struct pa_xarray_result *ret);

#endif
