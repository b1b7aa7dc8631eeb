// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * References that keep device memory, and what memory error handling left
 * behind: mm/memremap.c, fs/dax.c, mm/memory-failure.c.
 */
#include <inttypes.h>
#include <stdio.h>

#include "census/excess.h"
#include "checks/device_wait.h"
#include "checks/discrepancy.h"
#include "checks/families.h"
#include "checks/poison_log.h"

static int64_t excess(const struct pa_discrepancy *d)
{
	if (d->wrong & PA_WRONG_MAPCOUNTS || !(d->wrong & PA_WRONG_REFCOUNT))
		return 0;
	return pa_discrepancy_excess(d, PA_COUNT_REFCOUNT);
}

/*
 * madvise(MADV_SOFT_OFFLINE and MADV_HWPOISON) takes one reference with
 * get_user_pages() for the handling to put: where nothing names a page of the
 * device that has one too many, or one whose soft offlining is known to have
 * failed, that is what is left of it (fixed by
 * dad4e5b39086, v5.11).
 */
static bool is_soft_offline(const struct pa_discrepancy *d,
			    const struct pa_judgement *judgement,
			    const struct pa_poison_log *log)
{
	return excess(d) == 1 && judgement->severity == PA_BUG &&
	       (d->kind == PA_FOLIO_DEVICE ||
		pa_poison_log_soft_offline(log, d->pfn,
					   d->pfn + PA_BIT(d->order)));
}

static struct pa_error *report(struct pa_device_wait *wait,
			       enum pa_check_id check,
			       const struct pa_discrepancy *d,
			       const struct pa_judgement *judgement)
{
	const struct pa_stored_counted *n = &d->counts[PA_COUNT_REFCOUNT];
	bool device = d->kind == PA_FOLIO_DEVICE;
	char summary[160];
	struct pa_finding *f;

	snprintf(summary, sizeof(summary),
		 "%s page has a refcount of %" PRId64 ", %" PRId64
		 " of it accounted for: %s",
		 pa_folio_kind_names[d->kind], n->stored, n->counted,
		 check == PA_CHECK_SOFT_OFFLINE_LEAK ?
			 "the reference that memory error handling took" :
			 "its device cannot be torn down cleanly");
	f = pa_discrepancy_add(wait->c, check, d, judgement, summary);
	return device ? pa_device_wait_add(wait, f, d->pfn,
					   d->pfn + PA_BIT(d->order)) :
			NULL;
}

/* One pass serves both checks: what is one is not the other. */
static struct pa_error *visit(struct pa_device_wait *wait,
			      enum pa_check_id check,
			      const struct pa_poison_log *log)
{
	struct pa_check_context *c = wait->c;
	const struct pa_excess *found = c->census->excess;
	struct pa_error *err = NULL;

	for (size_t i = 0; !err && i < found->nr_folios; i++) {
		const struct pa_discrepancy *d =
			&c->census->counts->list.items[i];
		struct pa_judgement judgement;

		if (excess(d) <= 0 || pa_discrepancy_leaks_unknown(c))
			continue;
		err = pa_discrepancy_judge(c, d, &judgement);

		bool leak = !err && is_soft_offline(d, &judgement, log);

		if (!err && (check == PA_CHECK_SOFT_OFFLINE_LEAK ?
				     leak :
				     !leak && d->kind == PA_FOLIO_DEVICE))
			err = report(wait, check, d, &judgement);
		pa_judgement_deinit(&judgement);
	}
	return err;
}

static struct pa_error *check_leaks(struct pa_check_context *c,
				    struct pa_check_result *result,
				    enum pa_check_id check)
{
	struct pa_device_wait wait = { .c = c };
	struct pa_poison_log log = { 0 };
	struct pa_error *err =
		pa_poison_log_read(c->kernel, c->memmap->memory, &log);

	pa_discrepancy_leak_coverage(c, result);
	if (!err)
		err = visit(&wait, check, &log);
	/* Who is waited for and can be named is told of, too. */
	if (!err && check == PA_CHECK_DEVICE_PAGE_REFERENCE)
		err = pa_device_wait_report(&wait);
	pa_device_wait_deinit(&wait);
	pa_poison_log_deinit(&log);
	return err;
}

struct pa_error *pa_check_soft_offline_leak(struct pa_check_context *c,
					    struct pa_check_result *result)
{
	return check_leaks(c, result, PA_CHECK_SOFT_OFFLINE_LEAK);
}

struct pa_error *pa_check_device_page_reference(struct pa_check_context *c,
						struct pa_check_result *result)
{
	return check_leaks(c, result, PA_CHECK_DEVICE_PAGE_REFERENCE);
}
