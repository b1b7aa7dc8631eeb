// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/device_wait.h"

#include <inttypes.h>
#include <stdlib.h>

#include "census/excess.h"
#include "census/holder.h"
#include "checks/discrepancy.h"
#include "checks/task_stack.h"

/* Runs of pages that are told of. */
#define MAX_HELD 256

void pa_device_wait_deinit(struct pa_device_wait *wait)
{
	pa_places_destroy(wait->places);
	if (wait->has_waiting)
		pa_waiting_deinit(&wait->waiting);
}

static const struct pa_pgmap_range *range_at(const struct pa_kernel *kernel,
					     uint64_t pfn)
{
	const struct pa_pgmap_range *range =
		pa_pgmap_range_at(&kernel->pgmaps, pfn);

	return range && range->pfn <= pfn ? range : NULL;
}

static const struct pa_pgmap *map_of(const struct pa_kernel *kernel,
				     const struct pa_pgmap_range *range)
{
	return &kernel->pgmaps.maps.items[range->map];
}

static struct pa_error *find_waiting(struct pa_device_wait *wait)
{
	struct pa_error *err;

	if (wait->has_waiting)
		return NULL;
	err = pa_waiting_init(wait->c->census, wait->c->memmap->memory,
			      &wait->waiting);
	if (!err) {
		wait->has_waiting = true;
		return NULL;
	}
	/* It only adds to what is told. */
	if (!pa_error_is_target(err) && err->code != PA_ERROR_MISSING)
		return err;
	pa_error_destroy(err);
	return NULL;
}

static struct pa_error *add_stack(struct pa_device_wait *wait,
				  struct pa_finding *f, uint64_t task)
{
	struct pa_error *err = NULL;

	if (!wait->places)
		err = pa_places_create(wait->c->census, wait->c->memmap->memory,
				       &wait->places);
	return err ? err : pa_check_add_stack(wait->c, wait->places, f, task);
}

/*
 * The task in memunmap_pages() has the pgmap's address on its stack, or that
 * of its ref or completion. Before v5.18 a pmem device lends the percpu_ref of
 * its queue: what it waits for is the queue's freeze.
 */
static struct pa_error *add_teardown(struct pa_device_wait *wait,
				     struct pa_finding *f,
				     const struct pa_pgmap *map, bool *found)
{
	const struct pa_layout *layout = wait->c->kernel->layout;
	struct pa_stack_hit hit;

	pa_check_find_task(wait->c, PA_SYM_memunmap_pages, map->address,
			   map->address + PA_SIZEOF(layout, dev_pagemap), &hit);
	*found = hit.task;
	if (!*found)
		return NULL;
	pa_finding_text(f, "waiting",
			"%s (pid %" PRIu32 ") is in memunmap_pages() of %s "
			"until the references are gone",
			hit.comm, hit.pid,
			*map->device ? map->device : "the device");
	return add_stack(wait, f, hit.task);
}

/* Who waits for one of these pages: dax_break_layout() and before it. */
static const struct pa_waiter *find_waiter(struct pa_device_wait *wait,
					   uint64_t pfn, uint64_t end)
{
	size_t nr;
	const struct pa_waiter *w =
		pa_waiters_find(&wait->waiting.waiters, pfn, end, &nr);

	for (size_t i = 0; i < nr; i++)
		if (w[i].kind == PA_WAIT_REFERENCES && w[i].task)
			return &w[i];
	return NULL;
}

struct pa_error *pa_device_wait_add(struct pa_device_wait *wait,
				    struct pa_finding *f, uint64_t pfn,
				    uint64_t end)
{
	struct pa_check_context *c = wait->c;
	const struct pa_pgmap_range *range = range_at(c->kernel, pfn);
	const struct pa_pgmap *map;
	const struct pa_waiter *waiter;
	struct pa_error *err;
	bool found = false;
	uint32_t pid;
	char comm[16];

	if (!range)
		return NULL;
	map = map_of(c->kernel, range);
	pa_finding_hex(f, "pgmap", map->address);
	pa_finding_text(f, "pgmap_type", "%s%s", pa_pgmap_type_names[map->type],
			map->dead ? ", being torn down" : "");
	if (*map->device)
		pa_finding_text(f, "device", "%s", map->device);
	if (*map->disk)
		pa_finding_text(f, "disk", "%s", map->disk);
	if (map->dead && map->ref.count_known)
		pa_finding_number(f, "pgmap_references", map->ref.count);
	if (map->dead) {
		err = add_teardown(wait, f, map, &found);
		if (err || found)
			return err;
	}
	err = find_waiting(wait);
	waiter = err ? NULL : find_waiter(wait, pfn, end);
	if (!waiter)
		return err;
	pa_task_name(c->kernel, c->memmap->memory, waiter->task, &pid, comm);
	pa_finding_text(f, "waiting",
			"%s (pid %" PRIu32 ") waits until the references to "
			"pfn 0x%" PRIx64 " are gone",
			comm, pid, waiter->pfn);
	return add_stack(wait, f, waiter->task);
}

/* What is waited for and held, before it is told. */
struct held {
	PA_ARRAY(struct pa_pfn_range) list;
};

/* False if there is no memory for it. */
static bool add_held(struct held *held, uint64_t pfn, uint64_t end)
{
	struct pa_pfn_range range = { pfn, end };
	struct pa_pfn_range *last =
		held->list.length ? &held->list.items[held->list.length - 1] :
				    NULL;

	if (last && last->end == pfn) {
		last->end = end;
		return true;
	}
	return held->list.length >= MAX_HELD ||
	       pa_array_append(&held->list, range);
}

/* Pages of a dead pgmap that have more references than an idle page. */
static struct pa_error *collect_dead(struct pa_device_wait *wait,
				     const struct pa_pgmap_range *range,
				     struct held *held)
{
	const struct pa_kernel *kernel = wait->c->kernel;
	const struct pa_page_format *format = &kernel->page_format;
	uint64_t pfn = range->data_pfn;

	while (pfn < range->pfn_end) {
		struct pa_memmap_run run;
		struct pa_error *err = pa_memmap_run(
			wait->c->memmap, pfn, range->pfn_end - pfn, &run);

		if (err)
			return err;
		for (uint64_t i = 0; run.presence == PA_PRESENT && i < run.nr;
		     i++) {
			uint32_t idle = pa_pgmap_idle_refcount(kernel->layout,
							       &kernel->pgmaps,
							       range,
							       run.pfn + i);

			if (pa_page_refcount(format,
					     run.pages + i * format->size) >
				    idle &&
			    !add_held(held, run.pfn + i, run.pfn + i + 1))
				return &pa_error_no_memory;
		}
		pfn += run.nr;
	}
	return NULL;
}

/* The last page of the folio that starts at @pfn, + 1. */
static uint64_t folio_end(struct pa_device_wait *wait, uint64_t pfn)
{
	const struct pa_page_format *format = &wait->c->kernel->page_format;
	const uint8_t *pages;
	struct pa_error *err = pa_memmap_page(wait->c->memmap, pfn, 2, &pages);
	uint32_t order = 0;

	if (!err && pa_page_flags(format, pages) & format->flag.head)
		order = pa_folio_order(format, pages);
	pa_error_destroy(err);
	return pfn + PA_BIT(order <= format->max_order ? order : 0);
}

static struct pa_error *collect_waited(struct pa_device_wait *wait,
				       struct held *held)
{
	struct pa_error *err = find_waiting(wait);

	if (err || !wait->has_waiting)
		return err;
	pa_array_for_each(page, &wait->waiting.pages) {
		uint64_t end = folio_end(wait, page->pfn);
		const struct pa_pgmap_range *range =
			range_at(wait->c->kernel, page->pfn);

		/* The dead have been seen. */
		if (range && !map_of(wait->c->kernel, range)->dead &&
		    find_waiter(wait, page->pfn, end) &&
		    !add_held(held, page->pfn, end))
			return &pa_error_no_memory;
	}
	return NULL;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct pa_pfn_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* A finding of its own says what is wrong with one of them. */
static bool is_reported(struct pa_check_context *c,
			const struct pa_pfn_range *range)
{
	pa_array_for_each(f, &c->findings->list)
		if ((f->check == PA_CHECK_SOFT_OFFLINE_LEAK ||
		     f->check == PA_CHECK_DEVICE_PAGE_REFERENCE) &&
		    f->pfn < range->end && f->pfn_end > range->start)
			return true;
	return false;
}

static struct pa_error *report(struct pa_device_wait *wait,
			       const struct pa_pfn_range *range,
			       const struct pa_references *slots)
{
	const struct pa_pgmap_range *device =
		range_at(wait->c->kernel, range->start);
	size_t first = 0, nr = 0;
	struct pa_finding *f;

	if (!device || is_reported(wait->c, range))
		return NULL;
	while (first < slots->list.length &&
	       slots->list.items[first].pfn < range->start)
		first++;
	while (first + nr < slots->list.length &&
	       slots->list.items[first + nr].pfn < range->end)
		nr++;
	f = pa_finding_add(wait->c->findings, PA_CHECK_DEVICE_PAGE_REFERENCE,
			   PA_INFO, range->start, range->end,
			   "device memory is in use, and %s",
			   map_of(wait->c->kernel, device)->dead ?
				   "its device is being torn down" :
				   "somebody waits for it");
	if (nr)
		pa_finding_holders(f, &slots->list.items[first], nr);
	return pa_device_wait_add(wait, f, range->start, range->end);
}

struct pa_error *pa_device_wait_report(struct pa_device_wait *wait)
{
	const struct pa_pgmaps *pgmaps = &wait->c->kernel->pgmaps;
	struct pa_references slots = { 0 };
	struct pa_watch watch = { 0 };
	struct held held = { 0 };
	struct pa_error *err = NULL;

	for (size_t i = 0; !err && i < pgmaps->ranges.length; i++)
		if (pgmaps->maps.items[pgmaps->ranges.items[i].map].dead)
			err = collect_dead(wait, &pgmaps->ranges.items[i],
					   &held);
	if (!err && pgmaps->ranges.length)
		err = collect_waited(wait, &held);
	if (held.list.length)
		qsort(held.list.items, held.list.length,
		      sizeof(*held.list.items), compare_ranges);
	if (!err && !pa_array_extend(&watch.ranges, &held.list))
		err = &pa_error_no_memory;
	if (!err && held.list.length)
		err = pa_holders_find(wait->c->census, wait->c->job, &watch,
				      &slots);
	for (size_t i = 0; !err && i < held.list.length; i++)
		err = report(wait, &held.list.items[i], &slots);
	pa_references_deinit(&slots);
	pa_array_deinit(&watch.ranges);
	pa_array_deinit(&held.list);
	return err;
}
