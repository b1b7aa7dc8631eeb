/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SLUB's structures: struct kmem_cache, struct slab, mm/slub.c, mm/slab.h. */
#ifndef PA_KERNEL_SLAB_H
#define PA_KERNEL_SLAB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "kernel/kernel.h"

/* Objects of a slab are counted in 15 bits. */
#define PA_MAX_SLAB_OBJECTS 32768

/* Of struct slab, which lies over struct page (and is in it before v5.17). */
struct pa_slab_format {
	/* Offsets of pointers. */
	uint32_t slab_cache, freelist;
	/* A bit field. */
	struct pa_member objects;
};

/* PA_ERROR_MISSING where the kernel's slabs are not SLUB's. */
struct pa_error *pa_slab_format_init(const struct pa_layout *layout,
				     struct pa_slab_format *ret);

/* @page: the bytes of the head's struct page. */
static inline uint64_t pa_slab_cache_address(const struct pa_slab_format *f,
					     const uint8_t *page)
{
	return pa_load_u64(page + f->slab_cache);
}

/* The first free object's address; 0 if there is none. */
static inline uint64_t pa_slab_freelist(const struct pa_slab_format *f,
					const uint8_t *page)
{
	return pa_load_u64(page + f->freelist);
}

static inline uint32_t pa_slab_nr_objects(const struct pa_slab_format *f,
					  const uint8_t *page)
{
	return (uint32_t)pa_load_member(page, &f->objects);
}

/* How a cache's free objects name the next one: get_freepointer(). */
struct pa_free_pointer {
	/* Of the pointer, in the object. */
	uint32_t offset;
	/* CONFIG_SLAB_FREELIST_HARDENED: it is not stored plainly. */
	bool hardened;
	uint64_t random;
};

/* freelist_ptr_decode(): what @word, stored at @address, points to. */
static inline uint64_t pa_free_pointer_decode(const struct pa_free_pointer *p,
					      uint64_t address, uint64_t word)
{
	return p->hardened ? word ^ p->random ^ __builtin_bswap64(address) :
			     word;
}

struct pa_kmem_cache {
	uint64_t address;
	char name[32];
	/* Bytes from one object to the next; of the object as asked for. */
	uint32_t size, object_size;
	/* Bytes from the slab's start to the first object. */
	uint32_t red_left_pad;
	struct pa_free_pointer free_pointer;
	/* Per-cpu pointers; 0 where the kernel or the cache has none. */
	uint64_t cpu_slab, cpu_sheaves;
};

/*
 * Reads the kmem_cache at @address. PA_ERROR_CORRUPT if what is there is none.
 */
struct pa_error *pa_kmem_cache_read(struct pa_memory *memory,
				    const struct pa_layout *layout,
				    uint64_t address,
				    struct pa_kmem_cache *ret);

/* A slab that a CPU allocates from: free objects are on its list as well. */
struct pa_cpu_slab {
	/* Addresses: of the struct page, and of the first free object. */
	uint64_t page, freelist;
};

/* Free objects of a cache that no slab's own list has. */
struct pa_slab_stock {
	PA_ARRAY(struct pa_cpu_slab) cpu_slabs;
	/* In sheaves: addresses, in no order. */
	PA_ARRAY(uint64_t) objects;
	/* CPUs, nodes and sheaves that could not be read. */
	uint64_t unreadable;
};

/*
 * Adds what the CPUs and nodes have of @cache to @stock. Sheaves that wait for
 * the end of a grace period, and those that a task has taken out to fill or
 * use them, are not found: objects in them look allocated.
 */
struct pa_error *pa_kmem_cache_stock(const struct pa_kernel *kernel,
				     struct pa_memory *memory,
				     const struct pa_kmem_cache *cache,
				     struct pa_slab_stock *stock);
void pa_slab_stock_deinit(struct pa_slab_stock *stock);

#endif
