// SPDX-License-Identifier: LGPL-2.1-or-later
/* The objects of one slab: which are allocated, and which one an address is in. */
#include <inttypes.h>

#include "census/slabs.h"

#define MAX_PAGE_BYTES 512

/* The objects of a slab that is being looked at. */
struct objects {
	const struct pa_slab_cache *cache;
	/* Addresses: of the first object, and of the slab's pages. */
	uint64_t first, start, end;
	uint32_t nr;
	/* One bit an object. */
	uint64_t is_free[PA_MAX_SLAB_OBJECTS / 64];
};

/* False if @address is not that of an object. */
static bool object_index(const struct objects *o, uint64_t address,
			 uint32_t *ret)
{
	uint64_t distance = address - o->first;

	if (address < o->first || distance % o->cache->size ||
	    distance / o->cache->size >= o->nr)
		return false;
	*ret = (uint32_t)(distance / o->cache->size);
	return true;
}

/* A chain of free objects; what stands behind a break is not found. */
static struct pa_error *mark_chain(struct objects *o, struct pa_memory *memory,
				   uint64_t address)
{
	const struct pa_free_pointer *pointer = &o->cache->free_pointer;
	uint32_t index;

	/* One that was met before ends it: chains may not have cycles. */
	while (object_index(o, address, &index) &&
	       !pa_test_bit(o->is_free, index)) {
		uint64_t at = address + pointer->offset, word;

		pa_set_bit(o->is_free, index);

		struct pa_error *err = pa_memory_read_u64(memory, at, &word);

		if (err)
			return err;
		address = pa_free_pointer_decode(pointer, at, word);
	}
	return NULL;
}

/* Objects in sheaves. */
static void mark_stock(struct objects *o, const struct pa_slabs *slabs)
{
	size_t nr = o->cache->nr_free;
	const uint64_t *items =
		nr ? slabs->free_objects.items + o->cache->first_free : NULL;
	uint32_t index;

	for (size_t i = pa_bisect(items, nr, it, *it < o->start);
	     i < nr && items[i] < o->end; i++)
		if (object_index(o, items[i], &index))
			pa_set_bit(o->is_free, index);
}

static struct pa_error *read_kfence(const struct pa_census *census,
				    struct pa_memory *memory, struct objects *o)
{
	const struct pa_kernel *kernel = census->kernel;
	const struct pa_kfence *kfence = &census->slabs->kfence;
	struct pa_kfence_object object;
	struct pa_error *err = pa_kfence_object_read(
		kernel, memory, kfence,
		pa_kfence_index(kfence, o->start, kernel->space.page_shift),
		&object);

	if (err)
		return err;
	o->first = object.address;
	o->nr = 1;
	o->is_free[0] = !object.allocated;
	return NULL;
}

static struct pa_error *read_objects(const struct pa_census *census,
				     struct pa_memory *memory,
				     const struct pa_slab *slab,
				     struct objects *o)
{
	const struct pa_kernel *kernel = census->kernel;
	const struct pa_slabs *slabs = census->slabs;
	uint64_t page = pa_pfn_to_page(kernel, slab->pfn);
	unsigned int shift = kernel->space.page_shift;
	uint8_t bytes[MAX_PAGE_BYTES];
	struct pa_error *err = NULL;

	o->cache = &slabs->caches.items[slab->cache];
	o->start = kernel->space.direct_start + (slab->pfn << shift);
	o->end = o->start + PA_BIT(shift + slab->order);
	if (slab->kfence)
		return read_kfence(census, memory, o);
	if (kernel->page_format.size > sizeof(bytes))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct page is too large");
	err = pa_memory_read(memory, page, kernel->page_format.size, bytes);
	if (err)
		return err;
	o->first = o->start + o->cache->red_left_pad;
	o->nr = pa_slab_nr_objects(&slabs->format, bytes);
	if (o->cache->red_left_pad + (uint64_t)o->nr * o->cache->size >
	    o->end - o->start)
		return pa_error_at(PA_ERROR_CORRUPT, page,
				   "slab 0x%" PRIx64
				   " says that it has more objects than it has "
				   "room for",
				   page);
	memset(o->is_free, 0, (o->nr + 63) / 64 * 8);

	err = mark_chain(o, memory, pa_slab_freelist(&slabs->format, bytes));
	for (size_t i = 0; !err && i < o->cache->nr_cpu_slabs; i++) {
		const struct pa_cpu_slab *cpu =
			&slabs->cpu_slabs.items[o->cache->first_cpu_slab + i];

		if (cpu->page == page)
			err = mark_chain(o, memory, cpu->freelist);
	}
	mark_stock(o, slabs);
	/* A free pointer that is absent: the chain's rest stays allocated. */
	if (pa_error_is_absent(err)) {
		pa_error_destroy(err);
		err = NULL;
	}
	return err;
}

static struct pa_error *visit_objects(const struct pa_census *census,
				      struct pa_memory *memory,
				      const struct pa_slab *slab, bool free_too,
				      pa_slab_visit_fn visit, void *arg)
{
	struct objects o;
	struct pa_error *err = read_objects(census, memory, slab, &o);

	for (uint32_t i = 0; !err && i < o.nr; i++)
		if ((free_too || !pa_test_bit(o.is_free, i)) &&
		    !visit(arg, o.first + (uint64_t)i * o.cache->size))
			break;
	return err;
}

struct pa_error *pa_slab_visit(const struct pa_census *census,
			       struct pa_memory *memory,
			       const struct pa_slab *slab,
			       pa_slab_visit_fn visit, void *arg)
{
	return visit_objects(census, memory, slab, false, visit, arg);
}

struct pa_error *pa_slab_visit_all(const struct pa_census *census,
				   struct pa_memory *memory,
				   const struct pa_slab *slab,
				   pa_slab_visit_fn visit, void *arg)
{
	return visit_objects(census, memory, slab, true, visit, arg);
}

const struct pa_slab *pa_slabs_find(const struct pa_slabs *slabs, uint64_t pfn)
{
	const struct pa_slab *items = slabs->list.items;
	/* The last one that starts at or before @pfn. */
	size_t low = pa_bisect(items, slabs->list.length, it, it->pfn <= pfn);

	if (!low || pfn - items[low - 1].pfn >= PA_BIT(items[low - 1].order))
		return NULL;
	return &items[low - 1];
}

struct pa_error *pa_slabs_place(const struct pa_census *census,
				struct pa_memory *memory, uint64_t va,
				struct pa_slab_place *ret)
{
	const struct pa_address_space *space = &census->kernel->space;
	struct pa_slab_place place = { 0 };
	struct objects o;

	*ret = place;
	if (va < space->direct_start || va >= space->direct_end)
		return NULL;
	place.slab = pa_slabs_find(census->slabs, (va - space->direct_start) >>
							  space->page_shift);
	if (!place.slab)
		return NULL;
	place.cache = &census->slabs->caches.items[place.slab->cache];

	struct pa_error *err = read_objects(census, memory, place.slab, &o);

	if (err)
		return err;

	uint64_t index = va < o.first ? UINT64_MAX :
					(va - o.first) / place.cache->size;

	if (index < o.nr) {
		place.object = o.first + index * place.cache->size;
		place.offset = (uint32_t)(va - place.object);
		place.allocated = !pa_test_bit(o.is_free, index);
	}
	*ret = place;
	return NULL;
}
