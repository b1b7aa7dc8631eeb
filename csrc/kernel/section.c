// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/section.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "source/vmcoreinfo.h"

/*
 * A bound on sections, so that a hostile table of roots cannot make us
 * allocate without end: 2^22 sections of 128 MiB are 512 TiB.
 */
#define MAX_SECTIONS PA_BIT(22)

/*
 * The flags were macros before commit ed7802dd48f7 made them an anonymous enum,
 * which v6.1 has; those macros were bits 0 to 3, and the taint bit 4 came with
 * commit 1f90a3477df3 in v5.12.
 */
static void section_bits(const struct pa_layout *layout,
			 struct pa_section_bits *ret)
{
	struct pa_section_bits bits = {
		.present = PA_BIT(0),
		.has_mem_map = PA_BIT(1),
		.online = PA_BIT(2),
		.early = PA_BIT(3),
		.map_mask = ~PA_MASK(4),
	};

	if (PA_HAS_ENUM(layout, SECTION_MARKED_PRESENT_BIT))
		bits.present = PA_BIT(
			PA_ENUM(layout, SECTION_MARKED_PRESENT_BIT) & 63);
	if (PA_HAS_ENUM(layout, SECTION_HAS_MEM_MAP_BIT))
		bits.has_mem_map =
			PA_BIT(PA_ENUM(layout, SECTION_HAS_MEM_MAP_BIT) & 63);
	if (PA_HAS_ENUM(layout, SECTION_IS_ONLINE_BIT))
		bits.online =
			PA_BIT(PA_ENUM(layout, SECTION_IS_ONLINE_BIT) & 63);
	if (PA_HAS_ENUM(layout, SECTION_IS_EARLY_BIT))
		bits.early = PA_BIT(PA_ENUM(layout, SECTION_IS_EARLY_BIT) & 63);
	/* The function and the macro for the bit came together. */
	if (PA_HAS_SYM(layout, pfn_to_online_page) &&
	    !PA_HAS_ENUM(layout, SECTION_MAP_LAST_BIT) &&
	    PA_HAS_ENUM(layout, ZONE_DEVICE)) {
		bits.taint_zone_device = PA_BIT(4);
		bits.map_mask = ~PA_MASK(5);
	}
	if (PA_HAS_ENUM(layout, SECTION_TAINT_ZONE_DEVICE_BIT))
		bits.taint_zone_device = PA_BIT(
			PA_ENUM(layout, SECTION_TAINT_ZONE_DEVICE_BIT) & 63);
	if (PA_HAS_ENUM(layout, SECTION_MAP_LAST_BIT))
		bits.map_mask =
			~PA_MASK(PA_ENUM(layout, SECTION_MAP_LAST_BIT) & 63);
	*ret = bits;
}

static struct pa_error *append_section(struct pa_sections *sections,
				       const struct pa_layout *layout,
				       uint64_t nr, const uint8_t *bytes)
{
	uint64_t word = PA_GET(layout, bytes, mem_section, section_mem_map);
	uint64_t usage = PA_GET(layout, bytes, mem_section, usage);

	if (!word && !usage)
		return NULL;
	if (sections->list.length >= MAX_SECTIONS)
		return pa_error_create(
			PA_ERROR_CORRUPT,
			"more than %" PRIu64
			" memory sections: the table of sections "
			"is damaged",
			MAX_SECTIONS);

	const struct pa_section_bits *bits = &sections->bits;
	struct pa_section section = {
		.nr = nr,
		.word = word,
		.usage = usage,
		.present = word & bits->present,
		.has_mem_map = word & bits->has_mem_map,
		.online = word & bits->online,
		.early = word & bits->early,
		.taint_zone_device = word & bits->taint_zone_device,
	};

	if (PA_HAS(layout, mem_section, page_ext))
		section.page_ext = PA_GET(layout, bytes, mem_section, page_ext);

	return pa_array_append(&sections->list, section) ? NULL :
							   &pa_error_no_memory;
}

/* One root: a page of mem_sections (SECTIONS_PER_ROOT). */
static struct pa_error *read_root(struct pa_memory *memory,
				  const struct pa_layout *layout,
				  struct pa_sections *sections, uint64_t root,
				  uint64_t address, uint64_t per_root,
				  uint64_t highest)
{
	uint64_t size = PA_SIZEOF(layout, mem_section);
	pa_auto_free uint8_t *bytes = malloc(per_root * size);

	if (!bytes)
		return &pa_error_no_memory;

	struct pa_error *err =
		pa_memory_read(memory, address, per_root * size, bytes);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		sections->unreadable_roots++;
		return NULL;
	}
	for (uint64_t i = 0; !err && i < per_root; i++) {
		uint64_t nr = root * per_root + i;

		if (nr > highest)
			break;
		err = append_section(sections, layout, nr, bytes + i * size);
	}
	return err;
}

/* mem_section: with SPARSEMEM_EXTREME a pointer to a table of roots. */
static struct pa_error *read_sections(struct pa_memory *memory,
				      const struct pa_layout *layout,
				      const char *vmcoreinfo,
				      struct pa_sections *sections)
{
	const struct pa_address_space *space = memory->space;
	uint64_t page_bytes = PA_BIT(space->page_shift);
	uint64_t size = PA_SIZEOF(layout, mem_section);
	uint64_t nr_sections =
		PA_BIT(space->max_physmem_bits - space->section_size_bits);
	uint64_t per_root = page_bytes / size;
	uint64_t nr_roots = (nr_sections + per_root - 1) / per_root;
	uint64_t highest = nr_sections - 1;
	uint64_t table;
	struct pa_error *err =
		pa_memory_read_u64(memory, PA_SYM(layout, mem_section), &table);
	int64_t length;

	if (err)
		return err;
	if (pa_vmcoreinfo_number(vmcoreinfo, "LENGTH(mem_section)", &length) &&
	    length > 0)
		nr_roots = pa_min(nr_roots, (uint64_t)length);
	if (PA_HAS_SYM(layout, __highest_present_section_nr)) {
		uint64_t value;

		err = pa_memory_read_u64(
			memory, PA_SYM(layout, __highest_present_section_nr),
			&value);
		if (err)
			return err;
		highest = pa_min(highest, value);
		nr_roots = pa_min(nr_roots, highest / per_root + 1);
	}
	for (uint64_t root = 0; root < nr_roots; root++) {
		uint64_t address;

		err = pa_memory_read_u64(memory, table + root * 8, &address);
		if (err)
			return err;
		if (!address)
			continue;
		err = read_root(memory, layout, sections, root, address,
				per_root, highest);
		if (err)
			return err;
	}
	return NULL;
}

/* Subsection maps and pageblock flags of all sections. */
static struct pa_error *read_usages(struct pa_memory *memory,
				    const struct pa_layout *layout,
				    struct pa_sections *sections)
{
	uint64_t words = sections->subsection_words;
	uint64_t block_bytes = sections->pageblock_bytes;
	uint64_t blocks_at =
		PA_OFFSETOF(layout, mem_section_usage, pageblock_flags);
	uint64_t map_at =
		PA_OFFSETOF(layout, mem_section_usage, subsection_map);
	size_t n = sections->list.length;

	sections->subsection_store = calloc(n * words + 1, sizeof(uint64_t));
	sections->pageblock_store = calloc(n * block_bytes + 1, 1);
	if (!sections->subsection_store || !sections->pageblock_store)
		return &pa_error_no_memory;
	for (size_t i = 0; i < n; i++) {
		struct pa_section *section = &sections->list.items[i];
		uint64_t *map = sections->subsection_store + i * words;
		uint8_t *blocks = sections->pageblock_store + i * block_bytes;

		section->subsections = map;
		if (!section->usage)
			continue;

		struct pa_error *err = pa_memory_read(
			memory, section->usage + map_at, words * 8, map);

		if (!err)
			err = pa_memory_read(memory, section->usage + blocks_at,
					     block_bytes, blocks);
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			continue;
		}
		if (err)
			return err;
		section->usage_read = true;
		section->pageblocks = blocks;
	}
	return NULL;
}

static struct pa_error *index_sections(struct pa_sections *sections)
{
	size_t n = sections->list.length;
	uint64_t last = sections->list.items[n - 1].nr;

	sections->index_length = last + 1;
	sections->index = calloc(sections->index_length, sizeof(uint32_t));
	if (!sections->index)
		return &pa_error_no_memory;
	for (size_t i = 0; i < n; i++)
		sections->index[sections->list.items[i].nr] = (uint32_t)(i + 1);
	return NULL;
}

/* Pages of a pageblock: 2 MiB on x86_64 (pageblock_order 9). */
static uint64_t pageblock_flag_bytes(const struct pa_layout *layout,
				     const struct pa_sections *sections)
{
	/*
	 * NR_PAGEBLOCK_BITS is rounded up to a power of two. It is 4 without
	 * a separate isolate bit, 8 with (commit e904bce2d9d4, v6.18).
	 */
	uint64_t bits = PA_HAS_ENUM(layout, PB_migrate_isolate) ? 8 : 4;

	return sections->pages / sections->subsection_pages * bits / 8;
}

struct pa_error *pa_sections_init(struct pa_memory *memory,
				  const struct pa_layout *layout,
				  const char *vmcoreinfo,
				  struct pa_sections *ret)
{
	const struct pa_address_space *space = memory->space;
	struct pa_sections sections = { 0 };
	uint64_t size = PA_SIZEOF(layout, mem_section);

	if (!size || size > PA_BIT(space->page_shift))
		return pa_error_create(PA_ERROR_CORRUPT,
				       "struct mem_section of %" PRIu64
				       " bytes: wrong type information",
				       size);
	section_bits(layout, &sections.bits);
	sections.pages_shift = space->section_size_bits - space->page_shift;
	sections.pages = PA_BIT(sections.pages_shift);
	sections.subsection_pages =
		PA_BIT(PA_SUBSECTION_SHIFT - space->page_shift);
	sections.subsection_words =
		(sections.pages / sections.subsection_pages + 63) / 64;
	sections.pageblock_bytes = pageblock_flag_bytes(layout, &sections);

	struct pa_error *err =
		read_sections(memory, layout, vmcoreinfo, &sections);

	if (!err && !sections.list.length)
		err = pa_error_create(
			PA_ERROR_CORRUPT,
			"no memory section could be read: wrong debug "
			"information for this dump, or a damaged dump");
	if (!err)
		err = read_usages(memory, layout, &sections);
	if (!err)
		err = index_sections(&sections);
	if (err) {
		pa_sections_deinit(&sections);
		return err;
	}
	*ret = sections;
	return NULL;
}

void pa_sections_deinit(struct pa_sections *sections)
{
	pa_array_deinit(&sections->list);
	free(sections->index);
	free(sections->subsection_store);
	free(sections->pageblock_store);
}
