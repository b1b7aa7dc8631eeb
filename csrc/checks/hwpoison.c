// SPDX-License-Identifier: LGPL-2.1-or-later
/* Poisoned pages: mm/memory-failure.c, check_new_pages() in page_alloc.c. */
#include <inttypes.h>

#include "census/orphans.h"
#include "census/poisoned.h"
#include "checks/coverage.h"
#include "checks/families.h"
#include "checks/poison_flight.h"

static void add_poisoned(struct pa_check_context *c, struct pa_finding *f,
			 const struct pa_poisoned *p)
{
	pa_finding_hex(f, "page", pa_pfn_to_page(c->kernel, p->pfn));
	pa_finding_hex(f, "flags", p->flags);
	pa_finding_number(f, "refcount", (int64_t)p->refcount);
}

/*
 * Before v5.11 memory_failure() left a free page in the buddy, for
 * check_new_pages() to drop it (MF_DELAYED; commit 17e395b60f5b changed that
 * and took MF_MSG_BUDDY_2ND away).
 */
static bool leaves_in_buddy(const struct pa_kernel *kernel)
{
	return PA_HAS_ENUM(kernel->layout, MF_MSG_BUDDY_2ND);
}

static const char *what_becomes_of_it(bool design, const struct pa_walker *by)
{
	if (design)
		return "this kernel leaves it there, and the allocation that "
		       "meets it loses the whole block";
	return by ? "a task is taking it off" :
		    "an allocation hands it out, or loses the whole block";
}

struct pa_error *pa_check_hwpoison_in_buddy(struct pa_check_context *c,
					    struct pa_check_result *result)
{
	const struct pa_census *census = c->census;
	bool design = leaves_in_buddy(c->kernel);
	struct pa_poison_flight flight = { 0 };
	struct pa_error *err;

	if (!pa_check_has_poison(c, result))
		return NULL;
	pa_check_scan_coverage(c, result);
	result->examined = census->poisoned.length;
	err = pa_poison_flight_init(c->census, c->memmap->memory, &flight);
	for (size_t i = 0; !err && i < census->poisoned.length; i++) {
		const struct pa_poisoned *p = &census->poisoned.items[i];
		const uint8_t *byte = pa_census_class(census, p->pfn);
		bool pcp = byte && (*byte & PA_CLASS_MASK) == PA_CLASS_PCP;
		const struct pa_walker *by;
		struct pa_finding *f;

		if (p->free_pfn == PA_NO_PFN && !pcp)
			continue;
		by = pa_poison_flight_of(&flight, p->pfn);
		f = pa_finding_add(
			c->findings, PA_CHECK_HWPOISON_IN_BUDDY,
			design ? PA_INFO :
				 pa_poison_flight_severity(&flight, by),
			p->pfn, p->pfn + 1, "a poisoned page is %s: %s",
			pcp ? "on a per-cpu free list" : "in a free block",
			what_becomes_of_it(design, by));
		add_poisoned(c, f, p);
		pa_poison_flight_add(f, by);
		if (p->free_pfn != PA_NO_PFN) {
			pa_finding_hex(f, "block_pfn", p->free_pfn);
			pa_finding_number(f, "block_order", p->free_order);
			pa_finding_number(
				f, "block_bytes",
				(int64_t)(PA_BIT(p->free_order)
					  << c->kernel->space.page_shift));
		}
	}
	pa_poison_flight_deinit(&flight);
	return err;
}

/* One lost run with poison in it: each block was dropped on its own. */
static struct pa_error *report_leak(void *arg, uint64_t start, uint64_t end)
{
	struct pa_check_context *c = arg;
	const struct pa_census *census = c->census;
	uint32_t max_order = c->kernel->page_format.max_buddy_order;

	for (size_t i = pa_poisoned_from(census, start);
	     i < census->poisoned.length && census->poisoned.items[i].pfn < end;
	     i++) {
		const struct pa_poisoned *p = &census->poisoned.items[i];
		uint32_t order =
			pa_orphans_block_order(p->pfn, start, end, max_order);
		uint64_t block = pa_align_down(p->pfn, PA_BIT(order));
		uint64_t poisoned = 0;

		/* free_pages_prepare() drops a single poisoned page itself. */
		if (!order)
			continue;
		while (i + poisoned < census->poisoned.length &&
		       census->poisoned.items[i + poisoned].pfn <
			       block + PA_BIT(order))
			poisoned++;

		uint64_t bytes = (PA_BIT(order) - poisoned)
				 << c->kernel->space.page_shift;
		struct pa_finding *f = pa_finding_add(
			c->findings, PA_CHECK_HWPOISON_NEIGHBOUR_LEAK, PA_BUG,
			block, block + PA_BIT(order),
			"%" PRIu64 " bytes round the poisoned pfn 0x%" PRIx64
			" are lost: the allocation of order %u that met it "
			"dropped its block, and neither unpoisoning nor "
			"offlining returns it",
			bytes, p->pfn, order);

		pa_finding_number(f, "bytes", (int64_t)bytes);
		pa_finding_hex(f, "poisoned_pfn", p->pfn);
		pa_finding_number(f, "poisoned_pages", (int64_t)poisoned);
		pa_finding_number(f, "order", order);
		add_poisoned(c, f, p);
		i += poisoned - 1;
	}
	return NULL;
}

struct pa_error *
pa_check_hwpoison_neighbour_leak(struct pa_check_context *c,
				 struct pa_check_result *result)
{
	const struct pa_census *census = c->census;

	if (!pa_check_has_poison(c, result))
		return NULL;
	pa_check_scan_coverage(c, result);
	result->examined = census->poisoned.length;
	if (census->parts[PA_CENSUS_PCP].unreadable ||
	    census->parts[PA_CENSUS_TAKEN].unreadable) {
		pa_check_status(result, PA_SKIPPED,
				"the per-cpu lists could not be read");
		return NULL;
	}
	return pa_orphans_visit(census, report_leak, c);
}
