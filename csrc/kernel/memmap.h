/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory map: reading struct pages in large runs.
 */
#ifndef PA_KERNEL_MEMMAP_H
#define PA_KERNEL_MEMMAP_H

#include "kernel/kernel.h"

/* Struct pages [pfn, pfn + nr) of one presence. */
struct pa_memmap_run {
	enum pa_presence presence;
	uint64_t pfn;
	uint64_t nr;
	/* If present: nr * format->size bytes; borrowed until the next call. */
	const uint8_t *pages;
};

/* One thread's way to read the memory map. */
struct pa_memmap {
	/* Borrowed. */
	const struct pa_kernel *kernel;
	/* Owned. */
	struct pa_memory *memory;
	uint8_t *buffer;
	/* The translation in use: a leaf of the vmemmap. */
	uint64_t va, va_end, phys;
	bool mapped;
	/* pa_memmap_page()'s. */
	uint8_t page[512];
};

struct pa_error *pa_memmap_create(const struct pa_kernel *kernel,
				  struct pa_memmap **ret);
void pa_memmap_destroy(struct pa_memmap *memmap);

/*
 * The longest run of struct pages from @pfn, at most @nr (> 0), of one
 * presence: a memmap that is not mapped is PA_UNREADABLE. A page table that
 * is absent makes its part of the memmap so, too.
 */
struct pa_error *pa_memmap_run(struct pa_memmap *memmap, uint64_t pfn,
			       uint64_t nr, struct pa_memmap_run *ret);

/*
 * The struct pages of [pfn, pfn + nr), at most 4 of them, for a lookup out of
 * order. PA_ERROR_UNREADABLE or PA_ERROR_EXCLUDED if absent.
 * Borrowed until the next call; runs from pa_memmap_run() stay valid.
 */
struct pa_error *pa_memmap_page(struct pa_memmap *memmap, uint64_t pfn,
				uint64_t nr, const uint8_t **ret);

#endif
