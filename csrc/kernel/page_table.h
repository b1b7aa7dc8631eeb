/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entries of user page tables: include/linux/pgtable.h, swapops.h, mm/memory.c
 * (vm_normal_page()). What the bits mean is the architecture's:
 * kernel/arch_x86_64_entry.c.
 */
#ifndef PA_KERNEL_PAGE_TABLE_H
#define PA_KERNEL_PAGE_TABLE_H

#include "kernel/kernel.h"

#define PA_TABLE_ENTRIES 512
/* MAX_SWAPFILES_SHIFT: the types that a swap entry may have. */
#define PA_SWAP_TYPES 32

/* Names of levels: what an entry of that level is called. */
enum pa_table_level {
	PA_LEVEL_PTE,
	PA_LEVEL_PMD,
	PA_LEVEL_PUD,
	PA_LEVEL_P4D,
	PA_LEVEL_PGD,
	PA_NR_LEVELS,
};

enum pa_entry_kind {
	PA_ENTRY_NONE,
	/* Names the table below it. */
	PA_ENTRY_TABLE,
	/* Maps a page: PROT_NONE and a PMD that is being split do, too. */
	PA_ENTRY_PAGE,
	/* Maps a page that vm_normal_page() doesn't see: zero pages, pfnmap. */
	PA_ENTRY_SPECIAL,
	/* Maps device memory that is not counted (v6.17 has no such bit). */
	PA_ENTRY_DEVMAP,
	/* Not present, and names a page. */
	PA_ENTRY_MIGRATION,
	PA_ENTRY_HWPOISON,
	PA_ENTRY_DEVICE_PRIVATE,
	PA_ENTRY_DEVICE_EXCLUSIVE,
	/* Not present, and names none. */
	PA_ENTRY_SWAP,
	PA_ENTRY_MARKER,
	/* No kernel makes such an entry. */
	PA_ENTRY_BAD,
	PA_NR_ENTRY_KINDS,
};

extern const char *const pa_entry_kind_names[PA_NR_ENTRY_KINDS];

struct pa_entry {
	enum pa_entry_kind kind;
	/* Page or table named; of a swap entry its offset. */
	uint64_t pfn;
	/* Of a swap entry: index in swap_info. */
	uint8_t swap_type;
	/* The access that user space has, of a page. */
	bool readable, writable;
};

/* Read-only after pa_page_table_format_init(). */
struct pa_page_table_format {
	/*
	 * A lowest entry maps a page in the plain way if its bits under
	 * @plain_mask are @plain: its pfn is (entry & @phys_mask) >> 12. What
	 * most entries are is settled without decoding them.
	 */
	uint64_t plain_mask, plain, phys_mask;
	/* The bit that marks device memory; 0: the kernel has none. */
	uint64_t devmap;
	/* The bits of a swap entry's offset that hold a pfn. */
	uint64_t swap_pfn_mask;
	/* By type. */
	uint8_t swap_kinds[PA_SWAP_TYPES];
	/* Index in swap_info: types below are swap files. */
	uint8_t nr_swap_types;
	/* A device-exclusive entry is one of _mapcount (v6.15). */
	bool exclusive_is_mapped;
	/* Leaves above the lowest may be special (v6.12): pfnmaps are. */
	bool leaf_may_be_special;
	/* A table that several mms share has a counter, not references. */
	bool has_share_count;
	/* PA_NO_PFN if there is none. */
	uint64_t huge_zero_pfn;
	/* pmd_huge_pte, in struct page; 0: in mm_struct, or no THP. */
	uint32_t pmd_huge_pte;
};

struct pa_error *pa_page_table_format_init(const struct pa_kernel *kernel,
					   struct pa_memory *memory,
					   struct pa_page_table_format *ret);

/* What kind of swap entry each type is, of this kernel. */
void pa_swap_kinds_init(const struct pa_layout *layout,
			struct pa_page_table_format *format);

/* The pages that one entry of @level spans: log2. */
static inline unsigned int pa_level_order(unsigned int level)
{
	return 9 * level;
}

/* The address that one entry of @level spans: log2. */
static inline unsigned int pa_level_shift(unsigned int level)
{
	return 12 + pa_level_order(level);
}

#endif
