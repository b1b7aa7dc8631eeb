/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tasks and their kernel stacks: kernel/fork.c, arch/x86/kernel/irq_64.c. */
#ifndef PA_KERNEL_STACK_H
#define PA_KERNEL_STACK_H

#include "kernel/kernel.h"
#include "kernel/task.h"

/* Words that somebody works with: of a live stack, or a CPU's registers. */
struct pa_stack {
	/* Virtual address of the task_struct. */
	uint64_t task;
	/* Where the words lie; 0: registers. */
	uint64_t address;
	/* Borrowed for the call. */
	const uint64_t *words;
	size_t nr;
};

/* False stops the walk. */
typedef bool (*pa_stack_fn)(void *arg, const struct pa_stack *stack);

/*
 * Calls @visit with the live part of every task's stack, which may be in
 * several pieces, and, where @cpus has them, with the registers of CPUs and
 * the interrupt stacks that they were on. What a CPU does in user space is not
 * on its stack.
 *
 * @unread_ret counts the tasks whose stacks could not be read; a list of tasks
 * that is broken is PA_ERROR_CORRUPT.
 */
struct pa_error *pa_stacks_visit(const struct pa_kernel *kernel,
				 struct pa_memory *memory,
				 const struct pa_cpu_tasks *cpus,
				 pa_stack_fn visit, void *arg,
				 uint64_t *unread_ret);

/* Whether a call in @function returns to @word; not if the kernel lacks it. */
bool pa_is_in_function(const struct pa_layout *layout,
		       enum pa_symbol_id function, uint64_t word);

/*
 * The index of the first of @functions that @word is an address in, or @nr.
 * Functions that the kernel lacks are passed over.
 */
size_t pa_function_at(const struct pa_layout *layout,
		      const enum pa_symbol_id *functions, size_t nr,
		      uint64_t word);

/* Whether a word of @stack is an address in one of @functions. */
bool pa_stack_is_in(const struct pa_layout *layout,
		    const struct pa_stack *stack,
		    const enum pa_symbol_id *functions, size_t nr);

/* The same of one task; nothing if its stack could not be read. */
struct pa_error *pa_stack_visit(const struct pa_kernel *kernel,
				struct pa_memory *memory,
				const struct pa_cpu_tasks *cpus, uint64_t task,
				pa_stack_fn visit, void *arg);

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
