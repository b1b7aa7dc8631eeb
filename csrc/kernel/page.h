/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * struct page and struct folio of all layouts between v5.10 and v7:
 * include/linux/mm_types.h, page-flags.h, page-flags-layout.h.
 */
#ifndef PA_KERNEL_PAGE_H
#define PA_KERNEL_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bits.h"
#include "base/error.h"
#include "types/layout.h"

/* Masks of page flags; 0 where the kernel has no such flag. */
struct pa_page_flags {
	uint64_t locked, writeback, referenced, uptodate, dirty, lru, head,
		waiters, active, workingset, error, slab, owner_priv_1, owner_2,
		reserved, private_, private_2, reclaim, swapbacked, unevictable,
		mlocked, hwpoison;
	/* All of them together. */
	uint64_t all;
};

/* How struct page's type word (over _mapcount) speaks. */
enum pa_type_encoding {
	/* Before v6.12: a type is a bit that is cleared in 0xffffffff. */
	PA_TYPE_CLEARED_BIT,
	/* Since v6.12 (commit 4ffca5a96678): a number in the top byte. */
	PA_TYPE_TOP_BYTE,
};

/* What the type word says; PA_PAGE_UNTYPED is a mapcount. */
enum pa_page_type {
	PA_PAGE_UNTYPED,
	PA_PAGE_BUDDY,
	PA_PAGE_OFFLINE,
	PA_PAGE_TABLE,
	PA_PAGE_GUARD,
	PA_PAGE_HUGETLB,
	PA_PAGE_SLAB,
	PA_PAGE_ZSMALLOC,
	PA_PAGE_UNACCEPTED,
	PA_PAGE_LARGE_KMALLOC,
	PA_PAGE_KMEMCG,
	/* A type that we don't know, or one that no kernel has. */
	PA_PAGE_OTHER_TYPE,
	PA_NR_PAGE_TYPES,
};

extern const char *const pa_page_type_names[PA_NR_PAGE_TYPES];

/* How a tail names its head. */
enum pa_tail_form {
	/* The word is the head's address | 1. */
	PA_TAIL_POINTER,
	/* v7: the word is a mask for the tail's own address | 1. */
	PA_TAIL_MASK,
};

/* Read-only after pa_page_format_init(). Offsets in bytes. */
struct pa_page_format {
	uint32_t size;
	uint32_t flags, compound, mapping, index, private_, type, refcount, lru;
	uint32_t pgmap;
	enum pa_tail_form tail_form;
	struct pa_page_flags flag;

	enum pa_type_encoding type_encoding;
	/* By the encoding: the cleared bit, or the top byte's value; 0 none. */
	uint32_t type_value[PA_NR_PAGE_TYPES];

	/*
	 * zone = flags >> zone_shift & zone_mask; likewise node, and the LRU
	 * generation + 1, whose mask is 0 where the kernel has none.
	 */
	unsigned int node_shift, zone_shift, lru_gen_shift;
	uint64_t node_mask, zone_mask, lru_gen_mask;
	/* Node and zone bits in place: what never changes while in a zone. */
	uint64_t link_mask;
	/* MAX_NR_ZONES. */
	uint32_t nr_zones;
	/* ZONE_DEVICE's number, or -1. */
	int zone_device;

	/* From the head page's start; 0 where the kernel has none. */
	uint32_t order; /* of a byte or of _flags_1's low byte */
	uint32_t nr_pages; /* of a u32 */
	uint32_t dtor; /* compound_dtor, of a byte */
	/* compound_dtor's HUGETLB_PAGE_DTOR. */
	uint8_t hugetlb_dtor;
	uint32_t max_order; /* of any folio */
	/* Highest order of the buddy allocator. */
	uint32_t max_buddy_order;
	/* hugetlb vmemmap optimisation is built in: fake heads may be. */
	bool fake_heads;
	/* HPG_vmemmap_optimized and others: bit numbers in private, or -1. */
	int hpg_vmemmap_optimized, hpg_raw_hwp_unreliable, hpg_freed;
};

struct pa_error *pa_page_format_init(const struct pa_layout *layout,
				     const char *vmcoreinfo,
				     struct pa_page_format *ret);

/* Fields of one struct page whose bytes are @page. */
static inline uint64_t pa_page_flags(const struct pa_page_format *f,
				     const uint8_t *page)
{
	return pa_load_u64(page + f->flags);
}

static inline uint32_t pa_page_refcount(const struct pa_page_format *f,
					const uint8_t *page)
{
	return pa_load_u32(page + f->refcount);
}

static inline uint32_t pa_page_type_word(const struct pa_page_format *f,
					 const uint8_t *page)
{
	return pa_load_u32(page + f->type);
}

static inline uint64_t pa_page_private(const struct pa_page_format *f,
				       const uint8_t *page)
{
	return pa_load_u64(page + f->private_);
}

static inline uint64_t pa_page_compound(const struct pa_page_format *f,
					const uint8_t *page)
{
	return pa_load_u64(page + f->compound);
}

static inline bool pa_page_is_tail(const struct pa_page_format *f,
				   const uint8_t *page)
{
	return pa_page_compound(f, page) & 1;
}

static inline unsigned int pa_page_zone(const struct pa_page_format *f,
					uint64_t flags)
{
	return (unsigned int)(flags >> f->zone_shift & f->zone_mask);
}

static inline unsigned int pa_page_node(const struct pa_page_format *f,
					uint64_t flags)
{
	return (unsigned int)(flags >> f->node_shift & f->node_mask);
}

/* PagePoisoned(), or memory that was never written. */
static inline bool pa_page_is_uninitialised(uint64_t flags)
{
	return flags == ~UINT64_C(0);
}

/* Of the type word alone: slab and hugetlb of old kernels are elsewhere. */
enum pa_page_type pa_page_type(const struct pa_page_format *f, uint32_t word);

/*
 * Virtual address of the head that the tail @page at @address names. May be
 * anything: the caller checks that it is a struct page, and a head.
 */
static inline uint64_t pa_page_head(const struct pa_page_format *f,
				    const uint8_t *page, uint64_t address)
{
	uint64_t word = pa_page_compound(f, page);

	return f->tail_form == PA_TAIL_MASK ? address & word : word - 1;
}

/*
 * Order of the folio whose head's first two struct pages are @head (2 *
 * format->size bytes); 0 if it is no head.
 */
uint32_t pa_folio_order(const struct pa_page_format *f, const uint8_t *head);

/* A hugetlb folio: by type, or by compound_dtor before v6.6. */
bool pa_folio_is_hugetlb(const struct pa_page_format *f, const uint8_t *head);

/*
 * PG_head is set in the images of the head that HVO of v5.14 to v6.x leaves at
 * each 4 KiB of the memmap: page_fixed_fake_head().
 * @page: two struct pages' bytes; @address: the first one's.
 */
bool pa_page_is_fake_head(const struct pa_page_format *f, const uint8_t *page,
			  uint64_t address);

/* Names of the flags set in @flags, "lru|dirty"; owned by the caller. */
char *pa_page_flags_string(const struct pa_page_format *f, uint64_t flags);

#endif
