// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * References to pages that must not be used: what pfn_valid() and
 * pfn_to_online_page() would have refused.
 */
#include <inttypes.h>

#include "census/holder.h"
#include "checks/compound.h"
#include "checks/coverage.h"
#include "checks/families.h"
#include "checks/stale_log.h"
#include "checks/stale_walker.h"
#include "checks/stale_word.h"

/*
 * __offline_isolated_pages() takes a block's free pages off the lists after its
 * sections are offline; generic_online_page() puts them there before they are
 * online.
 */
static bool is_hotplug(const struct pa_list_fault *fault)
{
	return fault->holder == PA_HOLDER_BUDDY &&
	       fault->target == PA_TARGET_OFFLINE;
}

/*
 * In a section whose state contradicts itself, everything may seem stale: one
 * finding tells how much, rather than each until there are too many.
 */
static bool is_disputed(struct pa_check_context *c, uint64_t pfn)
{
	struct pa_finding *f = pfn == PA_NO_PFN ? NULL :
						  pa_check_disputed(c, pfn);

	if (!f)
		return false;
	pa_finding_count(f, pa_checks[PA_CHECK_STALE_PAGE_REFERENCE].id, 1);
	return true;
}

/* Lists own or link their pages: nothing in them may be stale. */
static void check_fault(struct pa_check_context *c,
			const struct pa_list_fault *fault)
{
	if (fault->kind != PA_FAULT_STALE || is_disputed(c, fault->pfn))
		return;

	struct pa_finding *f = pa_finding_add(
		c->findings, PA_CHECK_STALE_PAGE_REFERENCE,
		is_hotplug(fault) ? pa_check_hotplug_severity(c) : PA_BUG,
		fault->pfn,
		fault->pfn == PA_NO_PFN ? PA_NO_PFN : fault->pfn + 1,
		"%s (%s) holds a page that is %s",
		pa_holders[fault->holder].name, fault->list,
		pa_target_names[fault->target]);

	pa_check_add_target(c, f, fault->target, fault->pfn);
	if (is_hotplug(fault))
		pa_check_add_hotplug(c, f);
	pa_finding_text(f, "holder", "%s", fault->list);
	pa_finding_hex(f, "list_head", fault->head);
	pa_finding_hex(f, "entry", fault->node);
}

static void check_compound(struct pa_check_context *c,
			   const struct pa_anomaly *a)
{
	uint64_t head_pfn;

	if (a->kind != PA_ANOMALY_TAIL_HEAD)
		return;

	enum pa_target target = pa_anomaly_head(c->census, a, &head_pfn);

	if (!pa_target_is_stale(target))
		return;

	struct pa_finding *f = pa_finding_add(
		c->findings, PA_CHECK_STALE_PAGE_REFERENCE, PA_BUG, head_pfn,
		head_pfn + 1, "a tail page's compound head is %s",
		pa_target_names[target]);

	pa_check_add_target(c, f, target, head_pfn);
	pa_finding_text(f, "holder", "compound word of pfn 0x%" PRIx64, a->pfn);
	pa_finding_hex(f, "tail_page", pa_pfn_to_page(c->kernel, a->pfn));
}

/*
 * Where compaction's scanners go on. Each use checks it against the zone first
 * (compact_zone()), and a hint of 0 was never set.
 */
static void check_hint(struct pa_check_context *c, const struct pa_zone *zone,
		       uint64_t pfn, const char *name)
{
	static const enum pa_target targets[PA_NR_PFN_STATES] = {
		[PA_PFN_ABSENT] = PA_TARGET_ABSENT,
		[PA_PFN_HOLE] = PA_TARGET_HOLE,
		[PA_PFN_OFFLINE] = PA_TARGET_OFFLINE,
		[PA_PFN_ALTMAP] = PA_TARGET_ALTMAP,
		[PA_PFN_DEVICE] = PA_TARGET_DEVICE,
	};

	if (!pfn || pfn == PA_NO_PFN || !pa_zone_spans(zone, pfn))
		return;
	/* Where __reset_isolation_suitable() puts it, memory or not. */
	if (pfn == pa_align_down(zone->start_pfn + zone->spanned - 1,
				 PA_BIT(c->kernel->zones.pageblock_order)))
		return;

	enum pa_target target = targets[pa_pfn_state(c->kernel, pfn)];

	if (!pa_target_is_stale(target))
		return;

	struct pa_finding *f = pa_finding_add(
		c->findings, PA_CHECK_STALE_PAGE_REFERENCE, PA_INFO, pfn,
		pfn + 1, "node %u zone %s: %s is %s", zone->node, zone->name,
		name, pa_target_names[target]);

	pa_check_add_target(c, f, target, pfn);
	pa_finding_hex(f, "zone", zone->address);
}

struct pa_error *pa_check_stale_page_reference(struct pa_check_context *c,
					       struct pa_check_result *result)
{
	const struct pa_census *census = c->census;
	const struct pa_zones *zones = &c->kernel->zones;

	for (int part = 0; part < PA_NR_CENSUS_PARTS; part++) {
		if (census->parts[part].err)
			pa_check_status(result, PA_PARTIAL, "%s",
					census->parts[part].err->message);
		else if (part != PA_CENSUS_SCAN && part != PA_CENSUS_HOLDERS)
			pa_check_part_coverage(c, result,
					       (enum pa_census_part)part);
	}
	pa_check_holder_coverage(c, result);
	for (size_t i = 0; i < census->faults.length; i++)
		check_fault(c, &census->faults.items[i]);
	for (size_t i = 0; i < census->anomalies.length; i++)
		check_compound(c, &census->anomalies.items[i]);
	for (size_t i = 0; i < zones->list.length; i++) {
		const struct pa_zone *zone = &zones->list.items[i];

		check_hint(c, zone, zone->compact_cached_free_pfn,
			   "compact_cached_free_pfn");
		check_hint(c, zone, zone->compact_cached_migrate_pfn[0],
			   "compact_cached_migrate_pfn[0]");
		check_hint(c, zone, zone->compact_cached_migrate_pfn[1],
			   "compact_cached_migrate_pfn[1]");
		result->examined += 3;
	}
	result->examined += census->references;

	struct pa_error *err = pa_check_stale_walkers(c, result);

	if (!err)
		err = pa_check_stale_log(c);
	return err ? err : pa_check_stale_words(c, result);
}
