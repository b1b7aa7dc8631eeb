// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/zone.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "source/vmcoreinfo.h"

#define MAX_NODES 1024
/* HUGETLB_PAGE_ORDER of x86_64, or MAX_PAGE_ORDER if that is less: never. */
#define PAGEBLOCK_ORDER 9
/* A hostile length must not make us allocate without end. */
#define MAX_STRUCT_BYTES PA_BIT(24)

/*
 * Adds one CPU's deltas to counters: signed bytes in struct per_cpu_zonestat
 * (before v5.14: per_cpu_pageset) and per_cpu_nodestat.
 */
static struct pa_error *add_deltas(struct pa_memory *memory, uint64_t address,
				   const struct pa_member *deltas,
				   int64_t *stats, uint32_t nr_stats,
				   bool *exact)
{
	int8_t diff[PA_MAX_NODE_STATS];
	uint32_t n = deltas->length < nr_stats ? deltas->length : nr_stats;
	struct pa_error *err =
		pa_memory_read(memory, address + deltas->offset, n, diff);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		*exact = false;
		return NULL;
	}
	if (err)
		return err;
	/* May be any numbers: sums wrap. */
	for (uint32_t i = 0; i < n; i++)
		stats[i] = (int64_t)((uint64_t)stats[i] + (uint64_t)diff[i]);
	return NULL;
}

/* An array of atomic_long_t counters plus each CPU's deltas. */
static struct pa_error *read_stats(struct pa_memory *memory,
				   const struct pa_cpus *cpus,
				   const struct pa_member *counters,
				   const struct pa_member *deltas,
				   const uint8_t *bytes, uint64_t percpu,
				   int64_t *stats, uint32_t max, bool *exact)
{
	uint32_t n = counters->length < max ? counters->length : max;
	struct pa_error *err = NULL;

	for (uint32_t i = 0; i < n; i++)
		stats[i] = (int64_t)pa_load_u64(bytes + counters->offset +
						(uint64_t)i * 8);
	*exact = counters->known && deltas->known;
	/* Before the per-cpu allocator is up, all share one boot area. */
	if (!percpu)
		return NULL;
	for (size_t i = 0; !err && i < cpus->list.length; i++)
		err = add_deltas(memory, cpus->list.items[i].offset + percpu,
				 deltas, stats, n, exact);
	return err;
}

static struct pa_error *
read_zone(struct pa_memory *memory, const struct pa_layout *layout,
	  const struct pa_cpus *cpus, const struct pa_zones *zones,
	  const uint8_t *bytes, uint32_t index, struct pa_zone *zone)
{
	const struct pa_member *area = PA_M(layout, zone, free_area);
	const struct pa_member *deltas;
	uint64_t percpu;

	zone->index = index;
	zone->start_pfn = PA_GET(layout, bytes, zone, zone_start_pfn);
	zone->spanned = PA_GET(layout, bytes, zone, spanned_pages);
	zone->present = PA_GET(layout, bytes, zone, present_pages);
	zone->managed = PA_GET(layout, bytes, zone, managed_pages);
	if (PA_HAS(layout, zone, nr_isolate_pageblock))
		zone->nr_isolate_pageblock =
			PA_GET(layout, bytes, zone, nr_isolate_pageblock);
	for (uint32_t i = 0; i < zones->nr_orders; i++)
		zone->nr_free[i] =
			pa_load_u64(bytes + area->offset +
				    (uint64_t)i * area->element_size +
				    PA_OFFSETOF(layout, free_area, nr_free));
	/* The first word of any spinlock: not 0 while held. */
	zone->locked = PA_HAS(layout, zone, lock) &&
		       pa_load_u32(bytes + PA_OFFSETOF(layout, zone, lock));
	zone->compact_cached_free_pfn = PA_NO_PFN;
	zone->compact_cached_migrate_pfn[0] = PA_NO_PFN;
	zone->compact_cached_migrate_pfn[1] = PA_NO_PFN;
	if (PA_HAS(layout, zone, compact_cached_free_pfn))
		zone->compact_cached_free_pfn =
			PA_GET(layout, bytes, zone, compact_cached_free_pfn);
	if (PA_HAS(layout, zone, compact_cached_migrate_pfn)) {
		const struct pa_member *m =
			PA_M(layout, zone, compact_cached_migrate_pfn);

		for (uint32_t i = 0; i < m->length && i < 2; i++)
			zone->compact_cached_migrate_pfn[i] =
				pa_load_u64(bytes + m->offset + i * 8);
	}
	/* v5.14 split per_cpu_pageset in two (commit 28f836b6777b). */
	if (PA_HAS(layout, zone, per_cpu_pageset)) {
		zone->pcp = PA_GET(layout, bytes, zone, per_cpu_pageset);
		percpu = PA_GET(layout, bytes, zone, per_cpu_zonestats);
		deltas = PA_M(layout, per_cpu_zonestat, vm_stat_diff);
	} else {
		zone->pcp = PA_GET(layout, bytes, zone, pageset);
		percpu = zone->pcp;
		deltas = PA_M(layout, per_cpu_pageset, vm_stat_diff);
	}

	struct pa_error *err = read_stats(
		memory, cpus, PA_M(layout, zone, vm_stat), deltas, bytes,
		percpu, zone->stats, PA_MAX_ZONE_STATS, &zone->stats_exact);

	if (err)
		return err;

	uint64_t name = PA_GET(layout, bytes, zone, name);

	err = pa_memory_read_string(memory, name, zone->name,
				    sizeof(zone->name));
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		err = NULL;
		zone->name[0] = '\0';
	}
	pa_text_make_printable(zone->name);
	return err;
}

static struct pa_error *read_node(struct pa_memory *memory,
				  const struct pa_layout *layout,
				  const struct pa_cpus *cpus,
				  struct pa_zones *zones, uint32_t id,
				  uint64_t address)
{
	uint64_t size = PA_SIZEOF(layout, pglist_data);
	const struct pa_member *nodes = PA_M(layout, pglist_data, node_zones);

	pa_auto_free uint8_t *bytes = malloc(size);

	if (!bytes)
		return &pa_error_no_memory;

	struct pa_error *err = pa_memory_read(memory, address, size, bytes);

	if (err)
		return err;

	struct pa_node node = {
		.address = address,
		.id = id,
		.start_pfn = PA_GET(layout, bytes, pglist_data, node_start_pfn),
		.spanned =
			PA_GET(layout, bytes, pglist_data, node_spanned_pages),
		.present =
			PA_GET(layout, bytes, pglist_data, node_present_pages),
	};

	err = read_stats(memory, cpus, PA_M(layout, pglist_data, vm_stat),
			 PA_M(layout, per_cpu_nodestat, vm_node_stat_diff),
			 bytes,
			 PA_GET(layout, bytes, pglist_data, per_cpu_nodestats),
			 node.stats, PA_MAX_NODE_STATS, &node.stats_exact);
	if (err)
		return err;
	if (!pa_array_append(&zones->nodes, node))
		return &pa_error_no_memory;
	for (uint32_t i = 0; i < nodes->length; i++) {
		uint64_t at = nodes->offset + (uint64_t)i * nodes->element_size;
		struct pa_zone zone = { .address = address + at, .node = id };

		err = read_zone(memory, layout, cpus, zones, bytes + at, i,
				&zone);
		if (err)
			return err;
		if ((zone.spanned || zone.present) &&
		    !pa_array_append(&zones->list, zone))
			return &pa_error_no_memory;
	}
	return NULL;
}

static bool is_array_of(const struct pa_member *member, uint64_t size)
{
	return !member->known || member->element_size == size;
}

/*
 * Members lie inside of their own types, which the layout sees to; that what
 * they are arrays of is that large is up to us.
 */
static struct pa_error *check_layout(const struct pa_layout *layout)
{
	const struct pa_member *nodes = PA_M(layout, pglist_data, node_zones);
	const struct pa_member *areas = PA_M(layout, zone, free_area);
	const struct pa_member *lists = PA_M(layout, free_area, free_list);

	if (!PA_SIZEOF(layout, pglist_data) ||
	    PA_SIZEOF(layout, pglist_data) > MAX_STRUCT_BYTES ||
	    !nodes->length || !is_array_of(nodes, PA_SIZEOF(layout, zone)) ||
	    !is_array_of(PA_M(layout, pglist_data, vm_stat), 8))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct pglist_data is not usable");
	if (!is_array_of(PA_M(layout, zone, vm_stat), 8) ||
	    !is_array_of(PA_M(layout, zone, compact_cached_migrate_pfn), 8) ||
	    (PA_HAS(layout, zone, lock) &&
	     PA_M(layout, zone, lock)->size < sizeof(uint32_t)))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct zone is not usable");
	/* Pageblocks of PAGEBLOCK_ORDER pages are no larger than MAX_ORDER. */
	if (areas->length <= PAGEBLOCK_ORDER || areas->length > PA_MAX_ORDERS ||
	    !is_array_of(areas, PA_SIZEOF(layout, free_area)) ||
	    PA_M(layout, free_area, nr_free)->size != 8 || !lists->length ||
	    lists->length > PA_MAX_MIGRATE_TYPES)
		return pa_error_create(PA_ERROR_MISSING,
				       "struct free_area is not usable");
	return NULL;
}

/* node_states[N_ONLINE] and node_data[], or contig_page_data. */
static struct pa_error *read_nodes(struct pa_memory *memory,
				   const struct pa_layout *layout,
				   const struct pa_cpus *cpus,
				   struct pa_zones *zones, uint64_t nr_nodes)
{
	uint64_t online[MAX_NODES / 64] = { 0 };
	uint64_t mask_bytes = PA_SIZEOF(layout, nodemask_t);
	struct pa_error *err;

	if (!PA_HAS_SYM(layout, node_data)) {
		if (!PA_HAS_SYM(layout, contig_page_data))
			return pa_error_create(PA_ERROR_MISSING,
					       "no symbol node_data");
		return read_node(memory, layout, cpus, zones, 0,
				 PA_SYM(layout, contig_page_data));
	}
	if (!mask_bytes || mask_bytes > sizeof(online) ||
	    !PA_HAS_SYM(layout, node_states) || !PA_HAS_ENUM(layout, N_ONLINE))
		return pa_error_create(PA_ERROR_MISSING,
				       "no symbol node_states");
	err = pa_memory_read(memory,
			     PA_SYM(layout, node_states) +
				     (uint64_t)PA_ENUM(layout, N_ONLINE) *
					     mask_bytes,
			     mask_bytes, online);
	for (uint32_t id = 0; !err && id < mask_bytes * 8 && id < nr_nodes;
	     id++) {
		uint64_t address;

		if (!pa_test_bit(online, id))
			continue;
		err = pa_memory_read_u64(
			memory, PA_SYM(layout, node_data) + (uint64_t)id * 8,
			&address);
		if (!err)
			err = read_node(memory, layout, cpus, zones, id,
					address);
	}
	return err;
}

struct pa_error *pa_zones_init(struct pa_memory *memory,
			       const struct pa_layout *layout,
			       const char *vmcoreinfo,
			       const struct pa_cpus *cpus, struct pa_zones *ret)
{
	const struct pa_member *areas = PA_M(layout, zone, free_area);
	const struct pa_member *lists = PA_M(layout, free_area, free_list);
	struct pa_zones zones = {
		.nr_orders = areas->length,
		.nr_migrate_types = lists->length,
		.migrate_isolate = -1,
		.pageblock_isolate_bit = -1,
		.pageblock_bits = 4,
		.pageblock_order = PAGEBLOCK_ORDER,
	};
	int64_t nr_nodes = MAX_NODES;
	struct pa_error *err = check_layout(layout);

	if (err)
		return err;
	if (PA_HAS_ENUM(layout, MIGRATE_ISOLATE))
		zones.migrate_isolate = (int)PA_ENUM(layout, MIGRATE_ISOLATE);
	if (PA_HAS_ENUM(layout, PB_migrate_isolate)) {
		zones.pageblock_isolate_bit =
			(int)PA_ENUM(layout, PB_migrate_isolate) & 7;
		zones.pageblock_bits = 8;
	}
	pa_vmcoreinfo_number(vmcoreinfo, "LENGTH(node_data)", &nr_nodes);

	err = read_nodes(memory, layout, cpus, &zones,
			 nr_nodes > 0 ? (uint64_t)nr_nodes : MAX_NODES);
	if (!err && !zones.list.length)
		err = pa_error_create(PA_ERROR_CORRUPT, "no zone has memory");
	if (err) {
		pa_zones_deinit(&zones);
		return err;
	}
	*ret = zones;
	return NULL;
}

void pa_zones_deinit(struct pa_zones *zones)
{
	pa_array_deinit(&zones->nodes);
	pa_array_deinit(&zones->list);
}

const struct pa_zone *pa_zone_find(const struct pa_zones *zones, uint32_t node,
				   uint32_t index)
{
	for (size_t i = 0; i < zones->list.length; i++) {
		const struct pa_zone *zone = &zones->list.items[i];

		if (zone->node == node && zone->index == index)
			return zone;
	}
	return NULL;
}

const struct pa_zone *pa_zone_at(const struct pa_zones *zones, uint64_t address)
{
	pa_array_for_each(zone, &zones->list)
		if (zone->address == address)
			return zone;
	return NULL;
}

bool pa_zones_span(const struct pa_zones *zones, uint64_t pfn)
{
	for (size_t i = 0; i < zones->list.length; i++)
		if (pa_zone_spans(&zones->list.items[i], pfn))
			return true;
	return false;
}

bool pa_zone_free_pages(const struct pa_layout *layout,
			const struct pa_zone *zone, int64_t *ret)
{
	int64_t item = PA_ENUM(layout, NR_FREE_PAGES);

	if (!PA_HAS_ENUM(layout, NR_FREE_PAGES) || item < 0 ||
	    item >= PA_MAX_ZONE_STATS)
		return false;
	*ret = zone->stats[item];
	return true;
}

uint64_t pa_zone_free_list(const struct pa_layout *layout,
			   const struct pa_zone *zone, uint32_t order,
			   uint32_t type)
{
	const struct pa_member *areas = PA_M(layout, zone, free_area);
	const struct pa_member *lists = PA_M(layout, free_area, free_list);

	return zone->address + areas->offset +
	       (uint64_t)order * areas->element_size + lists->offset +
	       (uint64_t)type * lists->element_size;
}
