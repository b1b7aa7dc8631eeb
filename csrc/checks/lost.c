// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Lost memory: pages that are not free, and not anybody's.
 *
 * Healthy pages of refcount 0 are on a list, typed, compound, in an offline
 * section, or the rest of a non-compound high-order allocation: alloc_pages()
 * without __GFP_COMP gives only the first of 2^order pages a reference
 * (prep_new_page()). Such a rest is recognised by completing a naturally
 * aligned block whose first page is in use.
 */
#include "checks/lost.h"

#include <inttypes.h>

#include "checks/coverage.h"
#include "checks/families.h"

static bool is_candidate(uint8_t byte)
{
	return (byte & PA_CLASS_MASK) == PA_CLASS_ZERO;
}

static bool is_first_of_block(const struct pa_census *census, uint64_t pfn)
{
	const uint8_t *byte = pa_census_class(census, pfn);

	return byte && ((*byte & PA_CLASS_MASK) == PA_CLASS_USED ||
			(*byte & PA_CLASS_MASK) == PA_CLASS_LRU);
}

/*
 * How many pages from @start on are the rest of an allocation that begins at
 * start - 1. A run that goes on behind it is cut where the remainder is a
 * naturally aligned block again, which lost blocks are.
 */
static uint64_t owned_pages(const struct pa_census *census, uint64_t start,
			    uint64_t end)
{
	uint32_t max_order = census->kernel->page_format.max_buddy_order;
	uint64_t first = start - 1;
	uint64_t best = 0;

	if (!start || !is_first_of_block(census, first))
		return 0;
	for (uint32_t order = 1; order <= max_order; order++) {
		uint64_t next = first + PA_BIT(order);

		if (first & PA_MASK(order) || next > end)
			break;
		if (next == end)
			return next - start;
		/* What is left must be as aligned as it is long. */
		if (!(next & (end - next - 1)) &&
		    !((end - next) & (end - next - 1)))
			best = next - start;
	}
	return best;
}

static void visit_run(const struct pa_census *census, uint64_t start,
		      uint64_t end, pa_lost_run_fn visit, void *arg)
{
	start += owned_pages(census, start, end);
	if (start < end)
		visit(arg, start, end);
}

void pa_lost_runs(const struct pa_census *census, pa_lost_run_fn visit,
		  void *arg)
{
	const struct pa_sections *sections = &census->kernel->sections;
	uint64_t start = PA_NO_PFN, end = 0;

	for (size_t i = 0; i < sections->list.length; i++) {
		const uint8_t *classes = census->classes[i];
		uint64_t base = sections->list.items[i].nr
				<< sections->pages_shift;

		if (!classes)
			continue;
		for (uint64_t j = 0; j < sections->pages; j++) {
			if (!is_candidate(classes[j]))
				continue;
			if (start != PA_NO_PFN && end == base + j) {
				end++;
				continue;
			}
			if (start != PA_NO_PFN)
				visit_run(census, start, end, visit, arg);
			start = base + j;
			end = start + 1;
		}
	}
	if (start != PA_NO_PFN)
		visit_run(census, start, end, visit, arg);
}

uint32_t pa_lost_block_order(uint64_t pfn, uint64_t start, uint64_t end,
			     uint32_t max_order)
{
	uint32_t order = 0;

	while (order < max_order) {
		uint64_t block = pa_align_down(pfn, PA_BIT(order + 1));

		if (block < start || block + PA_BIT(order + 1) > end)
			break;
		order++;
	}
	return order;
}

struct lost_walk {
	struct pa_check_context *c;
	size_t next_poisoned;
};

static bool has_poison(struct lost_walk *walk, uint64_t pfn, uint64_t end)
{
	const struct pa_census *census = walk->c->census;

	for (size_t i = 0; i < census->poisoned.length; i++)
		if (census->poisoned.items[i].pfn >= pfn &&
		    census->poisoned.items[i].pfn < end)
			return true;
	return false;
}

static void report_run(void *arg, uint64_t pfn, uint64_t end)
{
	struct lost_walk *walk = arg;
	struct pa_check_context *c = walk->c;
	uint64_t bytes = (end - pfn) << c->kernel->space.page_shift;

	/* Around poison the loss has a name of its own. */
	if (has_poison(walk, pfn, end))
		return;

	struct pa_finding *f = pa_finding_add(
		c->findings, PA_CHECK_LOST_FREE_PAGES, PA_BUG, pfn, end,
		"%" PRIu64 " pages (%" PRIu64
		" bytes) without references are on no list and nobody's",
		end - pfn, bytes);

	pa_finding_number(f, "bytes", (int64_t)bytes);
	pa_finding_hex(f, "page", pa_pfn_to_page(c->kernel, pfn));
}

struct pa_error *pa_check_lost_free_pages(struct pa_check_context *c,
					  struct pa_check_result *result)
{
	struct lost_walk walk = { .c = c };
	const struct pa_census *census = c->census;

	pa_check_scan_coverage(c, result);
	pa_check_part_coverage(c, result, PA_CENSUS_BUDDY);
	pa_check_part_coverage(c, result, PA_CENSUS_PCP);
	/* Pages of a list that could not be walked look lost. */
	if (census->parts[PA_CENSUS_PCP].unreadable ||
	    census->parts[PA_CENSUS_PCP].err) {
		pa_check_status(result, PA_SKIPPED,
				"the per-cpu lists could not be read");
		return NULL;
	}
	pa_lost_runs(census, report_run, &walk);
	return NULL;
}
