// SPDX-License-Identifier: LGPL-2.1-or-later
/* Poisoned pages that somebody can still touch: hwpoison_user_mappings(). */
#include <inttypes.h>

#include "census/account.h"
#include "census/handled.h"
#include "checks/coverage.h"
#include "checks/discrepancy.h"
#include "checks/families.h"
#include "checks/poison_flight.h"
#include "checks/poison_log.h"

static void check_page(struct pa_check_context *c,
		       const struct pa_poison_log *log,
		       const struct pa_poison_flight *flight,
		       const struct pa_poisoned *p)
{
	const struct pa_accounts *accounts = c->census->accounts;
	const struct pa_account *a = pa_account_find(accounts, p->pfn);
	const struct pa_account *head = pa_account_find(accounts, p->head_pfn);
	uint64_t mask = c->kernel->sections.pages - 1;
	uint64_t maps = a && a->maps ? a->maps[p->pfn & mask] : 0;
	uint64_t entire =
		head && head->entire ?
			head->entire[(p->head_pfn & mask) >> PA_ENTIRE_SHIFT] :
			0;
	const struct pa_handled *hand =
		pa_handled_find(c->census, p->pfn, p->pfn + 1);
	const struct pa_walker *by = pa_poison_flight_of(flight, p->pfn);
	const struct pa_log_line *line;
	struct pa_finding *f;

	if (!maps && !entire)
		return;
	if (!hand)
		hand = pa_handled_find(c->census, p->head_pfn, p->head_pfn + 1);
	line = pa_poison_log_gave_up(log, p->pfn);
	f = pa_finding_add(c->findings, PA_CHECK_HWPOISON_MAPPED,
			   line || hand || by ? PA_INFO : PA_BUG, p->pfn,
			   p->pfn + 1, "a poisoned page is still mapped: %s",
			   line	      ? "its handling failed or was ignored" :
			   hand || by ? "a task is at it" :
					"its users may read the bad memory");
	pa_finding_number(f, "page_table_entries", (int64_t)maps);
	pa_finding_number(f, "entire_mappings", (int64_t)entire);
	pa_finding_hex(f, "flags", p->flags);
	if (line)
		pa_finding_text(f, "handling", "%.*s",
				(int)pa_text_length(line->text), line->text.at);
	if (by)
		pa_poison_flight_add(f, by);
	else if (hand)
		pa_check_add_task(c, f, hand->task);
}

struct pa_error *pa_check_hwpoison_mapped(struct pa_check_context *c,
					  struct pa_check_result *result)
{
	struct pa_poison_flight flight = { 0 };
	struct pa_poison_log log = { 0 };
	struct pa_error *err;

	if (!pa_check_has_poison(c, result))
		return NULL;
	pa_discrepancy_coverage(c, result);
	result->examined = c->census->poisoned.length;
	err = pa_poison_log_read(c->kernel, c->memmap->memory, &log);
	if (!err)
		err = pa_poison_flight_init(c->census, c->memmap->memory,
					    &flight);
	pa_array_for_each(p, &c->census->poisoned)
		if (!err && p->state == PA_PFN_ONLINE)
			check_page(c, &log, &flight, p);
	pa_poison_flight_deinit(&flight);
	pa_poison_log_deinit(&log);
	return err;
}
