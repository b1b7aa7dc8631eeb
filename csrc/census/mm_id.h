/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which mms map a large folio: since v6.15, with CONFIG_MM_ID, a folio keeps
 * the ids of two mms and how many maps each has of it (include/linux/rmap.h,
 * folio_add_return_large_mapcount()).
 *
 * A slot is taken when an mm without one maps the folio while one is free, so
 * that it may know of less maps than its mm has, never of more. Maps of mms
 * without a slot are in none; while there are any, or were since the last slot
 * was given back, the folio is marked as shared.
 */
#ifndef PA_CENSUS_MM_ID_H
#define PA_CENSUS_MM_ID_H

#include "base/array.h"
#include "kernel/kernel.h"

struct pa_census;
struct pa_memmap;

#define PA_NR_MM_IDS 2

/* A large folio of memory; hugetlb and device memory are not among them. */
struct pa_mm_id_folio {
	uint64_t pfn;
	uint32_t order;
	/* FOLIO_MM_IDS_SHARED_BIT; and the lock was held. */
	bool shared, locked;
	/* 0: the slot is free. */
	uint32_t id[PA_NR_MM_IDS];
	/* _mm_id_mapcount + 1. */
	int64_t stored[PA_NR_MM_IDS];
	/* Maps that page tables show: of the slots' mms, and of all others. */
	uint32_t counted[PA_NR_MM_IDS], others;
};

struct pa_mm_ids {
	/* By pfn; empty where the kernel has no such ids. */
	PA_ARRAY(struct pa_mm_id_folio) list;
	/*
	 * By index in kernel->sections.list, and 512 pages: the first of @list
	 * that ends behind where those start. NULL for sections without any.
	 */
	uint32_t **spans;
	size_t nr_sections;
	/* Heads that could not be read. */
	uint64_t unreadable;
};

/* @ret is zeroed before, and the caller's to deinit in any case. */
struct pa_error *pa_mm_ids_init(const struct pa_census *census,
				struct pa_memmap *memmap,
				struct pa_mm_ids *ret);
void pa_mm_ids_deinit(struct pa_mm_ids *ids);

/* The large folio that @pfn is in; NULL: none. Borrowed. */
struct pa_mm_id_folio *pa_mm_ids_find(const struct pa_kernel *kernel,
				      const struct pa_mm_ids *ids,
				      uint64_t pfn);

/*
 * Whether a slot knows of more maps than its mm has, or all maps are said to be
 * one mm's and are not: what the folio says of it, and what the page tables
 * have. A folio whose lock was held is being changed.
 */
bool pa_mm_id_differs(const struct pa_mm_id_folio *folio, int64_t *stored_ret,
		      int64_t *counted_ret);

/* Enters @nr maps by the mm whose id is @id. Safe on any number of threads. */
static inline void pa_mm_id_add(struct pa_mm_id_folio *folio, uint32_t id,
				uint32_t nr)
{
	uint32_t *counted = &folio->others;

	if (id && id == folio->id[0])
		counted = &folio->counted[0];
	else if (id && id == folio->id[1])
		counted = &folio->counted[1];
	__atomic_fetch_add(counted, nr, __ATOMIC_RELAXED);
}

#endif
