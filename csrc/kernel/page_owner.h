/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * page_owner: who allocated each page last, and who freed it; of kernels that
 * were booted with page_owner=on: mm/page_owner.c.
 */
#ifndef PA_KERNEL_PAGE_OWNER_H
#define PA_KERNEL_PAGE_OWNER_H

#include "kernel/kernel.h"

/* One of the two ends of a page's life. */
struct pa_page_event {
	/* depot_stack_handle_t; 0: no stack was saved. */
	uint32_t handle;
	/* Of local_clock(), in nanoseconds; 0 where it is not recorded. */
	uint64_t time_ns;
	/* Of the task; 0 where they are not recorded. */
	uint32_t pid, tgid;
};

struct pa_page_owner {
	/* False: it was never allocated since page_owner began. */
	bool known;
	/* It is allocated now, as page_owner has it. */
	bool allocated;
	/* Of the allocation that the page was part of. */
	uint32_t order, gfp_mask;
	/* Why it was migrated: see pa_migrate_reason(); -1: it was not. */
	int32_t migrate_reason;
	struct pa_page_event alloc, free;
	/* Of the task that allocated it; empty where it is not recorded. */
	char comm[16];
	/* Which of these this kernel's records have. */
	bool has_alloc_task, has_free_task, has_times;
};

/*
 * PA_ERROR_MISSING, and why, where the kernel was built or booted without
 * page_owner.
 */
struct pa_error *pa_page_owner_read(const struct pa_kernel *kernel,
				    struct pa_memory *memory, uint64_t pfn,
				    struct pa_page_owner *ret);

/* enum migrate_reason by name, "compaction"; NULL for no such number. */
const char *pa_migrate_reason(const struct pa_layout *layout, int32_t reason);

#endif
