/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * struct page_ext: what optional features keep of each page beside struct page
 * (CONFIG_PAGE_EXTENSION): mm/page_ext.c.
 */
#ifndef PA_KERNEL_PAGE_EXT_H
#define PA_KERNEL_PAGE_EXT_H

#include "kernel/kernel.h"

/*
 * Virtual address of the record of @pfn. PA_ERROR_MISSING where the kernel
 * keeps none at all, PA_ERROR_CORRUPT where it can't be where it is said to be;
 * 0 where this page has none: of offline and of device memory, and while its
 * memory is being taken offline.
 */
struct pa_error *pa_page_ext_find(const struct pa_kernel *kernel,
				  struct pa_memory *memory, uint64_t pfn,
				  uint64_t *ret);

#endif
