/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sections and subsections of the sparse memory model: mm/sparse.c,
 * include/linux/mmzone.h.
 */
#ifndef PA_KERNEL_SECTION_H
#define PA_KERNEL_SECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "base/bits.h"
#include "kernel/memory.h"

/* Subsections are 2 MiB on every architecture (SUBSECTION_SHIFT). */
#define PA_SUBSECTION_SHIFT 21

struct pa_section {
	uint64_t nr;
	/* section_mem_map as it is. */
	uint64_t word;
	/* Virtual address of struct mem_section_usage, or 0. */
	uint64_t usage;
	/* mem_section.page_ext as it is: see kernel/page_ext.h. */
	uint64_t page_ext;
	/* False if @usage is set but could not be read. */
	bool usage_read;
	bool present;
	bool has_mem_map;
	bool online;
	bool early;
	bool taint_zone_device;
	/* One bit a subsection; borrowed from struct pa_sections. */
	const uint64_t *subsections;
	/* Bytes of pageblock_flags; borrowed, NULL if not read. */
	const uint8_t *pageblocks;
};

/* Bits of section_mem_map, as this kernel has them. */
struct pa_section_bits {
	uint64_t present, has_mem_map, online, early;
	/* 0 if the kernel has no such bit. */
	uint64_t taint_zone_device;
	uint64_t map_mask;
};

struct pa_sections {
	struct pa_section_bits bits;
	unsigned int pages_shift; /* log2 of pages in a section */
	uint64_t pages; /* pages in a section */
	uint64_t subsection_pages;
	uint64_t subsection_words;
	uint64_t pageblock_bytes;
	/* Non-empty sections (any bit or a usage map), by rising nr. */
	PA_ARRAY(struct pa_section) list;
	/* List index + 1 by section nr; 0 = none. */
	uint32_t *index;
	uint64_t index_length;
	/* Section roots that the table has but that could not be read. */
	uint64_t unreadable_roots;
	/* Backing of subsections and pageblocks. */
	uint64_t *subsection_store;
	uint8_t *pageblock_store;
};

struct pa_error *pa_sections_init(struct pa_memory *memory,
				  const struct pa_layout *layout,
				  const char *vmcoreinfo,
				  struct pa_sections *ret);
void pa_sections_deinit(struct pa_sections *sections);

/* __pfn_to_section(): NULL if there is none. Borrowed. */
static inline const struct pa_section *
pa_pfn_to_section(const struct pa_sections *sections, uint64_t pfn)
{
	uint64_t nr = pfn >> sections->pages_shift;

	if (nr >= sections->index_length || !sections->index[nr])
		return NULL;
	return &sections->list.items[sections->index[nr] - 1];
}

/* pfn_section_valid(): the subsection of @pfn is memory. */
static inline bool pa_pfn_section_valid(const struct pa_sections *sections,
					const struct pa_section *section,
					uint64_t pfn)
{
	uint64_t inside = pfn & (sections->pages - 1);

	return section->usage &&
	       pa_test_bit(section->subsections,
			   inside / sections->subsection_pages);
}

/* pfn_valid() */
static inline bool pa_pfn_valid(const struct pa_sections *sections,
				uint64_t pfn)
{
	const struct pa_section *section = pa_pfn_to_section(sections, pfn);

	return section && section->has_mem_map &&
	       (section->early || pa_pfn_section_valid(sections, section, pfn));
}

#endif
