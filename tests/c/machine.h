/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine of any size that does not exist: a source whose sections, zones,
 * page tables and struct pages are made while they are read, and the layout by
 * which to read them. The kernel is one of v7's kind, cut down to its memory
 * map.
 *
 * All memory is in one zone and made of equal tiles of 8 MiB: a free block of
 * order 10, a THP, pages on an LRU, compound slabs, and pages of other kinds.
 */
#ifndef PA_TESTS_MACHINE_H
#define PA_TESTS_MACHINE_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "source/source.h"
#include "types/layout.h"

#define MACHINE_PAGE_BYTES 64
#define MACHINE_TILE_PAGES 2048
#define MACHINE_TILE_BYTES (MACHINE_TILE_PAGES * MACHINE_PAGE_BYTES)
#define MACHINE_FREE_ORDER 10
#define MACHINE_SECTION_PAGES 32768

/* x86-64's constants without KASLR. */
#define MACHINE_IMAGE UINT64_C(0xffffffff80000000)
#define MACHINE_VMEMMAP UINT64_C(0xffffea0000000000)
/* Where the memmap lies in physical memory. */
#define MACHINE_MEMMAP_PHYS PA_BIT(45)

/* Offsets that the layout below gives to members. */
enum {
	MACHINE_PAGE_FLAGS = 0,
	MACHINE_PAGE_LRU = 8,
	MACHINE_PAGE_MAPPING = 24,
	MACHINE_PAGE_INDEX = 32,
	MACHINE_PAGE_PRIVATE = 40,
	MACHINE_PAGE_TYPE = 48,
	MACHINE_PAGE_REFCOUNT = 52,

	MACHINE_USAGE_BLOCKS = 8,
	MACHINE_USAGE_BYTES = 40,

	MACHINE_AREA_TYPES = 4,
	MACHINE_AREA_BYTES = 16 * MACHINE_AREA_TYPES + 8,
	MACHINE_NR_ORDERS = MACHINE_FREE_ORDER + 1,

	MACHINE_ZONE_NAME = 32,
	MACHINE_ZONE_STATS = 64,
	MACHINE_ZONE_AREAS = 96,
	MACHINE_ZONE_BYTES =
		MACHINE_ZONE_AREAS + MACHINE_NR_ORDERS * MACHINE_AREA_BYTES,
	MACHINE_NR_ZONES = 4,
	MACHINE_ZONE = 2,
	MACHINE_NODE_NUMBERS = MACHINE_NR_ZONES * MACHINE_ZONE_BYTES,
	MACHINE_NODE_BYTES = MACHINE_NODE_NUMBERS + 64,
};

struct machine {
	struct pa_source base;
	struct pa_layout layout;
	uint64_t pages;
	/* One page whose struct page has this count instead; or UINT64_MAX. */
	uint64_t broken_pfn;
	uint32_t broken_refcount;
	/* Physical memory from 0 on, also at MACHINE_IMAGE: all but memmap. */
	uint8_t *fixed;
	uint64_t fixed_bytes, fixed_used;
	/* Head of the list of the free blocks. */
	uint64_t free_list;
	uint8_t tile[MACHINE_TILE_BYTES];
	/* Time spent on making struct pages, in nanoseconds. */
	atomic_uint_fast64_t made_ns;
};

static inline void machine_put(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline uint64_t machine_page(uint64_t pfn)
{
	return MACHINE_VMEMMAP + pfn * MACHINE_PAGE_BYTES;
}

/* Bytes of zeros that start at a page; their offset is their address. */
static inline uint64_t machine_place(struct machine *m, uint64_t bytes)
{
	uint64_t at = m->fixed_used;

	m->fixed_used = pa_align_up(at + bytes, 4096);
	if (m->fixed_used > m->fixed_bytes)
		abort();
	return at;
}

/* Reading. */

static inline void machine_destroy(struct pa_source *base)
{
	struct machine *m = (struct machine *)base;

	free(base->info.vmcoreinfo);
	free(m->fixed);
	free(m);
}

static inline struct pa_error *machine_reader_create(struct pa_source *base,
						     struct pa_reader **ret)
{
	struct pa_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return &pa_error_no_memory;
	reader->source = base;
	*ret = reader;
	return NULL;
}

static inline void machine_reader_destroy(struct pa_reader *reader)
{
	free(reader);
}

/* The struct page that starts a tile: on the list of free blocks. */
static inline void machine_tile_head(const struct machine *m, uint64_t tile,
				     uint8_t *page)
{
	uint64_t node =
		machine_page(tile * MACHINE_TILE_PAGES) + MACHINE_PAGE_LRU;
	bool last = (tile + 1) * MACHINE_TILE_PAGES >= m->pages;

	memcpy(page, m->tile, MACHINE_PAGE_BYTES);
	machine_put(page + MACHINE_PAGE_LRU,
		    last ? m->free_list : node + MACHINE_TILE_BYTES);
	machine_put(page + MACHINE_PAGE_LRU + 8,
		    tile ? node - MACHINE_TILE_BYTES : m->free_list);
}

/* Copies what bytes [from, from + MACHINE_PAGE_BYTES) of @page are asked for. */
static inline void machine_overlay(const uint8_t *page, uint64_t from,
				   uint64_t start, uint64_t length,
				   uint8_t *out)
{
	uint64_t low = pa_max(from, start);
	uint64_t high = pa_min(from + MACHINE_PAGE_BYTES, start + length);

	if (low < high)
		memcpy(out + (low - start), page + (low - from), high - low);
}

/* Bytes [start, start + length) of the memmap. */
static inline void machine_memmap(const struct machine *m, uint64_t start,
				  uint64_t length, uint8_t *out)
{
	uint64_t end = start + length;
	uint8_t page[MACHINE_PAGE_BYTES];

	for (uint64_t at = start; at < end;) {
		uint64_t tile = at / MACHINE_TILE_BYTES;
		uint64_t inside = at % MACHINE_TILE_BYTES;
		uint64_t part = pa_min(MACHINE_TILE_BYTES - inside, end - at);

		memcpy(out + (at - start), m->tile + inside, part);
		if (inside < MACHINE_PAGE_BYTES) {
			machine_tile_head(m, tile, page);
			machine_overlay(page, tile * MACHINE_TILE_BYTES, start,
					length, out);
		}
		at += part;
	}
	if (m->broken_pfn != UINT64_MAX) {
		uint64_t inside = m->broken_pfn % MACHINE_TILE_PAGES;

		memcpy(page, m->tile + inside * MACHINE_PAGE_BYTES,
		       sizeof(page));
		memcpy(page + MACHINE_PAGE_REFCOUNT, &m->broken_refcount,
		       sizeof(m->broken_refcount));
		machine_overlay(page, m->broken_pfn * MACHINE_PAGE_BYTES, start,
				length, out);
	}
}

static inline uint64_t machine_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline struct pa_error *machine_run(struct pa_reader *reader,
					   uint64_t phys, uint64_t length,
					   uint8_t *buffer, struct pa_run *ret)
{
	struct machine *m = (struct machine *)reader->source;
	uint64_t memmap_bytes = m->pages * MACHINE_PAGE_BYTES;

	*ret = (struct pa_run){ .presence = PA_UNREADABLE, .length = length };
	if (phys < m->fixed_bytes) {
		ret->presence = PA_PRESENT;
		ret->length = pa_min(length, m->fixed_bytes - phys);
		ret->data = m->fixed + phys;
	} else if (phys - MACHINE_MEMMAP_PHYS < memmap_bytes) {
		uint64_t at = phys - MACHINE_MEMMAP_PHYS;
		uint64_t begun = length > 4096 ? machine_now_ns() : 0;

		ret->presence = PA_PRESENT;
		ret->length = pa_min(length, memmap_bytes - at);
		machine_memmap(m, at, ret->length, buffer);
		ret->data = buffer;
		if (begun)
			atomic_fetch_add_explicit(&m->made_ns,
						  machine_now_ns() - begun,
						  memory_order_relaxed);
	}
	return NULL;
}

/* Making. */

static inline void machine_layout(struct pa_layout *l)
{
	static const enum pa_enumerator_id flags[] = {
		PA_ENUM_PG_locked,     PA_ENUM_PG_writeback,
		PA_ENUM_PG_referenced, PA_ENUM_PG_uptodate,
		PA_ENUM_PG_dirty,      PA_ENUM_PG_lru,
		PA_ENUM_PG_head,       PA_ENUM_PG_waiters,
		PA_ENUM_PG_active,     PA_ENUM_PG_workingset,
		PA_ENUM_PG_reserved,   PA_ENUM_PG_private,
		PA_ENUM_PG_swapbacked, PA_ENUM_PG_unevictable,
		PA_ENUM_PG_hwpoison,   PA_ENUM___NR_PAGEFLAGS,
	};

#define TYPE(type, bytes)                           \
	l->types[PA_TYPE_##type] = (struct pa_type) \
	{                                           \
		true, bytes                         \
	}
#define MEMBER(type, member, at, bytes) ARRAY(type, member, at, bytes, 0, bytes)
#define ARRAY(type, member, at, bytes, n, element)                             \
	l->members[PA_MEMBER_##type##__##member] = (struct pa_member)          \
	{                                                                      \
		.known = true, .offset = (at), .size = (bytes), .length = (n), \
		.element_size = (element),                                     \
	}
#define ENUMERATOR(id, number)                                \
	l->enumerators[PA_ENUM_##id] = (struct pa_enumerator) \
	{                                                     \
		true, number                                  \
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		l->enumerators[flags[i]] =
			(struct pa_enumerator){ true, (int64_t)i };
	ENUMERATOR(PGTY_buddy, 0xf0);
	ENUMERATOR(PGTY_slab, 0xf5);
	/* Its presence makes tails name their head by a mask. */
	ENUMERATOR(HPG_vmemmap_optimized, 4);
	ENUMERATOR(N_ONLINE, 1);
	ENUMERATOR(NR_FREE_PAGES, 0);
	ENUMERATOR(MIGRATE_UNMOVABLE, 0);
	ENUMERATOR(MIGRATE_MOVABLE, 1);

	TYPE(page, MACHINE_PAGE_BYTES);
	MEMBER(page, flags, MACHINE_PAGE_FLAGS, 8);
	MEMBER(page, lru, MACHINE_PAGE_LRU, 16);
	MEMBER(page, compound_info, MACHINE_PAGE_LRU, 8);
	MEMBER(page, mapping, MACHINE_PAGE_MAPPING, 8);
	MEMBER(page, index, MACHINE_PAGE_INDEX, 8);
	MEMBER(page, private, MACHINE_PAGE_PRIVATE, 8);
	MEMBER(page, page_type, MACHINE_PAGE_TYPE, 4);
	MEMBER(page, _mapcount, MACHINE_PAGE_TYPE, 4);
	MEMBER(page, _refcount, MACHINE_PAGE_REFCOUNT, 4);
	TYPE(folio, 4 * MACHINE_PAGE_BYTES);
	MEMBER(folio, _flags_1, MACHINE_PAGE_BYTES, 8);
	MEMBER(folio, _nr_pages, MACHINE_PAGE_BYTES + MACHINE_PAGE_INDEX, 4);

	TYPE(mem_section, 16);
	MEMBER(mem_section, section_mem_map, 0, 8);
	MEMBER(mem_section, usage, 8, 8);
	TYPE(mem_section_usage, MACHINE_USAGE_BYTES);
	ARRAY(mem_section_usage, subsection_map, 0, 8, 1, 8);
	ARRAY(mem_section_usage, pageblock_flags, MACHINE_USAGE_BLOCKS, 0, 0,
	      8);

	TYPE(nodemask_t, 8);
	TYPE(pglist_data, MACHINE_NODE_BYTES);
	ARRAY(pglist_data, node_zones, 0, MACHINE_NODE_NUMBERS,
	      MACHINE_NR_ZONES, MACHINE_ZONE_BYTES);
	MEMBER(pglist_data, node_start_pfn, MACHINE_NODE_NUMBERS, 8);
	MEMBER(pglist_data, node_spanned_pages, MACHINE_NODE_NUMBERS + 8, 8);
	MEMBER(pglist_data, node_present_pages, MACHINE_NODE_NUMBERS + 16, 8);
	MEMBER(pglist_data, per_cpu_nodestats, MACHINE_NODE_NUMBERS + 24, 8);
	ARRAY(pglist_data, vm_stat, MACHINE_NODE_NUMBERS + 32, 8, 1, 8);
	ARRAY(per_cpu_nodestat, vm_node_stat_diff, 0, 1, 1, 1);
	TYPE(zone, MACHINE_ZONE_BYTES);
	MEMBER(zone, zone_start_pfn, 0, 8);
	MEMBER(zone, spanned_pages, 8, 8);
	MEMBER(zone, present_pages, 16, 8);
	MEMBER(zone, managed_pages, 24, 8);
	MEMBER(zone, name, MACHINE_ZONE_NAME, 8);
	MEMBER(zone, per_cpu_pageset, 40, 8);
	MEMBER(zone, per_cpu_zonestats, 48, 8);
	ARRAY(zone, vm_stat, MACHINE_ZONE_STATS, 8, 1, 8);
	ARRAY(per_cpu_zonestat, vm_stat_diff, 0, 1, 1, 1);
	ARRAY(zone, free_area, MACHINE_ZONE_AREAS,
	      MACHINE_NR_ORDERS * MACHINE_AREA_BYTES, MACHINE_NR_ORDERS,
	      MACHINE_AREA_BYTES);
	TYPE(free_area, MACHINE_AREA_BYTES);
	ARRAY(free_area, free_list, 0, 16 * MACHINE_AREA_TYPES,
	      MACHINE_AREA_TYPES, 16);
	MEMBER(free_area, nr_free, 16 * MACHINE_AREA_TYPES, 8);
	TYPE(cpumask, 8);
#undef TYPE
#undef MEMBER
#undef ARRAY
#undef ENUMERATOR
}

static inline void machine_symbol(struct machine *m, enum pa_symbol_id id,
				  uint64_t at)
{
	m->layout.symbols[id] = (struct pa_symbol){ true, MACHINE_IMAGE + at };
}

static inline uint64_t machine_flag(const struct machine *m,
				    enum pa_enumerator_id id)
{
	return PA_BIT(m->layout.enumerators[id].value);
}

/* A struct page of the tile. */
static inline uint8_t *machine_tile_page(struct machine *m, uint64_t index,
					 uint64_t flags, uint32_t type,
					 uint32_t refcount)
{
	uint8_t *page = m->tile + index * MACHINE_PAGE_BYTES;

	machine_put(page + MACHINE_PAGE_FLAGS,
		    flags | (uint64_t)MACHINE_ZONE << 62);
	memcpy(page + MACHINE_PAGE_TYPE, &type, sizeof(type));
	memcpy(page + MACHINE_PAGE_REFCOUNT, &refcount, sizeof(refcount));
	return page;
}

static inline void machine_compound(struct machine *m, uint64_t index,
				    unsigned int order, uint64_t flags,
				    uint32_t type)
{
	uint32_t nr = 1U << order;
	uint64_t word = ~((uint64_t)MACHINE_PAGE_BYTES * nr - 1) | 1;
	uint8_t *page = machine_tile_page(
		m, index, flags | machine_flag(m, PA_ENUM_PG_head), type, 1);

	for (uint32_t i = 1; i < nr; i++) {
		page = machine_tile_page(m, index + i, 0, UINT32_MAX, 0);
		machine_put(page + MACHINE_PAGE_LRU, word);
		/* TAIL_MAPPING, behind the fields of struct folio. */
		if (i >= 4)
			machine_put(page + MACHINE_PAGE_MAPPING,
				    UINT64_C(0xdead000000000400));
	}
	page = m->tile + (index + 1) * MACHINE_PAGE_BYTES;
	page[0] = (uint8_t)order;
	memcpy(page + MACHINE_PAGE_INDEX, &nr, sizeof(nr));
}

static inline void machine_fill_tile(struct machine *m)
{
	uint64_t in_use = machine_flag(m, PA_ENUM_PG_uptodate) |
			  machine_flag(m, PA_ENUM_PG_lru) |
			  machine_flag(m, PA_ENUM_PG_swapbacked);
	uint64_t at = PA_BIT(MACHINE_FREE_ORDER);

	/* The buddy allocator's; the links are each tile's own. */
	for (uint64_t i = 0; i < at; i++)
		machine_tile_page(m, i, 0, UINT32_MAX, 0);
	machine_put(machine_tile_page(m, 0, 0, 0xf0000000, 0) +
			    MACHINE_PAGE_PRIVATE,
		    MACHINE_FREE_ORDER);
	machine_compound(m, at, 9, in_use, UINT32_MAX);
	at += 512;
	/* Page cache or anonymous; some are mapped, once or more often. */
	for (uint32_t i = 0; i < 256; i++, at++)
		machine_put(machine_tile_page(m, at, in_use, i % 3 - 1U,
					      1 + i % 3) +
				    MACHINE_PAGE_MAPPING,
			    UINT64_C(0xffff888000000000) + i * 64);
	for (uint32_t i = 0; i < 128 / 8; i++, at += 8)
		machine_compound(m, at, 3, 0, 0xf5000000);
	/* The kernel's own. */
	for (; at < MACHINE_TILE_PAGES; at++)
		machine_tile_page(m, at, 0, UINT32_MAX, 1);
}

/* Roots of mem_section, the usage of each, and the vmemmap's page tables. */
static inline void machine_sections(struct machine *m)
{
	uint64_t nr = m->pages / MACHINE_SECTION_PAGES;
	uint64_t per_root = 4096 / 16;
	uint64_t nr_roots = (nr + per_root - 1) / per_root;
	uint64_t variable = machine_place(m, 8);
	/* As long as MAX_PHYSMEM_BITS asks for; most roots are absent. */
	uint64_t table = machine_place(m, PA_BIT(46 - 27) / per_root * 8);
	uint64_t sections = machine_place(m, nr_roots * 4096);
	uint64_t usages = machine_place(m, nr * MACHINE_USAGE_BYTES);
	uint64_t pgd = machine_place(m, 4096), pud = machine_place(m, 4096);
	uint64_t pmds = machine_place(m, (nr + 511) / 512 * 4096);

	machine_symbol(m, PA_SYM_mem_section, variable);
	machine_symbol(m, PA_SYM_init_top_pgt, pgd);
	machine_put(m->fixed + variable, MACHINE_IMAGE + table);
	for (uint64_t i = 0; i < nr_roots; i++)
		machine_put(m->fixed + table + i * 8,
			    MACHINE_IMAGE + sections + i * 4096);
	machine_put(m->fixed + pgd + (MACHINE_VMEMMAP >> 39 & 511) * 8,
		    pud | 1);
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t usage = usages + i * MACHINE_USAGE_BYTES;
		uint8_t *section = m->fixed + sections + i * 16;

		/* Present, with a memmap, online, early. */
		machine_put(section, MACHINE_VMEMMAP | 0xf);
		machine_put(section + 8, MACHINE_IMAGE + usage);
		machine_put(m->fixed + usage, UINT64_MAX);
		/* A nibble a pageblock: movable. */
		memset(m->fixed + usage + MACHINE_USAGE_BLOCKS, 0x11, 32);
		/* A section's struct pages fill a leaf of 2 MiB. */
		machine_put(m->fixed + pud + i / 512 * 8,
			    (pmds + i / 512 * 4096) | 1);
		machine_put(m->fixed + pmds + i * 8,
			    (MACHINE_MEMMAP_PHYS + i * PA_BIT(21)) | 0x81);
	}
}

static inline void machine_zones(struct machine *m)
{
	uint64_t node = machine_place(m, MACHINE_NODE_BYTES);
	uint64_t pointer = machine_place(m, 8);
	uint64_t masks = machine_place(m, 64);
	uint64_t name = machine_place(m, 8);
	uint64_t nr_tiles = m->pages / MACHINE_TILE_PAGES;
	uint8_t *numbers = m->fixed + node + MACHINE_NODE_NUMBERS;
	uint64_t zone = node + MACHINE_ZONE * MACHINE_ZONE_BYTES;
	uint8_t *bytes = m->fixed + zone;

	machine_symbol(m, PA_SYM_node_data, pointer);
	machine_symbol(m, PA_SYM_node_states, masks);
	machine_symbol(m, PA_SYM___cpu_possible_mask, masks);
	machine_symbol(m, PA_SYM___per_cpu_offset, masks + 32);
	machine_put(m->fixed + pointer, MACHINE_IMAGE + node);
	/* Node 0 is possible and online, so is CPU 0. */
	machine_put(m->fixed + masks, 1);
	machine_put(m->fixed + masks + 8, 1);
	memcpy(m->fixed + name, "Normal", 7);
	machine_put(numbers + 8, m->pages);
	machine_put(numbers + 16, m->pages);
	for (uint64_t at = 8; at <= 24; at += 8)
		machine_put(bytes + at, m->pages);
	machine_put(bytes + MACHINE_ZONE_NAME, MACHINE_IMAGE + name);
	machine_put(bytes + MACHINE_ZONE_STATS, nr_tiles << MACHINE_FREE_ORDER);
	for (uint64_t order = 0; order < MACHINE_NR_ORDERS; order++)
		for (uint64_t type = 0; type < MACHINE_AREA_TYPES; type++) {
			uint64_t at = MACHINE_ZONE_AREAS +
				      order * MACHINE_AREA_BYTES + type * 16;

			m->free_list = MACHINE_IMAGE + zone + at;
			machine_put(bytes + at, m->free_list);
			machine_put(bytes + at + 8, m->free_list);
		}
	/* The last list there is has all the free blocks. */
	machine_put(m->fixed + (m->free_list - MACHINE_IMAGE),
		    machine_page(0) + MACHINE_PAGE_LRU);
	machine_put(m->fixed + (m->free_list - MACHINE_IMAGE) + 8,
		    machine_page((nr_tiles - 1) * MACHINE_TILE_PAGES) +
			    MACHINE_PAGE_LRU);
	machine_put(bytes + MACHINE_ZONE_AREAS +
			    MACHINE_FREE_ORDER * MACHINE_AREA_BYTES +
			    16 * MACHINE_AREA_TYPES,
		    nr_tiles);
}

/*
 * A machine of @gib GiB: a source, to be ended by pa_source_destroy(). Exits
 * where there is no memory.
 */
static inline struct machine *machine_create(uint64_t gib)
{
	static const struct pa_source_ops ops = {
		.destroy = machine_destroy,
		.reader_create = machine_reader_create,
		.reader_destroy = machine_reader_destroy,
		.run = machine_run,
	};
	struct machine *m = calloc(1, sizeof(*m));
	uint64_t sections;

	if (!m)
		abort();
	m->base.ops = &ops;
	m->pages = gib << 18;
	m->broken_pfn = UINT64_MAX;
	sections = m->pages / MACHINE_SECTION_PAGES;
	m->fixed_bytes = PA_BIT(20) + sections * 128;
	m->fixed = calloc(m->fixed_bytes, 1);
	m->base.info.complete = true;
	m->base.info.dump_level = 0;
	m->base.info.vmcoreinfo = strdup("NUMBER(phys_base)=0\n"
					 "NUMBER(MAX_PHYSMEM_BITS)=46\n"
					 "NUMBER(SECTION_SIZE_BITS)=27\n");
	if (!m->fixed || !m->base.info.vmcoreinfo)
		abort();
	machine_layout(&m->layout);
	machine_sections(m);
	machine_zones(m);
	machine_fill_tile(m);
	return m;
}

#endif
