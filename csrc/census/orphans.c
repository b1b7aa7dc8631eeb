// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/orphans.h"

static bool is_candidate(uint8_t byte)
{
	return (byte & (PA_CLASS_MASK | PA_MARK_LISTED)) == PA_CLASS_ZERO;
}

static bool is_first_of_block(const struct pa_census *census, uint64_t pfn)
{
	const uint8_t *byte = pa_census_class(census, pfn);

	/* What is on an LRU is a folio, and would be a compound page. */
	return byte && (*byte & PA_CLASS_MASK) == PA_CLASS_USED;
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

/* What the page is was not read, or is told to be garbage. */
static bool is_unknown(const struct pa_census *census, uint64_t pfn)
{
	const uint8_t *byte = pa_census_class(census, pfn);

	return byte && ((*byte & PA_CLASS_MASK) == PA_CLASS_UNKNOWN ||
			(*byte & PA_CLASS_MASK) == PA_CLASS_UNINITIALISED);
}

static struct pa_error *visit_run(const struct pa_census *census,
				  uint64_t start, uint64_t end,
				  pa_orphans_fn visit, void *arg)
{
	/* Whether the run is the rest of something can't be told. */
	if ((start && is_unknown(census, start - 1)) || is_unknown(census, end))
		return NULL;
	start += owned_pages(census, start, end);
	return start < end ? visit(arg, start, end) : NULL;
}

struct pa_error *pa_orphans_visit(const struct pa_census *census,
				  pa_orphans_fn visit, void *arg)
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
			if (!(j % 8) &&
			    !pa_classes_have(classes + j, PA_CLASS_ZERO)) {
				j += 7;
				continue;
			}
			if (!is_candidate(classes[j]))
				continue;
			if (start != PA_NO_PFN && end == base + j) {
				end++;
				continue;
			}

			struct pa_error *err =
				start == PA_NO_PFN ? NULL :
						     visit_run(census, start,
							       end, visit, arg);

			if (err)
				return err;
			start = base + j;
			end = start + 1;
		}
	}
	return start == PA_NO_PFN ? NULL :
				    visit_run(census, start, end, visit, arg);
}

uint32_t pa_orphans_block_order(uint64_t pfn, uint64_t start, uint64_t end,
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
