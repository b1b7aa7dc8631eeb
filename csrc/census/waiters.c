// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/waiters.h"

#include "census/handled.h"
#include "kernel/memmap.h"

/* No folio has more pages: 1 GiB. */
#define MAX_FOLIO_PAGES PA_BIT(18)

static uint8_t class_of(const struct pa_census *census, uint64_t pfn)
{
	const uint8_t *byte = pa_census_class(census, pfn);

	return byte ? *byte & PA_CLASS_MASK : PA_CLASS_NOT_MEMORY;
}

static bool waits(const struct pa_waiter *waiters, size_t nr, uint64_t task)
{
	for (size_t i = 0; i < nr; i++)
		if (waiters[i].task == task)
			return true;
	return false;
}

/* Who has one of the folio's pages in hand and is none of its waiters. */
static uint64_t find_task(const struct pa_census *census,
			  const struct pa_waiting *waiting,
			  const struct pa_waited *page)
{
	const struct pa_waiter *waiters =
		&waiting->waiters.list.items[page->first];
	const struct pa_handled *handled,
		*behind = census->handled.items + census->handled.length;
	uint64_t end = page->pfn + 1;

	while (end - page->pfn < MAX_FOLIO_PAGES &&
	       class_of(census, end) == PA_CLASS_TAIL)
		end++;
	handled = pa_handled_find(census, page->pfn, end);
	for (; handled && handled < behind && handled->pfn < end; handled++)
		if (!waits(waiters, page->nr, handled->task))
			return handled->task;
	return 0;
}

static struct pa_error *describe(const struct pa_census *census,
				 struct pa_memmap *memmap,
				 const struct pa_waiting *waiting,
				 struct pa_waited *page)
{
	const struct pa_page_format *format = &census->kernel->page_format;
	const uint8_t *bytes;
	struct pa_error *err = pa_memmap_page(memmap, page->pfn, 1, &bytes);

	page->task = find_task(census, waiting, page);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (err)
		return err;
	page->readable = true;
	page->locked = pa_page_flags(format, bytes) & format->flag.locked;
	page->writeback = pa_page_flags(format, bytes) & format->flag.writeback;
	page->refcount = pa_page_refcount(format, bytes);
	return NULL;
}

static struct pa_error *add_pages(const struct pa_census *census,
				  struct pa_memmap *memmap,
				  struct pa_waiting *waiting)
{
	const struct pa_waiters *waiters = &waiting->waiters;
	struct pa_error *err = NULL;

	for (size_t i = 0; !err && i < waiters->list.length &&
			   waiters->list.items[i].pfn != PA_NO_PFN;) {
		struct pa_waited page = {
			.pfn = waiters->list.items[i].pfn,
			.first = i,
		};

		while (i < waiters->list.length &&
		       waiters->list.items[i].pfn == page.pfn)
			i++;
		page.nr = i - page.first;
		err = describe(census, memmap, waiting, &page);
		if (!err && !pa_array_append(&waiting->pages, page))
			err = &pa_error_no_memory;
	}
	return err;
}

struct pa_error *pa_waiting_init(const struct pa_census *census,
				 struct pa_memory *memory,
				 struct pa_waiting *ret)
{
	struct pa_waiting waiting = { 0 };
	struct pa_memmap *memmap = NULL;
	struct pa_error *err =
		pa_waiters_init(census->kernel, memory, &waiting.waiters);

	if (!err)
		err = pa_memmap_create(census->kernel, &memmap);
	if (!err)
		err = add_pages(census, memmap, &waiting);
	pa_memmap_destroy(memmap);
	if (err) {
		pa_waiting_deinit(&waiting);
		return err;
	}
	*ret = waiting;
	return NULL;
}

void pa_waiting_deinit(struct pa_waiting *waiting)
{
	pa_waiters_deinit(&waiting->waiters);
	pa_array_deinit(&waiting->pages);
}
