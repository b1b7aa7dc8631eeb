// SPDX-License-Identifier: LGPL-2.1-or-later
/* The memory map's contents: mm/mm_init.c, include/linux/page-flags-layout.h */
#include <inttypes.h>

#include "checks/coverage.h"
#include "checks/families.h"

/*
 * deferred_init_memmap() fills most of the memmap after the first tasks have
 * started; pglist_data.first_deferred_pfn is ULONG_MAX when it is done.
 */
static struct pa_error *deferred_from(struct pa_check_context *c, uint64_t *ret)
{
	const struct pa_kernel *kernel = c->kernel;

	*ret = PA_NO_PFN;
	if (!PA_HAS(kernel->layout, pglist_data, first_deferred_pfn))
		return NULL;
	for (size_t i = 0; i < kernel->zones.nodes.length; i++) {
		uint64_t pfn;
		struct pa_error *err = pa_memory_read_u64(
			c->memmap->memory,
			kernel->zones.nodes.items[i].address +
				PA_OFFSETOF(kernel->layout, pglist_data,
					    first_deferred_pfn),
			&pfn);

		if (err)
			return err;
		*ret = pa_min(*ret, pfn);
	}
	return NULL;
}

struct pa_error *pa_check_memmap_uninitialised(struct pa_check_context *c,
					       struct pa_check_result *result)
{
	uint64_t deferred;
	struct pa_error *err = deferred_from(c, &deferred);

	if (err)
		return err;
	pa_check_scan_coverage(c, result);
	pa_check_overflow(c, result, PA_ANOMALY_UNINITIALISED);
	for (size_t i = 0; i < c->census->anomalies.length; i++) {
		const struct pa_anomaly *a = &c->census->anomalies.items[i];

		if (a->kind != PA_ANOMALY_UNINITIALISED ||
		    !pa_zones_span(&c->kernel->zones, a->pfn))
			continue;
		if (a->pfn >= deferred) {
			pa_check_status(result, PA_PARTIAL,
					"the kernel was still initialising "
					"its memory map");
			continue;
		}

		struct pa_finding *f = pa_finding_add(
			c->findings, PA_CHECK_MEMMAP_UNINITIALISED, PA_BUG,
			a->pfn, a->pfn_end,
			"%" PRIu64 " struct page%s of an online section %s",
			a->pfn_end - a->pfn, a->pfn_end - a->pfn > 1 ? "s" : "",
			a->a ? "hold the poison of page_init_poison()" :
			       "were never written");

		pa_finding_hex(f, "flags", a->a);
		pa_finding_hex(f, "page", pa_pfn_to_page(c->kernel, a->pfn));
	}
	return NULL;
}

static void add_flags(struct pa_check_context *c, struct pa_finding *f,
		      uint64_t pfn)
{
	const uint8_t *page;
	struct pa_error *err = pa_memmap_page(c->memmap, pfn, 1, &page);

	if (!err)
		pa_finding_hex(f, "flags",
			       pa_page_flags(&c->kernel->page_format, page));
	pa_error_destroy(err);
}

struct pa_error *pa_check_page_links(struct pa_check_context *c,
				     struct pa_check_result *result)
{
	const struct pa_page_format *format = &c->kernel->page_format;

	pa_check_scan_coverage(c, result);
	pa_check_overflow(c, result, PA_ANOMALY_LINKS);
	for (size_t i = 0; i < c->census->anomalies.length; i++) {
		const struct pa_anomaly *a = &c->census->anomalies.items[i];

		if (a->kind != PA_ANOMALY_LINKS)
			continue;

		uint32_t node = pa_page_node(format, a->a);
		uint32_t index = pa_page_zone(format, a->a);
		const struct pa_zone *zone =
			pa_zone_find(&c->kernel->zones, node, index);
		struct pa_finding *f;

		if (zone)
			f = pa_finding_add(
				c->findings, PA_CHECK_PAGE_LINKS, PA_BUG,
				a->pfn, a->pfn_end,
				"page->flags say node %u zone %s, which does "
				"not span the page",
				node, zone->name);
		else
			f = pa_finding_add(
				c->findings, PA_CHECK_PAGE_LINKS, PA_BUG,
				a->pfn, a->pfn_end,
				"page->flags say node %u zone number %u, which "
				"has no memory",
				node, index);
		add_flags(c, f, a->pfn);
		pa_finding_hex(f, "page", pa_pfn_to_page(c->kernel, a->pfn));
		if (zone) {
			pa_finding_hex(f, "zone_start_pfn", zone->start_pfn);
			pa_finding_hex(f, "zone_end_pfn",
				       zone->start_pfn + zone->spanned);
		}
	}
	return NULL;
}
