// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pages of io_uring: registered buffers, rings, and provided buffers' rings. */
#include "kernel/io_uring.h"

#include "census/files.h"
#include "census/holders.h"
#include "census/in_hand.h"

struct item {
	struct pa_holder_walk *walk;
	/* Of tasks that unpin pages. */
	struct pa_in_hand in_hand;
	uint64_t ctx;
};

/*
 * io_buffer_unmap() and __io_remove_buffers() unpin page by page what their
 * tables show until all is done (before v6.12): nobody knows how far they are.
 */
static bool is_unsure(const struct item *item,
		      const struct pa_io_uring_page *page)
{
	return page->hold == PA_IO_URING_PINNED &&
	       pa_in_hand_find(&item->in_hand, page->start, page->end);
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
	const struct pa_files *files;
	struct pa_error *err;

	if (!PA_HAS_TYPE(walk->layout, io_ring_ctx))
		return NULL;
	if (!pa_io_uring_knows(walk->layout))
		return pa_error_create(PA_ERROR_MISSING,
				       "no types of io_uring that we know");
	err = pa_files_get(walk, PA_OPEN_IO_URING, &files);
	if (err)
		return err;
	/* Borrowed: the census keeps them. */
	*state_ret = (void *)files;
	*nr_ret = files->objects[PA_OPEN_IO_URING].length != 0;
	return NULL;
}

struct pa_error *pa_io_uring_item(struct pa_holder_walk *walk, uint64_t index)
{
	const struct pa_files *files = walk->state;
	struct item item = { .walk = walk };
	struct pa_io_uring_walk rings = {
		.kernel = walk->kernel,
		.memory = walk->memory,
		.memmap = walk->memmap,
		.visit = visit_page,
		.arg = &item,
	};
	struct pa_error *err = pa_in_hand_init(
		walk->census, walk->memory, PA_IN_HAND_DROPPING, &item.in_hand);

	(void)index;
	pa_array_for_each(ctx, &files->objects[PA_OPEN_IO_URING]) {
		if (err)
			break;
		item.ctx = *ctx;
		err = pa_holder_unread(walk, pa_io_uring_visit(&rings, *ctx));
		if (!err)
			err = pa_job_check(walk->job);
		if (err || rings.stopped)
			break;
	}
	walk->unreadable += rings.unreadable;
	pa_io_uring_walk_deinit(&rings);
	pa_in_hand_deinit(&item.in_hand);
	return err;
}
