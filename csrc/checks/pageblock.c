// SPDX-License-Identifier: LGPL-2.1-or-later
/* Isolated pageblocks: mm/page_isolation.c. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "checks/coverage.h"
#include "checks/families.h"
#include "kernel/stack.h"

/* get_pageblock_isolate(), or a migratetype of its own before v6.18. */
static bool is_isolated(const struct pa_zones *zones, const uint8_t *flags,
			uint64_t block)
{
	if (zones->pageblock_bits == 8)
		return flags[block] >> zones->pageblock_isolate_bit & 1;
	return (flags[block / 2] >> block % 2 * 4 & 7) ==
	       zones->migrate_isolate;
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

/* Who may be isolating pageblocks, and whether that could be told. */
struct isolator {
	struct pa_stack_hit hit;
	/* All who do are onlining or offlining memory: blocks say which. */
	bool hotplug;
	uint64_t unread;
};

static void find_isolator(struct pa_check_context *c, struct isolator *ret)
{
	static const enum pa_symbol_id ranges[] = {
		PA_SYM_alloc_contig_range,
		PA_SYM_alloc_contig_range_noprof,
		PA_SYM_alloc_contig_frozen_range_noprof,
	};
	/*
	 * Between memory_block_change_state(), whose callers' frames the
	 * compiler may leave out, and offline_pages(), mem_hotplug_begin()
	 * waits for long.
	 */
	static const enum pa_symbol_id hotplug[] = {
		PA_SYM_device_offline,
		PA_SYM_offline_pages,
		PA_SYM_online_pages,
	};
	/* For whom, the stack has no trace of. */
	static const enum pa_symbol_id others[] = {
		PA_SYM_start_isolate_page_range,
		PA_SYM_undo_isolate_page_range,
	};
	static const struct {
		const enum pa_symbol_id *functions;
		size_t nr;
	} rounds[] = {
		{ ranges, sizeof(ranges) / sizeof(ranges[0]) },
		{ hotplug, sizeof(hotplug) / sizeof(hotplug[0]) },
		{ others, sizeof(others) / sizeof(others[0]) },
	};

	for (size_t i = 0; !ret->hit.task && i < 3; i++) {
		pa_stacks_find(&c->census->stacks, c->kernel, c->memmap->memory,
			       rounds[i].functions, rounds[i].nr, &ret->hit);
		ret->hotplug = rounds[i].functions == hotplug;
	}
	ret->unread = c->census->stacks.unread;
}

static enum pa_severity severity_with(const struct isolator *isolator,
				      enum pa_severity busy)
{
	if (isolator->hit.task)
		return busy;
	/* Who does it may be a task whose stack was not read. */
	return isolator->unread ? PA_INFO : PA_BUG;
}

static void add_isolator(struct pa_finding *f, const struct isolator *isolator)
{
	if (isolator->hit.task)
		pa_finding_text(f, "task", "%s (pid %" PRIu32 ")",
				isolator->hit.comm, isolator->hit.pid);
	else if (isolator->unread)
		pa_finding_text(f, "task",
				"unknown: %" PRIu64 " stacks could not be read",
				isolator->unread);
	else
		pa_finding_text(f, "task",
				"none is offlining or allocating a range");
}

/* What was found isolated in one zone. */
struct zone_isolated {
	/* Pageblocks. */
	uint64_t blocks;
	/* Index of the last finding about them, + 1. */
	size_t finding;
};

/* The newest finding, if it is of this check; NULL if not. */
static struct pa_finding *last_finding(struct pa_findings *findings)
{
	struct pa_finding *last =
		findings->list.length ?
			&findings->list.items[findings->list.length - 1] :
			NULL;

	return last && last->check == PA_CHECK_ISOLATED_PAGEBLOCK ? last : NULL;
}

/* Isolated blocks of one section, and where they lie. */
static struct pa_error *check_section(struct pa_check_context *c,
				      struct pa_check_result *result,
				      const struct pa_section *section,
				      const struct isolator *isolator,
				      struct zone_isolated *isolated)
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
	/*
	 * Somebody is, or was, offlining or allocating this range. Who offlines
	 * or onlines has its memory block in a state of its own until the
	 * pageblocks are as they were: those of an online block are somebody
	 * else's, who is gone.
	 */
	bool left = isolator->hotplug && block &&
		    block->state == PA_BLOCK_ONLINE;
	enum pa_severity severity =
		severity_with(isolator, left ? PA_SUSPECT : PA_INFO);

	for (uint64_t i = 0; i < nr; i++) {
		uint64_t pfn = start + i * block_pages;
		int zone;

		result->examined++;
		if (!is_isolated(zones, section->pageblocks, i))
			continue;

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
		isolated[zone].blocks++;

		struct pa_finding *last = last_finding(c->findings);

		/* Neighbours are one finding, in the next section too. */
		if (last && last->pfn_end == pfn &&
		    last->severity == severity) {
			last->pfn_end = pfn + block_pages;
			isolated[zone].finding = c->findings->list.length;
			continue;
		}
		last = pa_finding_add(
			c->findings, PA_CHECK_ISOLATED_PAGEBLOCK, severity, pfn,
			pfn + block_pages,
			"isolated pageblocks: nothing can be allocated here");
		add_isolator(last, isolator);
		if (last)
			isolated[zone].finding = c->findings->list.length;
		pa_finding_number(last, "section", (int64_t)section->nr);
		if (block)
			pa_finding_text(last, "memory_block_state", "%s",
					pa_block_state_names[block->state]);
	}
	return NULL;
}

/* A block is GOING_OFFLINE only while memory_block_offline() runs. */
static void check_blocks(struct pa_check_context *c,
			 const struct isolator *isolator)
{
	const struct pa_kernel *kernel = c->kernel;

	for (size_t i = 0; i < kernel->blocks.list.length; i++) {
		const struct pa_block *block = &kernel->blocks.list.items[i];
		uint64_t pfn, end;

		if (block->state != PA_BLOCK_GOING_OFFLINE)
			continue;
		pa_block_range(kernel, block, &pfn, &end);

		struct pa_finding *f = pa_finding_add(
			c->findings, PA_CHECK_ISOLATED_PAGEBLOCK,
			severity_with(isolator, PA_INFO), pfn, end,
			"memory block %" PRIu64 " is going offline", block->id);

		pa_finding_hex(f, "memory_block", block->address);
		add_isolator(f, isolator);
	}
}

/* nr_isolate_pageblock against what was counted. */
static void report_count(struct pa_check_context *c, const struct pa_zone *zone,
			 const struct zone_isolated *isolated,
			 const struct isolator *isolator)
{
	const struct pa_zones *zones = &c->kernel->zones;
	struct pa_finding *f;

	if (zone->nr_isolate_pageblock == isolated->blocks)
		return;
	/* Blocks that stay isolated and a wrong count are one defect. */
	if (isolated->finding) {
		f = &c->findings->list.items[isolated->finding - 1];
		if (f->severity < PA_SUSPECT && !isolator->hit.task)
			f->severity = PA_SUSPECT;
	} else {
		f = pa_finding_add(
			c->findings, PA_CHECK_ISOLATED_PAGEBLOCK,
			zone->locked ?
				pa_check_zone_severity(
					c, (int)(zone - zones->list.items)) :
				severity_with(isolator, PA_INFO),
			PA_NO_PFN, PA_NO_PFN,
			"node %u zone %s: nr_isolate_pageblock is %" PRIu64
			", %" PRIu64 " pageblocks are isolated",
			zone->node, zone->name, zone->nr_isolate_pageblock,
			isolated->blocks);
		add_isolator(f, isolator);
	}
	pa_finding_number(f, "nr_isolate_pageblock",
			  (int64_t)zone->nr_isolate_pageblock);
	pa_finding_number(f, "isolated_pageblocks", (int64_t)isolated->blocks);
	pa_finding_hex(f, "zone", zone->address);
}

struct pa_error *pa_check_isolated_pageblock(struct pa_check_context *c,
					     struct pa_check_result *result)
{
	const struct pa_kernel *kernel = c->kernel;
	const struct pa_sections *sections = &kernel->sections;
	const struct pa_zones *zones = &kernel->zones;
	pa_auto_free struct zone_isolated *isolated =
		calloc(zones->list.length + 1, sizeof(*isolated));

	if (!isolated)
		return &pa_error_no_memory;
	if (zones->migrate_isolate < 0 && zones->pageblock_isolate_bit < 0) {
		pa_check_status(result, PA_NOT_APPLICABLE,
				"the kernel has no CONFIG_MEMORY_ISOLATION");
		return NULL;
	}

	struct isolator isolator = { 0 };
	struct pa_error *err = NULL;

	find_isolator(c, &isolator);
	/* offline_pages() leaves its blocks isolated when it is done. */
	for (size_t i = 0; i < sections->list.length; i++) {
		const struct pa_section *section = &sections->list.items[i];

		if (!section->online ||
		    pa_check_disputed(c, section->nr << sections->pages_shift))
			continue;
		if (!section->pageblocks) {
			pa_check_status(result, PA_PARTIAL,
					"the pageblock flags of some sections "
					"could not be read");
			continue;
		}

		err = check_section(c, result, section, &isolator, isolated);
		if (err)
			return err;
	}
	check_blocks(c, &isolator);
	if (result->status == PA_PARTIAL)
		return NULL;
	for (size_t i = 0; i < zones->list.length; i++) {
		const struct pa_zone *zone = &zones->list.items[i];

		report_count(c, zone, &isolated[i], &isolator);
	}
	if (!isolator.hit.task && isolator.unread)
		pa_check_status(result, PA_PARTIAL,
				"%" PRIu64 " tasks whose stacks could not be "
				"read may be isolating memory",
				isolator.unread);
	return NULL;
}
