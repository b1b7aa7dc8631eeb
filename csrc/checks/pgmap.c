// SPDX-License-Identifier: LGPL-2.1-or-later
/* Device memory: mm/memremap.c, pfn_to_online_page() in mm/memory_hotplug.c. */
#include <inttypes.h>

#include "checks/coverage.h"
#include "checks/families.h"

/* Evidence that identifies a pgmap. */
static void add_pgmap(struct pa_finding *f, const struct pa_pgmap *map)
{
	pa_finding_hex(f, "pgmap", map->address);
	pa_finding_text(f, "pgmap_type", "%s", pa_pgmap_type_names[map->type]);
	if (*map->device)
		pa_finding_text(f, "device", "%s", map->device);
	if (*map->disk)
		pa_finding_text(f, "disk", "%s", map->disk);
}

/* The kernel can tell device memory in an online section (v5.12). */
static bool has_taint(const struct pa_kernel *kernel)
{
	return kernel->sections.bits.taint_zone_device;
}

static void taint_missing(struct pa_check_context *c,
			  const struct pa_section *section,
			  const struct pa_pgmap_range *range, uint64_t pfn,
			  uint64_t end)
{
	const struct pa_pgmap *map = &c->kernel->pgmaps.maps.items[range->map];
	struct pa_finding *f;

	if (has_taint(c->kernel))
		f = pa_finding_add(
			c->findings, PA_CHECK_ZONE_DEVICE_TAINT, PA_BUG, pfn,
			end,
			"section %" PRIu64 " is online and holds live device "
			"memory, but is not tainted: pfn_to_online_page() "
			"takes it for RAM",
			section->nr);
	else
		f = pa_finding_add(
			c->findings, PA_CHECK_ZONE_DEVICE_TAINT, PA_INFO, pfn,
			end,
			"this kernel's pfn_to_online_page() takes this device "
			"memory for RAM (fixed by 1f90a3477df3, v5.12)");
	pa_finding_number(f, "section", (int64_t)section->nr);
	pa_finding_hex(f, "section_mem_map", section->word);
	add_pgmap(f, map);
}

/* Where an old pfn_to_online_page() takes a hole for memory. */
static void hole_hazards(struct pa_check_context *c,
			 const struct pa_section *section)
{
	const struct pa_sections *sections = &c->kernel->sections;
	uint64_t start = section->nr << sections->pages_shift;
	uint64_t end = start + sections->pages;

	for (uint64_t pfn = start, next; pfn < end; pfn = next) {
		if (pa_pfn_state_run(c->kernel, pfn, end, &next) != PA_PFN_HOLE)
			continue;
		pa_finding_number(
			pa_finding_add(
				c->findings, PA_CHECK_ZONE_DEVICE_TAINT,
				PA_INFO, pfn, next,
				"this kernel's pfn_to_online_page() takes this "
				"hole for RAM (fixed by 9f9b02e5b346, v5.12)"),
			"section", (int64_t)section->nr);
	}
}

struct pa_error *pa_check_zone_device_taint(struct pa_check_context *c,
					    struct pa_check_result *result)
{
	const struct pa_kernel *kernel = c->kernel;
	const struct pa_sections *sections = &kernel->sections;

	for (size_t i = 0; i < sections->list.length; i++) {
		const struct pa_section *section = &sections->list.items[i];
		uint64_t start = section->nr << sections->pages_shift;
		uint64_t end = start + sections->pages;

		if (!section->online)
			continue;
		result->examined++;
		if (!has_taint(kernel) && section->early && section->usage_read)
			hole_hazards(c, section);
		if (section->taint_zone_device)
			continue;

		const struct pa_pgmap_range *range =
			pa_pgmap_range_at(&kernel->pgmaps, start);
		const struct pa_pgmap_range *last =
			kernel->pgmaps.ranges.items +
			kernel->pgmaps.ranges.length;

		for (; range && range < last && range->pfn < end; range++)
			taint_missing(c, section, range,
				      pa_max(range->pfn, start),
				      pa_min(range->pfn_end, end));
	}
	if (kernel->pgmaps.unreadable)
		pa_check_status(result, PA_PARTIAL,
				"%" PRIu64 " entries of pgmap_array could not "
				"be read",
				kernel->pgmaps.unreadable);
	return NULL;
}

static void check_anomaly(struct pa_check_context *c,
			  const struct pa_anomaly *a)
{
	struct pa_finding *f;

	switch (a->kind) {
	case PA_ANOMALY_DEVICE_DANGLING:
		f = pa_finding_add(c->findings, PA_CHECK_PGMAP_DANGLING, PA_BUG,
				   a->pfn, a->pfn_end,
				   "ZONE_DEVICE pages in a valid subsection "
				   "that no pgmap contains");
		break;
	case PA_ANOMALY_DEVICE_PGMAP:
		f = pa_finding_add(c->findings, PA_CHECK_PGMAP_DANGLING, PA_BUG,
				   a->pfn, a->pfn_end,
				   "the page names another pgmap than "
				   "pgmap_array has for its pfn");
		pa_finding_hex(f, "page_pgmap", a->a);
		pa_finding_hex(f, "pgmap", a->b);
		break;
	case PA_ANOMALY_DEVICE_LINKS:
		f = pa_finding_add(c->findings, PA_CHECK_PGMAP_DANGLING, PA_BUG,
				   a->pfn, a->pfn_end,
				   "a pgmap's pages whose flags don't say "
				   "ZONE_DEVICE");
		pa_finding_hex(f, "flags", a->a);
		break;
	default:
		return;
	}
	pa_finding_hex(f, "page", pa_pfn_to_page(c->kernel, a->pfn));
}

/* memremap_pages(): the altmap lies at the start of range 0. */
static void check_altmap(struct pa_check_context *c,
			 const struct pa_pgmap_range *range,
			 const struct pa_pgmap *map)
{
	uint64_t pages = range->pfn_end - range->pfn;
	const char *what = NULL;

	if (map->altmap_base_pfn != range->pfn)
		what = "does not begin at the range's start";
	else if (map->altmap_reserve > pages ||
		 map->altmap_free > pages - map->altmap_reserve)
		what = "is larger than the range";
	else if (map->altmap_alloc > map->altmap_free ||
		 map->altmap_align > map->altmap_free - map->altmap_alloc)
		what = "has more pages allocated than it has";
	if (!what)
		return;

	struct pa_finding *f = pa_finding_add(c->findings,
					      PA_CHECK_PGMAP_DANGLING, PA_BUG,
					      range->pfn, range->pfn_end,
					      "the pgmap's altmap %s", what);

	add_pgmap(f, map);
	pa_finding_hex(f, "base_pfn", map->altmap_base_pfn);
	pa_finding_number(f, "reserve", (int64_t)map->altmap_reserve);
	pa_finding_number(f, "free", (int64_t)map->altmap_free);
	pa_finding_number(f, "align", (int64_t)map->altmap_align);
	pa_finding_number(f, "alloc", (int64_t)map->altmap_alloc);
}

struct pa_error *pa_check_pgmap_dangling(struct pa_check_context *c,
					 struct pa_check_result *result)
{
	const struct pa_pgmaps *pgmaps = &c->kernel->pgmaps;

	pa_check_scan_coverage(c, result);
	for (size_t i = 0; i < c->census->anomalies.length; i++)
		check_anomaly(c, &c->census->anomalies.items[i]);
	for (size_t i = 0; i < pgmaps->ranges.length; i++) {
		const struct pa_pgmap_range *range = &pgmaps->ranges.items[i];
		const struct pa_pgmap *map = &pgmaps->maps.items[range->map];

		if (!range->in_ranges) {
			struct pa_finding *f = pa_finding_add(
				c->findings, PA_CHECK_PGMAP_DANGLING, PA_BUG,
				range->pfn, range->pfn_end,
				"pgmap_array has a range that its pgmap does "
				"not");

			add_pgmap(f, map);
		} else if (map->has_altmap && range->is_first) {
			check_altmap(c, range, map);
		}
	}
	if (pgmaps->unreadable)
		pa_check_status(result, PA_PARTIAL,
				"%" PRIu64 " entries of pgmap_array could not "
				"be read",
				pgmaps->unreadable);
	return NULL;
}
