/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the checks of counts share: how a folio's discrepancy is judged. */
#ifndef PA_CHECKS_DISCREPANCY_H
#define PA_CHECKS_DISCREPANCY_H

#include "census/counts.h"
#include "checks/check.h"

/* Bits of discrepancy->wrong that are mapcounts. */
#define PA_WRONG_MAPCOUNTS                                       \
	(1U << PA_COUNT_MAPCOUNT | 1U << PA_COUNT_ENTIRE |       \
	 1U << PA_COUNT_LARGE | 1U << PA_COUNT_NR_PAGES_MAPPED | \
	 1U << PA_COUNT_MM_ID)
#define PA_WRONG_PINCOUNT (1U << PA_COUNT_PINCOUNT)
#define PA_WRONG_REFCOUNT (1U << PA_COUNT_REFCOUNT)

/* stored - counted of one count. */
int64_t pa_discrepancy_excess(const struct pa_discrepancy *d,
			      enum pa_count count);

/*
 * Part of what may map or hold pages was not in the dump: more stored than
 * counted says nothing then.
 */
bool pa_discrepancy_mappings_unread(const struct pa_census *census);
bool pa_discrepancy_holders_unread(const struct pa_census *census);

/*
 * Records a finding about @d's folio with all that is known of it. While a
 * task has the folio in hand it is info; where something else in use names it,
 * or some stacks or holders were not in the dump, suspect. *ret is as from
 * pa_finding_add().
 */
struct pa_error *pa_discrepancy_report(struct pa_check_context *context,
				       enum pa_check_id check,
				       const struct pa_discrepancy *d,
				       const char *summary,
				       struct pa_finding **ret);

/* Calls @visit for each folio that is judged, until an error. */
struct pa_error *pa_discrepancies_visit(
	struct pa_check_context *context,
	struct pa_error *(*visit)(struct pa_check_context *context,
				  const struct pa_discrepancy *d));

/* Status of a check that looks at counts: what it examined, what it lacked. */
void pa_discrepancy_coverage(struct pa_check_context *context,
			     struct pa_check_result *result);

#endif
