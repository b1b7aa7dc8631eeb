/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes and zones: include/linux/mmzone.h, mm/vmstat.c. */
#ifndef PA_KERNEL_ZONE_H
#define PA_KERNEL_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "kernel/memory.h"
#include "kernel/percpu.h"

/* NR_PAGE_ORDERS is 11 by default; arm64 goes to 14. */
#define PA_MAX_ORDERS 16
#define PA_MAX_MIGRATE_TYPES 8
#define PA_MAX_ZONE_STATS 32
#define PA_MAX_NODE_STATS 128

struct pa_zone {
	/* Virtual address of the struct zone. */
	uint64_t address;
	uint32_t node;
	/* enum zone_type. */
	uint32_t index;
	char name[16];
	uint64_t start_pfn;
	/* In pages. */
	uint64_t spanned, present, managed;
	/* In pageblocks. */
	uint64_t nr_isolate_pageblock;
	uint64_t nr_free[PA_MAX_ORDERS];
	/* zone_stat_item counters, per-cpu deltas included; in each's unit. */
	int64_t stats[PA_MAX_ZONE_STATS];
	/* False if a per-cpu delta could not be read: @stats are estimates. */
	bool stats_exact;
	/* zone->lock was held when the machine stopped. */
	bool locked;
	/* zone->pageset or per_cpu_pageset: a per-cpu pointer. */
	uint64_t pcp;
	/* Scanner hints; PA_NO_PFN where the kernel has none. */
	uint64_t compact_cached_free_pfn;
	uint64_t compact_cached_migrate_pfn[2];
};

#define PA_NO_PFN UINT64_MAX

struct pa_node {
	/* Virtual address of the pg_data_t. */
	uint64_t address;
	uint32_t id;
	uint64_t start_pfn, spanned, present;
	int64_t stats[PA_MAX_NODE_STATS];
	bool stats_exact;
};

struct pa_zones {
	/* Online nodes, by rising id. */
	PA_ARRAY(struct pa_node) nodes;
	/* All their zones that span anything, by node and index. */
	PA_ARRAY(struct pa_zone) list;
	uint32_t nr_orders;
	uint32_t nr_migrate_types;
	/* enum migratetype's numbers, -1 where the kernel has none. */
	int migrate_isolate;
	/* Pageblocks carry a separate isolate bit (v6.18), else -1. */
	int pageblock_isolate_bit;
	unsigned int pageblock_bits;
	unsigned int pageblock_order;
};

struct pa_error *pa_zones_init(struct pa_memory *memory,
			       const struct pa_layout *layout,
			       const char *vmcoreinfo,
			       const struct pa_cpus *cpus,
			       struct pa_zones *ret);
void pa_zones_deinit(struct pa_zones *zones);

/* NULL if there is no such zone. Borrowed. */
const struct pa_zone *pa_zone_find(const struct pa_zones *zones, uint32_t node,
				   uint32_t index);

/* The one whose struct zone is at that virtual address; NULL: none is. */
const struct pa_zone *pa_zone_at(const struct pa_zones *zones,
				 uint64_t address);

/* zone_spans_pfn() */
static inline bool pa_zone_spans(const struct pa_zone *zone, uint64_t pfn)
{
	return pfn - zone->start_pfn < zone->spanned;
}

/* Some zone spans @pfn. */
bool pa_zones_span(const struct pa_zones *zones, uint64_t pfn);

/* The zone's NR_FREE_PAGES; false if the kernel's types don't tell it. */
bool pa_zone_free_pages(const struct pa_layout *layout,
			const struct pa_zone *zone, int64_t *ret);

/* Address of zone->free_area[order].free_list[type]. */
uint64_t pa_zone_free_list(const struct pa_layout *layout,
			   const struct pa_zone *zone, uint32_t order,
			   uint32_t type);

#endif
