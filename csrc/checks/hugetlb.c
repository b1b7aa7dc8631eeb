// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The hugetlb pools' counters and lists, all of which change under
 * hugetlb_lock: mm/hugetlb.c.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "census/handled.h"
#include "census/hugetlb.h"
#include "checks/counter.h"
#include "checks/coverage.h"
#include "checks/families.h"

struct pool_check {
	struct pa_check_context *c;
	const struct pa_hugetlb_census *hugetlb;
	/* bug, or suspect while hugetlb_lock is held. */
	enum pa_severity severity;
	/* By node: the pool's folios in the memory map, and those on lists. */
	uint64_t *marked, *listed;
};

static void add_pool(struct pool_check *k, struct pa_finding *f,
		     const struct pa_hstate *h)
{
	pa_finding_text(f, "pool", "%s", h->name);
	pa_finding_hex(f, "hstate", h->address);
	pa_finding_number(f, "nr_huge_pages", (int64_t)h->nr);
	pa_finding_number(f, "free_huge_pages", (int64_t)h->free);
	pa_finding_number(f, "resv_huge_pages", (int64_t)h->resv);
	pa_finding_number(f, "surplus_huge_pages", (int64_t)h->surplus);
	if (k->hugetlb->hstates.locked)
		pa_finding_text(f, "hugetlb_lock", "held");
}

static uint64_t sum(const uint32_t *counts, uint32_t n)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < n; i++)
		total += counts[i];
	return total;
}

/* A counter of the pool is the sum of its nodes'. */
static bool check_sum(struct pool_check *k, const struct pa_hstate *h,
		      const char *name, uint64_t total, const uint32_t *nodes)
{
	uint64_t nodes_total = sum(nodes, k->hugetlb->hstates.nr_nodes);
	struct pa_finding *f;

	if (total == nodes_total)
		return false;
	f = pa_finding_add(k->c->findings, PA_CHECK_HUGETLB_POOL, k->severity,
			   PA_NO_PFN, PA_NO_PFN,
			   "%s: %s is %" PRIu64 ", its nodes' sum is %" PRIu64,
			   h->name, name, total, nodes_total);
	add_pool(k, f, h);
	return true;
}

/* Is this a free folio of the pool and node that is on no list? */
static bool is_lost(const struct pool_check *k, const struct pa_hstate *h,
		    uint32_t node, const struct pa_hugetlb_folio *folio)
{
	const int freed = k->c->kernel->page_format.hpg_freed;

	return folio->order == h->order && folio->node == node &&
	       !folio->refcount && !folio->on_free_list &&
	       !folio->on_active_list &&
	       (freed < 0 || folio->private_ >> freed & 1);
}

static void report_lost(struct pool_check *k, const struct pa_hstate *h,
			uint32_t node, const struct pa_hugetlb_folio *folio)
{
	/* list_move() of who dequeues it has the lru, and the lock is held. */
	uint64_t task = k->hugetlb->hstates.locked ?
				pa_handled_find_lru(k->c->census, folio->pfn) :
				0;
	struct pa_finding *f = pa_finding_add(
		k->c->findings, PA_CHECK_HUGETLB_POOL,
		task ? PA_INFO : k->severity, folio->pfn,
		folio->pfn + PA_BIT(folio->order),
		"%s: a free huge page is on no free list", h->name);

	if (task)
		pa_check_add_task(k->c, f, task);
	pa_finding_number(f, "node", node);
	pa_finding_number(f, "free_huge_pages_node", h->free_node[node]);
	pa_finding_hex(f, "flags", folio->flags);
	pa_finding_hex(f, "private", folio->private_);
	add_pool(k, f, h);
}

/*
 * free_huge_pages_node against the node's free list. Where just as many free
 * folios are on no list as the list is short of, it is they that were lost.
 */
static bool check_free_list(struct pool_check *k, size_t index, uint32_t node)
{
	const struct pa_hstate *h = &k->hugetlb->hstates.list.items[index];
	const struct pa_hugetlb_list *list =
		pa_hugetlb_free_list(k->hugetlb, index, node);
	uint64_t lost = 0, own = 0;
	struct pa_finding *f;

	if (!list->whole || list->length == h->free_node[node])
		return false;
	pa_array_for_each(folio, &k->c->census->hugetlb) {
		lost += is_lost(k, h, node, folio);
		own += folio->order == h->order && folio->node == node &&
		       folio->on_free_list;
	}
	/* Some are on another node's list: that has its finding. */
	if (own == h->free_node[node])
		return true;
	if (lost && own + lost == h->free_node[node]) {
		pa_array_for_each(folio, &k->c->census->hugetlb)
			if (is_lost(k, h, node, folio))
				report_lost(k, h, node, folio);
		return true;
	}
	f = pa_finding_add(k->c->findings, PA_CHECK_HUGETLB_POOL, k->severity,
			   PA_NO_PFN, PA_NO_PFN,
			   "%s: free_huge_pages_node of node %" PRIu32
			   " is %" PRIu32 ", its free list has %" PRIu64,
			   h->name, node, h->free_node[node], list->length);
	pa_finding_hex(f, "list_head", pa_hstate_free_list(h, node));
	add_pool(k, f, h);
	return true;
}

/* Entries that a list broke at, for their struct pages are garbage. */
static uint64_t count_garbage(const struct pa_census *census)
{
	uint64_t garbage = 0;

	for (size_t i = 0; i < census->faults.length; i++) {
		const struct pa_list_fault *fault = &census->faults.items[i];
		const uint8_t *byte;

		if ((fault->holder != PA_HOLDER_HUGETLB_FREE &&
		     fault->holder != PA_HOLDER_HUGETLB_ACTIVE) ||
		    fault->kind != PA_FAULT_BROKEN || fault->pfn == PA_NO_PFN)
			continue;
		byte = pa_census_class(census, fault->pfn);
		garbage += byte &&
			   ((*byte & PA_CLASS_MASK) == PA_CLASS_UNINITIALISED ||
			    (*byte & PA_CLASS_MASK) == PA_CLASS_UNKNOWN);
	}
	return garbage;
}

/*
 * nr_huge_pages_node against the memory map. A folio is counted from
 * account_new_hugetlb_folio() to remove_hugetlb_folio(); it has its mark from
 * a little before that until, with an optimised vmemmap, well after. In
 * between it is on a list, or isolated for migration. So what is on lists is
 * counted, and what is counted is marked.
 */
static bool check_recount(struct pool_check *k, const struct pa_hstate *h,
			  uint32_t node)
{
	const struct pa_census *census = k->c->census;
	bool all_read = !census->pages_excluded && !census->pages_unreadable;
	uint64_t nr = h->nr_node[node];
	uint64_t marked = k->marked[node], listed = k->listed[node];
	uint64_t found = nr < listed ? listed : marked;
	int64_t unsure = pa_disputed_pages(k->c);
	int64_t missing =
		(int64_t)((nr < found ? found - nr : nr - found) << h->order);
	struct pa_finding *f;

	if (nr >= listed && (nr <= marked || !all_read))
		return false;
	if (nr >= listed && nr <= marked + count_garbage(census))
		return false;
	f = pa_finding_add(k->c->findings, PA_CHECK_HUGETLB_POOL,
			   missing <= unsure ? PA_INFO : k->severity, PA_NO_PFN,
			   PA_NO_PFN,
			   "%s: nr_huge_pages_node of node %" PRIu32
			   " is %" PRIu64 ", but there are %" PRIu64,
			   h->name, node, nr, found);
	if (missing <= unsure)
		pa_finding_number(f, "disputed_pages", unsure);
	pa_finding_number(f, "folios_on_lists", (int64_t)listed);
	if (all_read)
		pa_finding_number(f, "folios_in_memory_map", (int64_t)marked);
	add_pool(k, f, h);
	return true;
}

/* Counters that are exact, but contradict each other. */
static void check_counts(struct pool_check *k, const struct pa_hstate *h)
{
	struct pa_finding *f;

	if (h->surplus > h->nr) {
		f = pa_finding_add(k->c->findings, PA_CHECK_HUGETLB_POOL,
				   k->severity, PA_NO_PFN, PA_NO_PFN,
				   "%s: more surplus pages than pages",
				   h->name);
		add_pool(k, f, h);
	}
	/*
	 * gather_surplus_pages() backs each reservation by a free page, but
	 * free_huge_folio() may restore one and give the page away as surplus.
	 * The former counts the reservation before it enqueues the pages, all
	 * under hugetlb_lock.
	 */
	if (h->resv > h->free) {
		f = pa_finding_add(k->c->findings, PA_CHECK_HUGETLB_POOL,
				   k->hugetlb->hstates.locked ? PA_INFO :
								PA_SUSPECT,
				   PA_NO_PFN, PA_NO_PFN,
				   "%s: more pages reserved than free: a fault "
				   "on reserved memory may be killed",
				   h->name);
		add_pool(k, f, h);
	}
}

static void count_folios(struct pool_check *k, const struct pa_hstate *h)
{
	const struct pa_hstates *hstates = &k->hugetlb->hstates;

	memset(k->marked, 0, hstates->nr_nodes * sizeof(*k->marked));
	memset(k->listed, 0, hstates->nr_nodes * sizeof(*k->listed));
	pa_array_for_each(folio, &k->c->census->hugetlb) {
		if (folio->node >= hstates->nr_nodes)
			continue;
		/* One of an order that no pool has is one of this, damaged. */
		if (folio->order != h->order) {
			k->marked[folio->node] +=
				!pa_hstate_find(hstates, folio->order);
			continue;
		}
		k->marked[folio->node]++;
		k->listed[folio->node] += folio->on_free_list ||
					  folio->on_active_list;
	}
}

static void check_pool(struct pool_check *k, size_t index)
{
	const struct pa_hstate *h = &k->hugetlb->hstates.list.items[index];
	bool nr_wrong = false, free_wrong = false, surplus_wrong;

	count_folios(k, h);
	for (uint32_t node = 0; node < k->hugetlb->hstates.nr_nodes; node++) {
		nr_wrong |= check_recount(k, h, node);
		free_wrong |= check_free_list(k, index, node);
	}
	/* A node's wrong counter explains a wrong sum. */
	if (!nr_wrong)
		nr_wrong = check_sum(k, h, "nr_huge_pages", h->nr, h->nr_node);
	if (!free_wrong)
		free_wrong = check_sum(k, h, "free_huge_pages", h->free,
				       h->free_node);
	surplus_wrong = check_sum(k, h, "surplus_huge_pages", h->surplus,
				  h->surplus_node);
	if (!nr_wrong && !free_wrong && !surplus_wrong)
		check_counts(k, h);
}

static void check_folio(struct pool_check *k,
			const struct pa_hugetlb_folio *folio)
{
	const struct pa_page_format *format = &k->c->kernel->page_format;
	const struct pa_hstate *h =
		pa_hstate_find(&k->hugetlb->hstates, folio->order);
	uint64_t end = folio->pfn + PA_BIT(folio->order);
	struct pa_finding *f;

	if (!h) {
		f = pa_finding_add(k->c->findings, PA_CHECK_HUGETLB_POOL,
				   k->severity, folio->pfn, end,
				   "a hugetlb folio of order %" PRIu32
				   ", which no pool has",
				   folio->order);
		pa_finding_hex(f, "flags", folio->flags);
		return;
	}
	if (!folio->on_free_list)
		return;
	if (folio->refcount) {
		f = pa_finding_add(k->c->findings, PA_CHECK_HUGETLB_POOL,
				   k->severity, folio->pfn, end,
				   "%s: a huge page on the free list has "
				   "references",
				   h->name);
		pa_finding_number(f, "refcount", (int32_t)folio->refcount);
		pa_finding_hex(f, "flags", folio->flags);
	}
	/*
	 * memory_failure() dissolves a free huge page; where that failed it
	 * stays, and dequeue_hugetlb_folio_node_exact() passes over it.
	 */
	if (folio->flags & format->flag.hwpoison) {
		f = pa_finding_add(k->c->findings, PA_CHECK_HUGETLB_POOL,
				   PA_INFO, folio->pfn, end,
				   "%s: a poisoned huge page is on the free "
				   "list: counted as free, never handed out",
				   h->name);
		pa_finding_number(f, "node", folio->node);
		pa_finding_number(f, "bytes",
				  (int64_t)(PA_BIT(folio->order)
					    << k->c->kernel->space.page_shift));
		pa_finding_hex(f, "flags", folio->flags);
		add_pool(k, f, h);
	}
}

/* free_huge_folio() clears the mapping of what it frees. */
static struct pa_error *check_mapping(struct pool_check *k,
				      const struct pa_hugetlb_folio *folio)
{
	const struct pa_page_format *format = &k->c->kernel->page_format;
	const uint8_t *page;
	struct pa_finding *f;
	uint64_t mapping;
	struct pa_error *err;

	if (!folio->on_free_list)
		return NULL;
	err = pa_memmap_page(k->c->memmap, folio->pfn, 1, &page);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (err)
		return err;
	mapping = pa_load_u64(page + format->mapping);
	if (!mapping)
		return NULL;
	f = pa_finding_add(k->c->findings, PA_CHECK_HUGETLB_POOL, k->severity,
			   folio->pfn, folio->pfn + PA_BIT(folio->order),
			   "a huge page on the free list has a mapping");
	pa_finding_hex(f, "mapping", mapping);
	pa_finding_hex(f, "flags", folio->flags);
	return NULL;
}

static void check_fault(struct pool_check *k, const struct pa_list_fault *fault)
{
	static const char *const what[] = {
		[PA_FAULT_BROKEN] = "a list is broken here",
		[PA_FAULT_ENDLESS] = "a list has no end",
		[PA_FAULT_CLASS] = "a page that is no hugetlb folio is on a "
				   "list",
		[PA_FAULT_TWICE] = "a huge page is on two lists",
		[PA_FAULT_WRONG_LIST] = "a huge page is on the list of another "
					"node or size",
		[PA_FAULT_COUNT] = "a list's count is wrong",
	};
	uint64_t end = PA_NO_PFN;
	struct pa_finding *f;

	/* What is no page that may be used is stale-page-reference's. */
	if ((fault->holder != PA_HOLDER_HUGETLB_FREE &&
	     fault->holder != PA_HOLDER_HUGETLB_ACTIVE) ||
	    fault->kind == PA_FAULT_STALE)
		return;
	if (fault->pfn != PA_NO_PFN)
		end = fault->pfn + 1;
	pa_array_for_each(folio, &k->c->census->hugetlb)
		if (folio->pfn == fault->pfn)
			end = fault->pfn + PA_BIT(folio->order);
	f = pa_finding_add(k->c->findings, PA_CHECK_HUGETLB_POOL, k->severity,
			   fault->pfn, end, "%s: %s", fault->list,
			   what[fault->kind]);
	pa_finding_hex(f, "list_head", fault->head);
	pa_finding_hex(f, "entry", fault->node);
	if (fault->kind == PA_FAULT_BROKEN)
		pa_finding_hex(f, "link", fault->link);
	if (fault->kind == PA_FAULT_WRONG_LIST) {
		pa_finding_number(f, "folio_order", (int64_t)fault->a);
		pa_finding_number(f, "folio_node", (int64_t)fault->b);
	}
}

struct pa_error *pa_check_hugetlb_pool(struct pa_check_context *c,
				       struct pa_check_result *result)
{
	const struct pa_census *census = c->census;
	const struct pa_hstates *hstates = &census->hugetlb_pools->hstates;
	struct pool_check k = {
		.c = c,
		.hugetlb = census->hugetlb_pools,
		.severity = hstates->locked ? PA_SUSPECT : PA_BUG,
	};
	pa_auto_free uint64_t *marked = NULL, *listed = NULL;
	struct pa_error *err = NULL;

	if (!hstates->known) {
		pa_check_status(result, PA_NOT_APPLICABLE,
				"the kernel has no hugetlb");
		return NULL;
	}
	k.marked = marked = calloc(hstates->nr_nodes, sizeof(*marked));
	k.listed = listed = calloc(hstates->nr_nodes, sizeof(*listed));
	if (!marked || !listed)
		return &pa_error_no_memory;
	pa_check_part_coverage(c, result, PA_CENSUS_HUGETLB);
	if (census->pages_excluded || census->pages_unreadable)
		pa_check_status(result, PA_PARTIAL,
				"%" PRIu64 " struct pages are not in the dump",
				census->pages_excluded +
					census->pages_unreadable);
	for (size_t i = 0; i < hstates->list.length; i++) {
		check_pool(&k, i);
		result->examined += hstates->list.items[i].nr;
	}
	for (size_t i = 0; !err && i < census->hugetlb.length; i++) {
		check_folio(&k, &census->hugetlb.items[i]);
		err = check_mapping(&k, &census->hugetlb.items[i]);
	}
	for (size_t i = 0; !err && i < census->faults.length; i++)
		check_fault(&k, &census->faults.items[i]);
	return err;
}
