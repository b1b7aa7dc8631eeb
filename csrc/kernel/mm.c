// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/mm.h"

#include "kernel/task.h"

/* The half of the root table that all mms have in common. */
#define KERNEL_ENTRIES 256
#define KERNEL_BYTES (KERNEL_ENTRIES * 8)

static struct pa_error *read_mm(const struct pa_kernel *kernel,
				struct pa_memory *memory, uint64_t address,
				struct pa_mm *ret)
{
	const struct pa_layout *layout = kernel->layout;
	struct pa_mm mm = { .address = address };
	uint64_t pgd;
	struct pa_error *err = pa_memory_read_u32(
		memory, address + PA_OFFSETOF(layout, mm_struct, mm_count),
		&mm.mm_count);

	if (!err)
		err = pa_memory_read_u32(
			memory,
			address + PA_OFFSETOF(layout, mm_struct, mm_users),
			&mm.mm_users);
	if (!err)
		err = pa_memory_read_u64(
			memory, address + PA_OFFSETOF(layout, mm_struct, pgd),
			&pgd);
	if (!err && PA_HAS(layout, mm_struct, mm_id))
		err = pa_memory_read_u32(
			memory, address + PA_OFFSETOF(layout, mm_struct, mm_id),
			&mm.mm_id);
	if (!err && PA_HAS(layout, mm_struct, pgtables_bytes))
		err = pa_memory_read_u64(memory,
					 address + PA_OFFSETOF(layout,
							       mm_struct,
							       pgtables_bytes),
					 &mm.pgtables_bytes);
	if (err)
		return err;
	/* pgd_alloc(): whole pages of the direct map. */
	if (pgd < kernel->space.direct_start ||
	    pgd >= kernel->space.direct_end || pgd & 4095)
		return pa_error_at(PA_ERROR_CORRUPT, address,
				   "an mm_struct without a page table");
	mm.pgd_phys = pgd - kernel->space.direct_start;
	*ret = mm;
	return NULL;
}

/*
 * pgd_ctor() copies the kernel's entries, and none of those is ever changed:
 * a root table has each of them, or, one that came later, nothing yet.
 */
static struct pa_error *has_kernel_entries(const struct pa_kernel *kernel,
					   struct pa_memory *memory,
					   uint64_t pgd_phys, bool *ret)
{
	const uint64_t frame = kernel->space.entry_phys_mask;
	uint64_t ours[KERNEL_ENTRIES], root[KERNEL_ENTRIES];
	bool some = false, other = false;
	struct pa_error *err = pa_reader_read(
		memory->reader, pgd_phys + KERNEL_BYTES, KERNEL_BYTES, ours);

	if (!err)
		err = pa_reader_read(memory->reader,
				     kernel->space.root_phys + KERNEL_BYTES,
				     KERNEL_BYTES, root);
	if (err)
		return err;
	/* The LDT's and espfix's are each mm's own: the direct map's are not. */
	for (size_t i = 0; i < KERNEL_ENTRIES; i++) {
		if (!ours[i] || !root[i])
			continue;
		if ((ours[i] ^ root[i]) & frame)
			other = true;
		else
			some = true;
	}
	*ret = some && !other;
	return NULL;
}

/*
 * dup_mm() begins with a copy of all that the parent's mm says: until
 * mm_init() gives it a root of its own, it has no tables.
 */
static bool is_copy(const struct pa_mms *mms, const struct pa_mm *mm)
{
	pa_array_for_each(other, &mms->list)
		if (other->pgd_phys == mm->pgd_phys)
			return true;
	return false;
}

static struct pa_error *add(const struct pa_kernel *kernel,
			    struct pa_memory *memory, struct pa_mms *mms,
			    uint64_t address, uint64_t task)
{
	struct pa_mm mm;
	bool sane = true;
	struct pa_error *err = read_mm(kernel, memory, address, &mm);

	if (!err && !task)
		err = mm.mm_count ? has_kernel_entries(kernel, memory,
						       mm.pgd_phys, &sane) :
				    NULL;
	if (err || !sane || !mm.mm_count || (!task && is_copy(mms, &mm)))
		return err;
	mm.task = task;
	if (task)
		pa_task_name(kernel, memory, task, &mm.pid, mm.comm);
	if (!pa_map_set(&mms->index, address, mms->list.length) ||
	    !pa_array_append(&mms->list, mm))
		return &pa_error_no_memory;
	return NULL;
}

/*
 * The kernel's own address spaces: what their lower halves map (firmware, text
 * that is being patched) is in no count.
 */
static struct pa_error *is_kernels_own(const struct pa_kernel *kernel,
				       struct pa_memory *memory,
				       uint64_t address, bool *ret)
{
	static const enum pa_symbol_id pointers[] = { PA_SYM_poking_mm,
						      PA_SYM_text_poke_mm };
	const struct pa_symbol *symbols = kernel->layout->symbols;
	struct pa_error *err = NULL;

	*ret = symbols[PA_SYM_efi_mm].known &&
	       address == symbols[PA_SYM_efi_mm].address;
	for (size_t i = 0; !err && !*ret && i < 2; i++) {
		uint64_t mm;

		if (!symbols[pointers[i]].known)
			continue;
		err = pa_memory_read_u64(memory, symbols[pointers[i]].address,
					 &mm);
		*ret = !err && mm == address;
	}
	return err;
}

struct pa_error *pa_mms_add(const struct pa_kernel *kernel,
			    struct pa_memory *memory, struct pa_mms *mms,
			    uint64_t address, uint64_t task)
{
	if (!pa_is_kernel_address(address) || pa_map_has(&mms->index, address))
		return NULL;

	bool own;
	struct pa_error *err = is_kernels_own(kernel, memory, address, &own);

	if (!err && !own)
		err = add(kernel, memory, mms, address, task);
	if (pa_error_is_target(err)) {
		/* What no task names may be a free object of the allocator. */
		mms->unreadable += task || pa_error_is_absent(err);
		pa_error_destroy(err);
		err = NULL;
	}
	return err;
}

struct walk {
	const struct pa_kernel *kernel;
	struct pa_memory *memory;
	struct pa_mms *mms;
	struct pa_error *err;
};

static bool visit_task(void *arg, uint64_t task)
{
	struct walk *walk = arg;
	uint64_t mm;

	walk->err = pa_memory_read_u64(
		walk->memory,
		task + PA_OFFSETOF(walk->kernel->layout, task_struct, mm), &mm);
	/* Kernel threads and zombies have none. */
	if (!walk->err && mm)
		walk->err = pa_mms_add(walk->kernel, walk->memory, walk->mms,
				       mm, task);
	if (pa_error_is_target(walk->err)) {
		pa_error_destroy(walk->err);
		walk->err = NULL;
		walk->mms->unreadable++;
	}
	return !walk->err;
}

struct pa_error *pa_mms_from_tasks(const struct pa_kernel *kernel,
				   struct pa_memory *memory, struct pa_mms *ret)
{
	struct walk walk = { .kernel = kernel, .memory = memory, .mms = ret };
	uint64_t unread = 0;
	struct pa_error *err =
		pa_tasks_visit(kernel, memory, visit_task, &walk, &unread);

	ret->unreadable += unread;
	if (walk.err) {
		pa_error_destroy(err);
		return walk.err;
	}
	return err;
}

void pa_mms_deinit(struct pa_mms *mms)
{
	pa_array_deinit(&mms->list);
	pa_map_deinit(&mms->index);
}

const struct pa_mm *pa_mms_find(const struct pa_mms *mms, uint64_t address)
{
	uint64_t index;

	return pa_map_get(&mms->index, address, &index) ?
		       &mms->list.items[index] :
		       NULL;
}
