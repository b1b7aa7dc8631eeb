// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Page table entries of x86_64: arch/x86/include/asm/pgtable_types.h,
 * pgtable.h, pgtable_64.h, pgtable-invert.h.
 */
#include "kernel/arch_x86_64.h"
#include "kernel/page_table.h"

#define ENTRY_PRESENT PA_BIT(0)
#define ENTRY_RW PA_BIT(1)
#define ENTRY_USER PA_BIT(2)
#define ENTRY_PSE PA_BIT(7)
/* _PAGE_PROTNONE, where the present bit is clear. */
#define ENTRY_PROTNONE PA_BIT(8)
#define ENTRY_SPECIAL PA_BIT(9)
/* _PAGE_DEVMAP is _PAGE_SOFTW4, which _PAGE_SAVED_DIRTY of v6.6 moved. */
#define ENTRY_SOFTW4 PA_BIT(57)
#define ENTRY_SOFTW4_OLD PA_BIT(58)

void pa_x86_64_setup_entries(const struct pa_layout *layout,
			     const struct pa_address_space *space,
			     struct pa_page_table_format *format)
{
	/* pfn_t went with the bit; pte_mkwrite() came with the move. */
	if (PA_HAS_TYPE(layout, pfn_t))
		format->devmap = PA_HAS_SYM(layout, pte_mkwrite) ?
					 ENTRY_SOFTW4 :
					 ENTRY_SOFTW4_OLD;
	format->phys_mask = space->entry_phys_mask;
	format->plain = ENTRY_PRESENT;
	format->plain_mask = ENTRY_PRESENT | ENTRY_SPECIAL | format->devmap;
}

/* __swp_type() and __swp_offset(): the offset is stored inverted. */
static void decode_swap(const struct pa_page_table_format *format,
			uint64_t value, struct pa_entry *ret)
{
	uint8_t type = (uint8_t)(value >> 59);
	uint64_t offset = ~value << 5 >> 14;

	ret->kind = (enum pa_entry_kind)format->swap_kinds[type];
	ret->swap_type = type;
	ret->pfn = ret->kind == PA_ENTRY_SWAP || ret->kind == PA_ENTRY_MARKER ?
			   offset :
			   offset & format->swap_pfn_mask;
}

void pa_x86_64_decode_entry(const struct pa_page_table_format *format,
			    unsigned int level, uint64_t value,
			    struct pa_entry *ret)
{
	/* pmd_present(): what is being split has the present bit clear. */
	uint64_t present = ENTRY_PRESENT | ENTRY_PROTNONE;
	uint64_t address = value;

	*ret = (struct pa_entry){ .kind = PA_ENTRY_NONE };
	if (level)
		present |= ENTRY_PSE;
	if (!value)
		return;
	if (!(value & present)) {
		decode_swap(format, value, ret);
		return;
	}
	/* __pte_needs_invert(): against L1TF. */
	if (!(value & ENTRY_PRESENT))
		address = ~address;
	ret->pfn = (address & format->phys_mask &
		    ~PA_MASK(pa_level_shift(level))) >>
		   12;
	if (level && !(value & ENTRY_PSE)) {
		ret->kind = value & ENTRY_PRESENT ? PA_ENTRY_TABLE :
						    PA_ENTRY_BAD;
		ret->pfn = (value & format->phys_mask) >> 12;
		return;
	}
	if (level > PA_LEVEL_PUD) {
		ret->kind = PA_ENTRY_BAD;
		return;
	}
	ret->readable = value & ENTRY_PRESENT && value & ENTRY_USER;
	ret->writable = ret->readable && value & ENTRY_RW;
	if (value & format->devmap)
		ret->kind = PA_ENTRY_DEVMAP;
	else if (value & ENTRY_SPECIAL &&
		 (!level || format->leaf_may_be_special))
		ret->kind = PA_ENTRY_SPECIAL;
	else if (level && ret->pfn == format->huge_zero_pfn)
		ret->kind = PA_ENTRY_SPECIAL;
	else
		ret->kind = PA_ENTRY_PAGE;
}
