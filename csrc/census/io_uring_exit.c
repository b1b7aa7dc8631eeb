// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/io_uring_exit.h"

#include <string.h>

#include "census/slabs.h"

struct search {
	struct pa_holder_walk *walk;
	struct pa_io_uring_exits *exits;
	struct pa_error *err;
};

/* Nothing else has the address of that function at that place. */
static bool visit_object(void *arg, uint64_t object)
{
	struct search *search = arg;
	const struct pa_layout *layout = search->walk->layout;
	uint64_t function;
	struct pa_error *err = pa_memory_read_u64(
		search->walk->memory,
		object + PA_OFFSETOF(layout, io_ring_ctx, exit_work__func),
		&function);

	if (!err && function == PA_SYM(layout, io_ring_exit_work) &&
	    !pa_array_append(&search->exits->list, object))
		err = &pa_error_no_memory;
	search->err = pa_holder_unread(search->walk, err);
	return !search->err;
}

/* kzalloc() takes the smallest cache that has room; of some there are several. */
static bool may_have(const struct pa_layout *layout,
		     const struct pa_slab_cache *cache)
{
	uint32_t size = PA_SIZEOF(layout, io_ring_ctx);

	return !strncmp(cache->name, "kmalloc", 7) &&
	       cache->object_size >= size && cache->object_size / 2 < size;
}

struct pa_error *pa_io_uring_exits_find(struct pa_holder_walk *walk,
					struct pa_io_uring_exits *ret)
{
	const struct pa_slabs *slabs = walk->census->slabs;
	struct search search = { .walk = walk, .exits = ret };
	struct pa_error *err;

	if (!PA_HAS(walk->layout, io_ring_ctx, exit_work__func) ||
	    !PA_HAS_SYM(walk->layout, io_ring_exit_work))
		return pa_error_create(PA_ERROR_MISSING,
				       "no types or symbols of rings that end");
	err = pa_slabs_check(walk->census);
	if (err)
		return err;
	pa_array_for_each(cache, &slabs->caches) {
		if (!may_have(walk->layout, cache))
			continue;
		err = pa_holder_visit_cache(walk, cache, visit_object, &search,
					    &search.err);
		if (err)
			return err;
	}
	return NULL;
}

void pa_io_uring_exits_deinit(struct pa_io_uring_exits *exits)
{
	pa_array_deinit(&exits->list);
}
