// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The swap cache: mm/swap_state.c. Every slot of a swap device that has its
 * contents in memory names the folio, and holds one reference for its page.
 * Up to v6.17 these are xarrays of 64 MiB of the device each (swapper_spaces),
 * since then tables of a cluster each (mm/swap_table.h). Their entries are
 * folios' addresses first, beside counts in swap_map; then pfns, with the count
 * in the same word.
 */
#include <stdlib.h>

#include "census/holders.h"
#include "census/page_cache.h"
#include "kernel/mapping.h"

/* MAX_SWAPFILES is less. */
#define MAX_DEVICES 32
/* Of 16 TiB of swap on one device. */
#define MAX_SPACES PA_BIT(18)
#define MAX_CLUSTERS PA_BIT(23)
#define MAX_CLUSTER_SLOTS 512

/* mm/swap_table.h: SWP_TB_PFN_MARK, and SWP_TB_FLAGS_MASK on x86-64. */
#define SHADOW_MARK 1
#define PFN_MARK 2
#define PFN_MARK_MASK 3
#define PFN_SHIFT 2
#define FLAGS_MASK (UINT64_C(0x1f) << 59)

/* One item of work: a struct address_space, or a table and its first slot. */
struct part {
	uint64_t address;
	uint64_t first;
	/* The table's device (swap_info_struct). */
	uint64_t device;
};

struct swap_cache {
	PA_ARRAY(struct part) parts;
};

static bool add(struct swap_cache *cache, uint64_t address, uint64_t first,
		uint64_t device)
{
	struct part part = {
		.address = address,
		.first = first,
		.device = device,
	};

	return pa_array_append(&cache->parts, part);
}

static struct pa_error *find_spaces(struct pa_holder_walk *walk,
				    struct swap_cache *cache, uint32_t type)
{
	const struct pa_layout *layout = walk->layout;
	uint32_t size = PA_SIZEOF(layout, address_space);
	uint64_t spaces;
	uint32_t nr;
	struct pa_error *err = pa_memory_read_u64(
		walk->memory, PA_SYM(layout, swapper_spaces) + type * 8,
		&spaces);

	if (!err)
		err = pa_memory_read_u32(
			walk->memory,
			PA_SYM(layout, nr_swapper_spaces) + type * 4, &nr);
	if (!err && spaces && nr > MAX_SPACES)
		err = pa_error_create(PA_ERROR_CORRUPT,
				      "swap device %u has %u swapper spaces",
				      type, nr);
	for (uint32_t i = 0; !err && spaces && i < nr; i++)
		if (!add(cache, spaces + (uint64_t)i * size, 0, 0))
			err = &pa_error_no_memory;
	return err;
}

static struct pa_error *find_tables(struct pa_holder_walk *walk,
				    struct swap_cache *cache, uint32_t type)
{
	const struct pa_layout *layout = walk->layout;
	uint64_t slots = PA_M(layout, swap_table, entries)->length;
	uint32_t size = PA_SIZEOF(layout, swap_cluster_info);
	uint64_t device, clusters;
	uint32_t max;
	struct pa_error *err = pa_memory_read_u64(
		walk->memory, PA_SYM(layout, swap_info) + type * 8, &device);

	if (!err)
		err = pa_memory_read_u64(walk->memory,
					 device + PA_OFFSETOF(layout,
							      swap_info_struct,
							      cluster_info),
					 &clusters);
	if (!err)
		err = pa_memory_read_u32(
			walk->memory,
			device + PA_OFFSETOF(layout, swap_info_struct, max),
			&max);
	/* A device that was turned off. */
	if (err || !clusters)
		return err;
	for (uint64_t i = 0; i < MAX_CLUSTERS && i * slots < max; i++) {
		uint64_t table = 0;

		err = pa_memory_read_u64(
			walk->memory,
			clusters + i * size +
				PA_OFFSETOF(layout, swap_cluster_info, table),
			&table);
		err = pa_holder_unread(walk, err);
		if (!err && table && !add(cache, table, i * slots, device))
			err = &pa_error_no_memory;
		if (err)
			return err;
	}
	return NULL;
}

static bool has_tables(const struct pa_layout *layout)
{
	return PA_HAS(layout, swap_cluster_info, table) &&
	       PA_HAS(layout, swap_table, entries);
}

static struct pa_error *check_layout(const struct pa_layout *layout)
{
	uint32_t slots = PA_M(layout, swap_table, entries)->length;

	if (!has_tables(layout)) {
		if (PA_HAS_SYM(layout, swapper_spaces) &&
		    PA_HAS_SYM(layout, nr_swapper_spaces))
			return pa_mapping_check(layout);
	} else if (PA_HAS_SYM(layout, swap_info) &&
		   PA_HAS(layout, swap_info_struct, max) &&
		   PA_HAS(layout, swap_info_struct, cluster_info) && slots &&
		   slots <= MAX_CLUSTER_SLOTS) {
		return NULL;
	}
	return pa_error_create(PA_ERROR_MISSING,
			       "the swap cache has a form that is not known");
}

struct pa_error *pa_swap_cache_prepare(struct pa_holder_walk *walk,
				       void **state_ret, uint64_t *nr_ret)
{
	const struct pa_layout *layout = walk->layout;
	uint32_t nr_devices;
	struct swap_cache *cache;
	struct pa_error *err;

	/* CONFIG_SWAP is not set. */
	if (!PA_HAS_SYM(layout, nr_swapfiles))
		return NULL;
	err = check_layout(layout);
	if (!err)
		err = pa_memory_read_u32(walk->memory,
					 PA_SYM(layout, nr_swapfiles),
					 &nr_devices);
	if (!err && nr_devices > MAX_DEVICES)
		err = pa_error_create(PA_ERROR_CORRUPT, "nr_swapfiles is %u",
				      nr_devices);
	if (err)
		return err;
	cache = calloc(1, sizeof(*cache));
	if (!cache)
		return &pa_error_no_memory;
	*state_ret = cache;
	for (uint32_t i = 0; !err && i < nr_devices; i++)
		err = pa_holder_unread(
			walk, has_tables(layout) ? find_tables(walk, cache, i) :
						   find_spaces(walk, cache, i));
	*nr_ret = cache->parts.length;
	return err;
}

static struct pa_error *walk_table(struct pa_holder_walk *walk,
				   const struct part *part)
{
	uint32_t nr = PA_M(walk->layout, swap_table, entries)->length;
	bool pointers = PA_HAS(walk->layout, swap_info_struct, swap_map);
	uint64_t entries[MAX_CLUSTER_SLOTS];
	struct pa_error *err = pa_memory_read(walk->memory, part->address,
					      (uint64_t)nr * 8, entries);

	if (err)
		return err;
	for (uint32_t i = 0; i < nr; i++) {
		struct pa_reference ref = {
			.holder = walk->holder,
			.kind = PA_REF_GET,
			.count = 1,
			.pfn = (entries[i] & ~FLAGS_MASK) >> PFN_SHIFT,
			.slot = part->address + i * 8,
			.owner = part->device,
			.index = part->first + i,
		};

		/* Shadows of what was swapped out have bit 0 set. */
		if ((entries[i] & PFN_MARK_MASK) == PFN_MARK ?
			    !pa_refer(walk, &ref) :
			    pointers && entries[i] &&
				    !(entries[i] & SHADOW_MARK) &&
				    !pa_refer_page(walk, entries[i], &ref))
			break;
	}
	return NULL;
}

struct pa_error *pa_swap_cache_item(struct pa_holder_walk *walk, uint64_t index)
{
	const struct swap_cache *cache = walk->state;
	const struct part *part = &cache->parts.items[index];
	struct pa_cached_mapping counted = { .address = part->address };

	if (part->device)
		return walk_table(walk, part);
	return pa_page_cache_walk(walk, part->address, false, &counted);
}

void pa_swap_cache_destroy(void *state)
{
	struct swap_cache *cache = state;

	pa_array_deinit(&cache->parts);
	free(cache);
}
