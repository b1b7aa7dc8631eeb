// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/io_uring_request.h"

#include "census/slabs.h"
#include "kernel/io_uring.h"

#define MAX_REQUEST_BYTES 1024

struct search {
	struct pa_holder_walk *walk;
	struct pa_io_uring_nodes *nodes;
	struct pa_error *err;
};

/* Whether the node at @address was not freed since. */
static struct pa_error *is_allocated(const struct pa_holder_walk *walk,
				     uint64_t address, bool *ret)
{
	struct pa_slab_place place = { 0 };
	struct pa_error *err =
		pa_slabs_place(walk->census, walk->memory, address, &place);

	*ret = !err && place.slab && place.allocated && !place.offset;
	return err;
}

static struct pa_error *look_at(struct search *search, uint64_t request)
{
	const struct pa_layout *layout = search->walk->layout;
	uint8_t bytes[MAX_REQUEST_BYTES];
	uint64_t node;
	bool allocated;
	struct pa_error *err = pa_memory_read(search->walk->memory, request,
					      PA_SIZEOF(layout, io_kiocb),
					      bytes);

	if (err || !(PA_GET(layout, bytes, io_kiocb, flags) &
		     PA_BIT(PA_ENUM(layout, REQ_F_BUF_NODE_BIT))))
		return err;
	node = PA_GET(layout, bytes, io_kiocb, buf_node);
	if (!pa_is_kernel_address(node))
		return NULL;
	err = is_allocated(search->walk, node, &allocated);
	if (err || !allocated)
		return err;
	return pa_array_append(&search->nodes->list, node) ?
		       NULL :
		       &pa_error_no_memory;
}

static bool visit_object(void *arg, uint64_t object)
{
	struct search *search = arg;

	search->err = pa_holder_unread(search->walk, look_at(search, object));
	return !search->err;
}

static bool is_usable(const struct pa_layout *layout)
{
	return PA_HAS(layout, io_kiocb, flags) &&
	       PA_HAS(layout, io_kiocb, buf_node) &&
	       PA_HAS_ENUM(layout, REQ_F_BUF_NODE_BIT) &&
	       PA_ENUM(layout, REQ_F_BUF_NODE_BIT) < 64 &&
	       PA_HAS_SYM(layout, req_cachep) &&
	       PA_SIZEOF(layout, io_kiocb) <= MAX_REQUEST_BYTES &&
	       pa_io_uring_knows_nodes(layout);
}

struct pa_error *pa_io_uring_nodes_find(struct pa_holder_walk *walk,
					struct pa_io_uring_nodes *ret)
{
	struct search search = { .walk = walk, .nodes = ret };
	const struct pa_slab_cache *cache = NULL;
	struct pa_error *err;

	if (!is_usable(walk->layout))
		return NULL;
	err = pa_slabs_check(walk->census);
	if (!err)
		err = pa_slabs_cache_symbol(walk->census, walk->memory,
					    PA_SYM_req_cachep, &cache);
	return err ? err :
		     pa_holder_visit_cache(walk, cache, visit_object, &search,
					   &search.err);
}

void pa_io_uring_nodes_deinit(struct pa_io_uring_nodes *nodes)
{
	pa_array_deinit(&nodes->list);
}
