// SPDX-License-Identifier: LGPL-2.1-or-later
/* Isolated pageblocks: mm/page_isolation.c. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "checks/coverage.h"
#include "checks/families.h"

/* get_pageblock_isolate(), or a migratetype of its own before v6.18. */
static bool is_isolated(const struct pa_zones *zones, const uint8_t *flags,
			uint64_t block)
{
	if (zones->pageblock_bits == 8)
		return flags[block] >> zones->pageblock_isolate_bit & 1;
	return (flags[block / 2] >> block % 2 * 4 & 7) == zones->migrate_isolate;
}

/* Index in zones.list of the zone that the page's own flags name, or -1. */
static struct pa_error *zone_of(struct pa_check_context *c, uint64_t pfn,
				int *ret)
{
	const struct pa_zone *zone;
	const uint8_t *page;
	struct pa_error *err = pa_memmap_page(c->memmap, pfn, 1, &page);

	if (err)
		return err;
	zone = pa_flags_zone(c->kernel,
			     pa_page_flags(&c->kernel->page_format, page));
	*ret = zone ? (int)(zone - c->kernel->zones.list.items) : -1;
	return NULL;
}

/* Isolated blocks of one section, and where they lie. */
static struct pa_error *check_section(struct pa_check_context *c,
				      struct pa_check_result *result,
				      const struct pa_section *section,
				      uint64_t *isolated)
{
	const struct pa_kernel *kernel = c->kernel;
	const struct pa_zones *zones = &kernel->zones;
	uint64_t start = section->nr << kernel->sections.pages_shift;
	uint64_t block_pages = PA_BIT(zones->pageblock_order);
	uint64_t nr = kernel->sections.pages / block_pages;
	const struct pa_block *block =
		kernel->parts[PA_PART_BLOCKS] ?
			NULL :
			pa_block_find(&kernel->blocks, section->nr);
	struct pa_finding *last = NULL;

	for (uint64_t i = 0; i < nr; i++) {
		uint64_t pfn = start + i * block_pages;
		int zone;

		result->examined++;
		if (!is_isolated(zones, section->pageblocks, i)) {
			last = NULL;
			continue;
		}

		struct pa_error *err = zone_of(c, pfn, &zone);

		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			pa_check_status(result, PA_PARTIAL,
					"struct pages of isolated blocks are "
					"not in the dump");
			continue;
		}
		if (err)
			return err;
		if (zone < 0)
			continue;
		isolated[zone]++;
		if (last) {
			last->pfn_end = pfn + block_pages;
			continue;
		}
		/* Somebody is, or was, offlining or allocating this range. */
		last = pa_finding_add(
			c->findings, PA_CHECK_ISOLATED_PAGEBLOCK, PA_INFO, pfn,
			pfn + block_pages,
			"isolated pageblocks: nothing can be allocated here");
		pa_finding_number(last, "section", (int64_t)section->nr);
		if (block)
			pa_finding_text(last, "memory_block_state", "%s",
					pa_block_state_names[block->state]);
	}
	return NULL;
}

struct pa_error *pa_check_isolated_pageblock(struct pa_check_context *c,
					     struct pa_check_result *result)
{
	const struct pa_kernel *kernel = c->kernel;
	const struct pa_sections *sections = &kernel->sections;
	const struct pa_zones *zones = &kernel->zones;
	pa_auto_free uint64_t *isolated =
		calloc(zones->list.length + 1, sizeof(*isolated));

	if (!isolated)
		return &pa_error_no_memory;
	if (zones->migrate_isolate < 0 && zones->pageblock_isolate_bit < 0) {
		pa_check_status(result, PA_NOT_APPLICABLE,
				"the kernel has no CONFIG_MEMORY_ISOLATION");
		return NULL;
	}
	/* offline_pages() leaves its blocks isolated when it is done. */
	for (size_t i = 0; i < sections->list.length; i++) {
		const struct pa_section *section = &sections->list.items[i];

		if (!section->online)
			continue;
		if (!section->pageblocks) {
			pa_check_status(result, PA_PARTIAL,
					"the pageblock flags of some sections "
					"could not be read");
			continue;
		}

		struct pa_error *err =
			check_section(c, result, section, isolated);

		if (err)
			return err;
	}
	if (result->status == PA_PARTIAL)
		return NULL;
	for (size_t i = 0; i < zones->list.length; i++) {
		const struct pa_zone *zone = &zones->list.items[i];

		if (zone->nr_isolate_pageblock == isolated[i])
			continue;

		struct pa_finding *f = pa_finding_add(
			c->findings, PA_CHECK_ISOLATED_PAGEBLOCK,
			zone->locked ? PA_SUSPECT : PA_BUG, PA_NO_PFN,
			PA_NO_PFN,
			"node %u zone %s: nr_isolate_pageblock is %" PRIu64
			", %" PRIu64 " pageblocks are isolated",
			zone->node, zone->name, zone->nr_isolate_pageblock,
			isolated[i]);

		pa_finding_number(f, "stored",
				  (int64_t)zone->nr_isolate_pageblock);
		pa_finding_number(f, "recounted", (int64_t)isolated[i]);
		pa_finding_hex(f, "zone", zone->address);
	}
	return NULL;
}
