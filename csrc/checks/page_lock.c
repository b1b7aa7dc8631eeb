// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Locked pages that somebody waits for (folio_wait_bit_common()) and that
 * nobody works on: no bio, request or task names them. Whoever locked them has
 * forgotten to unlock them, or is hardware that will tell.
 */
#include <inttypes.h>

#include "census/excess.h"
#include "checks/coverage.h"
#include "checks/discrepancy.h"
#include "checks/families.h"

static bool waits(const struct pa_excess *excess,
		  const struct pa_waited *waited, uint64_t task)
{
	const struct pa_waiter *waiters =
		excess->waiting.waiters.list.items + waited->first;

	for (size_t i = 0; i < waited->nr; i++)
		if (waiters[i].task == task)
			return true;
	return false;
}

/* Whether a pointer to it is in use, but on the stacks of those who wait. */
static struct pa_error *is_named(struct pa_check_context *c,
				 const struct pa_waited *waited, bool *ret)
{
	const struct pa_excess *excess = c->census->excess;
	size_t nr;
	size_t first =
		pa_excess_hits(excess, waited->pfn, waited->pfn + 1, &nr);

	*ret = false;
	for (size_t i = first; i < first + nr && !*ret; i++) {
		const struct pa_search_hit *hit = &excess->search.hits.items[i];
		struct pa_place place;
		struct pa_error *err;

		if (!pa_encoding_is_strong(hit->encoding))
			continue;
		err = pa_search_place(excess->places, c->memmap->memory, hit,
				      &place);
		if (err && !pa_error_is_target(err))
			return err;
		*ret = err ||
		       (!place.dead &&
			(!place.task || !waits(excess, waited, place.task)));
		pa_error_destroy(err);
	}
	return NULL;
}

static struct pa_error *check_page(struct pa_check_context *c,
				   const struct pa_waited *waited)
{
	const struct pa_waiter *waiter =
		c->census->excess->waiting.waiters.list.items + waited->first;
	struct pa_finding *f;
	bool named;
	struct pa_error *err = is_named(c, waited, &named);

	if (err || named)
		return err;
	f = pa_finding_add(c->findings, PA_CHECK_PAGE_LOCK, PA_INFO,
			   waited->pfn, waited->pfn + 1,
			   "a locked page is waited for, and nothing in the "
			   "kernel's memory works on it");
	pa_finding_number(f, "waiters", (int64_t)waited->nr);
	pa_finding_number(f, "_refcount", waited->refcount);
	pa_check_add_task(c, f, waiter->task);
	return NULL;
}

struct pa_error *pa_check_page_lock(struct pa_check_context *c,
				    struct pa_check_result *result)
{
	const struct pa_excess *excess = c->census->excess;
	struct pa_error *err = NULL;

	pa_discrepancy_coverage(c, result);
	result->examined = excess->waiting.pages.length;
	/* Who works on it may be in what was not read. */
	if (c->census->stacks_unread || excess->search.unread_stacks ||
	    excess->search.unreadable_bytes)
		return NULL;
	pa_array_for_each(waited, &excess->waiting.pages)
		if (!err && pa_excess_is_stuck(excess, waited))
			err = check_page(c, waited);
	return err;
}
