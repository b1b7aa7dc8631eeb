// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What tasks that go through memory by pfn work on (census/walkers.h). Where
 * the scanners of compaction are may be anything: pageblock_pfn_to_page() looks
 * before each pageblock. A struct page that they hold has passed that test, and
 * must not go away until they let go of it.
 */
#include "checks/stale_walker.h"

#include <inttypes.h>

#include "census/excess.h"
#include "checks/compound.h"
#include "checks/coverage.h"
#include "checks/stale_word.h"
#include "kernel/crash.h"

static enum pa_target target_of(struct pa_check_context *c, uint64_t pfn)
{
	uint64_t ignored;

	return pa_census_target(c->census, pa_pfn_to_page(c->kernel, pfn),
				&ignored);
}

static void add_walker(struct pa_check_context *c, struct pa_finding *f,
		       const struct pa_walker *w)
{
	pa_finding_text(f, "walker", "%s in %s()", pa_walk_names[w->walk],
			w->function);
	pa_finding_text(f, "task", "%s (pid %" PRIu32 ")", w->comm, w->pid);
	if (!w->control)
		return;
	pa_finding_hex(f, "compact_control", w->control);
	pa_finding_text(f, "zone", "node %" PRIu32 " zone %s", w->zone->node,
			w->zone->name);
	for (int i = 0; i < PA_NR_POSITIONS; i++)
		if (w->positions[i] && w->positions[i] != PA_NO_PFN)
			pa_finding_text(f, pa_walker_position_names[i],
					"0x%" PRIx64 ", %s", w->positions[i],
					pa_walker_target(c->census,
							 w->positions[i]));
}

/* Who may work on device memory, too: what has errors, what is asked for. */
static bool is_unfit(const struct pa_walker *w, enum pa_target target)
{
	if (target == PA_TARGET_DEVICE)
		return w->walk != PA_WALK_MEMORY_ERROR &&
		       w->walk != PA_WALK_PROC;
	return pa_target_is_stale(target);
}

/*
 * Between compaction's scanners lies what they have not been to; what words name
 * that is behind them they have left on the stack.
 */
static bool is_behind(const struct pa_check_context *c,
		      const struct pa_walker *w, uint64_t pfn)
{
	uint64_t block = PA_BIT(c->kernel->zones.pageblock_order);
	uint64_t migrate = w->positions[PA_POSITION_MIGRATE];
	uint64_t free = w->positions[PA_POSITION_FREE];

	if (w->walk != PA_WALK_COMPACTION || !migrate || !free ||
	    migrate == PA_NO_PFN || free == PA_NO_PFN)
		return false;
	return pfn < pa_align_down(migrate, block) ||
	       pfn >= pa_align_down(free, block) + block;
}

/* Whether what is said of that page is said already. */
static bool is_in_hand(const struct pa_walker *w, uint64_t pfn)
{
	for (size_t i = 0; i < w->nr_pfns; i++)
		if (w->pfns[i] == pfn)
			return true;
	return false;
}

/* What it holds. Who offlines or onlines memory works on what is neither. */
static void check_pages(struct pa_check_context *c, const struct pa_walker *w,
			uint64_t crashed)
{
	for (size_t i = 0; i < w->nr_pfns; i++) {
		uint64_t pfn = w->pfns[i];
		enum pa_target target = target_of(c, pfn);

		if (!is_unfit(w, target) || pfn == crashed ||
		    pa_check_disputed(c, pfn))
			continue;

		bool behind = is_behind(c, w, pfn);
		struct pa_finding *f = pa_finding_add(
			c->findings, PA_CHECK_STALE_PAGE_REFERENCE,
			w->hotplug || behind ? PA_INFO : PA_SUSPECT, pfn,
			pfn + 1,
			"%s by %s (pid %" PRIu32 ") %s a page that is %s",
			pa_walk_names[w->walk], w->comm, w->pid,
			behind ? "worked on" : "works on",
			pa_target_names[target]);

		pa_check_add_target(c, f, target, pfn);
		add_walker(c, f, w);
	}
}

/* Where it goes on: a hint that it looks at before use. */
static void check_positions(struct pa_check_context *c,
			    const struct pa_walker *w)
{
	for (int i = 0; w->control && i < PA_NR_POSITIONS; i++) {
		uint64_t pfn = w->positions[i];

		if (!pfn || pfn == PA_NO_PFN || is_in_hand(w, pfn) ||
		    !pa_zone_spans(w->zone, pfn))
			continue;

		enum pa_target target = target_of(c, pfn);

		if (!pa_target_is_stale(target) || pa_check_disputed(c, pfn))
			continue;

		struct pa_finding *f = pa_finding_add(
			c->findings, PA_CHECK_STALE_PAGE_REFERENCE, PA_INFO,
			pfn, pfn + 1, "%s of %s by %s (pid %" PRIu32 ") is %s",
			pa_walker_position_names[i], pa_walk_names[w->walk],
			w->comm, w->pid, pa_target_names[target]);

		pa_check_add_target(c, f, target, pfn);
		add_walker(c, f, w);
	}
}

/* The page whose struct page the kernel died of; PA_NO_PFN: none. */
static struct pa_error *read_crash(struct pa_check_context *c,
				   struct pa_crash *crash, uint64_t *ret)
{
	struct pa_log log = { 0 };
	struct pa_error *err =
		pa_log_read(c->memmap->memory, c->kernel->layout, &log);

	*ret = PA_NO_PFN;
	if (!err)
		err = pa_crash_read(c->kernel, c->memmap->memory, &log, crash);
	pa_log_deinit(&log);
	/* Without a log it is not known. */
	if (pa_error_is_target(err) || (err && err->code == PA_ERROR_MISSING)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (err || !crash->crashed || !crash->has_cr2)
		return err;
	for (size_t i = 0; i < crash->nr_pages; i++)
		if (crash->pages[i].link == PA_CRASH_STRUCT_PAGE &&
		    crash->pages[i].address == crash->cr2) {
			*ret = crash->pages[i].pfn;
			break;
		}
	return NULL;
}

/* The access that the kernel died of: nobody can doubt that one. */
static void check_crash(struct pa_check_context *c, const struct pa_walker *w,
			const struct pa_crash *crash, uint64_t pfn)
{
	enum pa_target target = target_of(c, pfn);

	if (!pa_target_is_stale(target) || w->pid != crash->pid)
		return;

	struct pa_finding *f = pa_finding_add(
		c->findings, PA_CHECK_STALE_PAGE_REFERENCE, PA_BUG, pfn,
		pfn + 1,
		"the kernel crashed where %s by %s (pid %" PRIu32 ") looked at "
		"a page that is %s",
		pa_walk_names[w->walk], w->comm, w->pid,
		pa_target_names[target]);

	pa_check_add_target(c, f, target, pfn);
	pa_finding_hex(f, "cr2", crash->cr2);
	pa_finding_text(f, "rip", "%s", crash->rip_symbol);
	add_walker(c, f, w);
}

struct pa_error *pa_check_stale_walkers(struct pa_check_context *c,
					struct pa_check_result *result)
{
	const struct pa_excess *excess = c->census->excess;
	struct pa_crash crash = { 0 };
	uint64_t crashed = PA_NO_PFN;
	struct pa_error *err;

	if (!excess || !excess->walkers.list.length)
		return NULL;
	err = read_crash(c, &crash, &crashed);
	if (err)
		return err;
	pa_array_for_each(w, &excess->walkers.list) {
		if (crashed != PA_NO_PFN)
			check_crash(c, w, &crash, crashed);
		check_pages(c, w, crashed);
		check_positions(c, w);
		result->examined++;
	}
	return NULL;
}
