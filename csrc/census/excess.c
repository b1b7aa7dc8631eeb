// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/excess.h"

#include <stdlib.h>
#include <string.h>

/* A broken kernel has no end of them, and nobody reads so many findings. */
#define MAX_FOLIOS PA_MAX_DISCREPANCIES
/* Of each page; a reader wants to know of some. */
#define MAX_HITS 16

bool pa_excess_is_stuck(const struct pa_excess *excess,
			const struct pa_waited *waited)
{
	const struct pa_waiter *waiters =
		excess->waiting.waiters.list.items + waited->first;

	if (!waited->readable || !waited->locked || waited->task)
		return false;
	for (size_t i = 0; i < waited->nr; i++)
		if (waiters[i].kind == PA_WAIT_LOCK)
			return true;
	return false;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct pa_pfn_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Sorted and disjoint: a folio whose counts disagree may be stuck as well. */
static void settle(struct pa_watch *watch)
{
	size_t nr = 0;

	if (watch->ranges.length)
		qsort(watch->ranges.items, watch->ranges.length,
		      sizeof(*watch->ranges.items), compare_ranges);
	pa_array_for_each(range, &watch->ranges)
		if (!nr || range->start >= watch->ranges.items[nr - 1].end)
			watch->ranges.items[nr++] = *range;
	watch->ranges.length = nr;
}

static struct pa_error *find_slots(struct pa_census *census, struct pa_job *job,
				   struct pa_excess *excess)
{
	struct pa_watch watch = { 0 };
	struct pa_error *err = NULL;

	for (size_t i = 0; !err && i < excess->nr_folios; i++) {
		const struct pa_discrepancy *d = &census->counts->list.items[i];
		struct pa_pfn_range range = {
			.start = d->pfn,
			.end = d->pfn + PA_BIT(d->order),
		};

		if (!pa_array_append(&watch.ranges, range))
			err = &pa_error_no_memory;
	}
	pa_array_for_each(waited, &excess->waiting.pages)
		if (!err && pa_excess_is_stuck(excess, waited) &&
		    !pa_array_append(
			    &watch.ranges,
			    (struct pa_pfn_range){ .start = waited->pfn,
						   .end = waited->pfn + 1 }))
			err = &pa_error_no_memory;
	settle(&watch);
	if (!err && watch.ranges.length)
		err = pa_holders_find(census, job, &watch, &excess->slots);
	pa_array_deinit(&watch.ranges);
	return err;
}

static struct pa_error *find_waiters(const struct pa_census *census,
				     struct pa_memory *memory,
				     struct pa_excess *excess)
{
	struct pa_error *err =
		pa_waiting_init(census, memory, &excess->waiting);

	/* It only adds to what is told. */
	if (!pa_error_is_target(err) && (!err || err->code != PA_ERROR_MISSING))
		return err;
	pa_error_destroy(err);
	return NULL;
}

/*
 * Buffer heads name their page without a reference each: PG_private has one
 * for all of them (attach_page_buffers()). A large folio has hundreds.
 */
static const struct pa_slab_cache *find_links(const struct pa_census *census)
{
	if (census->slabs)
		pa_array_for_each(cache, &census->slabs->caches)
			if (!strcmp(cache->name, "buffer_head"))
				return cache;
	return NULL;
}

/*
 * As far as there may have been memory: the table of sections goes on for a
 * page from the highest on, and max_pfn is not lowered where memory is removed.
 * Behind that words are numbers that look like pointers.
 */
static struct pa_error *find_unusable_end(const struct pa_census *census,
					  struct pa_memory *memory,
					  uint64_t *ret)
{
	const struct pa_kernel *kernel = census->kernel;
	const struct pa_layout *layout = kernel->layout;
	const struct pa_sections *sections = &kernel->sections;
	uint64_t size = PA_SIZEOF(layout, mem_section);
	uint64_t root = size ? PA_BIT(kernel->space.page_shift) / size : 1;
	uint64_t end = sections->index_length << sections->pages_shift;
	uint64_t max_pfn = 0;
	struct pa_error *err = NULL;

	if (PA_HAS_SYM(layout, max_pfn))
		err = pa_memory_read_u64(memory, PA_SYM(layout, max_pfn),
					 &max_pfn);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		err = NULL;
		max_pfn = 0;
	}
	root = pa_max(root, 1) << sections->pages_shift;
	end = (pa_max(end, max_pfn) + root - 1) / root * root;
	*ret = pa_min(end, PA_BIT(kernel->space.max_physmem_bits -
				  kernel->space.page_shift));
	return err;
}

static struct pa_error *search(struct pa_census *census,
			       struct pa_memory *memory, struct pa_job *job,
			       struct pa_excess *excess)
{
	PA_ARRAY(uint64_t) known = { 0 };
	uint64_t unusable_end = 0;
	struct pa_error *err = pa_needles_init(&excess->needles);

	for (size_t i = 0; !err && i < excess->nr_folios; i++) {
		const struct pa_discrepancy *d = &census->counts->list.items[i];

		err = pa_needles_add(&excess->needles, d->pfn,
				     PA_BIT(d->order));
	}
	pa_array_for_each(waited, &excess->waiting.pages)
		if (!err && pa_excess_is_stuck(excess, waited))
			err = pa_needles_add(&excess->needles, waited->pfn, 1);
	if (!err)
		err = pa_needles_settle(&excess->needles);
	pa_array_for_each(slot, &excess->slots.list)
		if (!err && slot->slot && !pa_array_append(&known, slot->slot))
			err = &pa_error_no_memory;
	if (known.length)
		qsort(known.items, known.length, sizeof(*known.items),
		      pa_compare_u64);
	if (!err)
		err = find_unusable_end(census, memory, &unusable_end);
	if (!err && excess->nr_folios)
		err = pa_in_hand_init(census, memory, PA_IN_HAND_ALL,
				      &excess->in_hand);
	if (!err && excess->nr_folios)
		err = pa_entries_in_hand_init(census, memory, &excess->entries);
	if (!err)
		err = pa_places_create(census, memory, &excess->places);
	if (!err)
		err = pa_walkers_init(census, memory, &excess->walkers);
	if (!err) {
		struct pa_search_query query = {
			.needles = &excess->needles,
			.encodings = PA_ENCODINGS_USUAL,
			.max_hits = MAX_HITS,
			.known = known.items,
			.nr_known = known.length,
			.links = find_links(census),
			.unusable_end = unusable_end,
		};

		err = pa_search(excess->places, job, &query, &excess->search);
	}
	pa_array_deinit(&known);
	return err;
}

struct pa_error *pa_census_excess(struct pa_census *census, struct pa_job *job)
{
	struct pa_excess *excess = calloc(1, sizeof(*excess));
	struct pa_memory *memory = NULL;
	struct pa_error *err;

	if (!excess)
		return &pa_error_no_memory;
	census->excess = excess;
	if (census->counts)
		excess->nr_folios =
			pa_min(census->counts->list.length, MAX_FOLIOS);
	err = pa_kernel_memory(census->kernel, &memory);
	if (!err)
		err = find_waiters(census, memory, excess);
	if (!err)
		err = find_slots(census, job, excess);
	if (!err)
		err = search(census, memory, job, excess);
	pa_memory_destroy(memory);
	return err;
}

void pa_excess_destroy(struct pa_excess *excess)
{
	if (!excess)
		return;
	pa_references_deinit(&excess->slots);
	pa_search_result_deinit(&excess->search);
	pa_needles_deinit(&excess->needles);
	pa_waiting_deinit(&excess->waiting);
	pa_in_hand_deinit(&excess->in_hand);
	pa_entries_in_hand_deinit(&excess->entries);
	pa_walkers_deinit(&excess->walkers);
	pa_places_destroy(excess->places);
	free(excess);
}

size_t pa_excess_hits(const struct pa_excess *excess, uint64_t pfn,
		      uint64_t end, size_t *nr_ret)
{
	const struct pa_search_hit *items = excess->search.hits.items;
	size_t nr = excess->search.hits.length;
	size_t first = pa_bisect(items, nr, it, it->pfn < pfn);

	*nr_ret = pa_bisect(items, nr, it, it->pfn < end) - first;
	return first;
}

size_t pa_excess_slots(const struct pa_excess *excess, uint64_t pfn,
		       uint64_t end, size_t *nr_ret)
{
	const struct pa_reference *items = excess->slots.list.items;
	size_t nr = excess->slots.list.length;
	size_t first = pa_bisect(items, nr, it, it->pfn < pfn);

	*nr_ret = pa_bisect(items, nr, it, it->pfn < end) - first;
	return first;
}
