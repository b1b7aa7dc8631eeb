/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* counter-drift's parts that have files of their own, or that others share. */
#ifndef PA_CHECKS_COUNTER_H
#define PA_CHECKS_COUNTER_H

#include "checks/check.h"

/* mm_pgtables_bytes() of each address space. */
void pa_check_mm_tables(struct pa_check_context *c,
			struct pa_check_result *result);

/*
 * Pages of which the findings so far say that their struct page is not to be
 * believed, so that no recount can tell what they are.
 */
int64_t pa_disputed_pages(const struct pa_check_context *c);

#endif
