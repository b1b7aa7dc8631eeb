/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tasks and their kernel stacks, searched for a function: kernel/fork.c. */
#ifndef PA_KERNEL_STACK_H
#define PA_KERNEL_STACK_H

#include "kernel/kernel.h"

/* What pa_stacks_find() found. */
struct pa_stack_hit {
	/* Virtual address of the task_struct; 0: no task. */
	uint64_t task;
	uint32_t pid;
	char comm[16];
	/* Index in @functions. */
	size_t function;
};

/*
 * The first task that has a return address into one of @functions on the live
 * part of its stack: as good as certain that it is in there, without
 * unwinding. Functions that the kernel lacks are passed over.
 *
 * @unread_ret counts the tasks whose stacks could not be read; a list of tasks
 * that is broken is PA_ERROR_CORRUPT.
 */
struct pa_error *pa_stacks_find(const struct pa_kernel *kernel,
				struct pa_memory *memory,
				const enum pa_symbol_id *functions,
				size_t nr_functions, struct pa_stack_hit *ret,
				uint64_t *unread_ret);

#endif
