/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Page pools of network drivers: include/net/page_pool, net/core/page_pool.c. */
#ifndef PA_KERNEL_PAGE_POOL_H
#define PA_KERNEL_PAGE_POOL_H

#include "kernel/memmap.h"

/*
 * page_pool_page_is_pp(): whether @pfn, or the head of its folio, is a page
 * pool's. False where it can't be read, or the kernel has no page pools.
 */
bool pa_page_is_pools(struct pa_memmap *memmap, uint64_t pfn);

#endif
