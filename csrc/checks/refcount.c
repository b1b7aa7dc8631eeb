// SPDX-License-Identifier: LGPL-2.1-or-later
/* References against their holders: folio_expected_ref_count(). */
#include <inttypes.h>
#include <stdio.h>

#include "checks/discrepancy.h"
#include "checks/families.h"

static struct pa_error *report(struct pa_check_context *c,
			       enum pa_check_id check,
			       const struct pa_discrepancy *d)
{
	bool refs = d->wrong & PA_WRONG_REFCOUNT;
	enum pa_count count = refs ? PA_COUNT_REFCOUNT : PA_COUNT_PINCOUNT;
	const struct pa_stored_counted *n = &d->counts[count];
	char summary[160];

	snprintf(summary, sizeof(summary),
		 "%s folio of order %" PRIu32 ": %s is %" PRId64
		 ", its holders account for %" PRId64,
		 pa_folio_kind_names[d->kind], d->order, pa_count_names[count],
		 n->stored, n->counted);

	return pa_discrepancy_report(c, check, d, summary);
}

/*
 * More references (or pins) than holders, or fewer. What a wrong mapcount
 * brings with it is that finding's evidence: each map has its reference.
 */
static int64_t excess(const struct pa_discrepancy *d)
{
	if (d->wrong & PA_WRONG_MAPCOUNTS)
		return 0;
	if (d->wrong & PA_WRONG_REFCOUNT)
		return pa_discrepancy_excess(d, PA_COUNT_REFCOUNT);
	if (d->wrong & PA_WRONG_PINCOUNT)
		return pa_discrepancy_excess(d, PA_COUNT_PINCOUNT);
	return 0;
}

static struct pa_error *visit_leak(struct pa_check_context *c,
				   const struct pa_discrepancy *d)
{
	if (excess(d) <= 0 || d->kind == PA_FOLIO_DEVICE ||
	    pa_discrepancy_leaks_unknown(c))
		return NULL;
	return report(c, PA_CHECK_REFCOUNT_LEAK, d);
}

static struct pa_error *visit_underflow(struct pa_check_context *c,
					const struct pa_discrepancy *d)
{
	return excess(d) < 0 ? report(c, PA_CHECK_REFCOUNT_UNDERFLOW, d) : NULL;
}

/* What was set aside; whether one of them leaked nobody can tell. */
static void tell_asides(struct pa_check_context *c)
{
	static const char *const may_hold[PA_NR_ASIDE_KINDS] = {
		[PA_ASIDE_EXTENT_BUFFER] = "their extent buffers",
		[PA_ASIDE_GRAPHICS] = "drivers that use their files' pages",
	};
	const struct pa_counts *counts = c->census->counts;

	if (pa_discrepancy_leaks_unknown(c))
		return;
	for (int i = 0; i < PA_NR_ASIDE_KINDS; i++) {
		const struct pa_aside *aside = &counts->asides[i];
		bool pins = i == PA_ASIDE_PINNED;
		struct pa_finding *f;

		if (!aside->folios)
			continue;
		f = pa_finding_add(c->findings, PA_CHECK_REFCOUNT_LEAK, PA_INFO,
				   PA_NO_PFN, PA_NO_PFN,
				   "%" PRIu64
				   " folios have %s that %s may hold",
				   aside->folios, pins ? "pins" : "references",
				   pins ? counts->pinner : may_hold[i]);
		pa_finding_number(f, "pages", (int64_t)aside->pages);
		pa_finding_number(f, pins ? "pins" : "references",
				  (int64_t)aside->refs);
		pa_finding_hex(f, "first_pfn", aside->first_pfn);
	}
}

struct pa_error *pa_check_refcount_leak(struct pa_check_context *c,
					struct pa_check_result *result)
{
	pa_discrepancy_leak_coverage(c, result);
	tell_asides(c);
	return pa_discrepancies_visit(c, visit_leak);
}

struct pa_error *pa_check_refcount_underflow(struct pa_check_context *c,
					     struct pa_check_result *result)
{
	pa_discrepancy_coverage(c, result);
	return pa_discrepancies_visit(c, visit_underflow);
}
