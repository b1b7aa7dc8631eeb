/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Set aside: folios that have more references than anything accounts for, in a
 * way that tells of who may hold them. There may be millions, and whether one
 * of them leaked nobody can tell: they are added up.
 */
#ifndef PA_CENSUS_ASIDE_H
#define PA_CENSUS_ASIDE_H

#include "census/folio_count.h"

/*
 * The first driver found that pins pages for devices to reach and keeps none,
 * so that just the IOMMU's tables, or the first page of each stretch, name them
 * (vfio_pin_pages_remote(), ib_umem_get()): a module that is loaded or part of
 * the kernel. NULL if there is none. What can't be read may be one.
 */
struct pa_error *pa_pinner_find(const struct pa_kernel *kernel,
				const char **ret);

/*
 * How many pins are all that @d's folio has too much; 0: none, or something
 * else is wrong.
 */
uint64_t pa_whole_pins(const struct pa_mapcount_format *f,
		       const struct pa_discrepancy *d);

/* Takes those that are set aside out of the list of @c, from @first on. */
struct pa_error *pa_set_aside(struct pa_folio_counter *c, size_t first);

#endif
