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

/*
 * The live parts of all tasks' stacks, which may be in several pieces each, and,
 * where that is known, the registers of CPUs and the interrupt stacks that they
 * were on. What a CPU does in user space is not on its stack, nor what sleeps
 * in a system call has behind the return from it (kernel/orc.h). A task's
 * pieces are neighbours, its registers first.
 */
struct pa_stacks {
	PA_ARRAY(struct pa_stack) list;
	/* Tasks, or the rest of a broken list of them, that are not there. */
	uint64_t unread;
	/* What the pieces borrow. */
	PA_ARRAY(uint64_t) words;
};

/* Of a running kernel all are read again where one was not. @ret is zeroed before. */
struct pa_error *pa_stacks_init(const struct pa_kernel *kernel,
				struct pa_memory *memory,
				const struct pa_cpu_tasks *cpus,
				struct pa_stacks *ret);
void pa_stacks_deinit(struct pa_stacks *stacks);

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
 */
void pa_stacks_find(const struct pa_stacks *stacks,
		    const struct pa_kernel *kernel, struct pa_memory *memory,
		    const enum pa_symbol_id *functions, size_t nr_functions,
		    struct pa_stack_hit *ret);

#endif
