// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/pgmap_put.h"

#include "kernel/memmap.h"

/* Struct pages looked at, of 16 GiB of memory; as a rule the last one tells. */
#define MAX_PAGES PA_BIT(22)
#define CHUNK 4096

/*
 * for_each_device_pfn() goes up, and nobody takes a first reference of a page
 * whose pgmap is dead: behind the last page without any, none has been put, or
 * all those are held. The latter can't be told while the loop may be running,
 * and a queue that lends its percpu_ref may be frozen for reasons of its own
 * (q_usage_counter), with no page put at all.
 */
static struct pa_error *find_put_end(struct pa_memmap *memmap,
				     struct pa_pgmap_range *range)
{
	const struct pa_page_format *format = &memmap->kernel->page_format;
	uint64_t end = range->pfn_end, seen = 0;

	range->put_end = range->data_pfn;
	while (end > range->data_pfn && seen < MAX_PAGES) {
		uint64_t pfn = end - pa_min(end - range->data_pfn, CHUNK);
		uint64_t next = pfn, put = 0;

		while (next < end) {
			struct pa_memmap_run run;
			struct pa_error *err =
				pa_memmap_run(memmap, next, end - next, &run);

			if (err)
				return err;
			for (uint64_t i = 0;
			     run.presence == PA_PRESENT && i < run.nr; i++)
				if (!pa_page_refcount(format,
						      run.pages +
							      i * format->size))
					put = run.pfn + i + 1;
			next += run.nr;
		}
		if (put) {
			range->put_end = put;
			break;
		}
		seen += end - pfn;
		end = pfn;
	}
	return NULL;
}

struct pa_error *pa_pgmaps_find_put(const struct pa_kernel *kernel,
				    struct pa_pgmaps *pgmaps)
{
	struct pa_memmap *memmap = NULL;
	struct pa_error *err = NULL;

	if (!pgmaps->ranges.length || !pa_pgmap_puts_pages(kernel->layout))
		return NULL;
	err = pa_memmap_create(kernel, &memmap);
	for (size_t i = 0; !err && i < pgmaps->ranges.length; i++)
		if (pgmaps->maps.items[pgmaps->ranges.items[i].map].dead)
			err = find_put_end(memmap, &pgmaps->ranges.items[i]);
	pa_memmap_destroy(memmap);
	return err;
}
