// SPDX-License-Identifier: LGPL-2.1-or-later
/* Node counters that follow mapcounts, the page cache and pins: mm/vmstat.c. */
#include <inttypes.h>

#include "census/counts.h"
#include "census/holder.h"
#include "census/isolated.h"
#include "checks/counter.h"
#include "checks/coverage.h"
#include "checks/discrepancy.h"
#include "checks/families.h"

/* A counter of one node beside its recount. */
struct drift {
	const char *name;
	enum pa_enumerator_id id;
	int64_t counted;
	/*
	 * The recount by the page tables rather than the stored mapcounts:
	 * where the two differ a mapcount is wrong, which is told there.
	 */
	int64_t alternative;
};

/* What one CPU in the middle of a page table or a folio can have in hand. */
#define PAGES_IN_FLIGHT 512
/* GUP_PIN_COUNTING_BIAS: what a pin adds to the refcount of order 0. */
#define PIN_BIAS 1024

static int64_t in_flight(const struct pa_census *census)
{
	int64_t pages = 0;

	pa_array_for_each(cpu, &census->cpu_tasks.list)
		if (cpu->mode == PA_CPU_KERNEL || cpu->mode == PA_CPU_UNKNOWN)
			pages += PAGES_IN_FLIGHT;
	return pages;
}

int64_t pa_disputed_pages(const struct pa_check_context *c)
{
	int64_t block = (int64_t)PA_BIT(c->kernel->zones.pageblock_order);
	uint64_t last = PA_NO_PFN;
	int64_t pages = 0;

	pa_array_for_each(f, &c->findings->list) {
		int64_t nr = (int64_t)(f->pfn_end - f->pfn);

		/* In somebody's hands a folio is as little of a known size. */
		if (f->pfn == PA_NO_PFN ||
		    (f->severity == PA_INFO &&
		     f->check != PA_CHECK_COMPOUND_STRUCTURE))
			continue;
		switch (f->check) {
		case PA_CHECK_COMPOUND_STRUCTURE:
		case PA_CHECK_MEMMAP_UNINITIALISED:
		case PA_CHECK_PAGE_LINKS:
			/* One wrong page, and the folio round it is none. */
			if (f->pfn / (uint64_t)block != last)
				pages += pa_max(block, nr);
			last = (f->pfn_end - 1) / (uint64_t)block;
			break;
		case PA_CHECK_SECTION_STATE:
		case PA_CHECK_LRU_STRUCTURE:
		case PA_CHECK_STALE_PAGE_REFERENCE:
			pages += nr;
			break;
		default:
			break;
		}
	}
	return pages;
}

/* @severity: what it is if nobody is in the middle of it; borrowed, or NULL. */
static struct pa_finding *report_as(struct pa_check_context *c,
				    enum pa_severity severity, const char *name,
				    const char *where, uint32_t node,
				    int64_t stored, int64_t counted)
{
	int64_t difference = stored - counted;
	int64_t amount = difference < 0 ? -difference : difference;
	int64_t unsure = pa_disputed_pages(c);
	bool moving = amount <= in_flight(c->census);
	bool explained = amount <= unsure;
	struct pa_finding *f = pa_finding_add(
		c->findings, PA_CHECK_COUNTER_DRIFT,
		moving || explained ? PA_INFO : severity, PA_NO_PFN, PA_NO_PFN,
		"%s %" PRIu32 ": %s is %" PRId64 ", a recount gives %" PRId64,
		where, node, name, stored, counted);

	pa_finding_text(f, "counter", "%s", name);
	pa_finding_number(f, "stored", stored);
	pa_finding_number(f, "recounted", counted);
	pa_finding_number(f, "difference", difference);
	if (moving)
		pa_finding_text(f, "in_flight", "a CPU was in the kernel");
	if (explained)
		pa_finding_number(f, "disputed_pages", unsure);
	return f;
}

/* @mover: virtual address of a task_struct, who may not have counted; or 0. */
static struct pa_finding *report_moved(struct pa_check_context *c,
				       const char *name, uint32_t node,
				       int64_t stored, int64_t counted,
				       uint64_t mover)
{
	struct pa_finding *f = report_as(c, mover ? PA_INFO : PA_BUG, name,
					 "node", node, stored, counted);

	if (mover)
		pa_check_add_task(c, f, mover);
	return f;
}

static void report(struct pa_check_context *c, const char *name, uint32_t node,
		   int64_t stored, int64_t counted)
{
	report_moved(c, name, node, stored, counted, 0);
}

/* The same of the sum over all nodes. */
static struct pa_finding *report_sum(struct pa_check_context *c,
				     enum pa_severity severity,
				     const char *name, int64_t stored,
				     int64_t counted)
{
	const struct pa_zones *zones = &c->kernel->zones;

	return report_as(c, severity, name,
			 zones->nodes.length > 1 ? "nodes from" : "node",
			 zones->nodes.items[0].id, stored, counted);
}

/* The node at that index, as it was when pages were counted. */
static const struct pa_node *node_counted(const struct pa_check_context *c,
					  size_t index)
{
	const struct pa_zones *now = &c->census->zones_counted;

	return now->nodes.length ? &now->nodes.items[index] :
				   &c->kernel->zones.nodes.items[index];
}

/* A node counter; false if the kernel has none of that name. */
static bool node_counter(const struct pa_layout *layout,
			 const struct pa_node *node, enum pa_enumerator_id id,
			 int64_t *ret)
{
	const struct pa_enumerator *e = &layout->enumerators[id];

	if (!e->known || e->value < 0 || e->value >= PA_MAX_NODE_STATS)
		return false;
	*ret = node->stats[e->value];
	return true;
}

/* Over all nodes; false if one has no such counter, or not exactly. */
static bool sum_counter(const struct pa_check_context *c,
			enum pa_enumerator_id id, int64_t *ret)
{
	size_t nr = c->kernel->zones.nodes.length;

	*ret = 0;
	for (size_t i = 0; i < nr; i++) {
		const struct pa_node *node = node_counted(c, i);
		int64_t stored;

		if (!node->stats_exact ||
		    !node_counter(c->kernel->layout, node, id, &stored))
			return false;
		*ret = (int64_t)((uint64_t)*ret + (uint64_t)stored);
	}
	return nr;
}

static void check_drift(struct pa_check_context *c, const struct pa_node *node,
			const struct drift *drift)
{
	int64_t stored;

	if (node_counter(c->kernel->layout, node, drift->id, &stored) &&
	    stored != drift->counted && stored != drift->alternative)
		report(c, drift->name, node->id, stored, drift->counted);
}

/* NR_PAGETABLE is a zone's before v5.11 (commit f0c0c115fb81). */
static bool page_tables_are_zones(const struct pa_layout *layout)
{
	return PA_ENUM(layout, NR_PAGETABLE) <
	       PA_ENUM(layout, NR_VM_ZONE_STAT_ITEMS);
}

static int64_t zone_sum(const struct pa_zones *zones, uint32_t node,
			int64_t item)
{
	int64_t sum = 0;

	if (item < 0 || item >= PA_MAX_ZONE_STATS)
		return 0;
	for (size_t i = 0; i < zones->list.length; i++)
		if (zones->list.items[i].node == node)
			sum += zones->list.items[i].stats[item];
	return sum;
}

static void check_page_tables(struct pa_check_context *c,
			      const struct pa_node *node, int64_t counted)
{
	const struct pa_layout *layout = c->kernel->layout;
	int64_t item = PA_ENUM(layout, NR_PAGETABLE);
	int64_t stored = page_tables_are_zones(layout) ?
				 zone_sum(&c->kernel->zones, node->id, item) :
			 item >= 0 && item < PA_MAX_NODE_STATS ?
				 node->stats[item] :
				 counted;

	if (stored != counted)
		report(c, "NR_PAGETABLE", node->id, stored, counted);
}

static void check_lru(struct pa_check_context *c, const struct pa_node *node,
		      const struct pa_node_count *n)
{
	int64_t base = PA_ENUM(c->kernel->layout, NR_LRU_BASE);
	const int64_t *stats;

	if (base < 0 || base + 5 > PA_MAX_NODE_STATS)
		return;
	stats = node->stats + base;
	if (stats[0] + stats[1] != n->lru_anon)
		report(c, "anonymous LRU pages", node->id, stats[0] + stats[1],
		       n->lru_anon);
	if (stats[2] + stats[3] != n->lru_file)
		report(c, "file LRU pages", node->id, stats[2] + stats[3],
		       n->lru_file);
	if (stats[4] != n->unevictable)
		report(c, "unevictable LRU pages", node->id, stats[4],
		       n->unevictable);
}

/*
 * Before isolate_folio_to_list() do_migrate_range() counts a THP that it isolates
 * as one page, of which migration takes all off: a defect that each THP in memory
 * that goes offline leaves behind.
 */
static void add_offlined_thps(const struct pa_check_context *c,
			      struct pa_finding *f, int64_t missing)
{
	int64_t each = (int64_t)PA_BIT(c->kernel->zones.pageblock_order) - 1;

	if (PA_HAS_SYM(c->kernel->layout, isolate_folio_to_list) || each <= 0 ||
	    missing % each)
		return;
	pa_finding_number(f, "offlined_thps", missing / each);
	pa_finding_text(f, "cause",
			"do_migrate_range() counted as one page each THP that "
			"it moved out of memory going offline (before v6.12)");
}

/*
 * Isolated folios: at least those on private lists, at most all that are off
 * the LRU and in no batch, which a task may be about to put back.
 */
static void check_isolated(struct pa_check_context *c,
			   const struct pa_node *node, const char *name,
			   enum pa_enumerator_id id, uint64_t listed,
			   uint64_t others)
{
	int64_t most = (int64_t)(listed + others), stored;
	uint64_t mover = c->census->isolated->mover;

	if (!node_counter(c->kernel->layout, node, id, &stored))
		return;
	if (stored < (int64_t)listed)
		add_offlined_thps(c,
				  report_moved(c, name, node->id, stored,
					       (int64_t)listed, mover),
				  (int64_t)listed - stored);
	else if (stored > most)
		report_moved(c, name, node->id, stored, most, mover);
}

/* Huge pages are counted as one before v5.11 (commit 69473e5de873). */
static int64_t thp_unit(const struct pa_kernel *kernel)
{
	return page_tables_are_zones(kernel->layout) ?
		       (int64_t)PA_BIT(kernel->zones.pageblock_order) :
		       1;
}

static void check_node(struct pa_check_context *c, const struct pa_node *node,
		       const struct pa_node_count *n)
{
	int64_t unit = thp_unit(c->kernel);
	const struct drift drifts[] = {
		{ "NR_ANON_MAPPED", PA_ENUM_NR_ANON_MAPPED, n->anon_mapped,
		  n->anon_mapped_counted },
		{ "NR_FILE_MAPPED", PA_ENUM_NR_FILE_MAPPED, n->file_mapped,
		  n->file_mapped_counted },
		{ "NR_ANON_THPS", PA_ENUM_NR_ANON_THPS, n->anon_thps / unit,
		  n->anon_thps_counted / unit },
		{ "NR_SHMEM_PMDMAPPED", PA_ENUM_NR_SHMEM_PMDMAPPED,
		  n->shmem_pmd_mapped / unit,
		  n->shmem_pmd_mapped_counted / unit },
		{ "NR_FILE_PMDMAPPED", PA_ENUM_NR_FILE_PMDMAPPED,
		  n->file_pmd_mapped / unit,
		  n->file_pmd_mapped_counted / unit },
	};

	for (size_t i = 0; i < sizeof(drifts) / sizeof(drifts[0]); i++)
		check_drift(c, node, &drifts[i]);
	check_page_tables(c, node, n->page_tables);
	check_lru(c, node, n);
}

/*
 * Huge pages that move to another node are left behind in the old one's count:
 * __folio_migrate_mapping() has never moved NR_FILE_THPS, NR_SHMEM_THPS it did
 * not at first, and NR_SHMEM, before v5.11, by one page of each.
 */
static void check_moved(struct pa_check_context *c)
{
	int64_t unit = thp_unit(c->kernel);
	struct pa_node_count all = { 0 };

	for (size_t i = 0; i < c->kernel->zones.nodes.length; i++) {
		const struct pa_node_count *n = &c->census->counts->nodes[i];

		all.shmem += n->shmem;
		all.shmem_added += n->shmem_added;
		all.shmem_thps += n->shmem_thps;
		all.shmem_thps_added += n->shmem_thps_added;
		all.file_thps += n->file_thps;
	}

	const struct {
		const char *name;
		enum pa_enumerator_id id;
		/* The most, of which so many may not be counted yet. */
		int64_t counted, added;
	} sums[] = {
		{ "NR_SHMEM", PA_ENUM_NR_SHMEM, all.shmem, all.shmem_added },
		{ "NR_SHMEM_THPS", PA_ENUM_NR_SHMEM_THPS, all.shmem_thps / unit,
		  all.shmem_thps_added / unit },
		{ "NR_FILE_THPS", PA_ENUM_NR_FILE_THPS, all.file_thps / unit,
		  0 },
	};

	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		int64_t stored;

		if (sum_counter(c, sums[i].id, &stored) &&
		    (stored > sums[i].counted ||
		     stored < sums[i].counted - sums[i].added))
			report_sum(c, PA_BUG, sums[i].name, stored,
				   sums[i].counted);
	}
}

/*
 * Pins that no holder shows and that are a folio's finding: pincounts, and
 * what order 0 has in its refcount (GUP_PIN_COUNTING_BIAS).
 */
static int64_t explained_pins(const struct pa_census *census)
{
	int64_t pins = 0;

	pa_array_for_each(d, &census->counts->list) {
		const struct pa_stored_counted *pin =
			&d->counts[PA_COUNT_PINCOUNT];
		const struct pa_stored_counted *ref =
			&d->counts[PA_COUNT_REFCOUNT];

		if (d->wrong & 1U << PA_COUNT_PINCOUNT)
			pins += pin->stored - pin->counted;
		else if (!d->order && d->wrong & 1U << PA_COUNT_REFCOUNT)
			pins += (ref->stored - ref->counted) / PIN_BIAS;
	}
	return pins;
}

/* Pins acquired less released, which are counted at each page's node. */
static void check_pins(struct pa_check_context *c)
{
	int64_t acquired, released, stored, counted;

	if (!sum_counter(c, PA_ENUM_NR_FOLL_PIN_ACQUIRED, &acquired) ||
	    !sum_counter(c, PA_ENUM_NR_FOLL_PIN_RELEASED, &released))
		return;
	stored = acquired - released;
	counted = (int64_t)c->census->counts->pins + explained_pins(c->census);
	if (stored == counted)
		return;

	/* Since v6.5 fs/direct-io.c takes pins by it that it doesn't count. */
	bool uncounted = stored < counted &&
			 PA_HAS_SYM(c->kernel->layout, folio_add_pin);
	struct pa_finding *f = report_sum(c, uncounted ? PA_INFO : PA_BUG,
					  "NR_FOLL_PIN_ACQUIRED less _RELEASED",
					  stored, counted);

	if (uncounted)
		pa_finding_text(f, "uncounted", "folio_add_pin()");
}

struct pa_error *pa_check_counter_drift(struct pa_check_context *c,
					struct pa_check_result *result)
{
	const struct pa_zones *zones = &c->kernel->zones;
	const struct pa_census *census = c->census;
	const struct pa_isolated_count *isolated;

	pa_discrepancy_coverage(c, result);
	result->examined = 0;
	/* A recount of part of the pages says nothing. */
	if (result->status != PA_RAN)
		return NULL;
	for (size_t i = 0; i < zones->nodes.length; i++) {
		const struct pa_node *node = node_counted(c, i);

		if (!node->stats_exact) {
			pa_check_status(result, PA_PARTIAL,
					"node %" PRIu32
					": per-cpu deltas could not be read",
					node->id);
			continue;
		}
		check_node(c, node, &census->counts->nodes[i]);
		isolated = &census->isolated->nodes[i];
		check_isolated(c, node, "NR_ISOLATED_ANON",
			       PA_ENUM_NR_ISOLATED_ANON, isolated->anon,
			       isolated->other_anon);
		check_isolated(c, node, "NR_ISOLATED_FILE",
			       PA_ENUM_NR_ISOLATED_FILE, isolated->file,
			       isolated->other_file);
		result->examined++;
	}
	check_moved(c);
	check_pins(c);
	pa_check_mm_tables(c, result);
	return NULL;
}
