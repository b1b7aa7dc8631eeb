// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/dropping.h"

#include <stdlib.h>

static const enum pa_symbol_id functions[] = {
	PA_SYM_release_pages,
	PA_SYM_folios_put_refs,
	PA_SYM_free_pages_and_swap_cache,
	/* They go on with the next part of a batch; the first is in the second. */
	PA_SYM_tlb_flush_mmu,
	PA_SYM_tlb_finish_mmu,
	PA_SYM_tlb_batch_pages_flush,
	PA_SYM___tlb_batch_free_encoded_pages,
	/* The same with rmap: what is left of a batch is not known. */
	PA_SYM_tlb_flush_rmaps,
};

/* They empty a per-cpu batch when release_pages() has done with it. */
static const enum pa_symbol_id emptying[] = {
	PA_SYM_pagevec_lru_move_fn,
	PA_SYM_folio_batch_move_lru,
	PA_SYM_mlock_pagevec,
	PA_SYM_mlock_folio_batch,
};

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static bool is_dropping(const struct pa_layout *layout,
			const struct pa_stack *stack)
{
	if (pa_stack_is_in(layout, stack, functions, NR(functions)))
		return true;
	/* Which does that itself. */
	return !PA_HAS_SYM(layout, folios_put_refs) &&
	       pa_stack_is_in(layout, stack, emptying, NR(emptying));
}

struct pa_error *pa_dropping_find(const struct pa_census *census,
				  struct pa_dropping *ret)
{
	pa_array_for_each(stack, &census->stacks.list)
		if (is_dropping(census->kernel->layout, stack) &&
		    !pa_array_append(&ret->tasks, stack->task))
			return &pa_error_no_memory;
	if (ret->tasks.length)
		qsort(ret->tasks.items, ret->tasks.length,
		      sizeof(*ret->tasks.items), pa_compare_u64);
	return NULL;
}

void pa_dropping_deinit(struct pa_dropping *dropping)
{
	pa_array_deinit(&dropping->tasks);
}

bool pa_dropping_has(const struct pa_dropping *dropping, uint64_t task)
{
	return dropping->tasks.length &&
	       bsearch(&task, dropping->tasks.items, dropping->tasks.length,
		       sizeof(task), pa_compare_u64);
}
