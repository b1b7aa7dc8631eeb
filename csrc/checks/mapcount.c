// SPDX-License-Identifier: LGPL-2.1-or-later
/* Mapcounts against the page tables: mm/rmap.c. */
#include <inttypes.h>
#include <stdio.h>

#include "checks/discrepancy.h"
#include "checks/families.h"

/* The count that says most: the first that is wrong. */
static enum pa_count first_wrong(const struct pa_discrepancy *d)
{
	int count = PA_COUNT_MAPCOUNT;

	while (!(d->wrong & 1U << count))
		count++;
	return (enum pa_count)count;
}

static struct pa_error *visit(struct pa_check_context *c,
			      const struct pa_discrepancy *d)
{
	char summary[160];

	if (!(d->wrong & PA_WRONG_MAPCOUNTS))
		return NULL;

	enum pa_count count = first_wrong(d);
	const struct pa_stored_counted *n = &d->counts[count];

	if (n->stored > n->counted && pa_discrepancy_mappings_unread(c->census))
		return NULL;
	snprintf(summary, sizeof(summary),
		 "%s folio of order %" PRIu32 ": %s says %" PRId64
		 ", the page tables have %" PRId64,
		 pa_folio_kind_names[d->kind], d->order, pa_count_names[count],
		 n->stored, n->counted);
	return pa_discrepancy_report(c, PA_CHECK_MAPCOUNT_MISMATCH, d, summary);
}

struct pa_error *pa_check_mapcount_mismatch(struct pa_check_context *c,
					    struct pa_check_result *result)
{
	pa_discrepancy_coverage(c, result);
	return pa_discrepancies_visit(c, visit);
}
