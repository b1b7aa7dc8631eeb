/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slabs: which pages belong to which kmem_cache, and which of their objects
 * are allocated. mm/slub.c.
 */
#ifndef PA_CENSUS_SLABS_H
#define PA_CENSUS_SLABS_H

#include "census/census.h"
#include "kernel/kfence.h"
#include "kernel/slab.h"

/* A slab: one folio. */
struct pa_slab {
	uint64_t pfn;
	/* Index in slabs->caches. */
	uint32_t cache;
	uint8_t order;
	/* A page of KFENCE's pool: one object, anywhere in it. */
	bool kfence;
};

/* A kmem_cache; kernel/slab.h says more of what it is made of. */
struct pa_slab_cache {
	/* Virtual address of the kmem_cache. */
	uint64_t address;
	char name[32];
	/* Bytes from one object to the next; of the object as asked for. */
	uint32_t size, object_size;
	/* Bytes from a slab's start to its first object. */
	uint32_t red_left_pad;
	struct pa_free_pointer free_pointer;
	/* Its slabs: [first, first + nr) of slabs->by_cache. */
	size_t first, nr;
	/* Free objects that are on no slab's own list: stretches of two arrays. */
	size_t first_cpu_slab, nr_cpu_slabs;
	size_t first_free, nr_free;
	/* Its free objects could not all be told: see pa_slab_visit(). */
	bool free_unknown;
};

struct pa_slabs {
	/* By pfn. */
	PA_ARRAY(struct pa_slab) list;
	/* Indices in @list by cache, then pfn. */
	PA_ARRAY(uint32_t) by_cache;
	/* By address. */
	PA_ARRAY(struct pa_slab_cache) caches;
	struct pa_slab_format format;
	struct pa_kfence kfence;
	/* By cache; and free objects by cache, then address. */
	PA_ARRAY(struct pa_cpu_slab) cpu_slabs;
	PA_ARRAY(uint64_t) free_objects;
};

/* Builds census->slabs: census part PA_CENSUS_SLABS. */
struct pa_error *pa_census_slabs(struct pa_census *census, struct pa_job *job);
void pa_slabs_destroy(struct pa_slabs *slabs);

/* PA_ERROR_MISSING, for those who need them, if there are no slabs. */
struct pa_error *pa_slabs_check(const struct pa_census *census);

/* The cache at @address, or of that name; NULL if it has no slab. */
const struct pa_slab_cache *pa_slabs_cache(const struct pa_slabs *slabs,
					   uint64_t address);
const struct pa_slab_cache *pa_slabs_cache_named(const struct pa_slabs *slabs,
						 const char *name);

/*
 * The cache that the pointer variable @symbol names ("mm_cachep"); NULL if the
 * kernel lacks it, or it has no slab.
 */
struct pa_error *pa_slabs_cache_symbol(const struct pa_census *census,
				       struct pa_memory *memory,
				       enum pa_symbol_id symbol,
				       const struct pa_slab_cache **ret);

/* The slab that @pfn is a page of; NULL: none. */
const struct pa_slab *pa_slabs_find(const struct pa_slabs *slabs, uint64_t pfn);

/* False stops the walk. @object: virtual address. */
typedef bool (*pa_slab_visit_fn)(void *arg, uint64_t object);

/*
 * The allocated objects of one slab, cache->nr of which make a cache: those
 * that are on no freelist (the slab's own, of a CPU, a sheaf, the barn). Where
 * a freelist could not be read the objects on it are visited as well, and so
 * are those that wait for a grace period: callers check what they are given.
 */
struct pa_error *pa_slab_visit(const struct pa_census *census,
			       struct pa_memory *memory,
			       const struct pa_slab *slab,
			       pa_slab_visit_fn visit, void *arg);

/*
 * The same with those that are free. Lists of CPUs are read once, early in a
 * read: what a running kernel allocates from them later looks free.
 */
struct pa_error *pa_slab_visit_all(const struct pa_census *census,
				   struct pa_memory *memory,
				   const struct pa_slab *slab,
				   pa_slab_visit_fn visit, void *arg);

/* What a kernel address of the direct map is as far as slabs go. */
struct pa_slab_place {
	/* NULL: not in a slab. */
	const struct pa_slab *slab;
	const struct pa_slab_cache *cache;
	/* The object's address, and the offset in it; past it: padding. */
	uint64_t object;
	uint32_t offset;
	bool allocated;
};

/* Finds the slab, and in it the object, that @va lies in. */
struct pa_error *pa_slabs_place(const struct pa_census *census,
				struct pa_memory *memory, uint64_t va,
				struct pa_slab_place *ret);

#endif
