/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether pages of a running kernel hold still: what a struct page and its
 * folio say, taken at two moments, as mm/util.c's snapshot_page() compares two.
 */
#ifndef PA_KERNEL_SNAPSHOT_H
#define PA_KERNEL_SNAPSHOT_H

#include "kernel/kernel.h"

/*
 * A digest of each of @pfns: other words, other digest. It is of the whole
 * struct page, but for page->lru, whose neighbours come and go, and of its
 * folio's head, order, flags, refcount, mapcounts and pincount. 0: it can't be
 * read. Rising pfns are read fastest.
 */
struct pa_error *pa_snapshot(const struct pa_kernel *kernel,
			     const uint64_t *pfns, size_t nr,
			     uint64_t *digests);

#endif
