// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/slab.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text.h"
#include "kernel/list.h"

/* KMALLOC_MAX_CACHE_SIZE is 8 KiB, caches of other objects go to 4 MiB. */
#define MAX_OBJECT_BYTES (UINT32_C(4) << 20)
/* calculate_sheaf_capacity() gives 60 unless a cache asks for more. */
#define MAX_SHEAF 4096
/* MAX_FULL_SHEAVES is 10, which list surgery can exceed for an instant. */
#define MAX_SHEAVES 1024

struct pa_error *pa_slab_format_init(const struct pa_layout *layout,
				     struct pa_slab_format *ret)
{
	bool in_page = !PA_HAS_TYPE(layout, slab);
	const struct pa_member *slab_cache =
		in_page ? PA_M(layout, page, slab_cache) :
			  PA_M(layout, slab, slab_cache);
	const struct pa_member *freelist =
		in_page ? PA_M(layout, page, freelist) :
			  PA_M(layout, slab, freelist);
	const struct pa_member *objects = in_page ?
						  PA_M(layout, page, objects) :
						  PA_M(layout, slab, objects);
	uint32_t page_bytes = PA_SIZEOF(layout, page);

	/* kmem_cache.offset is SLUB's alone. */
	if (!PA_HAS(layout, kmem_cache, offset) || !slab_cache->known ||
	    !freelist->known || !objects->known || !objects->bit_size ||
	    slab_cache->offset + 8 > page_bytes ||
	    freelist->offset + 8 > page_bytes ||
	    objects->offset + objects->size > page_bytes)
		return pa_error_create(PA_ERROR_MISSING,
				       "the kernel's slabs are not SLUB's");
	*ret = (struct pa_slab_format){
		.slab_cache = slab_cache->offset,
		.freelist = freelist->offset,
		.objects = *objects,
	};
	return NULL;
}

static bool is_plausible(const struct pa_kmem_cache *cache, uint64_t name)
{
	/* The free pointer lies in the object or right behind it. */
	return cache->size >= 8 && cache->size <= MAX_OBJECT_BYTES &&
	       cache->object_size && cache->object_size <= cache->size &&
	       cache->free_pointer.offset <= cache->size - 8 &&
	       cache->red_left_pad < cache->size && pa_is_kernel_address(name);
}

struct pa_error *pa_kmem_cache_read(struct pa_memory *memory,
				    const struct pa_layout *layout,
				    uint64_t address, struct pa_kmem_cache *ret)
{
	uint32_t bytes = PA_SIZEOF(layout, kmem_cache);
	/* All but the arrays by node, which stand at the end. */
	uint32_t head = PA_HAS(layout, kmem_cache, per_node) ?
				PA_OFFSETOF(layout, kmem_cache, per_node) :
				PA_OFFSETOF(layout, kmem_cache, node);
	uint8_t cache[2048];
	struct pa_kmem_cache result = { .address = address };

	if (!head || head > bytes)
		head = bytes;
	if (head > sizeof(cache))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct kmem_cache is not usable");

	struct pa_error *err = pa_memory_read(memory, address, head, cache);

	if (err)
		return err;

#define GET(member)                                                            \
	(PA_HAS(layout, kmem_cache, member) &&                                 \
			 PA_OFFSETOF(layout, kmem_cache, member) + 8 <= head ? \
		 PA_GET(layout, cache, kmem_cache, member) :                   \
		 0)
	result.size = (uint32_t)GET(size);
	result.object_size = (uint32_t)GET(object_size);
	result.red_left_pad = (uint32_t)GET(red_left_pad);
	result.free_pointer.offset = (uint32_t)GET(offset);
	result.free_pointer.hardened = PA_HAS(layout, kmem_cache, random);
	result.free_pointer.random = GET(random);
	result.cpu_slab = GET(cpu_slab);
	result.cpu_sheaves = GET(cpu_sheaves);

	uint64_t name = GET(name);
#undef GET
	if (!is_plausible(&result, name))
		return pa_error_at(PA_ERROR_CORRUPT, address,
				   "no kmem_cache at 0x%" PRIx64, address);
	err = pa_memory_read_string(memory, name, result.name,
				    sizeof(result.name));
	if (err)
		return err;
	pa_text_make_printable(result.name);
	*ret = result;
	return NULL;
}

struct reading {
	const struct pa_layout *layout;
	struct pa_memory *memory;
	struct pa_slab_stock *stock;
	struct pa_error *err;
};

/* What is absent is counted; ours stays. */
static struct pa_error *unread(struct pa_slab_stock *stock,
			       struct pa_error *err)
{
	if (!pa_error_is_target(err))
		return err;
	pa_error_destroy(err);
	stock->unreadable++;
	return NULL;
}

static struct pa_error *read_sheaf(struct reading *r, uint64_t sheaf)
{
	const struct pa_layout *layout = r->layout;
	struct pa_slab_stock *stock = r->stock;
	uint32_t size;
	struct pa_error *err = pa_memory_read_u32(
		r->memory, sheaf + PA_OFFSETOF(layout, slab_sheaf, size),
		&size);

	if (err || !size)
		return err;
	if (size > MAX_SHEAF)
		return pa_error_at(PA_ERROR_CORRUPT, sheaf,
				   "no sheaf at 0x%" PRIx64, sheaf);
	if (!pa_array_reserve(&stock->objects, size))
		return &pa_error_no_memory;
	err = pa_memory_read(r->memory,
			     sheaf + PA_OFFSETOF(layout, slab_sheaf, objects),
			     (uint64_t)size * 8,
			     stock->objects.items + stock->objects.length);
	if (!err)
		stock->objects.length += size;
	return err;
}

static struct pa_error *read_cpu_slab(struct reading *r, uint64_t address)
{
	const struct pa_layout *layout = r->layout;
	const struct pa_member *page =
		PA_HAS(layout, kmem_cache_cpu, slab) ?
			PA_M(layout, kmem_cache_cpu, slab) :
			PA_M(layout, kmem_cache_cpu, page);
	struct pa_cpu_slab slab;
	struct pa_error *err = pa_memory_read_u64(
		r->memory,
		address + PA_OFFSETOF(layout, kmem_cache_cpu, freelist),
		&slab.freelist);

	if (!err)
		err = pa_memory_read_u64(r->memory, address + page->offset,
					 &slab.page);
	if (err || !slab.freelist || !slab.page)
		return err;
	return pa_array_append(&r->stock->cpu_slabs, slab) ?
		       NULL :
		       &pa_error_no_memory;
}

static struct pa_error *read_cpu_sheaves(struct reading *r, uint64_t address)
{
	const struct pa_layout *layout = r->layout;
	const uint32_t slots[] = {
		PA_OFFSETOF(layout, slub_percpu_sheaves, main),
		PA_OFFSETOF(layout, slub_percpu_sheaves, spare),
		PA_OFFSETOF(layout, slub_percpu_sheaves, rcu_free),
	};
	struct pa_error *err = NULL;

	for (size_t i = 0; !err && i < sizeof(slots) / sizeof(slots[0]); i++) {
		uint64_t sheaf;

		err = pa_memory_read_u64(r->memory, address + slots[i], &sheaf);
		if (!err && sheaf)
			err = unread(r->stock, read_sheaf(r, sheaf));
	}
	return err;
}

static bool visit_sheaf(void *arg, uint64_t node)
{
	struct reading *r = arg;

	r->err = unread(r->stock,
			read_sheaf(r, node - PA_OFFSETOF(r->layout, slab_sheaf,
							 barn_list)));
	return !r->err;
}

/*
 * The barn of @node of the cache at @cache; 0 if there is none. v6.18 has it in
 * kmem_cache_node, v7 beside that.
 */
static struct pa_error *find_barn(struct reading *r, uint64_t cache,
				  uint32_t node, uint64_t *ret)
{
	const struct pa_layout *layout = r->layout;
	const struct pa_member *array;
	uint64_t at;
	struct pa_error *err;

	*ret = 0;
	if (PA_HAS(layout, kmem_cache, per_node)) {
		array = PA_M(layout, kmem_cache, per_node);
		at = cache + array->offset +
		     (uint64_t)node * array->element_size +
		     PA_OFFSETOF(layout, kmem_cache_per_node_ptrs, barn);
	} else {
		array = PA_M(layout, kmem_cache, node);
		if (!array->known || !PA_HAS(layout, kmem_cache_node, barn))
			return NULL;
		err = pa_memory_read_u64(
			r->memory, cache + array->offset + (uint64_t)node * 8,
			&at);
		if (err || !at)
			return err;
		at += PA_OFFSETOF(layout, kmem_cache_node, barn);
	}
	return pa_memory_read_u64(r->memory, at, ret);
}

static struct pa_error *read_barn(struct reading *r, uint64_t cache,
				  uint32_t node)
{
	struct pa_list_result result;
	uint64_t barn;
	struct pa_error *err = find_barn(r, cache, node, &barn);

	if (err || !barn)
		return err;
	err = pa_list_walk(r->memory,
			   barn + PA_OFFSETOF(r->layout, node_barn,
					      sheaves_full),
			   MAX_SHEAVES, visit_sheaf, r, &result);
	if (!err)
		err = r->err;
	if (!err && result.end != PA_LIST_WHOLE)
		r->stock->unreadable++;
	return err;
}

struct pa_error *pa_kmem_cache_stock(const struct pa_kernel *kernel,
				     struct pa_memory *memory,
				     const struct pa_kmem_cache *cache,
				     struct pa_slab_stock *stock)
{
	const struct pa_layout *layout = kernel->layout;
	bool sheaves = cache->cpu_sheaves && PA_HAS_TYPE(layout, slab_sheaf);
	struct reading r = {
		.layout = layout,
		.memory = memory,
		.stock = stock,
	};
	struct pa_error *err = NULL;

	for (size_t i = 0; !err && i < kernel->cpus.list.length; i++) {
		uint64_t offset = kernel->cpus.list.items[i].offset;

		if (cache->cpu_slab)
			err = unread(stock, read_cpu_slab(&r, cache->cpu_slab +
								      offset));
		if (!err && sheaves)
			err = unread(stock,
				     read_cpu_sheaves(&r, cache->cpu_sheaves +
								  offset));
	}
	for (size_t i = 0; !err && sheaves && i < kernel->zones.nodes.length;
	     i++)
		err = unread(stock, read_barn(&r, cache->address,
					      kernel->zones.nodes.items[i].id));
	/* Of a kernel whose CPUs or nodes are unknown nothing was read. */
	if (!kernel->cpus.list.length ||
	    (sheaves && !kernel->zones.nodes.length))
		stock->unreadable++;
	return err;
}

void pa_slab_stock_deinit(struct pa_slab_stock *stock)
{
	pa_array_deinit(&stock->cpu_slabs);
	pa_array_deinit(&stock->objects);
}
