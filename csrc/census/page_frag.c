// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages of which fragments are given out: per-cpu caches for socket buffers'
 * heads (mm/page_frag_cache.c), and what sockets and tasks fill with data to
 * send (struct page_frag). Whoever has a fragment has a reference of his own.
 */
#include "census/holders.h"
#include "census/slabs.h"
#include "kernel/task.h"

/* page_frag_alloc_1k() */
#define SMALL_BYTES 1024
/* PF_EXITING: do_exit() has given the page back, but not forgotten it. */
#define PF_EXITING 4

static bool refer_va(struct pa_holder_walk *walk, uint64_t owner, uint64_t slot,
		     uint64_t va, uint64_t count)
{
	const struct pa_address_space *space = &walk->kernel->space;
	struct pa_reference ref = {
		.holder = PA_HOLDER_PAGE_FRAG,
		.kind = PA_REF_GET,
		.count = (uint32_t)count,
		.slot = slot,
		.owner = owner,
	};

	if (!count || va < space->direct_start || va >= space->direct_end)
		return true;
	ref.pfn = (va - space->direct_start) >> space->page_shift;
	return pa_refer(walk, &ref);
}

/*
 * A struct page_frag_cache: pagecnt_bias is the references that it has in
 * store for fragments to come.
 */
static struct pa_error *walk_cache(struct pa_holder_walk *walk,
				   uint64_t address)
{
	const struct pa_layout *layout = walk->layout;
	uint8_t bytes[64];
	uint32_t size = PA_SIZEOF(layout, page_frag_cache);
	/* The low bits of the latter are the order and a flag. */
	const struct pa_member *va =
		PA_HAS(layout, page_frag_cache, encoded_page) ?
			PA_M(layout, page_frag_cache, encoded_page) :
			PA_M(layout, page_frag_cache, va);

	if (!va->known || !PA_HAS(layout, page_frag_cache, pagecnt_bias) ||
	    size > sizeof(bytes))
		return NULL;

	struct pa_error *err =
		pa_memory_read(walk->memory, address, size, bytes);

	if (err)
		return err;
	refer_va(walk, address, address + va->offset, pa_load_member(bytes, va),
		 PA_GET(layout, bytes, page_frag_cache, pagecnt_bias));
	return walk->err;
}

/* A struct page_frag_1k: its page has a reference for each part that is left. */
static struct pa_error *walk_small(struct pa_holder_walk *walk,
				   uint64_t address)
{
	const struct pa_layout *layout = walk->layout;
	uint8_t bytes[64];
	uint32_t size = PA_SIZEOF(layout, page_frag_1k);

	if (!PA_HAS(layout, page_frag_1k, va) ||
	    !PA_HAS(layout, page_frag_1k, offset) || size > sizeof(bytes))
		return NULL;

	struct pa_error *err =
		pa_memory_read(walk->memory, address, size, bytes);

	if (err)
		return err;
	refer_va(walk, address, address + PA_OFFSETOF(layout, page_frag_1k, va),
		 PA_GET(layout, bytes, page_frag_1k, va),
		 PA_GET(layout, bytes, page_frag_1k, offset) / SMALL_BYTES);
	return walk->err;
}

static struct pa_error *walk_cpu(struct pa_holder_walk *walk, uint64_t offset)
{
	const struct pa_layout *layout = walk->layout;
	uint64_t napi = PA_SYM(layout, napi_alloc_cache) + offset;
	struct pa_error *err = NULL;

	if (PA_HAS_SYM(layout, netdev_alloc_cache))
		err = pa_holder_unread(
			walk,
			walk_cache(walk, PA_SYM(layout, netdev_alloc_cache) +
						 offset));
	if (!PA_HAS_SYM(layout, napi_alloc_cache))
		return err;
	if (!err && PA_HAS(layout, napi_alloc_cache, page))
		err = pa_holder_unread(
			walk,
			walk_cache(walk,
				   napi + PA_OFFSETOF(layout, napi_alloc_cache,
						      page)));
	if (!err && PA_HAS(layout, napi_alloc_cache, page_small))
		err = pa_holder_unread(
			walk,
			walk_small(walk,
				   napi + PA_OFFSETOF(layout, napi_alloc_cache,
						      page_small)));
	return err;
}

/* A struct page_frag's page, at @slot. */
static struct pa_error *walk_frag(struct pa_holder_walk *walk, uint64_t owner,
				  uint64_t slot)
{
	struct pa_reference ref = {
		.holder = PA_HOLDER_PAGE_FRAG,
		.kind = PA_REF_GET,
		.count = 1,
		.slot = slot,
		.owner = owner,
	};
	uint64_t page;
	struct pa_error *err = pa_memory_read_u64(walk->memory, slot, &page);

	if (!err && page)
		pa_refer_page(walk, page, &ref);
	return err ? err : walk->err;
}

static bool visit_task(void *arg, uint64_t task)
{
	struct pa_holder_walk *walk = arg;
	const struct pa_layout *layout = walk->layout;
	uint32_t flags;
	struct pa_error *err = pa_memory_read_u32(
		walk->memory, task + PA_OFFSETOF(layout, task_struct, flags),
		&flags);

	if (!err && !(flags & PF_EXITING))
		err = walk_frag(walk, task,
				task + PA_OFFSETOF(layout, task_struct,
						   task_frag__page));
	walk->err = pa_holder_unread(walk, err);
	return !walk->err;
}

static bool visit_socket(void *arg, uint64_t object)
{
	struct pa_holder_walk *walk = arg;
	const struct pa_layout *layout = walk->layout;
	uint64_t sk;
	struct pa_error *err = pa_memory_read_u64(
		walk->memory,
		object + PA_OFFSETOF(layout, socket_alloc, socket__sk), &sk);

	if (!err && sk)
		err = walk_frag(walk, sk,
				sk + PA_OFFSETOF(layout, sock, sk_frag__page));
	walk->err = pa_holder_unread(walk, err);
	return !walk->err;
}

static struct pa_error *walk_sockets(struct pa_holder_walk *walk)
{
	const struct pa_layout *layout = walk->layout;
	const struct pa_slab_cache *cache;
	struct pa_error *err;

	if (!PA_HAS(layout, sock, sk_frag__page) ||
	    !PA_HAS(layout, socket_alloc, socket__sk))
		return NULL;
	err = pa_slabs_check(walk->census);
	if (!err)
		err = pa_slabs_cache_symbol(walk->census, walk->memory,
					    PA_SYM_sock_inode_cachep, &cache);
	return err ? err :
		     pa_holder_visit_cache(walk, cache, visit_socket, walk,
					   &walk->err);
}

struct pa_error *pa_page_frag_item(struct pa_holder_walk *walk, uint64_t index)
{
	const struct pa_kernel *kernel = walk->kernel;
	struct pa_error *err = NULL;

	(void)index;
	for (size_t i = 0; !err && i < kernel->cpus.list.length; i++)
		err = walk_cpu(walk, kernel->cpus.list.items[i].offset);
	if (!err && PA_HAS(walk->layout, task_struct, task_frag__page)) {
		uint64_t unreadable = 0;

		err = pa_tasks_visit(kernel, walk->memory, visit_task, walk,
				     &unreadable);
		walk->unreadable += unreadable;
	}
	if (!err)
		err = walk->err;
	return err ? err : walk_sockets(walk);
}
