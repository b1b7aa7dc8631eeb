// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/pgmap.h"

#include <stdlib.h>

#include "base/map.h"
#include "kernel/xarray.h"

const char *const pa_pgmap_type_names[PA_NR_PGMAP_TYPES] = {
	[PA_PGMAP_PRIVATE] = "private", [PA_PGMAP_COHERENT] = "coherent",
	[PA_PGMAP_FS_DAX] = "fsdax",	[PA_PGMAP_GENERIC] = "generic",
	[PA_PGMAP_P2PDMA] = "p2pdma",	[PA_PGMAP_UNKNOWN] = "unknown",
};

/* A macro on all kernels. */
#define PGMAP_ALTMAP_VALID 1

#define MAX_PGMAP_BYTES 1024

struct pgmap_walk {
	struct pa_memory *memory;
	const struct pa_layout *layout;
	struct pa_pgmaps *pgmaps;
	/* None where they could not be found. */
	struct pa_cpus cpus;
	/* Indices in pgmaps->maps. */
	struct pa_map by_address;
	struct pa_error *err;
};

static enum pa_pgmap_type decode_type(const struct pa_layout *layout,
				      uint64_t type)
{
	static const struct {
		enum pa_enumerator_id id;
		enum pa_pgmap_type type;
	} rows[] = {
		{ PA_ENUM_MEMORY_DEVICE_PRIVATE, PA_PGMAP_PRIVATE },
		{ PA_ENUM_MEMORY_DEVICE_COHERENT, PA_PGMAP_COHERENT },
		{ PA_ENUM_MEMORY_DEVICE_FS_DAX, PA_PGMAP_FS_DAX },
		{ PA_ENUM_MEMORY_DEVICE_GENERIC, PA_PGMAP_GENERIC },
		{ PA_ENUM_MEMORY_DEVICE_PCI_P2PDMA, PA_PGMAP_P2PDMA },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pa_enumerator *e =
			&layout->enumerators[rows[i].id];

		if (e->known && (uint64_t)e->value == type)
			return rows[i].type;
	}
	return PA_PGMAP_UNKNOWN;
}

/* Embedded, or (v5.10) a pointer that a driver may lend. */
static struct pa_error *read_ref(struct pgmap_walk *walk, const uint8_t *bytes,
				 struct pa_pgmap *map)
{
	const struct pa_layout *layout = walk->layout;
	const struct pa_member *ref = PA_M(layout, dev_pagemap, ref);
	uint64_t address = map->address + ref->offset;
	struct pa_error *err;

	if (!ref->known || !pa_percpu_ref_known(layout))
		return NULL;
	if (ref->size == 8)
		address = PA_GET(layout, bytes, dev_pagemap, ref);
	err = pa_percpu_ref_read(walk->memory, layout, &walk->cpus, address,
				 &map->ref);
	if (err)
		return err;
	map->dead = map->ref.dead;
	map->dead_known = true;
	return NULL;
}

static void read_altmap(const struct pa_layout *layout, const uint8_t *bytes,
			struct pa_pgmap *map)
{
	const uint8_t *altmap =
		bytes + PA_OFFSETOF(layout, dev_pagemap, altmap);

	map->has_altmap = map->flags & PGMAP_ALTMAP_VALID;
	if (!map->has_altmap)
		return;
	map->altmap_base_pfn = PA_GET(layout, altmap, vmem_altmap, base_pfn);
	map->altmap_end_pfn = PA_GET(layout, altmap, vmem_altmap, end_pfn);
	map->altmap_reserve = PA_GET(layout, altmap, vmem_altmap, reserve);
	map->altmap_free = PA_GET(layout, altmap, vmem_altmap, free);
	map->altmap_align = PA_GET(layout, altmap, vmem_altmap, align);
	map->altmap_alloc = PA_GET(layout, altmap, vmem_altmap, alloc);
}

static struct pa_error *read_map(struct pgmap_walk *walk, uint64_t address,
				 uint32_t *index_ret)
{
	const struct pa_layout *layout = walk->layout;
	struct pa_pgmaps *pgmaps = walk->pgmaps;
	uint8_t bytes[MAX_PGMAP_BYTES];
	uint64_t index;

	if (pa_map_get(&walk->by_address, address, &index)) {
		*index_ret = (uint32_t)index;
		return NULL;
	}

	struct pa_error *err = pa_memory_read(
		walk->memory, address, PA_SIZEOF(layout, dev_pagemap), bytes);

	if (err)
		return err;

	struct pa_pgmap map = {
		.address = address,
		.type = decode_type(layout,
				    PA_GET(layout, bytes, dev_pagemap, type)),
		.flags = PA_GET(layout, bytes, dev_pagemap, flags),
		.nr_range = 1,
	};

	if (PA_HAS(layout, dev_pagemap, nr_range))
		map.nr_range = PA_GET(layout, bytes, dev_pagemap, nr_range);
	if (PA_HAS(layout, dev_pagemap, vmemmap_shift))
		map.vmemmap_shift =
			PA_GET(layout, bytes, dev_pagemap, vmemmap_shift);
	read_altmap(layout, bytes, &map);
	err = read_ref(walk, bytes, &map);
	if (err)
		return err;
	if (!pa_map_set(&walk->by_address, address, pgmaps->maps.length) ||
	    !pa_array_append(&pgmaps->maps, map))
		return &pa_error_no_memory;
	*index_ret = (uint32_t)(pgmaps->maps.length - 1);
	return NULL;
}

/* Which of the pgmap's ranges[] it is; struct range's end is inclusive. */
static struct pa_error *match_range(struct pgmap_walk *walk,
				    const struct pa_pgmap *map,
				    struct pa_pgmap_range *range)
{
	const struct pa_layout *layout = walk->layout;
	unsigned int shift = walk->memory->space->page_shift;
	uint64_t at = map->address + PA_OFFSETOF(layout, dev_pagemap, range);

	range->data_pfn = range->pfn;
	for (uint64_t i = 0; i < map->nr_range && i < 64; i++) {
		uint64_t bounds[2];
		struct pa_error *err = pa_memory_read(walk->memory,
						      at + i * sizeof(bounds),
						      sizeof(bounds), bounds);

		if (err)
			return err;
		if (bounds[0] >> shift != range->pfn)
			continue;
		range->in_ranges = (bounds[1] + 1) >> shift == range->pfn_end;
		range->is_first = !i;
		/* pfn_first() of mm/memremap.c. */
		if (!i && map->has_altmap) {
			uint64_t first = range->pfn + map->altmap_reserve +
					 map->altmap_free;

			if (first >= range->pfn && first <= range->pfn_end)
				range->data_pfn = first;
		}
		break;
	}
	return NULL;
}

static bool visit_range(void *arg, const struct pa_xarray_entry *entry)
{
	struct pgmap_walk *walk = arg;
	struct pa_pgmaps *pgmaps = walk->pgmaps;
	struct pa_pgmap_range *previous =
		pgmaps->ranges.length ?
			&pgmaps->ranges.items[pgmaps->ranges.length - 1] :
			NULL;
	struct pa_pgmap_range range = {
		.pfn = entry->first,
		.pfn_end = entry->last + 1,
	};
	struct pa_error *err = read_map(walk, entry->entry, &range.map);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		pgmaps->unreadable++;
		return true;
	}
	/* xa_store_range() splits a range into entries of several orders. */
	if (!err && previous && previous->map == range.map &&
	    previous->pfn_end == entry->first) {
		previous->pfn_end = entry->last + 1;
		return true;
	}
	if (!err && !pa_array_append(&pgmaps->ranges, range))
		err = &pa_error_no_memory;
	walk->err = err;
	return !err;
}

/* What the target lacks is left out. */
static struct pa_error *or_nothing(struct pa_error *err)
{
	if (!pa_error_is_target(err) && (!err || err->code != PA_ERROR_MISSING))
		return err;
	pa_error_destroy(err);
	return NULL;
}

/* A driver claims what is behind its info block at least: the last page. */
static struct pa_error *name_device(struct pgmap_walk *walk,
				    const struct pa_pgmap_range *range)
{
	struct pa_pgmap *map = &walk->pgmaps->maps.items[range->map];
	struct pa_error *err = NULL;

	if (!*map->device)
		err = or_nothing(pa_resource_name(
			walk->memory, walk->layout,
			(range->pfn_end - 1) << walk->memory->space->page_shift,
			map->device));
	if (!err && !*map->disk && map->type == PA_PGMAP_FS_DAX)
		err = or_nothing(pa_pmem_disk_name(walk->memory, walk->layout,
						   map->address, map->disk));
	return err;
}

/* What is read of members of members lies in the pgmap, too. */
static bool is_usable(const struct pa_layout *layout)
{
	const struct pa_member *altmap = PA_M(layout, dev_pagemap, altmap);
	const struct pa_member *ref = PA_M(layout, dev_pagemap, ref);

	return PA_SIZEOF(layout, dev_pagemap) <= MAX_PGMAP_BYTES &&
	       altmap->size == PA_SIZEOF(layout, vmem_altmap) &&
	       (!ref->known || ref->size == 8 ||
		ref->size == PA_SIZEOF(layout, percpu_ref));
}

struct pa_error *pa_pgmaps_init(struct pa_memory *memory,
				const struct pa_layout *layout,
				struct pa_pgmaps *ret)
{
	struct pa_pgmaps pgmaps = { 0 };
	struct pgmap_walk walk = { .memory = memory,
				   .layout = layout,
				   .pgmaps = &pgmaps };
	struct pa_xarray_result result = { 0 };

	if (!PA_HAS_SYM(layout, pgmap_array) ||
	    !PA_HAS(layout, dev_pagemap, type))
		return pa_error_create(PA_ERROR_MISSING,
				       "the kernel has no device memory maps "
				       "(CONFIG_ZONE_DEVICE)");
	if (!is_usable(layout))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct dev_pagemap is not usable");

	struct pa_error *err =
		or_nothing(pa_cpus_init(memory, layout, &walk.cpus));

	if (!err)
		err = pa_xarray_walk(memory, layout,
				     PA_SYM(layout, pgmap_array), visit_range,
				     &walk, &result);
	if (!err)
		err = walk.err;
	for (size_t i = 0; !err && i < pgmaps.ranges.length; i++) {
		struct pa_pgmap_range *range = &pgmaps.ranges.items[i];

		err = match_range(&walk, &pgmaps.maps.items[range->map], range);
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			err = NULL;
			pgmaps.unreadable++;
		}
	}
	for (size_t i = 0; !err && i < pgmaps.ranges.length; i++)
		err = name_device(&walk, &pgmaps.ranges.items[i]);
	pa_cpus_deinit(&walk.cpus);
	pa_map_deinit(&walk.by_address);
	if (err) {
		pa_pgmaps_deinit(&pgmaps);
		return err;
	}
	pgmaps.unreadable += result.unreadable + result.corrupt;
	*ret = pgmaps;
	return NULL;
}

void pa_pgmaps_deinit(struct pa_pgmaps *pgmaps)
{
	pa_array_deinit(&pgmaps->maps);
	pa_array_deinit(&pgmaps->ranges);
}

const struct pa_pgmap_range *pa_pgmap_range_at(const struct pa_pgmaps *pgmaps,
					       uint64_t pfn)
{
	size_t low = pa_bisect(pgmaps->ranges.items, pgmaps->ranges.length, it,
			       it->pfn_end <= pfn);

	return low < pgmaps->ranges.length ? &pgmaps->ranges.items[low] : NULL;
}

/* pgmap->ref is a pointer until v5.18, the percpu_ref itself since. */
bool pa_pgmap_puts_pages(const struct pa_layout *layout)
{
	return PA_M(layout, dev_pagemap, ref)->size == sizeof(uint64_t);
}

uint32_t pa_pgmap_idle_refcount(const struct pa_layout *layout,
				const struct pa_pgmaps *pgmaps,
				const struct pa_pgmap_range *range,
				uint64_t pfn)
{
	const struct pa_pgmap *map = &pgmaps->maps.items[range->map];

	if (pa_pgmap_puts_pages(layout))
		return !map->dead || pfn >= range->put_end;
	switch (map->type) {
	case PA_PGMAP_PRIVATE:
	case PA_PGMAP_COHERENT:
		return 0;
	case PA_PGMAP_FS_DAX:
	case PA_PGMAP_P2PDMA:
		return !PA_HAS(layout, folio, share);
	default:
		return 1;
	}
}
