/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* XArrays: include/linux/xarray.h, lib/xarray.c. */
#ifndef PA_KERNEL_XARRAY_H
#define PA_KERNEL_XARRAY_H

#include "kernel/memory.h"

/*
 * Called for each entry (pointer or value; zero entries, retry entries and
 * empty slots are left out) with the indices [first, last] that it covers.
 * False stops the walk.
 */
typedef bool (*pa_xarray_visit_fn)(void *arg, uint64_t first, uint64_t last,
				   uint64_t entry);

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
