/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mapcounts and pincounts, as each kernel keeps them: include/linux/mm.h,
 * rmap.h, mm/rmap.c. All but _nr_pages_mapped and _pincount are stored less 1.
 */
#ifndef PA_KERNEL_MAPCOUNT_H
#define PA_KERNEL_MAPCOUNT_H

#include "kernel/page.h"

/* Struct pages of a folio that its counters are spread over. */
#define PA_FOLIO_HEAD_PAGES 3

/*
 * Offsets in bytes from the head's struct page; 0 where the kernel has no such
 * counter. Read-only after pa_mapcount_format_init().
 */
struct pa_mapcount_format {
	/* Of each struct page. */
	uint32_t page;
	/* Of a compound page: maps by leaves above the lowest level. */
	uint32_t entire;
	/* v6.10: all maps together. */
	uint32_t large;
	/* v6.2: pages with _mapcount >= 0, + ENTIRELY_MAPPED. */
	uint32_t nr_pages_mapped;
	/* FOLL_PIN; before it was a counter, and in order 0, a bias. */
	uint32_t pincount;
	uint32_t pincount_min_order;
	/*
	 * Before v6.2 (commit cb67f4282bf9) a leaf's map of a file folio was
	 * entered in each of its pages too, ...
	 */
	bool entire_raises_file_pages;
	/* ... and in those of an anonymous one under this flag of page 1. */
	uint64_t double_map;
};

/* ENTIRELY_MAPPED of mm/internal.h: since v6.10 (commit 05c5323b2a34). */
#define PA_ENTIRELY_MAPPED UINT32_C(0x800000)
/* GUP_PIN_COUNTING_BIAS */
#define PA_PIN_BIAS 1024

void pa_mapcount_format_init(const struct pa_layout *layout,
			     const struct pa_page_format *page,
			     struct pa_mapcount_format *ret);

/* A counter that is stored less 1, at @offset of @page. */
static inline int64_t pa_mapcount(const uint8_t *page, uint32_t offset)
{
	return (int64_t)(int32_t)pa_load_u32(page + offset) + 1;
}

/* Whether pins of a folio of @order have a counter of their own. */
static inline bool pa_has_pincount(const struct pa_mapcount_format *f,
				   uint32_t order)
{
	return f->pincount && order >= f->pincount_min_order;
}

#endif
