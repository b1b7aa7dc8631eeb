/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stack depot: stack traces, each kept once: lib/stackdepot.c. */
#ifndef PA_KERNEL_STACKDEPOT_H
#define PA_KERNEL_STACKDEPOT_H

#include "kernel/kernel.h"

/* CONFIG_STACKDEPOT_MAX_FRAMES is 64 wherever it is; page_owner saves 16. */
#define PA_MAX_FRAMES 64

struct pa_stack_trace {
	uint32_t nr;
	/* Return addresses, the innermost first. */
	uint64_t entries[PA_MAX_FRAMES];
};

/*
 * stack_depot_fetch(): the trace of a depot_stack_handle_t that is not 0.
 * PA_ERROR_MISSING where the kernel has no depot, PA_ERROR_CORRUPT where there
 * is no trace of that handle.
 */
struct pa_error *pa_stackdepot_fetch(const struct pa_kernel *kernel,
				     struct pa_memory *memory, uint32_t handle,
				     struct pa_stack_trace *ret);

#endif
