// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/vma.h"

#include "kernel/maple_tree.h"

/* No vm_area_struct is larger. */
#define MAX_VMA_BYTES 512

struct walk {
	const struct pa_kernel *kernel;
	struct pa_memory *memory;
	struct pa_vmas *vmas;
	/* vm_next of the one that was read last. */
	uint64_t next;
	struct pa_error *err;
};

/*
 * Reads the vm_area_struct at @address; false if that failed, or if it does
 * not come behind those that are known.
 */
static bool add(struct walk *walk, uint64_t address)
{
	const struct pa_layout *layout = walk->kernel->layout;
	const struct pa_vmas *vmas = walk->vmas;
	uint8_t bytes[MAX_VMA_BYTES];
	struct pa_vma vma = { .address = address };
	uint64_t behind = vmas->list.length ?
				  vmas->list.items[vmas->list.length - 1].end :
				  0;

	walk->err = pa_memory_read(walk->memory, address,
				   PA_SIZEOF(layout, vm_area_struct), bytes);
	if (pa_error_is_target(walk->err)) {
		pa_error_destroy(walk->err);
		walk->err = NULL;
		return false;
	}
	if (walk->err)
		return false;
	vma.start = PA_GET(layout, bytes, vm_area_struct, vm_start);
	vma.end = PA_GET(layout, bytes, vm_area_struct, vm_end);
	vma.flags = PA_GET(layout, bytes, vm_area_struct, vm_flags);
	vma.file = PA_GET(layout, bytes, vm_area_struct, vm_file);
	vma.anon_vma = PA_GET(layout, bytes, vm_area_struct, anon_vma);
	vma.pgoff = PA_GET(layout, bytes, vm_area_struct, vm_pgoff);
	if (PA_HAS(layout, vm_area_struct, vm_next))
		walk->next = PA_GET(layout, bytes, vm_area_struct, vm_next);
	/* Rising addresses: no list has a cycle. */
	if (vma.start < behind || vma.end <= vma.start)
		return false;
	if (!pa_array_append(&walk->vmas->list, vma))
		walk->err = &pa_error_no_memory;
	return !walk->err;
}

static bool visit_entry(void *arg, uint64_t first, uint64_t last,
			uint64_t entry)
{
	struct walk *walk = arg;

	(void)first;
	(void)last;
	if (!add(walk, entry) && !walk->err)
		walk->vmas->unreadable++;
	return !walk->err;
}

static struct pa_error *read_tree(struct walk *walk, uint64_t mm)
{
	const struct pa_layout *layout = walk->kernel->layout;
	struct pa_maple_result result;
	struct pa_error *err =
		pa_maple_tree_walk(walk->memory, layout,
				   mm + PA_OFFSETOF(layout, mm_struct, mm_mt),
				   visit_entry, walk, &result);

	if (!err)
		walk->vmas->unreadable += result.unreadable + result.corrupt;
	return err ? err : walk->err;
}

static struct pa_error *read_list(struct walk *walk, uint64_t mm)
{
	struct pa_error *err = pa_memory_read_u64(
		walk->memory,
		mm + PA_OFFSETOF(walk->kernel->layout, mm_struct, mmap),
		&walk->next);

	while (!err && walk->next) {
		if (!add(walk, walk->next)) {
			if (!walk->err)
				walk->vmas->unreadable++;
			return walk->err;
		}
	}
	return err;
}

struct pa_error *pa_vmas_read(const struct pa_kernel *kernel,
			      struct pa_memory *memory, uint64_t mm,
			      struct pa_vmas *ret)
{
	const struct pa_layout *layout = kernel->layout;
	struct walk walk = { .kernel = kernel, .memory = memory, .vmas = ret };

	if (PA_SIZEOF(layout, vm_area_struct) > MAX_VMA_BYTES)
		return pa_error_create(PA_ERROR_MISSING,
				       "struct vm_area_struct is not usable");
	if (PA_HAS(layout, mm_struct, mm_mt))
		return read_tree(&walk, mm);
	if (PA_HAS(layout, mm_struct, mmap) &&
	    PA_HAS(layout, vm_area_struct, vm_next))
		return read_list(&walk, mm);
	return pa_error_create(PA_ERROR_MISSING,
			       "struct mm_struct has no VMAs that we know");
}

void pa_vmas_deinit(struct pa_vmas *vmas)
{
	pa_array_deinit(&vmas->list);
}

const struct pa_vma *pa_vmas_find(const struct pa_vmas *vmas, uint64_t address)
{
	/* The first that ends behind @address. */
	size_t low = pa_bisect(vmas->list.items, vmas->list.length, it,
			       it->end <= address);

	return low < vmas->list.length &&
			       vmas->list.items[low].start <= address ?
		       &vmas->list.items[low] :
		       NULL;
}
