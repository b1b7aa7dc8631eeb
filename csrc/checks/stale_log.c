// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * memory_failure() finds the pgmap of an altmap pfn and goes on as if it were
 * the device's data: its struct page was never set up for that. Since v5.12
 * memory_failure_dev_pagemap() refuses it (pgmap_pfn_valid(), commit
 * 34dc45be4563); it counts it as poisoned page all the same.
 */
#include "checks/stale_log.h"

#include "checks/poison_log.h"

static bool is_told(struct pa_check_context *c, uint64_t pfn)
{
	pa_array_for_each(f, &c->findings->list)
		if (f->check == PA_CHECK_STALE_PAGE_REFERENCE && f->pfn == pfn)
			return true;
	return false;
}

struct pa_error *pa_check_stale_log(struct pa_check_context *c)
{
	struct pa_poison_log log = { 0 };
	struct pa_error *err =
		pa_poison_log_read(c->kernel, c->memmap->memory, &log);

	pa_array_for_each(line, &log.lines.list) {
		struct pa_finding *f;

		if (err)
			break;
		if ((line->kind != PA_LOG_MEMORY_FAILURE &&
		     line->kind != PA_LOG_SOFT_OFFLINE) ||
		    line->pfn == PA_NO_PFN ||
		    pa_pfn_state(c->kernel, line->pfn) != PA_PFN_ALTMAP ||
		    is_told(c, line->pfn))
			continue;
		f = pa_finding_add(c->findings, PA_CHECK_STALE_PAGE_REFERENCE,
				   PA_INFO, line->pfn, line->pfn + 1,
				   "memory error handling was told of a page "
				   "that is altmap metadata: nobody is told of "
				   "it, and the device's memory map is in it");
		pa_finding_hex(f, "page", pa_pfn_to_page(c->kernel, line->pfn));
	}
	pa_poison_log_deinit(&log);
	return err;
}
