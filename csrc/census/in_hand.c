// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/in_hand.h"

#include <stdlib.h>

#include "kernel/stack.h"

/* No function of these is longer. */
#define FUNCTION_BYTES 4096
/* No machine has so many tasks in there. */
#define MAX_WORDS PA_BIT(24)

static const enum pa_symbol_id dropping[] = {
	PA_SYM_io_buffer_unmap,	    PA_SYM___io_sqe_buffers_unregister,
	PA_SYM_io_rsrc_data_free,   PA_SYM_io_rsrc_buf_put,
	PA_SYM_io_rsrc_put_work,    PA_SYM_io_rsrc_node_ref_zero,
	PA_SYM_io_release_ubuf,	    PA_SYM_io_free_rsrc_node,
	PA_SYM___io_remove_buffers, PA_SYM_io_put_bl,
	PA_SYM_io_destroy_buffers,  PA_SYM_io_free_region,
	PA_SYM_aio_free_ring,	    PA_SYM_free_ioctx,
	PA_SYM_unpin_user_pages,    PA_SYM_unpin_user_pages_dirty_lock,
};

static const enum pa_symbol_id taking[] = {
	PA_SYM___get_user_pages,
	PA_SYM___gup_longterm_locked,
	PA_SYM_internal_get_user_pages_fast,
	PA_SYM_gup_fast_fallback,
	PA_SYM_get_user_pages,
	PA_SYM_get_user_pages_fast,
	PA_SYM_get_user_pages_unlocked,
	PA_SYM_get_user_pages_remote,
	PA_SYM_pin_user_pages,
	PA_SYM_pin_user_pages_fast,
	PA_SYM_pin_user_pages_unlocked,
	PA_SYM_pin_user_pages_remote,
	PA_SYM_iov_iter_extract_pages,
	PA_SYM_iov_iter_get_pages,
	PA_SYM_iov_iter_get_pages2,
	PA_SYM_iov_iter_get_pages_alloc,
	PA_SYM___iov_iter_get_pages_alloc,
	PA_SYM_io_pin_pages,
	PA_SYM_io_sqe_buffer_register,
	PA_SYM_io_sqe_buffers_register,
	PA_SYM___io_uaddr_map,
	PA_SYM_io_create_region,
	PA_SYM_ioctx_alloc,
};

struct collect {
	const struct pa_census *census;
	enum pa_in_hand_tasks tasks;
	struct pa_in_hand *in_hand;
	bool failed;
};

static bool is_inside(const struct pa_layout *layout,
		      const enum pa_symbol_id *functions, size_t nr,
		      uint64_t word)
{
	for (size_t i = 0; i < nr; i++) {
		const struct pa_symbol *symbol = &layout->symbols[functions[i]];

		if (symbol->known && word - symbol->address < FUNCTION_BYTES)
			return true;
	}
	return false;
}

static bool is_of_interest(const struct collect *collect,
			   const struct pa_stack *stack)
{
	const struct pa_layout *layout = collect->census->kernel->layout;

	for (size_t i = 0; i < stack->nr; i++)
		if (is_inside(layout, dropping,
			      sizeof(dropping) / sizeof(dropping[0]),
			      stack->words[i]) ||
		    (collect->tasks == PA_IN_HAND_ALL &&
		     is_inside(layout, taking,
			       sizeof(taking) / sizeof(taking[0]),
			       stack->words[i])))
			return true;
	return false;
}

static bool visit(void *arg, const struct pa_stack *stack)
{
	struct collect *collect = arg;
	const struct pa_cpu_tasks *cpus = &collect->census->cpu_tasks;
	/* Registers come first: their frames are in the next piece. */
	bool wanted = stack->words && is_of_interest(collect, stack);

	for (size_t i = 0; !wanted && i < cpus->list.length; i++)
		wanted = cpus->list.items[i].regs == stack->words;
	for (size_t i = 0; wanted && i < stack->nr; i++) {
		const struct pa_in_hand_word word = { stack->words[i],
						      stack->task };

		if (!pa_is_kernel_address(word.address))
			continue;
		if (collect->in_hand->words.length >= MAX_WORDS)
			return false;
		if (!pa_array_append(&collect->in_hand->words, word)) {
			collect->failed = true;
			return false;
		}
	}
	return true;
}

static int compare(const void *a, const void *b)
{
	const struct pa_in_hand_word *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->task < y->task ? -1 : x->task > y->task;
}

struct pa_error *pa_in_hand_init(const struct pa_census *census,
				 struct pa_memory *memory,
				 enum pa_in_hand_tasks tasks,
				 struct pa_in_hand *ret)
{
	struct collect collect = {
		.census = census,
		.tasks = tasks,
		.in_hand = ret,
	};
	uint64_t unread;
	struct pa_error *err = pa_stacks_visit(census->kernel, memory,
					       &census->cpu_tasks, visit,
					       &collect, &unread);

	if (collect.failed)
		err = &pa_error_no_memory;
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		err = NULL;
	}
	if (!err && ret->words.length)
		qsort(ret->words.items, ret->words.length,
		      sizeof(*ret->words.items), compare);
	return err;
}

void pa_in_hand_deinit(struct pa_in_hand *in_hand)
{
	pa_array_deinit(&in_hand->words);
}

uint64_t pa_in_hand_find(const struct pa_in_hand *in_hand, uint64_t start,
			 uint64_t end)
{
	size_t low = 0, high = in_hand->words.length;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (in_hand->words.items[middle].address < start)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == in_hand->words.length ||
	    in_hand->words.items[low].address >= end)
		return 0;
	return in_hand->words.items[low].task;
}

uint64_t pa_in_hand_place(const struct pa_in_hand *in_hand,
			  const struct pa_place *place)
{
	switch (place->kind) {
	case PA_PLACE_SLAB:
	case PA_PLACE_VMALLOC:
	case PA_PLACE_PAGE:
		return pa_in_hand_find(in_hand, place->start, place->end);
	default:
		return 0;
	}
}
