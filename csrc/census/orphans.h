/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Orphans: pages without references that no list and no type accounts for. (On
 * an LRU list, they are about to be taken off it and freed.)
 *
 * Healthy pages of refcount 0 are on a list, typed, compound, in an offline
 * section, or the rest of a non-compound high-order allocation: alloc_pages()
 * without __GFP_COMP gives only the first of 2^order pages a reference
 * (prep_new_page()). Such a rest is recognised by completing a naturally
 * aligned block whose first page is in use.
 */
#ifndef PA_CENSUS_ORPHANS_H
#define PA_CENSUS_ORPHANS_H

#include "census/census.h"

/* Called with each run [pfn, end) of orphans. */
typedef struct pa_error *(*pa_orphans_fn)(void *arg, uint64_t pfn,
					  uint64_t end);

struct pa_error *pa_orphans_visit(const struct pa_census *census,
				  pa_orphans_fn visit, void *arg);

/* The largest naturally aligned block round @pfn inside of [start, end). */
uint32_t pa_orphans_block_order(uint64_t pfn, uint64_t start, uint64_t end,
				uint32_t max_order);

#endif
