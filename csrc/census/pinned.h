/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pinned: folios that a driver pinned for devices to reach, and of which it
 * keeps no pages: just the IOMMU's tables, or the first page of each stretch,
 * name them (vfio_pin_pages_remote(), ib_umem_get()).
 */
#ifndef PA_CENSUS_PINNED_H
#define PA_CENSUS_PINNED_H

#include "census/counts.h"

/*
 * The first driver found that may do so, a module that is loaded or part of the
 * kernel; NULL if there is none. What can't be read may be one.
 */
struct pa_error *pa_pinner_find(const struct pa_kernel *kernel,
				const char **ret);

/*
 * How many pins are all that @d's folio has too much; 0: none, or something
 * else is wrong.
 */
uint64_t pa_whole_pins(const struct pa_mapcount_format *f,
		       const struct pa_discrepancy *d);

/*
 * Takes the folios that have too many pins, and nothing else wrong, out of
 * @counts' list, from @first on: a guest's memory is millions of them.
 */
void pa_pinned_set_aside(const struct pa_kernel *kernel,
			 struct pa_counts *counts, size_t first);

#endif
