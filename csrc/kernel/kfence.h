/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KFENCE: now and then it gives out an object of a slab cache from a pool of
 * its own, one to a page, between guard pages: mm/kfence/core.c.
 */
#ifndef PA_KERNEL_KFENCE_H
#define PA_KERNEL_KFENCE_H

#include "kernel/kernel.h"

struct pa_kfence {
	/* Virtual addresses; @pool is 0 where KFENCE is not in use. */
	uint64_t pool, metadata;
	/* Objects that there may be: every other page from the third on. */
	uint32_t nr;
};

struct pa_kfence_object {
	/* Virtual addresses of the object and of its kmem_cache. */
	uint64_t address, cache;
	bool allocated;
};

struct pa_error *pa_kfence_init(const struct pa_kernel *kernel,
				struct pa_memory *memory,
				struct pa_kfence *ret);

/* Object @index, below kfence->nr. */
struct pa_error *pa_kfence_object_read(const struct pa_kernel *kernel,
				       struct pa_memory *memory,
				       const struct pa_kfence *kfence,
				       uint32_t index,
				       struct pa_kfence_object *ret);

/* Whether @va lies in the pool, guard pages included. */
static inline bool pa_kfence_has(const struct pa_kfence *kfence, uint64_t va,
				 unsigned int page_shift)
{
	return kfence->pool && va >= kfence->pool &&
	       va - kfence->pool < ((uint64_t)kfence->nr + 1)
					   << (page_shift + 1);
}

/* addr_to_metadata(): the index of the object whose page @va lies in. */
static inline uint32_t pa_kfence_index(const struct pa_kfence *kfence,
				       uint64_t va, unsigned int page_shift)
{
	return (uint32_t)((va - kfence->pool) >> (page_shift + 1)) - 1;
}

#endif
