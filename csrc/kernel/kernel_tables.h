/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * init_mm's page tables, walked once: which pages they are, where the memory
 * map lies, and which physical memory is mapped elsewhere than in the direct
 * map (vmalloc, modules, per-cpu chunks, stacks).
 */
#ifndef PA_KERNEL_KERNEL_TABLES_H
#define PA_KERNEL_KERNEL_TABLES_H

#include "kernel/kernel.h"

/* [va, va + bytes) of kernel virtual memory is at @phys. */
struct pa_kernel_mapping {
	uint64_t phys, va, bytes;
	bool executable;
};

struct pa_kernel_tables {
	/* Physical memory of the tables and of the memmap: sorted, disjoint. */
	PA_ARRAY(struct pa_phys_range) tables;
	PA_ARRAY(struct pa_phys_range) memmap;
	/* By va, disjoint; neither direct map, memmap nor kernel image. */
	PA_ARRAY(struct pa_kernel_mapping) mappings;
	/* Indices of @mappings by phys. */
	PA_ARRAY(uint32_t) by_phys;
	/* Tables that could not be read. */
	uint64_t unread;
};

struct pa_error *pa_kernel_tables_init(const struct pa_kernel *kernel,
				       struct pa_memory *memory,
				       struct pa_kernel_tables *ret);
void pa_kernel_tables_deinit(struct pa_kernel_tables *tables);

/* Sorts ranges and makes one of those that touch; returns how many are left. */
size_t pa_phys_ranges_settle(struct pa_phys_range *ranges, size_t length);

/* The mapping that @va lies in, or a mapping of @phys; NULL if there is none. */
const struct pa_kernel_mapping *
pa_kernel_mapping_find(const struct pa_kernel_tables *tables, uint64_t va);
const struct pa_kernel_mapping *
pa_kernel_mapping_of(const struct pa_kernel_tables *tables, uint64_t phys);

#endif
