// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages of vmalloc areas: those of vmalloc() itself have the reference that
 * they were allocated with; those that vmap() maps are somebody else's.
 *
 * Device mappings, per-cpu chunks and vm_map_ram() have no array of pages.
 */
#include <stdlib.h>

#include "census/holders.h"
#include "kernel/list.h"
#include "kernel/page_array.h"

/* include/linux/vmalloc.h; macros in all kernels. */
#define VM_ALLOC 0x2
#define VM_MAP 0x4
#define VM_UNINITIALIZED 0x20
#define VM_MAP_PUT_PAGES 0x200

/* Far more than all of vmalloc's address space holds in practice. */
#define MAX_AREAS (UINT64_C(1) << 24)
#define MAX_NODES 1024
/* Areas of an item of work. */
#define ITEM_AREAS 256

struct areas {
	/* Addresses of struct vm_struct. */
	PA_ARRAY(uint64_t) list;
};

struct finding {
	struct pa_holder_walk *walk;
	struct areas *areas;
	struct pa_error *err;
};

static bool visit_area(void *arg, uint64_t node)
{
	struct finding *finding = arg;
	struct pa_holder_walk *walk = finding->walk;
	const struct pa_layout *layout = walk->layout;
	uint64_t vm;
	struct pa_error *err =
		pa_memory_read_u64(walk->memory,
				   node - PA_OFFSETOF(layout, vmap_area, list) +
					   PA_OFFSETOF(layout, vmap_area, vm),
				   &vm);

	if (!err && pa_is_kernel_address(vm) &&
	    !pa_array_append(&finding->areas->list, vm))
		err = &pa_error_no_memory;
	finding->err = pa_holder_unread(walk, err);
	return !finding->err;
}

static struct pa_error *find_on_list(struct finding *finding, uint64_t head)
{
	struct pa_holder_walk *walk = finding->walk;
	struct pa_list_result result;
	struct pa_error *err = pa_list_walk(walk->memory, head, MAX_AREAS,
					    visit_area, finding, &result);

	if (!err)
		err = finding->err;
	if (!err && result.end != PA_LIST_WHOLE)
		walk->unreadable++;
	return err;
}

static struct pa_error *find_areas(struct finding *finding)
{
	struct pa_holder_walk *walk = finding->walk;
	const struct pa_layout *layout = walk->layout;
	uint64_t nodes;
	uint32_t nr;
	struct pa_error *err;

	if (PA_HAS_SYM(layout, vmap_area_list))
		return find_on_list(finding, PA_SYM(layout, vmap_area_list));
	/* Spread over nodes since v6.9. */
	err = pa_memory_read_u64(walk->memory, PA_SYM(layout, vmap_nodes),
				 &nodes);
	if (!err)
		err = pa_memory_read_u32(walk->memory,
					 PA_SYM(layout, nr_vmap_nodes), &nr);
	for (uint32_t i = 0; !err && i < pa_min(nr, MAX_NODES); i++)
		err = find_on_list(
			finding,
			nodes + (uint64_t)i * PA_SIZEOF(layout, vmap_node) +
				PA_OFFSETOF(layout, vmap_node, busy__head));
	return err;
}

void pa_vmalloc_destroy(void *state)
{
	struct areas *areas = state;

	pa_array_deinit(&areas->list);
	free(areas);
}

struct pa_error *pa_vmalloc_prepare(struct pa_holder_walk *walk,
				    void **state_ret, uint64_t *nr_ret)
{
	const struct pa_layout *layout = walk->layout;
	struct finding finding = { .walk = walk };
	struct pa_error *err;

	if (!PA_HAS(layout, vm_struct, flags) ||
	    !PA_HAS(layout, vmap_area, list) ||
	    !PA_HAS(layout, vmap_area, vm) ||
	    (!PA_HAS_SYM(layout, vmap_area_list) &&
	     !(PA_HAS_SYM(layout, vmap_nodes) &&
	       PA_HAS_SYM(layout, nr_vmap_nodes) &&
	       PA_HAS(layout, vmap_node, busy__head))))
		return pa_error_create(PA_ERROR_MISSING,
				       "no types or symbols of vmalloc areas");
	finding.areas = calloc(1, sizeof(*finding.areas));
	if (!finding.areas)
		return &pa_error_no_memory;
	err = find_areas(&finding);
	if (err) {
		pa_vmalloc_destroy(finding.areas);
		return err;
	}
	*state_ret = finding.areas;
	*nr_ret = (finding.areas->list.length + ITEM_AREAS - 1) / ITEM_AREAS;
	return NULL;
}

struct item {
	struct pa_holder_walk *walk;
	uint64_t vm;
	enum pa_reference_kind kind;
};

static bool visit_page(void *arg, uint64_t index, uint64_t slot, uint64_t page)
{
	struct item *item = arg;
	struct pa_reference ref = {
		.holder = PA_HOLDER_VMALLOC,
		.kind = item->kind,
		.count = 1,
		.slot = slot,
		.owner = item->vm,
		.index = index,
	};
	uint64_t pfn;

	/* Huge areas of v5.15 to v5.17 are compound pages, with one reference. */
	if (pa_page_to_pfn(item->walk->kernel, page, &pfn)) {
		const uint8_t *class = pa_census_class(item->walk->census, pfn);

		if (class && (*class & PA_CLASS_MASK) == PA_CLASS_TAIL)
			ref.kind = PA_REF_LINK;
	}
	return pa_refer_page(item->walk, page, &ref);
}

static struct pa_error *walk_area(struct pa_holder_walk *walk, uint64_t vm)
{
	const struct pa_layout *layout = walk->layout;
	struct item item = { walk, vm, PA_REF_LINK };
	uint8_t bytes[256];
	uint32_t size = PA_SIZEOF(layout, vm_struct);
	struct pa_error *err =
		size <= sizeof(bytes) ?
			pa_memory_read(walk->memory, vm, size, bytes) :
			pa_error_create(PA_ERROR_MISSING,
					"struct vm_struct is too large");

	if (err)
		return err;

	uint64_t flags = PA_GET(layout, bytes, vm_struct, flags);
	uint64_t pages = PA_GET(layout, bytes, vm_struct, pages);
	uint64_t nr = PA_GET(layout, bytes, vm_struct, nr_pages);

	if (flags & VM_UNINITIALIZED || !(flags & (VM_ALLOC | VM_MAP)) ||
	    !pages)
		return NULL;
	if (flags & (VM_ALLOC | VM_MAP_PUT_PAGES))
		item.kind = PA_REF_GET;
	err = pa_page_array_visit(walk->memory, pages, nr, visit_page, &item);
	return err ? err : walk->err;
}

struct pa_error *pa_vmalloc_item(struct pa_holder_walk *walk, uint64_t index)
{
	const struct areas *areas = walk->state;
	size_t end = pa_min((index + 1) * ITEM_AREAS, areas->list.length);

	for (size_t i = index * ITEM_AREAS; i < end; i++) {
		struct pa_error *err = pa_holder_unread(
			walk, walk_area(walk, areas->list.items[i]));

		if (err)
			return err;
	}
	return NULL;
}
