// SPDX-License-Identifier: LGPL-2.1-or-later
/* Lost memory: pages that are not free, and not anybody's (census/orphans.h). */
#include <inttypes.h>

#include "census/orphans.h"
#include "checks/coverage.h"
#include "checks/families.h"

static bool has_poison(const struct pa_census *census, uint64_t pfn,
		       uint64_t end)
{
	for (size_t i = 0; i < census->poisoned.length; i++)
		if (census->poisoned.items[i].pfn >= pfn &&
		    census->poisoned.items[i].pfn < end)
			return true;
	return false;
}

static struct pa_error *report_run(void *arg, uint64_t pfn, uint64_t end)
{
	struct pa_check_context *c = arg;
	const struct pa_cpu_task *busy =
		pa_cpu_tasks_in_kernel(&c->census->cpu_tasks);
	uint64_t bytes = (end - pfn) << c->kernel->space.page_shift;

	/* Round poison the loss has a name of its own. */
	if (has_poison(c->census, pfn, end))
		return NULL;

	/*
	 * Between a list and its user, on the way either way, pages have no
	 * reference for a moment: while a CPU is in the kernel, they may be.
	 */
	struct pa_finding *f = pa_finding_add(
		c->findings, PA_CHECK_LOST_FREE_PAGES,
		busy ? PA_SUSPECT : PA_BUG, pfn, end,
		"%" PRIu64 " pages (%" PRIu64
		" bytes) without references are on no list and nobody's",
		end - pfn, bytes);

	pa_finding_number(f, "bytes", (int64_t)bytes);
	pa_finding_hex(f, "page", pa_pfn_to_page(c->kernel, pfn));
	if (busy) {
		pa_finding_number(f, "running_cpu", busy->cpu);
		pa_finding_text(f, "running_task", "%s (pid %" PRIu32 ")",
				busy->comm, busy->pid);
	}
	return NULL;
}

struct pa_error *pa_check_lost_free_pages(struct pa_check_context *c,
					  struct pa_check_result *result)
{
	const struct pa_census *census = c->census;

	pa_check_scan_coverage(c, result);
	pa_check_part_coverage(c, result, PA_CENSUS_BUDDY);
	pa_check_part_coverage(c, result, PA_CENSUS_PCP);
	pa_check_part_coverage(c, result, PA_CENSUS_TAKEN);
	/* Pages of a list that could not be walked look lost. */
	if (census->parts[PA_CENSUS_PCP].unreadable ||
	    census->parts[PA_CENSUS_TAKEN].unreadable) {
		pa_check_status(result, PA_SKIPPED,
				"the per-cpu lists could not be read");
		return NULL;
	}
	return pa_orphans_visit(census, report_run, c);
}
