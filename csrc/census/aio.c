// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages of AIO rings: each is in its private file's page cache, which has a
 * reference of its own, and the kioctx keeps the one that it was allocated with
 * (aio_setup_ring()).
 */
#include "census/files.h"
#include "census/holders.h"
#include "kernel/page_array.h"

struct pa_error *pa_aio_prepare(struct pa_holder_walk *walk, void **state_ret,
				uint64_t *nr_ret)
{
	const struct pa_layout *layout = walk->layout;
	const struct pa_files *files;
	struct pa_error *err;

	if (!PA_HAS_TYPE(layout, kioctx))
		return NULL;
	if (!PA_HAS(layout, kioctx, nr_pages) ||
	    !(PA_HAS(layout, kioctx, ring_pages) ||
	      PA_HAS(layout, kioctx, ring_folios)))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct kioctx is not usable");
	err = pa_files_get(walk, PA_OPEN_AIO, &files);
	if (err)
		return err;
	/* Borrowed: the census keeps them. */
	*state_ret = (void *)files;
	*nr_ret = files->objects[PA_OPEN_AIO].length;
	return NULL;
}

struct item {
	struct pa_holder_walk *walk;
	uint64_t ctx;
};

static bool visit_page(void *arg, uint64_t index, uint64_t slot, uint64_t page)
{
	struct item *item = arg;
	struct pa_reference ref = {
		.holder = PA_HOLDER_AIO,
		.kind = PA_REF_GET,
		.count = 1,
		.slot = slot,
		.owner = item->ctx,
		.index = index,
	};

	return pa_refer_page(item->walk, page, &ref);
}

struct pa_error *pa_aio_item(struct pa_holder_walk *walk, uint64_t index)
{
	const struct pa_layout *layout = walk->layout;
	const struct pa_files *files = walk->state;
	struct item item = { walk, files->objects[PA_OPEN_AIO].items[index] };
	uint32_t offset = PA_HAS(layout, kioctx, ring_folios) ?
				  PA_OFFSETOF(layout, kioctx, ring_folios) :
				  PA_OFFSETOF(layout, kioctx, ring_pages);
	uint64_t nr, pages;
	struct pa_error *err = pa_memory_read_u64(
		walk->memory, item.ctx + PA_OFFSETOF(layout, kioctx, nr_pages),
		&nr);

	if (!err)
		err = pa_memory_read_u64(walk->memory, item.ctx + offset,
					 &pages);
	if (!err && nr)
		err = pa_page_array_visit(walk->memory, pages, nr, visit_page,
					  &item);
	return err;
}
