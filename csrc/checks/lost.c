// SPDX-License-Identifier: LGPL-2.1-or-later
/* Lost memory: pages that are not free, and not anybody's (census/orphans.h). */
#include <inttypes.h>

#include "census/handled.h"
#include "census/orphans.h"
#include "census/poisoned.h"
#include "checks/coverage.h"
#include "checks/families.h"

/*
 * Between a list and its user, on the way either way, pages have no reference
 * for a moment: get_page_from_freelist() zeroes them and makes them a folio
 * first, free_unref_folios() has many of them at once. Who does that has the
 * block's address in hand.
 */
static void report_handled(struct pa_check_context *c, uint64_t pfn,
			   uint64_t end, uint64_t task)
{
	struct pa_finding *f = pa_finding_add(
		c->findings, PA_CHECK_LOST_FREE_PAGES, PA_INFO, pfn, end,
		"%" PRIu64 " pages without references are in the hands of a "
		"task that is allocating or freeing them",
		end - pfn);

	pa_check_add_task(c, f, task);
	pa_finding_hex(f, "page", pa_pfn_to_page(c->kernel, pfn));
}

static void report_lost(struct pa_check_context *c, uint64_t pfn, uint64_t end)
{
	const struct pa_cpu_task *busy =
		pa_cpu_tasks_in_kernel(&c->census->cpu_tasks);
	uint64_t bytes = (end - pfn) << c->kernel->space.page_shift;
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
}

/*
 * The order of the compound page whose head is at @head: 0 if it is not set yet,
 * or not any more. False where that can't be read.
 */
static bool read_order(struct pa_check_context *c, uint64_t head,
		       uint32_t *order_ret)
{
	const struct pa_page_format *f = &c->kernel->page_format;
	const uint8_t *page;
	struct pa_error *err = pa_memmap_page(c->memmap, head, 2, &page);

	if (err) {
		pa_error_destroy(err);
		return false;
	}
	*order_ret = pa_folio_order(f, page);
	return *order_ret <= f->max_order;
}

/*
 * Whether the page at @head, of @class, may be the first of a block that reaches
 * to @pfn; of an order up to *@order_ret.
 */
static bool may_be_head(struct pa_check_context *c, uint64_t head,
			uint8_t class, uint64_t pfn, uint32_t *order_ret)
{
	const struct pa_page_format *f = &c->kernel->page_format;
	uint32_t order;

	switch (class) {
	case PA_CLASS_USED_HEAD:
	case PA_CLASS_FROZEN_HEAD:
		if (!read_order(c, head, &order))
			return false;
		*order_ret = order ? order : f->max_order;
		return pfn - head < PA_BIT(*order_ret);
	case PA_CLASS_TAKEN:
		/* The list that it was met on may be one that it was on. */
		*order_ret = f->max_buddy_order;
		return pfn - head < PA_BIT(*order_ret) &&
		       pa_handled_find(c->census, head, head + 1) &&
		       pa_check_zone_severity(c, pa_check_page_zone(c, head)) ==
			       PA_INFO;
	default:
		return false;
	}
}

/*
 * prep_compound_page() makes a block's pages tails one after the other and sets
 * the order last, free_pages_prepare() unmakes them so, and __free_one_page()
 * takes a free page's buddies off their lists before it marks the block that
 * they make: the pages from @pfn on may be the rest of a block whose head is in
 * somebody's hands. Where that ends, or @pfn.
 */
static uint64_t handled_rest(struct pa_check_context *c, uint64_t pfn,
			     uint64_t end, const struct pa_handled **ret)
{
	uint32_t max_order = c->kernel->page_format.max_order;

	for (uint32_t order = 1; order <= max_order; order++) {
		uint64_t head = pa_align_down(pfn, PA_BIT(order));
		const uint8_t *byte = pa_census_class(c->census, head);
		uint8_t class = byte ? *byte & PA_CLASS_MASK : PA_CLASS_UNKNOWN;
		uint32_t most;

		if (head == pfn || !may_be_head(c, head, class, pfn, &most))
			continue;
		*ret = pa_handled_find(c->census, head, head + 1);
		if (!*ret)
			return pfn;
		while (order < most && !(head & PA_BIT(order)))
			order++;
		return pa_min(end, head + PA_BIT(order));
	}
	return pfn;
}

/*
 * In whose hands the first pages of [pfn, end) are that are in anybody's:
 * [start_ret, next_ret). NULL: none of them are, and both are @end.
 */
static const struct pa_handled *find_hand(struct pa_check_context *c,
					  uint64_t pfn, uint64_t end,
					  uint64_t *start_ret,
					  uint64_t *next_ret)
{
	uint64_t span = PA_BIT(c->kernel->zones.pageblock_order);
	const struct pa_handled *handled;

	*start_ret = pfn;
	*next_ret = handled_rest(c, pfn, end, &handled);
	if (*next_ret != pfn)
		return handled;
	*next_ret = end;
	handled = pa_handled_find_freer(c->census, pfn, end);
	if (handled)
		return handled;
	handled = pa_handled_find(c->census, pfn, end);
	if (handled) {
		uint32_t order = pa_orphans_block_order(
			handled->pfn, pfn, end,
			c->kernel->page_format.max_buddy_order);

		*start_ret = pa_align_down(handled->pfn, PA_BIT(order));
		*next_ret = *start_ret + PA_BIT(order);
		return handled;
	}
	/*
	 * Parts of a folio have no reference until __folio_split() comes to
	 * them; those behind the end of the file are in no page cache any more.
	 */
	handled = pa_handled_find_splitter(c->census, pfn);
	if (handled)
		*next_ret = pa_min(end, pa_align_down(pfn, span) + span);
	else
		*start_ret = end;
	return handled;
}

struct lost_check {
	struct pa_check_context *c;
	/* Pages in nobody's hands, while some stacks could not be read. */
	uint64_t unknown;
};

static struct pa_error *report_run(void *arg, uint64_t pfn, uint64_t end)
{
	struct lost_check *k = arg;
	struct pa_check_context *c = k->c;

	/* Round poison the loss has a name of its own. */
	if (pa_poisoned_in(c->census, pfn, end))
		return NULL;
	while (pfn < end) {
		uint64_t start, next;
		const struct pa_handled *handled =
			find_hand(c, pfn, end, &start, &next);

		if (pfn < start && c->census->stacks_unread)
			k->unknown += start - pfn;
		else if (pfn < start)
			report_lost(c, pfn, start);
		if (handled)
			report_handled(c, start, next, handled->task);
		pfn = next;
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

	struct lost_check k = { .c = c };
	struct pa_error *err = pa_orphans_visit(census, report_run, &k);

	if (k.unknown)
		pa_check_status(result, PA_PARTIAL,
				"%" PRIu64
				" pages without references may be in the hands "
				"of tasks whose stacks could not be read",
				k.unknown);
	return err;
}
