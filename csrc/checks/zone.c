// SPDX-License-Identifier: LGPL-2.1-or-later
/* A zone's counters against a recount: mm/page_alloc.c, mm/vmstat.c. */
#include <inttypes.h>
#include <stdio.h>

#include "checks/coverage.h"
#include "checks/families.h"
#include "checks/zone_balloon.h"

static struct pa_finding *report(struct pa_check_context *c,
				 enum pa_severity severity,
				 const struct pa_zone *zone, const char *what,
				 int64_t stored, int64_t counted)
{
	struct pa_finding *f = pa_finding_add(
		c->findings, PA_CHECK_ZONE_ACCOUNTING, severity, PA_NO_PFN,
		PA_NO_PFN,
		"node %u zone %s: %s is %" PRId64 ", a recount gives %" PRId64,
		zone->node, zone->name, what, stored, counted);

	pa_finding_text(f, "counter", "%s", what);
	pa_finding_number(f, "stored", stored);
	pa_finding_number(f, "recounted", counted);
	pa_finding_number(f, "difference",
			  (int64_t)((uint64_t)stored - (uint64_t)counted));
	pa_finding_hex(f, "zone", zone->address);
	return f;
}

static struct pa_finding *report_size(struct pa_check_context *c,
				      const struct pa_zone *zone,
				      const char *what, int64_t stored,
				      int64_t counted)
{
	struct pa_finding *f = report(c, pa_check_hotplug_severity(c), zone,
				      what, stored, counted);

	pa_check_add_hotplug(c, f);
	return f;
}

static struct pa_finding *report_lists(struct pa_check_context *c,
				       const struct pa_zone *zone,
				       const char *what, int64_t stored,
				       int64_t counted)
{
	int index = (int)(zone - c->kernel->zones.list.items);
	struct pa_finding *f = report(c, pa_check_zone_severity(c, index), zone,
				      what, stored, counted);

	pa_check_add_zone_task(c, f, index);
	return f;
}

/* Pages of the zone's blocks that another check has shown to be lost. */
static uint64_t lost_pages(struct pa_check_context *c,
			   const struct pa_zone *zone)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < c->findings->list.length; i++) {
		const struct pa_finding *f = &c->findings->list.items[i];

		if ((f->check == PA_CHECK_LOST_FREE_PAGES ||
		     f->check == PA_CHECK_HWPOISON_NEIGHBOUR_LEAK) &&
		    f->severity > PA_INFO && f->pfn != PA_NO_PFN &&
		    pa_zone_spans(zone, f->pfn))
			lost += f->pfn_end - f->pfn;
	}
	return lost;
}

/*
 * free_area[].nr_free against the lists, NR_FREE_PAGES against both; @now: the
 * zone as it was when its lists were walked.
 */
static void check_free(struct pa_check_context *c, const struct pa_zone *zone,
		       const struct pa_zone *now,
		       const struct pa_zone_count *count)
{
	const struct pa_zones *zones = &c->kernel->zones;
	uint64_t free_pages = 0;

	for (uint32_t order = 0; order < zones->nr_orders; order++) {
		uint64_t blocks = 0;
		char what[32];

		for (uint32_t type = 0; type < zones->nr_migrate_types;
		     type++) {
			blocks += count->listed[order][type];
			/* __mod_zone_freepage_state() leaves these out. */
			if ((int)type != zones->migrate_isolate)
				free_pages += count->listed[order][type]
					      << order;
		}
		if (blocks == now->nr_free[order])
			continue;
		snprintf(what, sizeof(what), "free_area[%u].nr_free", order);
		report_lists(c, zone, what, (int64_t)now->nr_free[order],
			     (int64_t)blocks);
	}

	int64_t stored, drift;

	if (!now->stats_exact ||
	    !pa_zone_free_pages(c->kernel->layout, now, &stored))
		return;
	drift = (int64_t)((uint64_t)stored - free_pages);
	if (!drift)
		return;
	/* A block dropped at allocation stays counted as free (v5.10). */
	if (drift > 0 && (uint64_t)drift == lost_pages(c, zone)) {
		for (size_t i = 0; i < c->findings->list.length; i++) {
			struct pa_finding *f = &c->findings->list.items[i];

			if ((f->check == PA_CHECK_LOST_FREE_PAGES ||
			     f->check == PA_CHECK_HWPOISON_NEIGHBOUR_LEAK) &&
			    pa_zone_spans(zone, f->pfn))
				pa_finding_number(f, "NR_FREE_PAGES_too_high",
						  drift);
		}
		return;
	}
	report_lists(c, zone, "NR_FREE_PAGES", stored, (int64_t)free_pages);
}

/* Pages of memory blocks that hold the block's own memmap, in one zone. */
static uint64_t self_hosted(struct pa_check_context *c,
			    const struct pa_zone *zone)
{
	const struct pa_kernel *kernel = c->kernel;
	const struct pa_page_format *f = &kernel->page_format;
	uint64_t pages = 0;

	for (size_t i = 0; i < kernel->blocks.list.length; i++) {
		const struct pa_block *block = &kernel->blocks.list.items[i];
		uint64_t pfn = block->start_section_nr
			       << kernel->sections.pages_shift;
		const uint8_t *page;

		if (!block->vmemmap_pages ||
		    pa_pfn_state(kernel, pfn) != PA_PFN_ONLINE)
			continue;

		struct pa_error *err = pa_memmap_page(c->memmap, pfn, 1, &page);

		if (err) {
			pa_error_destroy(err);
			continue;
		}
		/*
		 * Before v6.11 hot-added pages began reserved, and these stay
		 * so (memmap_init_range(), MEMINIT_HOTPLUG).
		 */
		if (pa_flags_zone(kernel, pa_page_flags(f, page)) == zone &&
		    !(pa_page_flags(f, page) & f->flag.reserved))
			pages += block->vmemmap_pages;
	}
	return pages;
}

/*
 * managed_pages are the pages that the buddy allocator was ever given: all but
 * reserved ones and a block's own memmap. Balloons take theirs out again and
 * mark them PageOffline() (adjust_managed_page_count()).
 */
static void check_managed(struct pa_check_context *c,
			  const struct pa_zone *zone,
			  const struct pa_zone_count *count, uint64_t unsure)
{
	uint64_t most = count->pages - count->reserved - self_hosted(c, zone);

	if (zone->managed <= most + unsure &&
	    zone->managed + count->offline >= most)
		return;

	uint64_t missing = most - zone->managed - count->offline;
	uint64_t released =
		zone->managed < most ? pa_balloon_released(c, zone) : 0;
	struct pa_finding *f;

	if (released && missing <= released) {
		f = report(c, PA_INFO, zone, "managed_pages",
			   (int64_t)zone->managed, (int64_t)most);
		pa_finding_number(f, "released_by_a_balloon",
				  (int64_t)released);
	} else {
		f = report_size(c, zone, "managed_pages",
				(int64_t)zone->managed, (int64_t)most);
	}
	pa_finding_number(f, "pages", (int64_t)count->pages);
	pa_finding_number(f, "reserved", (int64_t)count->reserved);
	pa_finding_number(f, "offline", (int64_t)count->offline);
}

/* Pages in the zone's span that don't tell of which zone they are. */
static uint64_t unsure_pages(struct pa_check_context *c,
			     const struct pa_zone *zone)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < c->census->anomalies.length; i++) {
		const struct pa_anomaly *a = &c->census->anomalies.items[i];

		if ((a->kind == PA_ANOMALY_UNINITIALISED ||
		     a->kind == PA_ANOMALY_LINKS ||
		     a->kind == PA_ANOMALY_DEVICE_DANGLING) &&
		    pa_zone_spans(zone, a->pfn))
			pages += a->pfn_end - a->pfn;
	}
	return pages;
}

/* A section in the zone contradicts itself: which pages are online is unsure. */
static bool is_disputed(struct pa_check_context *c, const struct pa_zone *zone)
{
	for (size_t i = 0; i < c->findings->list.length; i++) {
		const struct pa_finding *f = &c->findings->list.items[i];

		if (f->check == PA_CHECK_SECTION_STATE &&
		    f->pfn < zone->start_pfn + zone->spanned &&
		    zone->start_pfn < f->pfn_end)
			return true;
	}
	return false;
}

/* spanned, present and managed pages against each other and the memmap. */
static void check_size(struct pa_check_context *c, const struct pa_zone *zone,
		       const struct pa_zone_count *count)
{
	const struct pa_zones *zones = &c->kernel->zones;
	bool device = (int)zone->index == c->kernel->page_format.zone_device;
	bool counted = !device && !count->unread && !is_disputed(c, zone);
	uint64_t unsure = unsure_pages(c, zone);

	/* Online pages of the zone hold all that is present, and holes. */
	if (zone->present > zone->spanned)
		report_size(c, zone, "present_pages (more than spanned_pages)",
			    (int64_t)zone->present, (int64_t)zone->spanned);
	else if (counted && zone->present > count->pages + unsure)
		report_size(c, zone, "present_pages (more than pages online)",
			    (int64_t)zone->present, (int64_t)count->pages);
	if (zone->managed > zone->present)
		report_size(c, zone, "managed_pages (more than present_pages)",
			    (int64_t)zone->managed, (int64_t)zone->present);
	else if (counted)
		check_managed(c, zone, count, unsure);
	for (size_t i = 0; i < zones->nodes.length; i++) {
		const struct pa_node *node = &zones->nodes.items[i];

		if (node->id == zone->node && zone->spanned &&
		    (zone->start_pfn < node->start_pfn ||
		     zone->start_pfn + zone->spanned >
			     node->start_pfn + node->spanned))
			report_size(c, zone,
				    "zone_start_pfn (outside of its node)",
				    (int64_t)zone->start_pfn,
				    (int64_t)node->start_pfn);
	}
}

static void check_nodes(struct pa_check_context *c)
{
	const struct pa_zones *zones = &c->kernel->zones;

	for (size_t i = 0; i < zones->nodes.length; i++) {
		const struct pa_node *node = &zones->nodes.items[i];
		uint64_t present = 0;

		for (size_t j = 0; j < zones->list.length; j++)
			if (zones->list.items[j].node == node->id)
				present += zones->list.items[j].present;
		if (present == node->present)
			continue;

		struct pa_finding *f =
			pa_finding_add(c->findings, PA_CHECK_ZONE_ACCOUNTING,
				       PA_BUG, PA_NO_PFN, PA_NO_PFN,
				       "node %u: node_present_pages is %" PRIu64
				       ", its zones have %" PRIu64,
				       node->id, node->present, present);

		pa_finding_number(f, "stored", (int64_t)node->present);
		pa_finding_number(f, "recounted", (int64_t)present);
		pa_finding_hex(f, "pglist_data", node->address);
	}
}

struct pa_error *pa_check_zone_accounting(struct pa_check_context *c,
					  struct pa_check_result *result)
{
	const struct pa_census *census = c->census;
	const struct pa_zones *zones = &c->kernel->zones;
	bool lists = !census->parts[PA_CENSUS_BUDDY].unreadable;

	pa_check_part_coverage(c, result, PA_CENSUS_BUDDY);
	if (census->pages_excluded + census->pages_unreadable)
		pa_check_scan_coverage(c, result);
	/* A fault in a list leaves its recount short: it is told there. */
	for (size_t i = 0; i < census->faults.length; i++)
		if (census->faults.items[i].holder == PA_HOLDER_BUDDY &&
		    (census->faults.items[i].kind == PA_FAULT_BROKEN ||
		     census->faults.items[i].kind == PA_FAULT_ENDLESS))
			lists = false;
	result->examined = 0;
	check_nodes(c);
	for (size_t i = 0; i < zones->list.length; i++) {
		const struct pa_zone *zone = &zones->list.items[i];

		result->examined++;
		if (!zone->stats_exact)
			pa_check_status(result, PA_PARTIAL,
					"per-cpu deltas of zone counters could "
					"not be read");
		check_size(c, zone, &census->zones[i]);
		if (census->zones[i].moved)
			pa_check_status(result, PA_PARTIAL,
					"free lists changed while they were "
					"walked");
		else if (lists && census->zones_listed.list.length)
			check_free(c, zone, &census->zones_listed.list.items[i],
				   &census->zones[i]);
		else if (lists)
			check_free(c, zone, zone, &census->zones[i]);
	}
	return NULL;
}
