/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Free pages that the hypervisor is told of: mm/page_reporting.c. While the
 * device reports a batch of them they are off the free lists, without a
 * reference, and named by a scatterlist only, whose address
 * page_reporting_process() has on its stack (since v5.7).
 */
#ifndef PA_CENSUS_PAGE_REPORTING_H
#define PA_CENSUS_PAGE_REPORTING_H

#include "census/census.h"

/* Adds the first page of each such block to census->handled. */
struct pa_error *pa_page_reporting_add(struct pa_census *census,
				       struct pa_memory *memory);

#endif
