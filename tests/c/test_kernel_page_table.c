// SPDX-License-Identifier: LGPL-2.1-or-later
/* Entries of page tables, decoded as each kernel has them. */
#include <string.h>

#include "check.h"
#include "kernel/arch_x86_64.h"
#include "kernel/page_table.h"

/* _PAGE_PRESENT and others of arch/x86/include/asm/pgtable_types.h. */
#define P PA_BIT(0)
#define RW PA_BIT(1)
#define USER PA_BIT(2)
#define PSE PA_BIT(7)
#define PROTNONE PA_BIT(8)
#define SPECIAL PA_BIT(9)
#define PAT_LARGE PA_BIT(12)
#define NX PA_BIT(63)

static const struct pa_address_space space = {
	.page_shift = 12,
	.max_physmem_bits = 46,
	.levels = 4,
	.entry_phys_mask = PA_MASK(52) & ~PA_MASK(12),
};

#define KNOW(layout, name) (layout)->symbols[PA_SYM_##name].known = true

/* What tells the kernels apart; see types/table.def. */
enum kernel { V5_10_CLOUD, V5_10, V6_1_CLOUD, V6_1, V6_12_CLOUD, V7 };

static struct pa_page_table_format make_format(enum kernel kernel)
{
	struct pa_layout *layout = calloc(1, sizeof(*layout));
	struct pa_page_table_format format = {
		.huge_zero_pfn = 0x1200,
		.swap_pfn_mask = PA_MASK(34),
	};

	CHECK_FATAL(layout);
	KNOW(layout, migrate_pages);
	if (kernel != V7)
		layout->types[PA_TYPE_pfn_t].known = true;
	if (kernel >= V6_1_CLOUD) {
		layout->types[PA_TYPE_folio].known = true;
		layout->enumerators[PA_ENUM_PG_anon_exclusive].known = true;
		KNOW(layout, migrate_vma_setup);
	}
	if (kernel < V6_12_CLOUD)
		layout->members[PA_MEMBER_page__compound_mapcount].known = true;
	else
		KNOW(layout, pte_mkwrite);
	if (kernel == V5_10)
		KNOW(layout, migrate_vma_setup);
	if (kernel == V6_1)
		KNOW(layout, make_device_exclusive_range);
	if (kernel == V7)
		KNOW(layout, make_device_exclusive);
	if (kernel == V5_10 || kernel == V6_1 || kernel >= V6_12_CLOUD)
		layout->enumerators[PA_ENUM_PG_hwpoison].known = true;
	format.leaf_may_be_special = kernel >= V6_12_CLOUD;
	pa_swap_kinds_init(layout, &format);
	pa_x86_64_setup_entries(layout, &space, &format);
	free(layout);
	return format;
}

static struct pa_entry decode(const struct pa_page_table_format *format,
			      unsigned int level, uint64_t value)
{
	struct pa_entry entry;

	memset(&entry, 0x5a, sizeof(entry));
	pa_x86_64_decode_entry(format, level, value, &entry);
	return entry;
}

#define IS(format, level, value, wanted_kind, wanted_pfn)                \
	do {                                                             \
		struct pa_entry is_entry = decode(format, level, value); \
		CHECK(is_entry.kind == (wanted_kind));                   \
		CHECK(is_entry.pfn == (wanted_pfn));                     \
	} while (0)

/* __swp_entry() of arch/x86/include/asm/pgtable_64.h. */
static uint64_t swap_entry(uint64_t type, uint64_t offset)
{
	return (~offset << 14 >> 5) | type << 59;
}

static void test_present(void)
{
	struct pa_page_table_format old = make_format(V6_1);
	struct pa_page_table_format new = make_format(V7);
	struct pa_entry entry;

	IS(&new, 0, 0, PA_ENTRY_NONE, 0);
	IS(&new, 0, 0x12345000 | P | RW | USER | NX, PA_ENTRY_PAGE, 0x12345);
	entry = decode(&new, 0, 0x12345000 | P | RW | USER);
	CHECK(entry.readable && entry.writable);
	entry = decode(&new, 0, 0x12345000 | P | USER);
	CHECK(entry.readable && !entry.writable);
	/* PROT_NONE and NUMA hints: the frame is inverted, the flags aren't. */
	IS(&new, 0, (~UINT64_C(0x12345000) & space.entry_phys_mask) | PROTNONE,
	   PA_ENTRY_PAGE, 0x12345);
	entry = decode(&new, 0,
		       (~UINT64_C(0x12345000) & space.entry_phys_mask) |
			       PROTNONE | RW);
	CHECK(!entry.readable && !entry.writable);
	IS(&new, 0, 0x1000 | P | SPECIAL, PA_ENTRY_SPECIAL, 1);
	/* Bit 7 of a lowest entry is its cache attribute. */
	IS(&new, 0, 0x12345000 | P | PSE, PA_ENTRY_PAGE, 0x12345);

	/* Tables, and leaves above the lowest level. */
	IS(&new, 1, 0x12345000 | P | RW | USER, PA_ENTRY_TABLE, 0x12345);
	IS(&new, 3, 0x12345000 | P | RW | USER, PA_ENTRY_TABLE, 0x12345);
	IS(&new, 1, 0x12400000 | P | PSE | PAT_LARGE, PA_ENTRY_PAGE, 0x12400);
	IS(&new, 2, 0x40000000 | P | PSE | PAT_LARGE, PA_ENTRY_PAGE, 0x40000);
	IS(&new, 1, 0x1200000 | P | PSE, PA_ENTRY_SPECIAL, 0x1200);
	IS(&new, 1, 0x12400000 | P | PSE | SPECIAL, PA_ENTRY_SPECIAL, 0x12400);
	/* No kernel before v6.12 gave this bit to a leaf. */
	IS(&old, 1, 0x12400000 | P | PSE | SPECIAL, PA_ENTRY_PAGE, 0x12400);
	/* Being split, and PROT_NONE: not present for the hardware alone. */
	IS(&new, 1,
	   (~UINT64_C(0x12400000) & space.entry_phys_mask & ~PA_MASK(21)) | PSE,
	   PA_ENTRY_PAGE, 0x12400);
	IS(&new, 1,
	   (~UINT64_C(0x12400000) & space.entry_phys_mask & ~PA_MASK(21)) |
		   PSE | PROTNONE,
	   PA_ENTRY_PAGE, 0x12400);
	/* What no kernel makes. */
	CHECK(decode(&new, 3, 0x12345000 | P | PSE).kind == PA_ENTRY_BAD);
	CHECK(decode(&new, 1, 0x12345000 | PROTNONE).kind == PA_ENTRY_BAD);
}

static void test_devmap(void)
{
	static const struct {
		enum kernel kernel;
		uint64_t bit, other;
	} rows[] = {
		{ V5_10, PA_BIT(58), PA_BIT(57) },
		{ V6_1_CLOUD, PA_BIT(58), PA_BIT(57) },
		{ V6_12_CLOUD, PA_BIT(57), PA_BIT(58) },
		{ V7, 0, PA_BIT(57) | PA_BIT(58) },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pa_page_table_format format =
			make_format(rows[i].kernel);

		CHECK(format.devmap == rows[i].bit);
		IS(&format, 0, 0x12345000 | P | rows[i].other, PA_ENTRY_PAGE,
		   0x12345);
		if (rows[i].bit)
			IS(&format, 0, 0x12345000 | P | SPECIAL | rows[i].bit,
			   PA_ENTRY_DEVMAP, 0x12345);
		/* Settled without decoding: what is neither. */
		CHECK((((0x12345000 | P | rows[i].bit) & format.plain_mask) ==
		       format.plain) == !rows[i].bit);
	}
}

static void test_swap(void)
{
	/* Each run of types, from MAX_SWAPFILES (swap_info's length) on. */
	static const struct {
		enum kernel kernel;
		uint8_t nr_swap, nr[PA_NR_ENTRY_KINDS];
	} rows[] = {
		{ V5_10_CLOUD, 30, { [PA_ENTRY_MIGRATION] = 2 } },
		{ V5_10,
		  27,
		  { [PA_ENTRY_MIGRATION] = 2,
		    [PA_ENTRY_HWPOISON] = 1,
		    [PA_ENTRY_DEVICE_PRIVATE] = 2 } },
		{ V6_1_CLOUD,
		  27,
		  { [PA_ENTRY_MIGRATION] = 3, [PA_ENTRY_MARKER] = 2 } },
		{ V6_1,
		  22,
		  { [PA_ENTRY_MIGRATION] = 3,
		    [PA_ENTRY_MARKER] = 2,
		    [PA_ENTRY_HWPOISON] = 1,
		    [PA_ENTRY_DEVICE_PRIVATE] = 2,
		    [PA_ENTRY_DEVICE_EXCLUSIVE] = 2 } },
		{ V6_12_CLOUD,
		  27,
		  { [PA_ENTRY_MIGRATION] = 3,
		    [PA_ENTRY_MARKER] = 1,
		    [PA_ENTRY_HWPOISON] = 1 } },
		{ V7,
		  24,
		  { [PA_ENTRY_MIGRATION] = 3,
		    [PA_ENTRY_MARKER] = 1,
		    [PA_ENTRY_HWPOISON] = 1,
		    [PA_ENTRY_DEVICE_PRIVATE] = 2,
		    [PA_ENTRY_DEVICE_EXCLUSIVE] = 1 } },
	};
	/* As include/linux/swap.h has them. */
	static const enum pa_entry_kind order[] = {
		PA_ENTRY_HWPOISON, PA_ENTRY_MIGRATION, PA_ENTRY_DEVICE_PRIVATE,
		PA_ENTRY_DEVICE_EXCLUSIVE, PA_ENTRY_MARKER
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pa_page_table_format format =
			make_format(rows[i].kernel);
		unsigned int type = 0;

		CHECK(format.nr_swap_types == rows[i].nr_swap);
		for (; type < rows[i].nr_swap; type++) {
			struct pa_entry entry =
				decode(&format, 0,
				       swap_entry(type, UINT64_C(1) << 45));

			CHECK(entry.kind == PA_ENTRY_SWAP);
			CHECK(entry.swap_type == type);
			CHECK(entry.pfn == UINT64_C(1) << 45);
		}
		for (size_t j = 0; j < sizeof(order) / sizeof(order[0]); j++)
			for (int k = 0; k < rows[i].nr[order[j]]; k++, type++)
				CHECK(decode(&format, 0,
					     swap_entry(type, 0x777))
					      .kind == order[j]);
		CHECK(type == PA_SWAP_TYPES);
	}
}

/* A migration entry keeps more than the pfn (SWP_MIG_YOUNG, v6.1). */
static void test_swap_pfn(void)
{
	struct pa_page_table_format format = make_format(V7);
	uint64_t young = PA_BIT(34);

	IS(&format, 0, swap_entry(26, 0x12345 | young), PA_ENTRY_MIGRATION,
	   0x12345);
	IS(&format, 1, swap_entry(25, 0x12400), PA_ENTRY_MIGRATION, 0x12400);
	/* Soft dirty, uffd-wp and exclusive are bits 1 to 3. */
	IS(&format, 0, swap_entry(24, 0x12345) | 0xe, PA_ENTRY_HWPOISON,
	   0x12345);
	IS(&format, 2, swap_entry(31, 2), PA_ENTRY_MARKER, 2);
}

int main(void)
{
	test_present();
	test_devmap();
	test_swap();
	test_swap_pfn();
	return CHECK_DONE();
}
