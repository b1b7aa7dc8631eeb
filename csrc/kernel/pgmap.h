/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Device memory maps: include/linux/memremap.h, mm/memremap.c. */
#ifndef PA_KERNEL_PGMAP_H
#define PA_KERNEL_PGMAP_H

#include "base/array.h"
#include "kernel/memory.h"
#include "kernel/percpu_ref.h"
#include "kernel/pmem.h"
#include "kernel/resource.h"

enum pa_pgmap_type {
	PA_PGMAP_PRIVATE,
	PA_PGMAP_COHERENT,
	PA_PGMAP_FS_DAX,
	PA_PGMAP_GENERIC,
	PA_PGMAP_P2PDMA,
	PA_PGMAP_UNKNOWN,
	PA_NR_PGMAP_TYPES,
};

extern const char *const pa_pgmap_type_names[PA_NR_PGMAP_TYPES];

struct pa_pgmap {
	/* Virtual address of the struct dev_pagemap. */
	uint64_t address;
	/* The device whose memory it is, as /proc/iomem has it; or empty. */
	char device[PA_RESOURCE_NAME_MAX];
	/* The block device over it ("pmem0"); empty if there is none. */
	char disk[PA_DISK_NAME_MAX];
	enum pa_pgmap_type type;
	uint64_t flags;
	uint64_t nr_range;
	uint64_t vmemmap_shift;
	/* What holds it; until v5.17 a driver may lend one of its own. */
	struct pa_percpu_ref ref;
	/* The percpu_ref says that it is being torn down. */
	bool dead;
	bool dead_known;
	/* PGMAP_ALTMAP_VALID; pfns and pages. */
	bool has_altmap;
	uint64_t altmap_base_pfn, altmap_end_pfn, altmap_reserve, altmap_free,
		altmap_align, altmap_alloc;
};

/* One entry of pgmap_array. */
struct pa_pgmap_range {
	uint64_t pfn, pfn_end;
	/* First pfn of data: before it lie reserve and altmap. */
	uint64_t data_pfn;
	/*
	 * Of a dead pgmap: memunmap_pages() has put the pages before this pfn
	 * (until v5.17 it puts each of them).
	 */
	uint64_t put_end;
	/* Index in struct pa_pgmaps.maps. */
	uint32_t map;
	/* pgmap_array's own bounds for it are ranges[] of the pgmap. */
	bool in_ranges;
	/* It is the pgmap's range[0], where an altmap lies. */
	bool is_first;
};

struct pa_pgmaps {
	PA_ARRAY(struct pa_pgmap) maps;
	/* By rising pfn, disjoint. */
	PA_ARRAY(struct pa_pgmap_range) ranges;
	uint64_t unreadable;
};

struct pa_error *pa_pgmaps_init(struct pa_memory *memory,
				const struct pa_layout *layout,
				struct pa_pgmaps *ret);
void pa_pgmaps_deinit(struct pa_pgmaps *pgmaps);

/* Whether memunmap_pages() puts each page, and waits until all are gone. */
bool pa_pgmap_puts_pages(const struct pa_layout *layout);

/*
 * _refcount of a page of @range that nobody uses: 1 for each type before v5.18
 * (commit 27674ef6c73f), 0 once memunmap_pages() has put it; then 0 for
 * PRIVATE and COHERENT, and since v6.15 (folio.share) for FS_DAX and P2PDMA.
 */
uint32_t pa_pgmap_idle_refcount(const struct pa_layout *layout,
				const struct pa_pgmaps *pgmaps,
				const struct pa_pgmap_range *range,
				uint64_t pfn);

/* The range that holds @pfn, or else the next one after it, or NULL. */
const struct pa_pgmap_range *pa_pgmap_range_at(const struct pa_pgmaps *pgmaps,
					       uint64_t pfn);

#endif
