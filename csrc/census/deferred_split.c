// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * THPs that reclaim is about to split: deferred_split_scan() takes some off
 * their queue, with a reference each, to a list of its own on its stack, and
 * drops the references one after the other. Which of them it has dropped is
 * only known of the kernels that take each off the list first.
 */
#include <stdlib.h>

#include "census/holders.h"
#include "kernel/list.h"

/* deferred_split_scan() takes sc->nr_to_scan, SHRINK_BATCH as a rule. */
#define MAX_QUEUE PA_BIT(20)

struct queued {
	uint64_t pfn, node, head, task;
};

struct queues {
	PA_ARRAY(struct queued) list;
};

struct finding {
	struct pa_holder_walk *walk;
	struct queues *queues;
	/* From a folio's struct page to the links. */
	uint64_t offset;
	uint64_t head, task;
	struct pa_error *err;
};

/* page->deferred_list is the second tail page's. */
static bool find_offset(const struct pa_kernel *kernel, uint64_t *ret)
{
	const struct pa_layout *layout = kernel->layout;

	if (PA_HAS(layout, folio, _deferred_list))
		*ret = PA_OFFSETOF(layout, folio, _deferred_list);
	else if (PA_HAS(layout, page, deferred_list))
		*ret = 2ULL * kernel->page_format.size +
		       PA_OFFSETOF(layout, page, deferred_list);
	else
		return false;
	return true;
}

static bool folio_at(const struct finding *f, uint64_t node, uint64_t *ret)
{
	return pa_is_kernel_address(node) &&
	       pa_page_to_pfn(f->walk->kernel, node - f->offset, ret);
}

static bool visit_node(void *arg, uint64_t node)
{
	struct finding *f = arg;
	struct queued queued = {
		.node = node,
		.head = f->head,
		.task = f->task,
	};

	if (!folio_at(f, node, &queued.pfn))
		return false;
	if (!pa_array_append(&f->queues->list, queued))
		f->err = &pa_error_no_memory;
	return !f->err;
}

/* What is linked to the list head at @head, if that is what it is. */
static struct pa_error *look_at(struct finding *f, uint64_t head,
				const uint64_t *words)
{
	struct pa_list_result result;
	uint64_t pfn, back;

	if (!folio_at(f, words[0], &pfn) || !folio_at(f, words[1], &pfn))
		return NULL;

	struct pa_error *err =
		pa_memory_read_u64(f->walk->memory, words[0] + 8, &back);

	if (!err && back == head) {
		f->head = head;
		err = pa_list_walk(f->walk->memory, head, MAX_QUEUE, visit_node,
				   f, &result);
	}
	return pa_holder_unread(f->walk, err);
}

static bool visit_stack(struct finding *f, const struct pa_stack *stack)
{
	static const enum pa_symbol_id scan[] = { PA_SYM_deferred_split_scan };

	/* SLUB has lists of slabs on its stack whose links lie like these. */
	if (PA_HAS_SYM(f->walk->layout, deferred_split_scan) &&
	    !pa_stack_is_in(f->walk->layout, stack, scan, 1))
		return true;
	f->task = stack->task;
	for (size_t i = 0; stack->address && !f->err && i + 1 < stack->nr; i++)
		f->err = look_at(f, stack->address + i * 8, &stack->words[i]);
	return !f->err;
}

struct pa_error *pa_deferred_split_prepare(struct pa_holder_walk *walk,
					   void **state_ret, uint64_t *nr_ret)
{
	struct finding f = { .walk = walk };

	if (!find_offset(walk->kernel, &f.offset))
		return NULL;
	f.queues = calloc(1, sizeof(*f.queues));
	if (!f.queues)
		return &pa_error_no_memory;
	*state_ret = f.queues;
	pa_array_for_each(stack, &walk->census->stacks.list)
		if (!visit_stack(&f, stack))
			break;
	walk->unreadable += walk->census->stacks.unread;
	*nr_ret = f.queues->list.length;
	return f.err;
}

struct pa_error *pa_deferred_split_item(struct pa_holder_walk *walk,
					uint64_t index)
{
	const struct queues *queues = walk->state;
	const struct queued *queued = &queues->list.items[index];

	pa_refer(walk, &(struct pa_reference){
			       .holder = walk->holder,
			       .kind = PA_REF_UNSURE,
			       .count = 1,
			       .pfn = queued->pfn,
			       .slot = queued->node,
			       .owner = queued->task,
			       .index = queued->head,
		       });
	return NULL;
}

void pa_deferred_split_destroy(void *state)
{
	struct queues *queues = state;

	pa_array_deinit(&queues->list);
	free(queues);
}
