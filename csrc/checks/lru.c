// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Folios against the LRU lists: include/linux/mm_inline.h, mm/swap.c,
 * mm/vmscan.c.
 *
 * What is no fault. Isolation clears PG_lru first and takes lru_lock next
 * (folio_isolate_lru(), folio_batch_move_lru(); commit d25b5bd8a8f4), so that
 * a folio may be seen on its list without PG_lru; a folio in a per-cpu batch
 * of v6.11 to v6.17 stays so for long. The converse, PG_lru on no list, exists
 * only under the lock: all that add or delete set or clear it there, and
 * reclaim keeps folios that it skips on a list of its own
 * (isolate_lru_folios(), scan_folios()).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "checks/coverage.h"
#include "checks/families.h"
#include "checks/lru_folio.h"

static void report_break(struct pa_lru_check *k,
			 const struct pa_list_fault *fault,
			 const struct pa_lruvec *lruvec, size_t index,
			 const struct pa_lru_folio *folio)
{
	const struct pa_lru_walked *walked = &k->lru->walked[index];
	const char *link = fault->a == PA_LRU_LINK_PREV ? "prev" : "next";
	bool at_head = fault->node == fault->head;
	struct pa_finding *f;

	if (fault->kind == PA_FAULT_ENDLESS)
		f = pa_finding_add(k->c->findings, PA_CHECK_LRU_STRUCTURE,
				   pa_lru_check_severity(k, lruvec, folio),
				   folio->pfn, folio->pfn_end,
				   "LRU list has no end: %s", fault->list);
	else
		f = pa_finding_add(k->c->findings, PA_CHECK_LRU_STRUCTURE,
				   pa_lru_check_severity(k, lruvec, folio),
				   folio->pfn, folio->pfn_end,
				   "LRU list is broken at %s %s: %s",
				   at_head ? "its head's" : "this folio's",
				   link, fault->list);
	pa_finding_text(f, "list", "%s", fault->list);
	pa_finding_hex(f, "list_head", fault->head);
	pa_finding_hex(f, "entry", fault->node);
	pa_finding_hex(f, link, fault->link);
	pa_finding_number(f, "folios_from_the_front",
			  (int64_t)(walked->entries - walked->backward));
	pa_finding_number(f, "folios_from_the_back", (int64_t)walked->backward);
	pa_finding_number(f, "folios_not_reached",
			  (int64_t)k->unreached[index]);
	pa_lru_check_add_folio(k, f, folio);
	pa_lru_check_add_lruvec(k, f, lruvec);
}

/*
 * A memory cgroup that is removed gives its lists to its parent, and tells its
 * folios' obj_cgroup next: memcg_reparent_objcgs() has both locks (v7.2).
 */
static bool is_reparented(struct pa_lru_check *k,
			  const struct pa_list_fault *fault,
			  const struct pa_lruvec *lruvec,
			  const struct pa_lru_folio *folio)
{
	const struct pa_lruvec *own;

	if (fault->a != PA_LRU_WRONG_MEMCG || !lruvec || !lruvec->locked ||
	    !k->lru->lruvecs.format.lock_in_lruvec)
		return false;
	own = pa_lru_check_lruvec(k, folio);
	return own && own != lruvec && own->locked && own->memcg >= 0 &&
	       k->lru->memcgs.list.items[own->memcg].parent ==
		       (size_t)lruvec->memcg;
}

static void report_wrong_list(struct pa_lru_check *k,
			      const struct pa_list_fault *fault,
			      const struct pa_lruvec *lruvec,
			      const struct pa_lru_folio *folio)
{
	/* The most telling first: it names the finding. */
	static const char *const names[PA_NR_LRU_WRONGS] = {
		"node",		"memory cgroup", "type", "activity",
		"evictability", "generation",	 "zone",
	};
	struct pa_finding *f;
	unsigned int first = 0;

	while (first < PA_NR_LRU_WRONGS - 1 && !(fault->a & PA_BIT(first)))
		first++;
	f = pa_finding_add(k->c->findings, PA_CHECK_LRU_STRUCTURE,
			   is_reparented(k, fault, lruvec, folio) ?
				   PA_INFO :
				   pa_lru_check_severity(k, lruvec, folio),
			   folio->pfn, folio->pfn_end,
			   "a folio is on the LRU list of another %s: %s",
			   names[first], fault->list);
	for (unsigned int i = 0; i < PA_NR_LRU_WRONGS; i++)
		if (fault->a & PA_BIT(i))
			pa_finding_text(f, "differs_in", "%s", names[i]);
	pa_finding_text(f, "list", "%s", fault->list);
	pa_finding_hex(f, "list_head", fault->head);
	pa_lru_check_add_folio(k, f, folio);
	pa_lru_check_add_lruvec(k, f, lruvec);
}

/*
 * On a list without PG_lru. Before v5.11 that, too, was only so under the
 * lock; since then whoever isolates the folio may not have the lock yet. Spin
 * locks are queued for, so with the lock held there may be many who wait.
 */
static void report_class(struct pa_lru_check *k,
			 const struct pa_list_fault *fault,
			 const struct pa_lruvec *lruvec,
			 const struct pa_lru_folio *folio)
{
	bool plain = folio->read && folio->type == PA_PAGE_UNTYPED &&
		     (fault->page_class == PA_CLASS_USED ||
		      fault->page_class == PA_CLASS_USED_HEAD);
	enum pa_severity severity = pa_lru_check_severity(k, lruvec, folio);
	struct pa_finding *f;

	if (plain && (lruvec->locked || pa_lru_check_is_handled(k, folio)))
		severity = PA_INFO;
	else if (plain && k->lru->lruvecs.format.lock_in_lruvec)
		severity = PA_SUSPECT;
	if (plain)
		f = pa_finding_add(k->c->findings, PA_CHECK_LRU_STRUCTURE,
				   severity, folio->pfn, folio->pfn_end,
				   "a folio without PG_lru is on an LRU list: "
				   "%s",
				   fault->list);
	else
		f = pa_finding_add(k->c->findings, PA_CHECK_LRU_STRUCTURE,
				   severity, folio->pfn, folio->pfn_end,
				   "a page that is no LRU folio is on an LRU "
				   "list: %s",
				   fault->list);
	pa_finding_text(f, "list", "%s", fault->list);
	pa_finding_hex(f, "list_head", fault->head);
	if (folio->read)
		pa_finding_text(f, "type", "%s",
				pa_page_type_names[folio->type]);
	pa_lru_check_add_folio(k, f, folio);
	pa_lru_check_add_lruvec(k, f, lruvec);
}

/* The index of the list whose head is at @head; false if there is none. */
static bool find_list(const struct pa_lru_check *k, uint64_t head, size_t *ret)
{
	for (size_t i = 0; i < k->lru->lruvecs.lists.length; i++)
		if (k->lru->lruvecs.lists.items[i].head == head) {
			*ret = i;
			return true;
		}
	return false;
}

static struct pa_error *check_fault(struct pa_lru_check *k,
				    const struct pa_list_fault *fault)
{
	struct pa_lru_folio folio;
	size_t index;
	struct pa_error *err;

	/* What is no page that may be used is stale-page-reference's. */
	if (fault->holder != PA_HOLDER_LRU || fault->kind == PA_FAULT_STALE ||
	    !find_list(k, fault->head, &index))
		return NULL;
	err = pa_lru_check_read(k, fault->pfn, &folio);
	if (err)
		return err;

	const struct pa_lruvec *lruvec =
		&k->lru->lruvecs.list
			 .items[k->lru->lruvecs.lists.items[index].lruvec];
	struct pa_finding *f;

	switch (fault->kind) {
	case PA_FAULT_BROKEN:
	case PA_FAULT_ENDLESS:
		report_break(k, fault, lruvec, index, &folio);
		break;
	case PA_FAULT_WRONG_LIST:
		report_wrong_list(k, fault, lruvec, &folio);
		break;
	case PA_FAULT_TWICE:
		f = pa_finding_add(k->c->findings, PA_CHECK_LRU_STRUCTURE,
				   pa_lru_check_severity(k, lruvec, &folio),
				   folio.pfn, folio.pfn_end,
				   "a folio is on two lists, one of them: %s",
				   fault->list);
		pa_lru_check_add_folio(k, f, &folio);
		pa_lru_check_add_lruvec(k, f, lruvec);
		break;
	default:
		report_class(k, fault, lruvec, &folio);
		break;
	}
	return NULL;
}

/* All faults kept of a list are entries in sections that section-state told. */
static bool all_disputed(struct pa_lru_check *k, uint64_t head)
{
	for (size_t i = 0; i < k->c->census->faults.length; i++) {
		const struct pa_list_fault *fault =
			&k->c->census->faults.items[i];

		if (fault->holder == PA_HOLDER_LRU && fault->head == head &&
		    (fault->kind != PA_FAULT_STALE ||
		     !pa_check_disputed(k->c, fault->pfn)))
			return false;
	}
	return true;
}

/* Faults of a list beyond those that the census keeps one by one. */
static void report_more(struct pa_lru_check *k)
{
	for (size_t i = 0; i < k->lru->lruvecs.lists.length; i++) {
		const struct pa_lru_walked *walked = &k->lru->walked[i];
		const struct pa_lru_list *list =
			&k->lru->lruvecs.lists.items[i];
		const struct pa_lruvec *lruvec =
			&k->lru->lruvecs.list.items[list->lruvec];
		struct pa_finding *f;

		if (walked->faults <= walked->faults_kept ||
		    all_disputed(k, list->head))
			continue;
		f = pa_finding_add(k->c->findings, PA_CHECK_LRU_STRUCTURE,
				   pa_lru_check_severity(k, lruvec, NULL),
				   PA_NO_PFN, PA_NO_PFN,
				   "%" PRIu64
				   " more entries of an LRU list are "
				   "wrong",
				   walked->faults - walked->faults_kept);
		pa_finding_hex(f, "list_head", list->head);
		pa_finding_number(f, "entries", (int64_t)walked->entries);
		pa_lru_check_add_lruvec(k, f, lruvec);
	}
}

struct pa_error *pa_check_lru_structure(struct pa_check_context *c,
					struct pa_check_result *result)
{
	struct pa_lru_check k = { .c = c, .lru = c->census->lru };
	pa_auto_free uint64_t *unreached = NULL;
	struct pa_error *err;

	unreached = calloc(k.lru->lruvecs.lists.length + 1, sizeof(*unreached));
	if (!unreached)
		return &pa_error_no_memory;
	k.unreached = unreached;
	k.lists.census = c->census;
	k.lists.kernel = c->kernel;
	k.lists.memory = c->memmap->memory;
	pa_check_part_coverage(c, result, PA_CENSUS_LRU);
	if (c->census->pages_excluded || c->census->pages_unreadable)
		pa_check_status(result, PA_PARTIAL,
				"%" PRIu64 " struct pages are not in the dump",
				c->census->pages_excluded +
					c->census->pages_unreadable);
	err = pa_lru_check_unlisted(&k, result);
	for (size_t i = 0; !err && i < c->census->faults.length; i++)
		err = check_fault(&k, &c->census->faults.items[i]);
	if (!err)
		report_more(&k);
	pa_private_lists_deinit(&k.lists);
	return err;
}
