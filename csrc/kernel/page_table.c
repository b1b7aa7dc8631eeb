// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/page_table.h"

const char *const pa_entry_kind_names[PA_NR_ENTRY_KINDS] = {
	[PA_ENTRY_NONE] = "none",
	[PA_ENTRY_TABLE] = "table",
	[PA_ENTRY_PAGE] = "page",
	[PA_ENTRY_SPECIAL] = "special",
	[PA_ENTRY_DEVMAP] = "devmap",
	[PA_ENTRY_MIGRATION] = "migration",
	[PA_ENTRY_HWPOISON] = "hwpoison",
	[PA_ENTRY_DEVICE_PRIVATE] = "device private",
	[PA_ENTRY_DEVICE_EXCLUSIVE] = "device exclusive",
	[PA_ENTRY_SWAP] = "swap",
	[PA_ENTRY_MARKER] = "marker",
	[PA_ENTRY_BAD] = "bad",
};

/* Types of device memory: include/linux/swap.h, SWP_DEVICE_NUM. */
struct device_types {
	unsigned int nr_private, nr_exclusive;
};

static struct device_types device_types(const struct pa_layout *layout)
{
	/* v6.15 made one of the two exclusive types. */
	if (PA_HAS_SYM(layout, make_device_exclusive))
		return (struct device_types){ 2, 1 };
	/* v5.14; before, private ones alone. */
	if (PA_HAS_SYM(layout, make_device_exclusive_range))
		return (struct device_types){ 2, 2 };
	/* A function of CONFIG_DEVICE_PRIVATE in kernels without folios. */
	if (PA_HAS_SYM(layout, migrate_vma_setup) &&
	    !PA_HAS_TYPE(layout, folio))
		return (struct device_types){ 2, 0 };
	return (struct device_types){ 0, 0 };
}

/*
 * MAX_SWAPFILES and what comes above it, from the top down: markers, device
 * memory, migration, hwpoison. All are macros; what stands for each is
 * something else that came, or is built, with it.
 */
void pa_swap_kinds_init(const struct pa_layout *layout,
			struct pa_page_table_format *format)
{
	const struct device_types device = device_types(layout);
	/* SWP_MIGRATION_READ_EXCLUSIVE came with PG_anon_exclusive (v5.19). */
	bool exclusive = PA_HAS_ENUM(layout, PG_anon_exclusive);
	/*
	 * SWP_PTE_MARKER did too, and SWP_SWAPIN_ERROR, which became a marker
	 * in v6.2, when compound_mapcount went.
	 */
	const struct {
		enum pa_entry_kind kind;
		unsigned int nr;
	} kinds[] = {
		{ PA_ENTRY_MARKER,
		  exclusive ? 1 + PA_HAS(layout, page, compound_mapcount) : 0 },
		{ PA_ENTRY_DEVICE_EXCLUSIVE, device.nr_exclusive },
		{ PA_ENTRY_DEVICE_PRIVATE, device.nr_private },
		{ PA_ENTRY_MIGRATION,
		  PA_HAS_SYM(layout, migrate_pages) ? 2 + exclusive : 0 },
		{ PA_ENTRY_HWPOISON, PA_HAS_ENUM(layout, PG_hwpoison) },
	};
	unsigned int type = PA_SWAP_TYPES;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (unsigned int j = 0; j < kinds[i].nr; j++)
			format->swap_kinds[--type] = (uint8_t)kinds[i].kind;
	format->nr_swap_types = (uint8_t)type;
	while (type)
		format->swap_kinds[--type] = PA_ENTRY_SWAP;
}

/* Where the tables laid by for PMDs that may be split hang. */
static uint32_t deposit_offset(const struct pa_layout *layout)
{
	if (PA_HAS(layout, ptdesc, pmd_huge_pte))
		return PA_OFFSETOF(layout, ptdesc, pmd_huge_pte);
	if (PA_HAS(layout, page, pmd_huge_pte))
		return PA_OFFSETOF(layout, page, pmd_huge_pte);
	return 0;
}

struct pa_error *pa_page_table_format_init(const struct pa_kernel *kernel,
					   struct pa_memory *memory,
					   struct pa_page_table_format *ret)
{
	const struct pa_layout *layout = kernel->layout;
	struct pa_page_table_format format = {
		.huge_zero_pfn = PA_NO_PFN,
		.exclusive_is_mapped =
			PA_HAS_SYM(layout, make_device_exclusive),
		.leaf_may_be_special = PA_HAS_SYM(layout, follow_pfnmap_start),
		.has_share_count = PA_HAS(layout, page, pt_share_count) ||
				   PA_HAS(layout, ptdesc, pt_share_count),
		.pmd_huge_pte = deposit_offset(layout),
		.swap_pfn_mask = PA_MASK(kernel->space.max_physmem_bits -
					 kernel->space.page_shift),
	};
	struct pa_error *err = NULL;

	if (!kernel->arch->setup_entries)
		return pa_error_create(PA_ERROR_MISSING,
				       "page tables of %s are not known",
				       kernel->arch->name);
	/* A number that no page has while there is none. */
	if (PA_HAS_SYM(layout, huge_zero_pfn))
		err = pa_memory_read_u64(memory, PA_SYM(layout, huge_zero_pfn),
					 &format.huge_zero_pfn);
	if (err)
		return err;
	pa_swap_kinds_init(layout, &format);
	kernel->arch->setup_entries(layout, &kernel->space, &format);
	*ret = format;
	return NULL;
}
