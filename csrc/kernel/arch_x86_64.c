// SPDX-License-Identifier: LGPL-2.1-or-later
/* x86_64: arch/x86/include/asm/{page_64,pgtable_64}_types.h, mm/init_64.c. */
#include <elf.h>
#include <inttypes.h>

#include "base/map.h"
#include "kernel/arch_x86_64.h"
#include "kernel/memory.h"
#include "source/vmcoreinfo.h"

/* __START_KERNEL_map; the image mapping ends where modules begin at most. */
#define KERNEL_MAP UINT64_C(0xffffffff80000000)
#define KERNEL_IMAGE_SIZE_DEFAULT PA_BIT(30)

#define ENTRY_PRESENT PA_BIT(0)
#define ENTRY_PSE PA_BIT(7)
#define ENTRY_NX PA_BIT(63)
/* Physical address bits of an entry; large leaves keep PAT in bit 12. */
#define ENTRY_PHYS_MASK (PA_MASK(52) & ~PA_MASK(12))

/* Without CONFIG_DYNAMIC_MEMORY_LAYOUT the bases are constants. */
#define PAGE_OFFSET_L4 UINT64_C(0xffff888000000000)
#define PAGE_OFFSET_L5 UINT64_C(0xff11000000000000)
#define VMALLOC_L4 UINT64_C(0xffffc90000000000)
#define VMALLOC_L5 UINT64_C(0xffa0000000000000)
#define VMEMMAP_L4 UINT64_C(0xffffea0000000000)
#define VMEMMAP_L5 UINT64_C(0xffd4000000000000)

static struct pa_error *x86_64_setup(const char *vmcoreinfo,
				     const struct pa_layout *layout,
				     struct pa_address_space *ret)
{
	int64_t phys_base, number;
	struct pa_address_space space = {
		.page_shift = 12,
		.section_size_bits = 27,
		.max_physmem_bits = 46,
		.levels = 4,
		.image_start = KERNEL_MAP,
		.entry_phys_mask = ENTRY_PHYS_MASK,
	};

	if (!vmcoreinfo)
		return pa_error_create(
			PA_ERROR_MISSING,
			"the target has no VMCOREINFO note, so the kernel's "
			"addresses are unknown (for a QEMU dump: add -device "
			"vmcoreinfo and load qemu_fw_cfg in the guest)");
	if (!pa_vmcoreinfo_number(vmcoreinfo, "NUMBER(phys_base)", &phys_base))
		return pa_error_create(PA_ERROR_MISSING,
				       "VMCOREINFO lacks NUMBER(phys_base)");
	/* May be negative: the kernel was loaded below its link address. */
	space.image_phys = (uint64_t)phys_base;
	space.image_end = KERNEL_MAP + KERNEL_IMAGE_SIZE_DEFAULT;
	if (pa_vmcoreinfo_number(vmcoreinfo, "NUMBER(KERNEL_IMAGE_SIZE)",
				 &number) &&
	    number > 0 && number <= INT64_C(0x7f000000))
		space.image_end = KERNEL_MAP + (uint64_t)number;
	if (pa_vmcoreinfo_number(vmcoreinfo, "NUMBER(pgtable_l5_enabled)",
				 &number) &&
	    number) {
		space.levels = 5;
		space.max_physmem_bits = 52;
	}
	if (pa_vmcoreinfo_number(vmcoreinfo, "NUMBER(SECTION_SIZE_BITS)",
				 &number) &&
	    number >= 21 && number <= 40)
		space.section_size_bits = (unsigned int)number;
	if (pa_vmcoreinfo_number(vmcoreinfo, "NUMBER(MAX_PHYSMEM_BITS)",
				 &number) &&
	    number >= 36 && number <= 52)
		space.max_physmem_bits = (unsigned int)number;
	if (space.section_size_bits > space.max_physmem_bits)
		return pa_error_create(
			PA_ERROR_CORRUPT,
			"VMCOREINFO says that sections of memory "
			"have 2^%u bytes and addresses %u bits",
			space.section_size_bits, space.max_physmem_bits);
	/* AMD memory encryption: the C bit is in entries, not in addresses. */
	if (pa_vmcoreinfo_number(vmcoreinfo, "NUMBER(sme_mask)", &number))
		space.entry_phys_mask &= ~(uint64_t)number;
	space.root_phys =
		PA_SYM(layout, init_top_pgt) - KERNEL_MAP + space.image_phys;
	*ret = space;
	return NULL;
}

/* A base address variable, or what it is without one. */
static struct pa_error *read_base(struct pa_memory *memory,
				  const struct pa_symbol *symbol,
				  uint64_t fallback, uint64_t *ret)
{
	if (!symbol->known) {
		*ret = fallback;
		return NULL;
	}

	uint64_t base;
	struct pa_error *err =
		pa_memory_read_u64(memory, symbol->address, &base);

	if (err)
		return err;
	if (!pa_is_kernel_address(base) || base & PA_MASK(21))
		return pa_error_at(PA_ERROR_CORRUPT, symbol->address,
				   "the kernel's memory layout variables hold "
				   "no addresses (0x%" PRIx64
				   "): wrong debug information for this "
				   "dump, or a damaged dump",
				   base);
	*ret = base;
	return NULL;
}

/*
 * The bit of an entry that memory encryption took for itself (the C bit of
 * SME and SEV, the shared bit of TDX) is no more of a frame's address:
 * physical_mask says so, and VMCOREINFO only of the first two.
 */
static struct pa_error *read_physical_mask(struct pa_memory *memory,
					   const struct pa_layout *layout,
					   struct pa_address_space *ret)
{
	uint64_t mask;
	struct pa_error *err;

	if (!PA_HAS_SYM(layout, physical_mask))
		return NULL;
	err = pa_memory_read_u64(memory, PA_SYM(layout, physical_mask), &mask);
	if (pa_error_is_absent(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	/* No machine has addresses of less than 36 bits. */
	if (!err && (mask & PA_MASK(36)) == PA_MASK(36))
		ret->entry_phys_mask &= mask;
	return err;
}

static struct pa_error *x86_64_setup_regions(struct pa_memory *memory,
					     const struct pa_layout *layout,
					     struct pa_address_space *ret)
{
	bool l5 = ret->levels == 5;
	uint64_t vmalloc;
	struct pa_error *err = read_physical_mask(memory, layout, ret);

	if (err)
		return err;
	err = read_base(memory, &layout->symbols[PA_SYM_vmemmap_base],
			l5 ? VMEMMAP_L5 : VMEMMAP_L4, &ret->vmemmap_start);
	if (err)
		return err;
	err = read_base(memory, &layout->symbols[PA_SYM_vmalloc_base],
			l5 ? VMALLOC_L5 : VMALLOC_L4, &vmalloc);
	if (err)
		return err;
	err = read_base(memory, &layout->symbols[PA_SYM_page_offset_base],
			l5 ? PAGE_OFFSET_L5 : PAGE_OFFSET_L4,
			&ret->direct_start);
	if (err)
		return err;
	if (vmalloc <= ret->direct_start || ret->vmemmap_start <= vmalloc)
		return pa_error_at(PA_ERROR_CORRUPT, ret->direct_start,
				   "the kernel's memory regions are out of "
				   "order: wrong debug information for this "
				   "dump, or a damaged dump");
	ret->direct_end = pa_min(
		vmalloc, ret->direct_start + PA_BIT(ret->max_physmem_bits));
	return NULL;
}

static struct pa_error *x86_64_translate(struct pa_memory *memory, uint64_t va,
					 struct pa_translation *ret)
{
	const struct pa_address_space *space = memory->space;
	unsigned int top = 12 + 9 * space->levels;
	uint64_t table = space->root_phys;

	/* Not canonical: bits above the top one must repeat it. */
	if ((uint64_t)((int64_t)(va << (64 - top)) >> (64 - top)) != va) {
		*ret = (struct pa_translation){ .length = 1 };
		return NULL;
	}
	for (unsigned int level = space->levels; level-- > 0;) {
		unsigned int shift = 12 + 9 * level;
		const uint64_t *entries;
		struct pa_error *err =
			pa_memory_table(memory, level, table, &entries);

		if (err)
			return err;

		uint64_t entry = entries[va >> shift & 511];
		uint64_t inside = va & PA_MASK(shift);
		bool leaf = !level || (level < 3 && entry & ENTRY_PSE);

		if (!(entry & ENTRY_PRESENT)) {
			*ret = (struct pa_translation){
				.length = PA_BIT(shift) - inside,
			};
			return NULL;
		}
		if (leaf) {
			*ret = (struct pa_translation){
				.mapped = true,
				.phys = (entry & space->entry_phys_mask &
					 ~PA_MASK(shift)) +
					inside,
				.length = PA_BIT(shift) - inside,
			};
			return NULL;
		}
		table = entry & space->entry_phys_mask;
	}
	return NULL;
}

struct table_walk {
	struct pa_memory *memory;
	const struct pa_table_visitor *visitor;
	/* Tables met: KASAN shares its empty shadow's, garbage may loop. */
	struct pa_map met;
	uint64_t unread;
	bool stopped;
};

static struct pa_error *walk_table(struct table_walk *walk, unsigned int level,
				   uint64_t phys, uint64_t base, bool nx)
{
	const struct pa_address_space *space = walk->memory->space;
	const struct pa_table_visitor *visitor = walk->visitor;
	unsigned int shift = 12 + 9 * level;
	bool top = level + 1 == space->levels;
	const uint64_t *entries;
	struct pa_error *err;

	if (pa_map_has(&walk->met, phys))
		return NULL;
	if (!pa_map_set(&walk->met, phys, 1))
		return &pa_error_no_memory;
	if (!visitor->table(visitor->arg, level, phys, base,
			    PA_BIT(shift) * 512))
		return NULL;
	/* Stays ours: tables below are of other levels. */
	err = pa_memory_table(walk->memory, level, phys, &entries);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		walk->unread++;
		return NULL;
	}
	/* The lower half of the root is user space. */
	for (uint64_t i = top ? 256 : 0; !err && !walk->stopped && i < 512;
	     i++) {
		uint64_t entry = entries[i];
		uint64_t va = base + (i << shift);
		uint64_t to = entry & space->entry_phys_mask;
		bool entry_nx = nx || entry & ENTRY_NX;

		if (!(entry & ENTRY_PRESENT))
			continue;
		if (!level || (level < 3 && entry & ENTRY_PSE))
			walk->stopped = !visitor->leaf(visitor->arg, va,
						       to & ~PA_MASK(shift),
						       PA_BIT(shift),
						       !entry_nx);
		else
			err = walk_table(walk, level - 1, to, va, entry_nx);
	}
	return err;
}

static struct pa_error *x86_64_walk(struct pa_memory *memory,
				    const struct pa_table_visitor *visitor,
				    uint64_t *unread_ret)
{
	const struct pa_address_space *space = memory->space;
	struct table_walk walk = { .memory = memory, .visitor = visitor };
	/* The sign extension of addresses in the upper half. */
	uint64_t base = ~PA_MASK(12 + 9 * space->levels);
	struct pa_error *err = walk_table(&walk, space->levels - 1,
					  space->root_phys, base, false);

	pa_map_deinit(&walk.met);
	*unread_ret = walk.unread;
	return err;
}

const struct pa_arch pa_arch_x86_64 = {
	.name = "x86_64",
	.machine = EM_X86_64,
	.setup = x86_64_setup,
	.setup_regions = x86_64_setup_regions,
	.translate = x86_64_translate,
	.setup_entries = pa_x86_64_setup_entries,
	.decode_entry = pa_x86_64_decode_entry,
	.walk = x86_64_walk,
};
