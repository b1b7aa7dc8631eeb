/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the checks of counts share: how a folio's discrepancy is judged. */
#ifndef PA_CHECKS_DISCREPANCY_H
#define PA_CHECKS_DISCREPANCY_H

#include "census/counts.h"
#include "census/holder.h"
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
 * The same for page tables, or for sections whose state is in dispute: what
 * lies in such memory was not looked at.
 */
bool pa_discrepancy_leaks_unknown(struct pa_check_context *context);

/* What is known of a folio beside its counts. */
struct pa_judgement {
	/*
	 * Info while a task has the folio in hand, or somebody may keep it;
	 * suspect where something else in use names it, or some
	 * stacks or holders were not in the dump; else a bug.
	 */
	enum pa_severity severity;
	/* Virtual address of the task_struct; 0: no task. */
	uint64_t task;
	/* checks/keeper.h; NULL: nobody. */
	const char *keeper;
	/* What else names it, a line each; owned, may be empty. */
	char *named;
};

/* @ret is the caller's to deinit in any case. */
struct pa_error *pa_discrepancy_judge(struct pa_check_context *context,
				      const struct pa_discrepancy *d,
				      struct pa_judgement *ret);
void pa_judgement_deinit(struct pa_judgement *judgement);

/*
 * Records a finding about @d's folio with all that is known of it; as
 * pa_finding_add().
 */
struct pa_finding *pa_discrepancy_add(struct pa_check_context *context,
				      enum pa_check_id check,
				      const struct pa_discrepancy *d,
				      const struct pa_judgement *judgement,
				      const char *summary);

/* Evidence "holders": the first of these slots, in words. */
void pa_finding_holders(struct pa_finding *f, const struct pa_reference *slots,
			size_t nr);

/* Both in one. */
struct pa_error *pa_discrepancy_report(struct pa_check_context *context,
				       enum pa_check_id check,
				       const struct pa_discrepancy *d,
				       const char *summary);

/* Calls @visit for each folio that is judged, until an error. */
struct pa_error *pa_discrepancies_visit(
	struct pa_check_context *context,
	struct pa_error *(*visit)(struct pa_check_context *context,
				  const struct pa_discrepancy *d));

/* Status of a check that looks at counts: what it examined, what it lacked. */
void pa_discrepancy_coverage(struct pa_check_context *context,
			     struct pa_check_result *result);

/* The same of a check that looks for what nobody holds. */
void pa_discrepancy_leak_coverage(struct pa_check_context *context,
				  struct pa_check_result *result);

#endif
