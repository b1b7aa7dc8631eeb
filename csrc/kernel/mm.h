/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Address spaces: struct mm_struct, include/linux/mm_types.h, kernel/fork.c. */
#ifndef PA_KERNEL_MM_H
#define PA_KERNEL_MM_H

#include "base/map.h"
#include "kernel/kernel.h"

struct pa_mm {
	/* Virtual address of the mm_struct. */
	uint64_t address;
	/* Physical address of the kernel's half of its root table. */
	uint64_t pgd_phys;
	uint32_t mm_users, mm_count;
	/* mm_id, of which large folios keep two; 0 where there is none. */
	uint32_t mm_id;
	/* mm_pgtables_bytes() */
	uint64_t pgtables_bytes;
	/* The first task that was found to use it; 0: none does. */
	uint64_t task;
	uint32_t pid;
	char comm[16];
};

struct pa_mms {
	PA_ARRAY(struct pa_mm) list;
	/* By address: index in @list. */
	struct pa_map index;
	/* Tasks and mms that could not be read. */
	uint64_t unreadable;
};

/*
 * All that tasks use; what they no longer do is left to pa_mms_add(). A list
 * of tasks that is broken is PA_ERROR_CORRUPT: @ret then has what came before.
 * @ret is zeroed before, and the caller's to deinit in any case.
 */
struct pa_error *pa_mms_from_tasks(const struct pa_kernel *kernel,
				   struct pa_memory *memory,
				   struct pa_mms *ret);

/*
 * Adds the mm_struct at @address, unless it is known; @task: one that uses it,
 * or 0. One with a count of 0 is on its way to the allocator: not added. One
 * that no task vouches for, and that has not the kernel's entries in its root
 * table, or another mm's root, is none.
 */
struct pa_error *pa_mms_add(const struct pa_kernel *kernel,
			    struct pa_memory *memory, struct pa_mms *mms,
			    uint64_t address, uint64_t task);

void pa_mms_deinit(struct pa_mms *mms);

/* The mm at @address; NULL if it is not known. Borrowed. */
const struct pa_mm *pa_mms_find(const struct pa_mms *mms, uint64_t address);

#endif
