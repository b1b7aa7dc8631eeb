// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/page.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel/zone.h"
#include "source/vmcoreinfo.h"

const char *const pa_page_type_names[PA_NR_PAGE_TYPES] = {
	[PA_PAGE_UNTYPED] = "none",
	[PA_PAGE_BUDDY] = "buddy",
	[PA_PAGE_OFFLINE] = "offline",
	[PA_PAGE_TABLE] = "table",
	[PA_PAGE_GUARD] = "guard",
	[PA_PAGE_HUGETLB] = "hugetlb",
	[PA_PAGE_SLAB] = "slab",
	[PA_PAGE_ZSMALLOC] = "zsmalloc",
	[PA_PAGE_UNACCEPTED] = "unaccepted",
	[PA_PAGE_LARGE_KMALLOC] = "large_kmalloc",
	[PA_PAGE_KMEMCG] = "kmemcg",
	[PA_PAGE_OTHER_TYPE] = "other",
};

/* One row a flag: where it is kept, and its enumerator. */
struct flag_row {
	size_t offset;
	enum pa_enumerator_id id;
	const char *name;
};

#define ROW(member, enumerator)                                               \
	{                                                                     \
		offsetof(struct pa_page_flags, member), PA_ENUM_##enumerator, \
			&#enumerator[3]                                       \
	}

static const struct flag_row flag_rows[] = {
	ROW(locked, PG_locked),
	ROW(writeback, PG_writeback),
	ROW(referenced, PG_referenced),
	ROW(uptodate, PG_uptodate),
	ROW(dirty, PG_dirty),
	ROW(lru, PG_lru),
	ROW(head, PG_head),
	ROW(waiters, PG_waiters),
	ROW(active, PG_active),
	ROW(workingset, PG_workingset),
	ROW(error, PG_error),
	ROW(slab, PG_slab),
	ROW(owner_priv_1, PG_owner_priv_1),
	ROW(owner_2, PG_owner_2),
	ROW(reserved, PG_reserved),
	ROW(private_, PG_private),
	ROW(private_2, PG_private_2),
	ROW(reclaim, PG_reclaim),
	ROW(swapbacked, PG_swapbacked),
	ROW(unevictable, PG_unevictable),
	ROW(mlocked, PG_mlocked),
	ROW(hwpoison, PG_hwpoison),
};

#define NR_FLAG_ROWS (sizeof(flag_rows) / sizeof(flag_rows[0]))

static uint64_t *flag_of(struct pa_page_flags *flags, size_t row)
{
	return (uint64_t *)((char *)flags + flag_rows[row].offset);
}

static struct pa_error *init_flags(const struct pa_layout *layout,
				   struct pa_page_format *f)
{
	for (size_t i = 0; i < NR_FLAG_ROWS; i++) {
		const struct pa_enumerator *e =
			&layout->enumerators[flag_rows[i].id];

		if (e->known && e->value >= 0 && e->value < 64)
			*flag_of(&f->flag, i) = PA_BIT(e->value);
	}

	int64_t nr = PA_HAS_ENUM(layout, __NR_PAGEFLAGS) ?
			     PA_ENUM(layout, __NR_PAGEFLAGS) :
			     0;

	if (nr <= 0 || nr > 40)
		return pa_error_create(PA_ERROR_MISSING,
				       "enum pageflags is not usable (%" PRId64
				       " flags)",
				       nr);
	f->flag.all = PA_MASK(nr);
	return NULL;
}

/* page-flags-layout.h: fields from bit 64 downwards. */
static struct pa_error *init_links(const struct pa_layout *layout,
				   const char *vmcoreinfo,
				   struct pa_page_format *f)
{
	uint32_t nr_zones = PA_M(layout, pglist_data, node_zones)->length;
	int64_t nr_nodes = 0;
	unsigned int node_bits = 0;
	unsigned int zone_bits = 0;

	/* LENGTH(node_data) is MAX_NUMNODES; absent without CONFIG_NUMA. */
	if (pa_vmcoreinfo_number(vmcoreinfo, "LENGTH(node_data)", &nr_nodes))
		while (nr_nodes > 1 && PA_BIT(node_bits) < (uint64_t)nr_nodes)
			node_bits++;
	/* ZONE_NORMAL and ZONE_MOVABLE are on every kernel. */
	if (nr_zones < 2 || nr_zones > 8 || node_bits > 16)
		return pa_error_create(PA_ERROR_MISSING,
				       "%" PRIu32 " zones and %u node bits: "
				       "wrong type information",
				       nr_zones, node_bits);
	/* ZONES_SHIFT: 1 for 2 zones, 2 for 3 or 4, 3 for 5 to 8. */
	while (PA_BIT(zone_bits) < nr_zones)
		zone_bits++;
	f->nr_zones = nr_zones;
	f->node_shift = 64 - node_bits;
	f->node_mask = PA_MASK(node_bits);
	if (!node_bits)
		f->node_shift = 0;
	f->zone_shift = 64 - node_bits - zone_bits;
	f->zone_mask = PA_MASK(zone_bits);
	f->link_mask = ~PA_MASK(f->zone_shift);
	f->zone_device = PA_HAS_ENUM(layout, ZONE_DEVICE) ?
				 (int)PA_ENUM(layout, ZONE_DEVICE) :
				 -1;
	return NULL;
}

/* order_base_2() */
static unsigned int bits_for(uint64_t n)
{
	unsigned int bits = 0;

	while (bits < 63 && PA_BIT(bits) < n)
		bits++;
	return bits;
}

/*
 * LRU_GEN_PGOFF: below the zone come the last CPU and pid of NUMA balancing,
 * if there is room for them in the flags, then the multi-gen LRU's generation.
 */
static void init_lru_gen(const struct pa_layout *layout,
			 struct pa_page_format *f)
{
	static const enum pa_member_id lists[] = {
		PA_MEMBER_lru_gen_folio__folios,
		PA_MEMBER_lru_gen_struct__folios,
		PA_MEMBER_lru_gen_struct__lists,
	};
	const unsigned int pid_bits = 8;
	unsigned int cpupid = 0, width;
	uint32_t nr_gens = 0;

	for (size_t i = 0; !nr_gens && i < sizeof(lists) / sizeof(lists[0]);
	     i++)
		if (layout->members[lists[i]].known)
			/* [MAX_NR_GENS][ANON_AND_FILE][MAX_NR_ZONES] */
			nr_gens = layout->members[lists[i]].size / 16 / 2 /
				  f->nr_zones;
	if (!nr_gens)
		return;
	width = bits_for((uint64_t)nr_gens + 1);
	if (PA_HAS(layout, task_struct, numa_scan_seq) &&
	    !PA_HAS(layout, page, _last_cpupid))
		cpupid = pid_bits +
			 bits_for((uint64_t)PA_SIZEOF(layout, cpumask) * 8);
	if (cpupid + width > f->zone_shift)
		return;
	f->lru_gen_shift = f->zone_shift - cpupid - width;
	f->lru_gen_mask = PA_MASK(width);
}

static void set_type(struct pa_page_format *f, enum pa_page_type type,
		     const struct pa_enumerator *e)
{
	if (e->known)
		f->type_value[type] = (uint32_t)e->value;
}

/*
 * Types: PGTY_* enumerators in the top byte, or macros whose bits changed
 * between releases. PG_kmemcg (0x200) went with page->mem_cgroup in v5.11
 * (commit bcfe06bf2622), when PG_table moved from 0x400 to 0x200 and PG_guard
 * from 0x800 to 0x400 (commit 18b2db3b0385).
 */
static void init_types(const struct pa_layout *layout, struct pa_page_format *f)
{
	if (PA_HAS_ENUM(layout, PGTY_buddy)) {
		f->type_encoding = PA_TYPE_TOP_BYTE;
#define SET(type, name) \
	set_type(f, PA_PAGE_##type, &layout->enumerators[PA_ENUM_PGTY_##name])
		SET(BUDDY, buddy);
		SET(OFFLINE, offline);
		SET(TABLE, table);
		SET(GUARD, guard);
		SET(HUGETLB, hugetlb);
		SET(SLAB, slab);
		SET(ZSMALLOC, zsmalloc);
		SET(UNACCEPTED, unaccepted);
		SET(LARGE_KMALLOC, large_kmalloc);
#undef SET
		return;
	}
	f->type_encoding = PA_TYPE_CLEARED_BIT;
	f->type_value[PA_PAGE_BUDDY] = 0x80;
	f->type_value[PA_PAGE_OFFLINE] = 0x100;
	/*
	 * PG_kmemcg was there with and without CONFIG_MEMCG; it went in v5.11,
	 * as the node's lru_lock did.
	 */
	if (PA_HAS(layout, pglist_data, lru_lock)) {
		f->type_value[PA_PAGE_KMEMCG] = 0x200;
		f->type_value[PA_PAGE_TABLE] = 0x400;
		f->type_value[PA_PAGE_GUARD] = 0x800;
	} else {
		f->type_value[PA_PAGE_TABLE] = 0x200;
		f->type_value[PA_PAGE_GUARD] = 0x400;
	}
}

static int hpg_bit(const struct pa_enumerator *e)
{
	return e->known && e->value >= 0 && e->value < 64 ? (int)e->value : -1;
}

static void init_folio(const struct pa_layout *layout, struct pa_page_format *f)
{
	/* Newest first: the low byte of _flags_1, then bytes of their own. */
	if (PA_HAS(layout, folio, _folio_order))
		f->order = PA_OFFSETOF(layout, folio, _folio_order);
	else if (PA_HAS(layout, page, compound_order))
		f->order = f->size + PA_OFFSETOF(layout, page, compound_order);
	else if (PA_HAS(layout, folio, _flags_1))
		f->order = PA_OFFSETOF(layout, folio, _flags_1);
	if (PA_HAS(layout, folio, _nr_pages))
		f->nr_pages = PA_OFFSETOF(layout, folio, _nr_pages);
	else if (PA_HAS(layout, folio, _folio_nr_pages))
		f->nr_pages = PA_OFFSETOF(layout, folio, _folio_nr_pages);
	else if (PA_HAS(layout, page, compound_nr))
		f->nr_pages = f->size + PA_OFFSETOF(layout, page, compound_nr);
	if (PA_HAS(layout, page, compound_dtor))
		f->dtor = f->size + PA_OFFSETOF(layout, page, compound_dtor);
	f->hugetlb_dtor = PA_HAS_ENUM(layout, HUGETLB_PAGE_DTOR) ?
				  (uint8_t)PA_ENUM(layout, HUGETLB_PAGE_DTOR) :
				  0;
	/* A 16 GiB hugetlb page; x86_64 has 1 GiB ones. */
	f->max_order = 22;

	uint32_t areas = PA_M(layout, zone, free_area)->length;

	f->max_buddy_order = areas && areas <= PA_MAX_ORDERS ? areas - 1 : 10;
	f->hpg_vmemmap_optimized =
		hpg_bit(&layout->enumerators[PA_ENUM_HPG_vmemmap_optimized]);
	f->hpg_raw_hwp_unreliable =
		hpg_bit(&layout->enumerators[PA_ENUM_HPG_raw_hwp_unreliable]);
	f->hpg_freed = hpg_bit(&layout->enumerators[PA_ENUM_HPG_freed]);
	f->fake_heads = f->hpg_vmemmap_optimized >= 0 &&
			f->tail_form == PA_TAIL_POINTER;
}

/* The hot loops load without looking. */
static bool members_fit(const struct pa_page_format *f)
{
	/* A folio's are in its first two struct pages. */
	const uint64_t folio_size = 2 * (uint64_t)f->size;
	const uint64_t words[] = { f->flags,	 f->compound, f->mapping,
				   f->index,	 f->private_, f->pgmap,
				   f->lru + 8ull };
	const uint64_t halves[] = { f->type, f->refcount };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i] + 8 > f->size)
			return false;
	for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++)
		if (halves[i] + 4 > f->size)
			return false;
	return f->order < folio_size && f->dtor < folio_size &&
	       (uint64_t)f->nr_pages + 4 <= folio_size;
}

struct pa_error *pa_page_format_init(const struct pa_layout *layout,
				     const char *vmcoreinfo,
				     struct pa_page_format *ret)
{
	struct pa_page_format f = {
		.size = PA_SIZEOF(layout, page),
		.flags = PA_OFFSETOF(layout, page, flags),
		.mapping = PA_OFFSETOF(layout, page, mapping),
		.private_ = PA_OFFSETOF(layout, page, private),
		.type = PA_OFFSETOF(layout, page, page_type),
		.refcount = PA_OFFSETOF(layout, page, _refcount),
		.lru = PA_OFFSETOF(layout, page, lru),
	};

	if (f.size < 56 || f.size > 256 || f.size % 8)
		return pa_error_create(PA_ERROR_MISSING,
				       "struct page of %" PRIu32 " bytes: "
				       "wrong type information",
				       f.size);
	if (PA_HAS(layout, page, index))
		f.index = PA_OFFSETOF(layout, page, index);
	else
		f.index = PA_OFFSETOF(layout, page, __folio_index);
	f.pgmap = PA_HAS(layout, page, pgmap) ?
			  PA_OFFSETOF(layout, page, pgmap) :
			  PA_OFFSETOF(layout, folio, pgmap);
	if (PA_HAS(layout, page, compound_info)) {
		f.compound = PA_OFFSETOF(layout, page, compound_info);
		/* compound_info_has_mask(): HVO built in, size a power of 2. */
		f.tail_form =
			!(f.size & (f.size - 1)) &&
					PA_HAS_ENUM(layout,
						    HPG_vmemmap_optimized) ?
				PA_TAIL_MASK :
				PA_TAIL_POINTER;
	} else {
		f.compound = PA_OFFSETOF(layout, page, compound_head);
	}

	struct pa_error *err = init_flags(layout, &f);

	if (!err)
		err = init_links(layout, vmcoreinfo, &f);
	if (err)
		return err;
	init_lru_gen(layout, &f);
	init_types(layout, &f);
	init_folio(layout, &f);
	if (!members_fit(&f))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct page's members lie outside of "
				       "it: wrong type information");
	*ret = f;
	return NULL;
}

enum pa_page_type pa_page_type(const struct pa_page_format *f, uint32_t word)
{
	if (f->type_encoding == PA_TYPE_TOP_BYTE) {
		uint32_t top = word >> 24;

		/* page_type_has_type() */
		if ((int32_t)word >= (int32_t)0xff000000)
			return PA_PAGE_UNTYPED;
		if (!(word >> 31))
			return PA_PAGE_UNTYPED;
		for (int i = 1; i < PA_NR_PAGE_TYPES; i++)
			if (f->type_value[i] == top)
				return (enum pa_page_type)i;
		return PA_PAGE_OTHER_TYPE;
	}
	/* PAGE_TYPE_BASE 0xf0000000; page_has_type(): (int)word < -128. */
	if ((word & 0xf0000000) != 0xf0000000 || (int32_t)word >= -128)
		return PA_PAGE_UNTYPED;
	for (int i = 1; i < PA_NR_PAGE_TYPES; i++)
		if (f->type_value[i] && !(word & f->type_value[i]))
			return (enum pa_page_type)i;
	return PA_PAGE_OTHER_TYPE;
}

uint32_t pa_folio_order(const struct pa_page_format *f, const uint8_t *head)
{
	if (!(pa_page_flags(f, head) & f->flag.head) || !f->order)
		return 0;
	return head[f->order];
}

bool pa_folio_is_hugetlb(const struct pa_page_format *f, const uint8_t *head)
{
	if (!(pa_page_flags(f, head) & f->flag.head))
		return false;
	if (f->type_value[PA_PAGE_HUGETLB])
		return pa_page_type(f, pa_page_type_word(f, head)) ==
		       PA_PAGE_HUGETLB;
	return f->dtor && f->hugetlb_dtor && head[f->dtor] == f->hugetlb_dtor;
}

bool pa_page_is_fake_head(const struct pa_page_format *f, const uint8_t *page,
			  uint64_t address)
{
	if (!f->fake_heads || address & PA_MASK(12) ||
	    !(pa_page_flags(f, page) & f->flag.head))
		return false;

	uint64_t next = pa_page_compound(f, page + f->size);

	return next & 1 && next - 1 != address;
}

char *pa_page_flags_string(const struct pa_page_format *f, uint64_t flags)
{
	struct pa_page_flags copy = f->flag;
	uint64_t named = 0;
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;

	const char *separator = "";

	for (size_t i = 0; i < NR_FLAG_ROWS; i++) {
		uint64_t mask = *flag_of(&copy, i);

		named |= mask;
		if (!(flags & mask))
			continue;
		fprintf(out, "%s%s", separator, flag_rows[i].name);
		separator = "|";
	}
	if (flags & f->flag.all & ~named)
		fprintf(out, "%s0x%" PRIx64, separator,
			flags & f->flag.all & ~named);
	fclose(out);
	return text;
}
