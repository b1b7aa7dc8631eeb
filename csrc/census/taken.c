// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Free pages that are off the buddy's lists for a while, with a holder: on a
 * private list of compaction or of a range allocation (struct compact_control,
 * on a task's stack), on a zone's deferred lists, or not yet accepted.
 */
#include "census/handled.h"
#include "census/orphans.h"
#include "census/private_list.h"
#include "kernel/list.h"

/* A private list is no longer than what one pass of compaction takes. */
#define MAX_LIST PA_BIT(20)
#define MAX_PASSES 16
#define MAX_CONTROL_BYTES 1024

struct taken {
	struct pa_census *census;
	struct pa_memmap *memmap;
	struct pa_private_lists lists;
};

/* Marks a free block whose first page is @pfn as somebody's. */
static void claim(struct taken *taken, uint64_t pfn, uint64_t order)
{
	struct pa_census *census = taken->census;

	if (order > census->kernel->page_format.max_buddy_order ||
	    pfn & PA_MASK(order))
		order = 0;
	for (uint64_t i = 0; i < PA_BIT(order); i++) {
		uint8_t *class = pa_census_class(census, pfn + i);

		if (!class || (*class & PA_CLASS_MASK) != PA_CLASS_ZERO)
			continue;
		*class = (uint8_t)((*class & ~PA_CLASS_MASK) | PA_CLASS_TAKEN);
		census->pages_taken++;
	}
}

/* *head_ret: of the private list that the free page at @pfn is on, or 0. */
static struct pa_error *on_private_list(struct taken *taken, uint64_t pfn,
					uint64_t *head_ret)
{
	const struct pa_kernel *kernel = taken->census->kernel;
	const struct pa_page_format *f = &kernel->page_format;
	uint64_t flags;
	struct pa_error *err = pa_memory_read_near(
		taken->memmap->memory, &taken->lists.near,
		pa_pfn_to_page(kernel, pfn) + f->flags, sizeof(flags), &flags);

	*head_ret = 0;
	if (err)
		return err;
	/*
	 * The last reference of a folio is dropped before it is taken off its
	 * LRU list (__folio_put(), folios_put_refs()): that is no list of free
	 * pages.
	 */
	if (flags & f->flag.lru)
		return NULL;
	return pa_private_list_head(&taken->lists, pfn, head_ret);
}

/* A list_head at @address, empty or not, or one that was never used. */
static bool is_list(const uint8_t *bytes, uint64_t address)
{
	uint64_t next = pa_load_u64(bytes), prev = pa_load_u64(bytes + 8);

	return (!next && !prev) || pa_is_list_head(next, prev, address);
}

/* Whether a compact_control is at @address, with @nr lists of free pages. */
static bool is_control(struct taken *taken, uint64_t address, uint32_t nr)
{
	const struct pa_kernel *kernel = taken->census->kernel;
	const struct pa_layout *layout = kernel->layout;
	uint32_t free_at = PA_OFFSETOF(layout, compact_control, freepages);
	uint32_t at = PA_OFFSETOF(layout, compact_control, migratepages);
	uint8_t bytes[MAX_CONTROL_BYTES];
	struct pa_error *err =
		pa_memory_read(taken->memmap->memory, address,
			       PA_SIZEOF(layout, compact_control), bytes);

	if (err) {
		pa_error_destroy(err);
		return false;
	}
	if (!is_list(bytes + at, address + at))
		return false;
	for (uint32_t i = 0; i < nr; i++)
		if (!is_list(bytes + free_at + 16 * i,
			     address + free_at + 16 * i))
			return false;

	return pa_zone_at(&kernel->zones,
			  PA_GET(layout, bytes, compact_control, zone));
}

/*
 * The order of blocks on the list with that head of which the first page does
 * not say it: compact_control has a list an order since v6.9, and blocks that
 * compaction_free() puts there have a private of 0.
 */
static uint64_t list_order(struct taken *taken, uint64_t head)
{
	const struct pa_layout *layout = taken->census->kernel->layout;

	if (!PA_HAS(layout, compact_control, freepages) ||
	    !PA_HAS(layout, compact_control, migratepages) ||
	    !PA_HAS(layout, compact_control, zone) ||
	    PA_SIZEOF(layout, compact_control) > MAX_CONTROL_BYTES)
		return 0;

	uint32_t at = PA_OFFSETOF(layout, compact_control, freepages);
	uint32_t end = PA_OFFSETOF(layout, compact_control, migratepages);
	uint32_t nr = end > at ? (end - at) / 16 : 0;

	if ((uint64_t)end + 16 > PA_SIZEOF(layout, compact_control))
		return 0;
	/* One list, of no order, before. */
	if (nr != taken->census->kernel->page_format.max_buddy_order + 1)
		return 0;
	for (uint32_t order = 0; order < nr; order++)
		if (is_control(taken, head - at - 16 * (uint64_t)order, nr))
			return order;
	return 0;
}

/*
 * The pages from @pfn on to the list's head, and, where it still has all its
 * links, those before. The first page of a free block on a private list has its
 * order (v6.9), or the list says it.
 */
static struct pa_error *claim_list(struct taken *taken, uint64_t pfn,
				   uint64_t head)
{
	const struct pa_kernel *kernel = taken->census->kernel;
	struct pa_memory *memory = taken->memmap->memory;
	uint64_t start = pa_pfn_to_page(kernel, pfn) + kernel->page_format.lru;
	uint64_t node = start;
	uint64_t order = list_order(taken, head), own;
	bool behind_head = false;

	for (uint64_t i = 0; i < MAX_LIST; i++) {
		uint64_t here = pa_private_list_pfn(&taken->lists, node), next,
			 back;
		const uint8_t *page;
		struct pa_error *err = NULL;

		if (here == PA_NO_PFN) {
			if (behind_head)
				break;
			behind_head = true;
		} else {
			err = pa_memmap_page(taken->memmap, here, 1, &page);
			if (err)
				return err;
			own = pa_page_private(&kernel->page_format, page);
			claim(taken, here, own ? own : order);
		}
		err = pa_memory_read_u64(memory, node, &next);
		if (!err && next != start)
			err = pa_memory_read_u64(memory, next + 8, &back);
		if (err)
			return err;
		if (next == start || back != node)
			break;
		node = next;
	}
	return NULL;
}

static struct pa_error *visit_orphans(void *arg, uint64_t pfn, uint64_t end)
{
	struct taken *taken = arg;

	for (; pfn < end; pfn++) {
		const uint8_t *class = pa_census_class(taken->census, pfn);
		uint64_t head;

		if (!class || (*class & PA_CLASS_MASK) != PA_CLASS_ZERO)
			continue;

		struct pa_error *err = on_private_list(taken, pfn, &head);

		if (!err && head)
			err = claim_list(taken, pfn, head);
		/* Links to memory that is not there are no list. */
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			err = NULL;
		}
		if (err)
			return err;
	}
	return NULL;
}

/*
 * Pages that were freed where the zone's lock could not be had wait on a
 * lock-less list, linked by their pcp_llist, with their order in private
 * (free_frozen_page_commit() and free_one_page(), v6.15).
 */
static struct pa_error *claim_trylock(struct taken *taken,
				      const struct pa_zone *zone)
{
	const struct pa_kernel *kernel = taken->census->kernel;
	const struct pa_layout *layout = kernel->layout;
	uint32_t link = PA_OFFSETOF(layout, page, pcp_llist);
	uint64_t node;
	struct pa_error *err = pa_memory_read_u64(
		taken->memmap->memory,
		zone->address + PA_OFFSETOF(layout, zone, trylock_free_pages),
		&node);

	for (uint64_t i = 0; !err && node && i < MAX_LIST; i++) {
		uint64_t pfn;
		const uint8_t *page;

		if (!pa_page_to_pfn(kernel, node - link, &pfn) ||
		    pa_map_has(&taken->lists.met, node))
			return NULL;
		if (!pa_map_set(&taken->lists.met, node, 0))
			return &pa_error_no_memory;
		err = pa_memmap_page(taken->memmap, pfn, 1, &page);
		if (err)
			return err;
		claim(taken, pfn, pa_page_private(&kernel->page_format, page));
		node = pa_load_u64(page + link);
	}
	return err;
}

static bool visit_unaccepted(void *arg, uint64_t node)
{
	struct taken *taken = arg;
	uint64_t pfn = pa_private_list_pfn(&taken->lists, node);

	if (pfn == PA_NO_PFN)
		return false;
	claim(taken, pfn, taken->census->kernel->page_format.max_buddy_order);
	return true;
}

/* Blocks of the largest order that were never touched (accept_memory()). */
static struct pa_error *claim_unaccepted(struct taken *taken,
					 const struct pa_zone *zone)
{
	const struct pa_kernel *kernel = taken->census->kernel;
	struct pa_list_result result;

	return pa_list_walk(taken->memmap->memory,
			    zone->address + PA_OFFSETOF(kernel->layout, zone,
							unaccepted_pages),
			    MAX_LIST, visit_unaccepted, taken, &result);
}

static struct pa_error *claim_zones(struct taken *taken)
{
	const struct pa_kernel *kernel = taken->census->kernel;
	const struct pa_layout *layout = kernel->layout;
	bool trylock = PA_HAS(layout, zone, trylock_free_pages) &&
		       PA_HAS(layout, page, pcp_llist);
	bool unaccepted = PA_HAS(layout, zone, unaccepted_pages);

	for (size_t i = 0; i < kernel->zones.list.length; i++) {
		const struct pa_zone *zone = &kernel->zones.list.items[i];
		struct pa_error *err = trylock ? claim_trylock(taken, zone) :
						 NULL;

		if (!err && unaccepted)
			err = claim_unaccepted(taken, zone);
		if (err)
			return err;
	}
	return NULL;
}

struct pa_error *pa_census_taken(struct pa_census *census, struct pa_job *job)
{
	struct taken taken = { .census = census };
	struct pa_error *err = pa_memmap_create(census->kernel, &taken.memmap);

	if (err)
		return err;
	taken.lists.census = census;
	taken.lists.kernel = census->kernel;
	taken.lists.memory = taken.memmap->memory;
	pa_job_phase(job, "pages in transit", 1);
	err = pa_handled_build(census, taken.memmap->memory);
	if (!err)
		err = claim_zones(&taken);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		census->parts[PA_CENSUS_TAKEN].unreadable++;
		err = NULL;
	}
	/*
	 * A list's pages may lie in runs that look like the rest of an
	 * allocation until others of the list are taken out of them.
	 */
	uint64_t before = PA_NO_PFN;

	for (int i = 0; !err && i < MAX_PASSES && census->pages_taken != before;
	     i++) {
		before = census->pages_taken;
		err = pa_orphans_visit(census, visit_orphans, &taken);
	}
	pa_memmap_destroy(taken.memmap);
	pa_private_lists_deinit(&taken.lists);
	return err;
}
