// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/bio.h"

#include <inttypes.h>

#include "kernel/xarray.h"

/* bi_size has 32 bits, and each vector can begin inside of a page. */
#define MAX_PAGES (UINT32_C(1) << 21)
#define MAX_FRONT_PAD 65536
/* BIO_POOL_SIZE is 2, dm's pools have some more. */
#define MAX_RESERVE 65536
/* ALLOC_CACHE_MAX is 256. */
#define MAX_CPU_CACHE 4096
#define MAX_CACHES 4096
/* Vectors read at once. */
#define VECS_AT_ONCE 64
#define MAX_VEC_BYTES 32

bool pa_bio_knows(const struct pa_layout *layout)
{
	return PA_SIZEOF(layout, bio) &&
	       PA_SIZEOF(layout, bio) <= PA_BIO_MAX_BYTES &&
	       PA_HAS(layout, bio, bi_next) && PA_HAS(layout, bio, bi_flags) &&
	       PA_HAS(layout, bio, bi_end_io) && PA_HAS(layout, bio, bi_vcnt) &&
	       PA_HAS(layout, bio, bi_io_vec) &&
	       PA_HAS(layout, bio, bi_iter__bi_size) &&
	       PA_HAS(layout, bio, bi_pool) &&
	       PA_HAS(layout, bio_set, bio_slab) &&
	       PA_HAS(layout, bio_set, front_pad) &&
	       PA_HAS(layout, bio_set, bio_pool__elements) &&
	       PA_HAS(layout, bio_set, bio_pool__curr_nr) &&
	       PA_HAS(layout, bio_vec, bv_page) &&
	       PA_HAS(layout, bio_vec, bv_len) &&
	       PA_HAS(layout, bio_vec, bv_offset) &&
	       PA_SIZEOF(layout, bio_vec) >= 16 &&
	       PA_SIZEOF(layout, bio_vec) <= MAX_VEC_BYTES &&
	       PA_HAS(layout, bio_slab, slab) &&
	       PA_HAS_SYM(layout, bio_slabs) &&
	       PA_HAS_ENUM(layout, BIO_CLONED) &&
	       PA_HAS_ENUM(layout, BIO_CHAIN) &&
	       (PA_HAS_ENUM(layout, BIO_PAGE_PINNED) ||
		PA_HAS_ENUM(layout, BIO_NO_PAGE_REF));
}

/*
 * Those who release the pages at the end: where a flag says which bios must
 * not, all others that come to bio_release_pages() do.
 */
static bool releases_pages(const struct pa_layout *layout, uint64_t end_io)
{
	static const enum pa_symbol_id functions[] = {
		PA_SYM_blkdev_bio_end_io,	 PA_SYM_blkdev_bio_end_io_async,
		PA_SYM_blkdev_bio_end_io_simple, PA_SYM_iomap_dio_bio_end_io,
		PA_SYM_dio_bio_end_io,		 PA_SYM_dio_bio_end_aio,
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (layout->symbols[functions[i]].known &&
		    layout->symbols[functions[i]].address == end_io)
			return true;
	return false;
}

#define FLAG(layout, flags, name)                                   \
	(PA_HAS_ENUM(layout, name) && PA_ENUM(layout, name) >= 0 && \
	 PA_ENUM(layout, name) < 64 && (flags) >> PA_ENUM(layout, name) & 1)

static enum pa_bio_pages bio_pages(const struct pa_layout *layout,
				   const uint8_t *bytes)
{
	uint64_t flags = PA_GET(layout, bytes, bio, bi_flags);

	if (FLAG(layout, flags, BIO_CLONED))
		return PA_BIO_NO_PAGES;
	/* Since v6.5 a flag says who has pins, and nobody references. */
	if (PA_HAS_ENUM(layout, BIO_PAGE_PINNED))
		return FLAG(layout, flags, BIO_PAGE_PINNED) ? PA_BIO_PINS :
							      PA_BIO_NO_PAGES;
	if (FLAG(layout, flags, BIO_NO_PAGE_REF))
		return PA_BIO_NO_PAGES;

	uint64_t end_io = PA_GET(layout, bytes, bio, bi_end_io);

	if (PA_HAS_SYM(layout, submit_bio_wait_endio) &&
	    end_io == PA_SYM(layout, submit_bio_wait_endio))
		return PA_BIO_BY_WAITER;
	return releases_pages(layout, end_io) ? PA_BIO_GETS : PA_BIO_NO_PAGES;
}

/*
 * Drivers that take bios don't count bi_size down. Of several bios
 * __blkdev_direct_IO() has a reference to the first, which is all that is left
 * of it when it has ended.
 */
static bool has_ended(const struct pa_layout *layout, const uint8_t *bytes)
{
	uint64_t flags = PA_GET(layout, bytes, bio, bi_flags);

	if (PA_HAS(layout, bio, __bi_cnt) && FLAG(layout, flags, BIO_REFFED) &&
	    PA_GET(layout, bytes, bio, __bi_cnt) == 1)
		return true;
	/* Where it was split its parts may be under way (bio_remaining_done()). */
	return !PA_GET(layout, bytes, bio, bi_iter__bi_size) &&
	       !FLAG(layout, flags, BIO_CHAIN);
}

void pa_bio_parse(const struct pa_layout *layout, const uint8_t *bytes,
		  uint64_t address, struct pa_bio *ret)
{
	*ret = (struct pa_bio){
		.address = address,
		.next = PA_GET(layout, bytes, bio, bi_next),
		.pool = PA_GET(layout, bytes, bio, bi_pool),
		.vecs = PA_GET(layout, bytes, bio, bi_io_vec),
		.nr_vecs = (uint32_t)PA_GET(layout, bytes, bio, bi_vcnt),
		.pages = bio_pages(layout, bytes),
	};
	ret->ended = has_ended(layout, bytes);
	ret->reaped = PA_HAS_SYM(layout, dio_bio_end_io) &&
		      PA_GET(layout, bytes, bio, bi_end_io) ==
			      PA_SYM(layout, dio_bio_end_io);
	if (PA_HAS(layout, bio, bi_private) &&
	    PA_HAS_SYM(layout, bio_chain_endio) &&
	    PA_GET(layout, bytes, bio, bi_end_io) ==
		    PA_SYM(layout, bio_chain_endio))
		ret->parent = PA_GET(layout, bytes, bio, bi_private);
}

/* What is left to visit of a bio. */
struct visit {
	const struct pa_kernel *kernel;
	pa_bio_page_fn visit;
	void *arg;
	uint64_t index;
	bool stopped;
};

static struct pa_error *visit_vec(struct visit *v, const uint8_t *vec,
				  uint64_t slot)
{
	const struct pa_layout *layout = v->kernel->layout;
	unsigned int shift = v->kernel->space.page_shift;
	uint64_t page = PA_GET(layout, vec, bio_vec, bv_page);
	uint64_t offset = PA_GET(layout, vec, bio_vec, bv_offset);
	uint64_t length = PA_GET(layout, vec, bio_vec, bv_len);
	uint64_t end = (offset + length + PA_MASK(shift)) >> shift;
	uint64_t pfn;

	if (!length)
		return NULL;
	/* Whatever became of the page, it had a struct page. */
	if (!pa_page_to_pfn(v->kernel, page, &pfn) ||
	    v->index + (end - (offset >> shift)) > MAX_PAGES)
		return pa_error_at(PA_ERROR_CORRUPT, slot,
				   "no bio_vec at 0x%" PRIx64, slot);
	/* A vector is a stretch of memory, of as many pages as it touches. */
	for (uint64_t i = offset >> shift; i < end && !v->stopped; i++)
		v->stopped = !v->visit(v->arg, v->index++, slot,
				       page + i * v->kernel->page_format.size);
	return NULL;
}

struct pa_error *pa_bio_visit_pages(const struct pa_kernel *kernel,
				    struct pa_memory *memory,
				    const struct pa_bio *bio,
				    pa_bio_page_fn visit, void *arg)
{
	uint32_t size = PA_SIZEOF(kernel->layout, bio_vec);
	struct visit v = { .kernel = kernel, .visit = visit, .arg = arg };
	uint8_t vecs[VECS_AT_ONCE * MAX_VEC_BYTES];
	struct pa_error *err = NULL;

	for (uint32_t i = 0; !err && i < bio->nr_vecs && !v.stopped;
	     i += VECS_AT_ONCE) {
		uint32_t nr = (uint32_t)pa_min(bio->nr_vecs - i, VECS_AT_ONCE);
		uint64_t at = bio->vecs + (uint64_t)i * size;

		err = pa_memory_read(memory, at, (uint64_t)nr * size, vecs);
		for (uint32_t j = 0; !err && j < nr && !v.stopped; j++)
			err = visit_vec(&v, vecs + j * size,
					at + (uint64_t)j * size);
	}
	return err;
}

struct pa_error *pa_bio_set_read(struct pa_memory *memory,
				 const struct pa_layout *layout,
				 uint64_t address, struct pa_bio_set *ret)
{
	uint64_t cache;
	uint32_t front_pad;
	struct pa_error *err = pa_memory_read_u64(
		memory, address + PA_OFFSETOF(layout, bio_set, bio_slab),
		&cache);

	if (!err)
		err = pa_memory_read_u32(memory,
					 address + PA_OFFSETOF(layout, bio_set,
							       front_pad),
					 &front_pad);
	if (err)
		return err;
	if (!pa_is_kernel_address(cache) || front_pad > MAX_FRONT_PAD)
		return pa_error_at(PA_ERROR_CORRUPT, address,
				   "no bio_set at 0x%" PRIx64, address);
	*ret = (struct pa_bio_set){
		.address = address,
		.cache = cache,
		.front_pad = front_pad,
	};
	return NULL;
}

struct caches {
	struct pa_memory *memory;
	const struct pa_layout *layout;
	pa_bio_visit_fn visit;
	void *arg;
	struct pa_error *err;
};

/* @slab: the address of a struct bio_slab. */
static bool visit_slab(struct caches *caches, uint64_t slab)
{
	uint64_t cache;

	caches->err = pa_memory_read_u64(
		caches->memory,
		slab + PA_OFFSETOF(caches->layout, bio_slab, slab), &cache);
	return !caches->err && (!cache || caches->visit(caches->arg, cache));
}

static bool visit_entry(void *arg, const struct pa_xarray_entry *entry)
{
	return visit_slab(arg, entry->entry);
}

struct pa_error *pa_bio_caches_visit(struct pa_memory *memory,
				     const struct pa_layout *layout,
				     pa_bio_visit_fn visit, void *arg)
{
	struct caches caches = { memory, layout, visit, arg, NULL };
	uint64_t array = PA_SYM(layout, bio_slabs);
	struct pa_xarray_result result = { 0 };
	struct pa_error *err;
	uint32_t nr;

	if (!PA_HAS_SYM(layout, bio_slab_nr)) {
		err = pa_xarray_walk(memory, layout, array, visit_entry,
				     &caches, &result);
		if (!err && !caches.err &&
		    (result.unreadable || result.corrupt))
			err = pa_error_at(PA_ERROR_UNREADABLE, array,
					  "bio_slabs could not be read");
		return err ? err : caches.err;
	}
	/* An array before. */
	err = pa_memory_read_u32(memory, PA_SYM(layout, bio_slab_nr), &nr);
	if (!err)
		err = pa_memory_read_u64(memory, array, &array);
	if (err)
		return err;
	for (uint32_t i = 0; i < pa_min(nr, MAX_CACHES); i++)
		if (!visit_slab(&caches,
				array + (uint64_t)i *
						PA_SIZEOF(layout, bio_slab)))
			break;
	return caches.err;
}

static struct pa_error *visit_reserve(struct pa_memory *memory,
				      const struct pa_layout *layout,
				      const struct pa_bio_set *set,
				      pa_bio_visit_fn visit, void *arg)
{
	uint64_t elements;
	uint32_t nr;
	struct pa_error *err = pa_memory_read_u64(
		memory,
		set->address + PA_OFFSETOF(layout, bio_set, bio_pool__elements),
		&elements);

	if (!err)
		err = pa_memory_read_u32(memory,
					 set->address +
						 PA_OFFSETOF(layout, bio_set,
							     bio_pool__curr_nr),
					 &nr);
	if (!err && nr > MAX_RESERVE)
		err = pa_error_at(PA_ERROR_CORRUPT, set->address,
				  "no bio_set at 0x%" PRIx64, set->address);
	for (uint32_t i = 0; !err && i < nr; i++) {
		uint64_t object;

		err = pa_memory_read_u64(memory, elements + (uint64_t)i * 8,
					 &object);
		if (!err && !visit(arg, object + set->front_pad))
			break;
	}
	return err;
}

/* @head: the address of a pointer to the first bio. */
static struct pa_error *visit_chain(struct pa_memory *memory,
				    const struct pa_layout *layout,
				    uint64_t head, pa_bio_visit_fn visit,
				    void *arg)
{
	uint64_t bio;
	struct pa_error *err = pa_memory_read_u64(memory, head, &bio);

	for (uint32_t i = 0; !err && bio && i < MAX_CPU_CACHE; i++) {
		if (!visit(arg, bio))
			break;
		err = pa_memory_read_u64(
			memory, bio + PA_OFFSETOF(layout, bio, bi_next), &bio);
	}
	return err;
}

static struct pa_error *visit_cpus(const struct pa_kernel *kernel,
				   struct pa_memory *memory,
				   const struct pa_bio_set *set,
				   pa_bio_visit_fn visit, void *arg)
{
	const struct pa_layout *layout = kernel->layout;
	uint64_t cache;
	struct pa_error *err = pa_memory_read_u64(
		memory, set->address + PA_OFFSETOF(layout, bio_set, cache),
		&cache);

	if (err || !cache)
		return err;
	for (size_t i = 0; !err && i < kernel->cpus.list.length; i++) {
		uint64_t at = cache + kernel->cpus.list.items[i].offset;

		err = visit_chain(memory, layout,
				  at + PA_OFFSETOF(layout, bio_alloc_cache,
						   free_list),
				  visit, arg);
		if (!err && PA_HAS(layout, bio_alloc_cache, free_list_irq))
			err = visit_chain(memory, layout,
					  at + PA_OFFSETOF(layout,
							   bio_alloc_cache,
							   free_list_irq),
					  visit, arg);
	}
	return err;
}

struct pa_error *pa_bio_set_visit_free(const struct pa_kernel *kernel,
				       struct pa_memory *memory,
				       const struct pa_bio_set *set,
				       pa_bio_visit_fn visit, void *arg)
{
	const struct pa_layout *layout = kernel->layout;
	struct pa_error *err = visit_reserve(memory, layout, set, visit, arg);

	if (!err && PA_HAS(layout, bio_set, cache) &&
	    PA_HAS(layout, bio_alloc_cache, free_list))
		err = visit_cpus(kernel, memory, set, visit, arg);
	return err;
}
