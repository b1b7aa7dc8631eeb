// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/owner.h"

#include <stdlib.h>

#include "census/page_table.h"
#include "kernel/mapping.h"

/* NULL for what the target lacks: the name is left empty. */
static struct pa_error *forgive(struct pa_error *err)
{
	if (!pa_error_is_target(err))
		return err;
	pa_error_destroy(err);
	return NULL;
}

/* The inode that @address, a struct file, is open on. */
static struct pa_error *name_file(const struct pa_kernel *kernel,
				  struct pa_memory *memory, uint64_t address,
				  struct pa_inode_name *ret)
{
	uint64_t inode;

	if (!address || !PA_HAS(kernel->layout, file, f_inode))
		return NULL;

	struct pa_error *err = pa_memory_read_u64(
		memory, address + PA_OFFSETOF(kernel->layout, file, f_inode),
		&inode);

	return err ? forgive(err) :
		     pa_inode_name_read(kernel, memory, inode, ret);
}

static int compare_vmas(const void *a, const void *b)
{
	const struct pa_owner_vma *x = a, *y = b;

	return x->vma.start < y->vma.start ? -1 : x->vma.start > y->vma.start;
}

/* Sorts, and leaves each once: neighbours in memory may alternate between two. */
static void unique_vmas(struct pa_owner *owner)
{
	struct pa_owner_vma *items = owner->vmas.items;
	size_t nr = 0;

	if (!owner->vmas.length)
		return;
	qsort(items, owner->vmas.length, sizeof(*items), compare_vmas);
	for (size_t i = 1; i < owner->vmas.length; i++)
		if (items[i].vma.start != items[nr].vma.start)
			items[++nr] = items[i];
	owner->vmas.length = nr + 1;
}

/* The VMAs of an mm that references of @owner's lie in. */
static struct pa_error *find_vmas(const struct pa_kernel *kernel,
				  struct pa_memory *memory,
				  const struct pa_references *references,
				  struct pa_owner *owner)
{
	const struct pa_vma *last = NULL;
	struct pa_vmas vmas = { 0 };
	struct pa_error *err =
		forgive(pa_vmas_read(kernel, memory, owner->address, &vmas));

	for (size_t i = 0; !err && i < references->list.length; i++) {
		const struct pa_reference *ref = &references->list.items[i];
		struct pa_owner_vma one = { 0 };

		if (ref->owner != owner->address ||
		    ref->holder != PA_HOLDER_PAGE_TABLE)
			continue;

		const struct pa_vma *vma = pa_vmas_find(&vmas, ref->index);

		if (!vma || vma == last)
			continue;
		last = vma;
		one.vma = *vma;
		if (!pa_array_append(&owner->vmas, one))
			err = &pa_error_no_memory;
	}
	unique_vmas(owner);
	for (size_t i = 0; !err && i < owner->vmas.length; i++)
		err = name_file(kernel, memory, owner->vmas.items[i].vma.file,
				&owner->vmas.items[i].file);
	pa_vmas_deinit(&vmas);
	return err;
}

static struct pa_error *describe_mm(const struct pa_census *census,
				    struct pa_memory *memory,
				    const struct pa_references *references,
				    struct pa_owner *owner)
{
	const struct pa_mm *mm =
		census->page_tables ?
			pa_mms_find(&census->page_tables->mms, owner->address) :
			NULL;

	owner->kind = PA_OWNER_MM;
	if (mm) {
		owner->task = mm->task;
		owner->pid = mm->pid;
		memcpy(owner->comm, mm->comm, sizeof(owner->comm));
	}
	return find_vmas(census->kernel, memory, references, owner);
}

static struct pa_error *describe_mapping(const struct pa_kernel *kernel,
					 struct pa_memory *memory,
					 struct pa_owner *owner)
{
	struct pa_mapping mapping = { 0 };
	struct pa_error *err = forgive(pa_mapping_read(
		memory, kernel->layout, owner->address, &mapping));

	/* That of the swap cache has no host. */
	if (err || !mapping.host)
		return err;
	owner->kind = PA_OWNER_INODE;
	owner->inode = mapping.host;
	return pa_inode_name_read(kernel, memory, mapping.host, &owner->name);
}

static struct pa_error *describe(const struct pa_census *census,
				 struct pa_memory *memory,
				 const struct pa_references *references,
				 const struct pa_reference *ref,
				 struct pa_owner *owner)
{
	switch (ref->holder) {
	case PA_HOLDER_PAGE_TABLE:
		return describe_mm(census, memory, references, owner);
	case PA_HOLDER_PAGE_CACHE:
		return describe_mapping(census->kernel, memory, owner);
	default:
		return NULL;
	}
}

struct pa_error *pa_owners_find(const struct pa_census *census,
				const struct pa_references *references,
				struct pa_owners *ret)
{
	struct pa_memory *memory;
	struct pa_error *err = pa_kernel_memory(census->kernel, &memory);

	if (err)
		return err;
	for (size_t i = 0; !err && i < references->list.length; i++) {
		const struct pa_reference *ref = &references->list.items[i];
		struct pa_owner owner = { .address = ref->owner };

		if (!ref->owner || pa_map_has(&ret->index, ref->owner))
			continue;
		err = describe(census, memory, references, ref, &owner);
		if (!err &&
		    (!pa_map_set(&ret->index, ref->owner, ret->list.length) ||
		     !pa_array_append(&ret->list, owner)))
			err = &pa_error_no_memory;
		if (err)
			pa_array_deinit(&owner.vmas);
	}
	pa_memory_destroy(memory);
	return err;
}

void pa_owners_deinit(struct pa_owners *owners)
{
	pa_array_for_each(owner, &owners->list)
		pa_array_deinit(&owner->vmas);
	pa_array_deinit(&owners->list);
	pa_map_deinit(&owners->index);
}
