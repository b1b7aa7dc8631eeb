// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/memory_block.h"

#include <stdlib.h>

#include "kernel/xarray.h"

#define MAX_BLOCK_BYTES 4096

const char *const pa_block_state_names[PA_NR_BLOCK_STATES] = {
	[PA_BLOCK_ONLINE] = "online",
	[PA_BLOCK_GOING_OFFLINE] = "going-offline",
	[PA_BLOCK_OFFLINE] = "offline",
	[PA_BLOCK_GOING_ONLINE] = "going-online",
	[PA_BLOCK_CANCEL_ONLINE] = "cancel-online",
	[PA_BLOCK_CANCEL_OFFLINE] = "cancel-offline",
	[PA_BLOCK_UNKNOWN] = "unknown",
};

/* enum memory_block_state, or the flag macros that came before it. */
static enum pa_block_state decode_state(const struct pa_layout *layout,
					uint64_t raw)
{
	static const struct {
		enum pa_enumerator_id id;
		uint64_t flag;
		enum pa_block_state state;
	} rows[] = {
		{ PA_ENUM_MEM_ONLINE, 1, PA_BLOCK_ONLINE },
		{ PA_ENUM_MEM_GOING_OFFLINE, 2, PA_BLOCK_GOING_OFFLINE },
		{ PA_ENUM_MEM_OFFLINE, 4, PA_BLOCK_OFFLINE },
		{ PA_ENUM_MEM_GOING_ONLINE, 8, PA_BLOCK_GOING_ONLINE },
		{ PA_ENUM_MEM_CANCEL_ONLINE, 16, PA_BLOCK_CANCEL_ONLINE },
		{ PA_ENUM_MEM_CANCEL_OFFLINE, 32, PA_BLOCK_CANCEL_OFFLINE },
	};
	bool is_enum = PA_HAS_ENUM(layout, MEM_ONLINE);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pa_enumerator *e =
			&layout->enumerators[rows[i].id];

		if (is_enum ? e->known && (uint64_t)e->value == raw :
			      rows[i].flag == raw)
			return rows[i].state;
	}
	return PA_BLOCK_UNKNOWN;
}

struct block_walk {
	struct pa_memory *memory;
	const struct pa_layout *layout;
	struct pa_blocks *blocks;
	struct pa_error *err;
};

/* altmap is a pointer: its free pages are the block's own memmap (v6.7). */
static struct pa_error *read_vmemmap_pages(struct block_walk *walk,
					   const uint8_t *bytes,
					   struct pa_block *block)
{
	const struct pa_layout *layout = walk->layout;

	if (PA_HAS(layout, memory_block, nr_vmemmap_pages))
		block->vmemmap_pages =
			PA_GET(layout, bytes, memory_block, nr_vmemmap_pages);
	if (!PA_HAS(layout, memory_block, altmap))
		return NULL;

	uint64_t altmap = PA_GET(layout, bytes, memory_block, altmap);

	if (!altmap)
		return NULL;
	return pa_memory_read_u64(
		walk->memory, altmap + PA_OFFSETOF(layout, vmem_altmap, free),
		&block->vmemmap_pages);
}

static bool visit_block(void *arg, const struct pa_xarray_entry *entry)
{
	struct block_walk *walk = arg;
	const struct pa_layout *layout = walk->layout;
	uint8_t bytes[MAX_BLOCK_BYTES];
	struct pa_block block = { .id = entry->first, .address = entry->entry };
	struct pa_error *err = pa_memory_read(walk->memory, entry->entry,
					      PA_SIZEOF(layout, memory_block),
					      bytes);

	if (!err)
		err = read_vmemmap_pages(walk, bytes, &block);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		walk->blocks->unreadable++;
		return true;
	}
	if (err) {
		walk->err = err;
		return false;
	}
	block.start_section_nr =
		PA_GET(layout, bytes, memory_block, start_section_nr);
	block.raw_state = PA_GET(layout, bytes, memory_block, state);
	block.state = decode_state(layout, block.raw_state);
	if (walk->blocks->has_nr_hwpoison)
		block.nr_hwpoison =
			PA_GET(layout, bytes, memory_block, nr_hwpoison);
	if (!pa_array_append(&walk->blocks->list, block)) {
		walk->err = &pa_error_no_memory;
		return false;
	}
	return true;
}

struct pa_error *pa_blocks_init(struct pa_memory *memory,
				const struct pa_layout *layout,
				struct pa_blocks *ret)
{
	struct pa_blocks blocks = {
		.has_nr_hwpoison = PA_HAS(layout, memory_block, nr_hwpoison),
	};
	struct block_walk walk = { .memory = memory,
				   .layout = layout,
				   .blocks = &blocks };
	struct pa_xarray_result result;
	uint32_t per_block;

	if (!PA_HAS_SYM(layout, memory_blocks) ||
	    !PA_HAS_SYM(layout, sections_per_block) ||
	    !PA_HAS(layout, memory_block, state))
		return pa_error_create(PA_ERROR_MISSING,
				       "the kernel has no memory blocks "
				       "(CONFIG_MEMORY_HOTPLUG)");
	if (PA_SIZEOF(layout, memory_block) > MAX_BLOCK_BYTES)
		return pa_error_create(PA_ERROR_MISSING,
				       "struct memory_block is not usable");

	struct pa_error *err = pa_memory_read_u32(
		memory, PA_SYM(layout, sections_per_block), &per_block);

	if (!err && (!per_block || per_block > 65536))
		err = pa_error_create(PA_ERROR_CORRUPT,
				      "sections_per_block is %u", per_block);
	if (err)
		return err;
	blocks.sections_per_block = per_block;
	err = pa_xarray_walk(memory, layout, PA_SYM(layout, memory_blocks),
			     visit_block, &walk, &result);
	if (!err)
		err = walk.err;
	if (err) {
		pa_blocks_deinit(&blocks);
		return err;
	}
	blocks.unreadable += result.unreadable + result.corrupt;
	*ret = blocks;
	return NULL;
}

void pa_blocks_deinit(struct pa_blocks *blocks)
{
	pa_array_deinit(&blocks->list);
}

const struct pa_block *pa_block_find(const struct pa_blocks *blocks,
				     uint64_t section_nr)
{
	const struct pa_block *items = blocks->list.items;
	size_t nr = blocks->list.length;

	/* Blocks that could not be read have no size. */
	if (!nr)
		return NULL;

	uint64_t id = section_nr / blocks->sections_per_block;
	size_t low = pa_bisect(items, nr, it, it->id < id);

	return low < nr && items[low].id == id ? &items[low] : NULL;
}
