/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory blocks, the unit of memory hotplug: drivers/base/memory.c. */
#ifndef PA_KERNEL_MEMORY_BLOCK_H
#define PA_KERNEL_MEMORY_BLOCK_H

#include "base/array.h"
#include "kernel/memory.h"

enum pa_block_state {
	PA_BLOCK_ONLINE,
	PA_BLOCK_GOING_OFFLINE,
	PA_BLOCK_OFFLINE,
	PA_BLOCK_GOING_ONLINE,
	PA_BLOCK_CANCEL_ONLINE,
	PA_BLOCK_CANCEL_OFFLINE,
	PA_BLOCK_UNKNOWN,
	PA_NR_BLOCK_STATES,
};

extern const char *const pa_block_state_names[PA_NR_BLOCK_STATES];

struct pa_block {
	/* memoryN of sysfs. */
	uint64_t id;
	/* Virtual address of the struct memory_block. */
	uint64_t address;
	uint64_t start_section_nr;
	enum pa_block_state state;
	/* state as stored. */
	uint64_t raw_state;
	/* Poisoned pages; 0 where the kernel does not count by block. */
	uint64_t nr_hwpoison;
	/* memmap_on_memory: pages at its start that hold its memmap. */
	uint64_t vmemmap_pages;
};

struct pa_blocks {
	uint64_t sections_per_block;
	bool has_nr_hwpoison;
	/* By rising id. */
	PA_ARRAY(struct pa_block) list;
	/* Blocks or nodes of the xarray that could not be read. */
	uint64_t unreadable;
};

struct pa_error *pa_blocks_init(struct pa_memory *memory,
				const struct pa_layout *layout,
				struct pa_blocks *ret);
void pa_blocks_deinit(struct pa_blocks *blocks);

/* The block of a section; NULL if there is none. Borrowed. */
const struct pa_block *pa_block_find(const struct pa_blocks *blocks,
				     uint64_t section_nr);

#endif
