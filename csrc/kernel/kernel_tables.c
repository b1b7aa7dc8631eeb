// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/kernel_tables.h"

/* No kernel maps more leaves than this outside of its direct map. */
#define MAX_MAPPINGS PA_BIT(26)

struct collector {
	const struct pa_kernel *kernel;
	struct pa_kernel_tables *tables;
	uint64_t memmap_start, memmap_end;
	struct pa_error *err;
};

static bool add_range(struct collector *c, bool memmap, uint64_t phys,
		      uint64_t bytes)
{
	struct pa_phys_range range = { phys, phys + bytes };
	bool ok = memmap ? pa_array_append(&c->tables->memmap, range) :
			   pa_array_append(&c->tables->tables, range);

	if (!ok)
		c->err = &pa_error_no_memory;
	return ok;
}

static bool visit_table(void *arg, unsigned int level, uint64_t phys,
			uint64_t va, uint64_t bytes)
{
	struct collector *c = arg;
	const struct pa_address_space *space = &c->kernel->space;

	if (!add_range(c, false, phys, PA_TABLE_BYTES))
		return false;
	/* The pages of the direct map are known without its entries. */
	return level || va < space->direct_start ||
	       va + bytes > space->direct_end;
}

/* Leaves come by rising va: the last one may go on. */
static bool add_mapping(struct collector *c, struct pa_kernel_mapping mapping)
{
	struct pa_kernel_tables *tables = c->tables;
	struct pa_kernel_mapping *last =
		tables->mappings.length ?
			&tables->mappings.items[tables->mappings.length - 1] :
			NULL;

	if (last && last->va + last->bytes == mapping.va &&
	    last->phys + last->bytes == mapping.phys &&
	    last->executable == mapping.executable) {
		last->bytes += mapping.bytes;
		return true;
	}
	if (tables->mappings.length >= MAX_MAPPINGS) {
		c->err = pa_error_at(PA_ERROR_CORRUPT, mapping.va,
				     "the kernel's page tables have no end");
		return false;
	}
	if (!pa_array_append(&tables->mappings, mapping)) {
		c->err = &pa_error_no_memory;
		return false;
	}
	return true;
}

static bool visit_leaf(void *arg, uint64_t va, uint64_t phys, uint64_t bytes,
		       bool executable)
{
	struct collector *c = arg;
	const struct pa_address_space *space = &c->kernel->space;

	if (va >= c->memmap_start && va < c->memmap_end)
		return add_range(c, true, phys, bytes);
	if (c->err || (va >= space->direct_start && va < space->direct_end) ||
	    (va >= space->image_start && va < space->image_end))
		return !c->err;
	return add_mapping(c, (struct pa_kernel_mapping){
				      .phys = phys,
				      .va = va,
				      .bytes = bytes,
				      .executable = executable,
			      });
}

static int compare_ranges(const void *a, const void *b)
{
	const struct pa_phys_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

size_t pa_phys_ranges_settle(struct pa_phys_range *ranges, size_t length)
{
	size_t n = 0;

	if (length)
		qsort(ranges, length, sizeof(*ranges), compare_ranges);
	for (size_t i = 0; i < length; i++) {
		if (n && ranges[i].start <= ranges[n - 1].end)
			ranges[n - 1].end =
				pa_max(ranges[n - 1].end, ranges[i].end);
		else
			ranges[n++] = ranges[i];
	}
	return n;
}

static int compare_phys(const void *a, const void *b, void *arg)
{
	const struct pa_kernel_mapping *mappings = arg;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;

	if (mappings[i].phys != mappings[j].phys)
		return mappings[i].phys < mappings[j].phys ? -1 : 1;
	return i < j ? -1 : i > j;
}

static struct pa_error *sort_mappings(struct pa_kernel_tables *tables)
{
	for (size_t i = 0; i < tables->mappings.length; i++)
		if (!pa_array_append(&tables->by_phys, (uint32_t)i))
			return &pa_error_no_memory;
	if (tables->by_phys.length)
		qsort_r(tables->by_phys.items, tables->by_phys.length,
			sizeof(*tables->by_phys.items), compare_phys,
			tables->mappings.items);
	return NULL;
}

struct pa_error *pa_kernel_tables_init(const struct pa_kernel *kernel,
				       struct pa_memory *memory,
				       struct pa_kernel_tables *ret)
{
	struct pa_kernel_tables tables = {};
	uint64_t pages = PA_BIT(kernel->space.max_physmem_bits -
				kernel->space.page_shift);
	struct collector c = {
		.kernel = kernel,
		.tables = &tables,
		.memmap_start = kernel->space.vmemmap_start,
		.memmap_end = pa_pfn_to_page(kernel, pages),
	};
	const struct pa_table_visitor visitor = {
		.table = visit_table,
		.leaf = visit_leaf,
		.arg = &c,
	};
	struct pa_error *err =
		kernel->arch->walk(memory, &visitor, &tables.unread);

	if (!err)
		err = c.err;
	else
		pa_error_destroy(c.err);
	if (!err)
		err = sort_mappings(&tables);
	if (err) {
		pa_kernel_tables_deinit(&tables);
		return err;
	}
	tables.tables.length = pa_phys_ranges_settle(tables.tables.items,
						     tables.tables.length);
	tables.memmap.length = pa_phys_ranges_settle(tables.memmap.items,
						     tables.memmap.length);
	*ret = tables;
	return NULL;
}

void pa_kernel_tables_deinit(struct pa_kernel_tables *tables)
{
	pa_array_deinit(&tables->tables);
	pa_array_deinit(&tables->memmap);
	pa_array_deinit(&tables->mappings);
	pa_array_deinit(&tables->by_phys);
}

const struct pa_kernel_mapping *
pa_kernel_mapping_find(const struct pa_kernel_tables *tables, uint64_t va)
{
	const struct pa_kernel_mapping *items = tables->mappings.items;
	/* The first that starts above. */
	size_t low =
		pa_bisect(items, tables->mappings.length, it, it->va <= va);

	return low && va - items[low - 1].va < items[low - 1].bytes ?
		       &items[low - 1] :
		       NULL;
}

/* More than any memory is mapped over by larger leaves. */
#define MAX_OVERLAPS 64

const struct pa_kernel_mapping *
pa_kernel_mapping_of(const struct pa_kernel_tables *tables, uint64_t phys)
{
	const struct pa_kernel_mapping *items = tables->mappings.items;
	const uint32_t *order = tables->by_phys.items;
	size_t low = pa_bisect(order, tables->by_phys.length, it,
			       items[*it].phys <= phys);

	/* One that starts lower may be longer than those between. */
	for (size_t i = low; i > 0 && low - i < MAX_OVERLAPS; i--) {
		const struct pa_kernel_mapping *mapping = &items[order[i - 1]];

		if (phys - mapping->phys < mapping->bytes)
			return mapping;
	}
	return NULL;
}
