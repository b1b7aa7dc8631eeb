/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a task is, in words: its stack as evidence. */
#ifndef PA_CHECKS_TASK_STACK_H
#define PA_CHECKS_TASK_STACK_H

#include "census/place.h"
#include "checks/check.h"
#include "kernel/stack.h"

/*
 * Evidence "stack": the functions that the return addresses on a task's stack
 * lie in, innermost first. Nothing is unwound: a frame may hold addresses of
 * calls that have returned.
 */
struct pa_error *pa_check_add_stack(struct pa_check_context *context,
				    const struct pa_places *places,
				    struct pa_finding *f, uint64_t task);

/*
 * The first task that is in @function and has an address of [start, end) on
 * its stack or in its registers. @ret->task 0: there is none.
 */
void pa_check_find_task(struct pa_check_context *context,
			enum pa_symbol_id function, uint64_t start,
			uint64_t end, struct pa_stack_hit *ret);

#endif
