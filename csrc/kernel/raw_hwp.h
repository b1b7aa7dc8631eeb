/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages of a poisoned hugetlb folio are bad: PG_hwpoison is on its head
 * only, the pages are on raw_hwp_list (mm/memory-failure.c, since v6.0).
 */
#ifndef PA_KERNEL_RAW_HWP_H
#define PA_KERNEL_RAW_HWP_H

#include "kernel/kernel.h"

struct pa_raw_hwp {
	/* The latest first. */
	PA_ARRAY(uint64_t) pfns;
};

/*
 * The list of the hugetlb folio at @head_pfn. PA_ERROR_MISSING where the kernel
 * has none that we know. @ret is zeroed before,
 * and the caller's to deinit in any case.
 */
struct pa_error *pa_raw_hwp_read(const struct pa_kernel *kernel,
				 struct pa_memory *memory, uint64_t head_pfn,
				 struct pa_raw_hwp *ret);
void pa_raw_hwp_deinit(struct pa_raw_hwp *raw);

#endif
