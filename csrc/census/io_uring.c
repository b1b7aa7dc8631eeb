// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pages of io_uring: registered buffers, rings, and provided buffers' rings. */
#include "kernel/io_uring.h"

#include <stdlib.h>

#include "census/files.h"
#include "census/holders.h"
#include "census/in_hand.h"
#include "census/io_uring_exit.h"
#include "census/io_uring_request.h"

struct rings {
	/* Borrowed: the census keeps them. */
	const struct pa_files *files;
	struct pa_io_uring_exits exits;
	struct pa_io_uring_nodes nodes;
	/* Of tasks that unpin pages. */
	struct pa_in_hand in_hand;
};

struct item {
	struct pa_holder_walk *walk;
	const struct pa_in_hand *in_hand;
	uint64_t ctx;
	/* A task is freeing it: nobody knows how far it is. */
	bool freeing;
};

/*
 * io_buffer_unmap() and __io_remove_buffers() unpin page by page what their
 * tables show until all is done (before v6.12): nobody knows how far they are.
 */
static bool is_unsure(const struct item *item,
		      const struct pa_io_uring_page *page)
{
	return item->freeing ||
	       (page->hold == PA_IO_URING_PINNED &&
		pa_in_hand_find(item->in_hand, page->start, page->end));
}

static bool visit_page(void *arg, const struct pa_io_uring_page *page)
{
	static const enum pa_reference_kind kinds[] = {
		[PA_IO_URING_PINNED] = PA_REF_PIN,
		[PA_IO_URING_OWNED] = PA_REF_GET,
		[PA_IO_URING_LENT] = PA_REF_LINK,
	};
	struct item *item = arg;
	struct pa_reference ref = {
		.holder = PA_HOLDER_IO_URING,
		.kind = is_unsure(item, page) ? PA_REF_UNSURE :
						kinds[page->hold],
		.count = 1,
		.slot = page->slot,
		.owner = item->ctx,
		.index = page->index,
	};

	return pa_refer_page(item->walk, page->page, &ref);
}

/* One item: buffers that rings share are found by having been met before. */
struct pa_error *pa_io_uring_prepare(struct pa_holder_walk *walk,
				     void **state_ret, uint64_t *nr_ret)
{
	struct rings *rings;
	struct pa_error *err;
	size_t nr;

	if (!PA_HAS_TYPE(walk->layout, io_ring_ctx))
		return NULL;
	if (!pa_io_uring_knows(walk->layout))
		return pa_error_create(PA_ERROR_MISSING,
				       "no types of io_uring that we know");
	rings = calloc(1, sizeof(*rings));
	if (!rings)
		return &pa_error_no_memory;
	err = pa_files_get(walk, PA_OPEN_IO_URING, &rings->files);
	if (!err)
		err = pa_io_uring_exits_find(walk, &rings->exits);
	if (!err)
		err = pa_io_uring_nodes_find(walk, &rings->nodes);
	nr = err ? 0 :
		   rings->files->objects[PA_OPEN_IO_URING].length +
			     rings->exits.list.length;
	if (!err && nr)
		err = pa_in_hand_init(walk->census, walk->memory,
				      PA_IN_HAND_DROPPING, &rings->in_hand);
	if (err) {
		pa_io_uring_destroy(rings);
		return err;
	}
	*state_ret = rings;
	*nr_ret = nr != 0;
	return NULL;
}

static struct pa_error *visit_ring(struct item *item,
				   struct pa_io_uring_walk *walk, uint64_t ctx)
{
	struct pa_error *err;

	if (walk->stopped)
		return NULL;
	item->ctx = ctx;
	err = pa_holder_unread(item->walk, pa_io_uring_visit(walk, ctx));
	return err ? err : pa_job_check(item->walk->job);
}

/* Found by its file, which is about to be freed. */
static bool is_open(const struct pa_files *files, uint64_t ctx)
{
	pa_array_for_each(open, &files->objects[PA_OPEN_IO_URING])
		if (*open == ctx)
			return true;
	return false;
}

struct pa_error *pa_io_uring_item(struct pa_holder_walk *walk, uint64_t index)
{
	const struct rings *state = walk->state;
	struct item item = { .walk = walk, .in_hand = &state->in_hand };
	struct pa_io_uring_walk rings = {
		.kernel = walk->kernel,
		.memory = walk->memory,
		.memmap = walk->memmap,
		.visit = visit_page,
		.arg = &item,
	};
	uint32_t size = PA_SIZEOF(walk->layout, io_ring_ctx);
	struct pa_error *err = NULL;

	(void)index;
	pa_array_for_each(ctx, &state->files->objects[PA_OPEN_IO_URING])
		if (!err)
			err = visit_ring(&item, &rings, *ctx);
	pa_array_for_each(ctx, &state->exits.list) {
		if (err)
			break;
		if (is_open(state->files, *ctx))
			continue;
		item.freeing = pa_in_hand_find(item.in_hand, *ctx, *ctx + size);
		err = visit_ring(&item, &rings, *ctx);
	}
	/* Those that are in a table were met there. */
	item.ctx = 0;
	item.freeing = false;
	for (size_t i = 0; !err && i < state->nodes.list.length; i++)
		err = pa_holder_unread(
			walk, pa_io_uring_visit_node(
				      &rings, state->nodes.list.items[i], i));
	walk->unreadable += rings.unreadable;
	pa_io_uring_walk_deinit(&rings);
	return err;
}

void pa_io_uring_destroy(void *state)
{
	struct rings *rings = state;

	pa_io_uring_exits_deinit(&rings->exits);
	pa_io_uring_nodes_deinit(&rings->nodes);
	pa_in_hand_deinit(&rings->in_hand);
	free(rings);
}
