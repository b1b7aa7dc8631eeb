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
#include "census/handled.h"
#include "census/lru.h"
#include "census/private_list.h"
#include "checks/coverage.h"
#include "checks/families.h"

/* Findings of one kind; what is beyond it is counted. */
#define MAX_FINDINGS 256
/* Folios on a list of what was skipped: of a batch of reclaim. */
#define MAX_SKIPPED 4096

struct lru_check {
	struct pa_check_context *c;
	const struct pa_lru_census *lru;
	/* By index in lruvecs.lists: unlisted folios that a break explains. */
	uint64_t *unreached;
	/* Folios on no list: reported, beyond the limit, not to be judged. */
	uint64_t unlisted, unlisted_more, unknown;
	/* The lruvec last found. */
	const struct pa_lruvec *last;
	struct pa_private_lists lists;
};

/* What the reports say of one folio; all of it is optional. */
struct folio {
	uint64_t pfn, pfn_end;
	bool read;
	uint64_t flags, next, prev, mapping;
	uint32_t refcount;
	enum pa_page_type type;
	uint64_t memcg;
	bool memcg_known;
};

static struct pa_error *read_folio(struct lru_check *k, uint64_t pfn,
				   struct folio *ret)
{
	const struct pa_page_format *f = &k->c->kernel->page_format;
	const uint8_t *page;
	struct folio folio = { .pfn = pfn, .pfn_end = pfn };
	struct pa_error *err;

	*ret = folio;
	if (pfn == PA_NO_PFN)
		return NULL;
	folio.pfn_end = pfn + 1;
	*ret = folio;
	err = pa_memmap_page(k->c->memmap, pfn, 2, &page);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (err)
		return err;
	folio.read = true;
	folio.flags = pa_page_flags(f, page);
	folio.next = pa_load_u64(page + f->lru);
	folio.prev = pa_load_u64(page + f->lru + 8);
	folio.mapping = pa_load_u64(page + f->mapping);
	folio.refcount = pa_page_refcount(f, page);
	folio.type = folio.flags & f->flag.slab ?
			     PA_PAGE_SLAB :
			     pa_page_type(f, pa_page_type_word(f, page));
	if (folio.flags & f->flag.head && !pa_page_is_tail(f, page)) {
		uint32_t order = pa_folio_order(f, page);

		if (order <= f->max_order)
			folio.pfn_end = pfn + PA_BIT(order);
	}
	err = pa_lru_folio_memcg(k->c->memmap->memory, &k->lru->lruvecs.format,
				 page, &folio.memcg);
	folio.memcg_known = !err;
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		err = NULL;
	}
	*ret = folio;
	return err;
}

static void add_memcg(struct lru_check *k, struct pa_finding *f,
		      const char *key, uint64_t address)
{
	const struct pa_memcg *memcg = pa_memcg_find(&k->lru->memcgs, address);
	char path[128];

	if (!memcg) {
		pa_finding_text(f, key, "0x%" PRIx64 " (unknown)", address);
		return;
	}
	pa_memcg_path(k->c->memmap->memory, k->c->kernel->layout,
		      &k->lru->memcgs, memcg, path, sizeof(path));
	pa_finding_text(f, key, "0x%" PRIx64 " %s%s", address, path,
			memcg->online ? "" : " (removed)");
}

static void add_folio(struct lru_check *k, struct pa_finding *f,
		      const struct folio *folio)
{
	pa_auto_free char *flags = NULL;

	if (!folio->read)
		return;
	flags = pa_page_flags_string(&k->c->kernel->page_format, folio->flags);
	pa_finding_hex(f, "flags", folio->flags);
	pa_finding_text(f, "flag_names", "%s", flags ? flags : "");
	pa_finding_number(f, "refcount", (int32_t)folio->refcount);
	pa_finding_hex(f, "mapping", folio->mapping);
	pa_finding_hex(f, "lru_next", folio->next);
	pa_finding_hex(f, "lru_prev", folio->prev);
	if (k->lru->memcgs.enabled && folio->memcg_known && folio->memcg)
		add_memcg(k, f, "folio_memcg", folio->memcg);
}

static void add_lruvec(struct lru_check *k, struct pa_finding *f,
		       const struct pa_lruvec *lruvec)
{
	const struct pa_lruvec_format *format = &k->lru->lruvecs.format;

	pa_finding_hex(f, "lruvec", lruvec->address);
	if (lruvec->memcg >= 0)
		add_memcg(k, f, "lruvec_memcg",
			  k->lru->memcgs.list.items[lruvec->memcg].address);
	if (format->lock_in_lruvec || format->lock_in_node)
		pa_finding_text(f, "lru_lock", "%s",
				lruvec->locked ? "held" : "free");
}

/* Somebody has the folio in hand, or that can't be told. */
static bool is_handled(const struct lru_check *k, const struct folio *folio)
{
	const struct pa_census *census = k->c->census;

	return census->stacks_unread ||
	       (folio && folio->pfn != PA_NO_PFN &&
		pa_handled_find(census, folio->pfn, folio->pfn_end));
}

/*
 * With the lock held the list may be in the middle of a change: it is, where
 * somebody has that folio in hand.
 */
static enum pa_severity severity_of(const struct lru_check *k,
				    const struct pa_lruvec *lruvec,
				    const struct folio *folio)
{
	if (!lruvec || !lruvec->locked)
		return PA_BUG;
	return is_handled(k, folio) ||
			       (folio && folio->pfn != PA_NO_PFN &&
				pa_handled_find_lru(k->c->census, folio->pfn)) ?
		       PA_INFO :
		       PA_SUSPECT;
}

/* folio_lruvec(): by what the folio is charged to, and its node. */
static const struct pa_lruvec *find_lruvec(struct lru_check *k,
					   const struct folio *folio)
{
	const struct pa_lruvecs *lruvecs = &k->lru->lruvecs;
	const struct pa_memcg *memcg = NULL;
	uint32_t node = pa_page_node(&k->c->kernel->page_format, folio->flags);
	int64_t index = -1;

	if (k->lru->memcgs.enabled) {
		memcg = folio->memcg ?
				pa_memcg_find(&k->lru->memcgs, folio->memcg) :
				k->lru->memcgs.list.items;
		if (!memcg)
			return NULL;
		index = memcg - k->lru->memcgs.list.items;
	}
	if (k->last && k->last->memcg == index && k->last->node == node)
		return k->last;
	for (size_t i = 0; i < lruvecs->list.length; i++) {
		const struct pa_lruvec *lruvec = &lruvecs->list.items[i];

		if (lruvec->memcg == index && lruvec->node == node) {
			k->last = lruvec;
			return lruvec;
		}
	}
	return NULL;
}

/* The folio's flags say that it is on @list, or was on its way there. */
static bool may_be_on(const struct lru_check *k, const struct pa_lru_list *list,
		      uint64_t flags)
{
	const struct pa_page_format *f = &k->c->kernel->page_format;

	if (!list->is_gen)
		return !pa_lru_gen(f, flags) &&
		       pa_lru_index(&k->lru->lruvecs.format, f, flags) ==
			       list->lru;
	return pa_lru_gen(f, flags) &&
	       list->is_file == !(flags & f->flag.swapbacked) &&
	       list->zone == pa_page_zone(f, flags);
}

/*
 * A list that was not read to its end, or is broken, explains the folios that
 * should be on it: they are that finding's evidence. *@known is false where
 * they could not be seen.
 */
static bool break_explains(struct lru_check *k, const struct pa_lruvec *lruvec,
			   uint64_t flags, bool *known)
{
	const struct pa_lruvecs *lruvecs = &k->lru->lruvecs;

	*known = true;
	for (size_t i = lruvec->first_list;
	     i < lruvec->first_list + lruvec->nr_lists; i++) {
		const struct pa_lru_list *list = &lruvecs->lists.items[i];
		enum pa_list_end end = k->lru->walked[i].end;

		if (end == PA_LIST_WHOLE || !may_be_on(k, list, flags))
			continue;
		*known = end != PA_LIST_UNREADABLE;
		k->unreached[i]++;
		return true;
	}
	return false;
}

/*
 * Whether the links from @node on lead to a task's stack: scan_folios() and
 * isolate_lru_folios() keep what they skip on a list there, with PG_lru.
 */
static struct pa_error *is_on_stack_list(struct lru_check *k, uint64_t node,
					 bool *ret)
{
	struct pa_error *err = NULL;

	*ret = false;
	for (int i = 0; !err && i < MAX_SKIPPED &&
			pa_private_list_pfn(&k->lists, node) != PA_NO_PFN;
	     i++)
		err = pa_memory_read_u64(k->c->memmap->memory, node, &node);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	pa_array_for_each(stack, &k->c->census->stacks.list)
		if (!err && node - stack->address < stack->nr * 8)
			*ret = true;
	return err;
}

static struct pa_error *check_unlisted(struct lru_check *k, uint64_t pfn)
{
	const struct pa_memcgs *memcgs = &k->lru->memcgs;
	const struct pa_lruvec *lruvec;
	struct pa_finding *finding;
	struct folio folio;
	bool known;
	struct pa_error *err = read_folio(k, pfn, &folio);

	if (err)
		return err;
	if (!folio.read || !folio.memcg_known) {
		k->unknown++;
		return NULL;
	}
	lruvec = find_lruvec(k, &folio);
	if (lruvec && break_explains(k, lruvec, folio.flags, &known)) {
		k->unknown += !known;
		return NULL;
	}
	/* Its memory cgroup may be one of those that were not found. */
	if (!lruvec && (memcgs->unreadable || memcgs->corrupt ||
			k->lru->lruvecs.unreadable)) {
		k->unknown++;
		return NULL;
	}
	if (k->unlisted >= MAX_FINDINGS) {
		k->unlisted_more++;
		return NULL;
	}
	k->unlisted++;

	enum pa_severity severity = severity_of(k, lruvec, &folio);
	bool skipped = false;

	if (severity == PA_SUSPECT)
		err = is_on_stack_list(k, folio.next, &skipped);
	if (err)
		return err;
	finding = pa_finding_add(
		k->c->findings, PA_CHECK_LRU_STRUCTURE,
		skipped ? PA_INFO : severity, folio.pfn, folio.pfn_end, "%s",
		lruvec ? "a folio with PG_lru is on no LRU list" :
			 "a folio with PG_lru is charged to no memory cgroup "
			 "that exists");
	add_folio(k, finding, &folio);
	if (lruvec)
		add_lruvec(k, finding, lruvec);
	return NULL;
}

/* All folios with PG_lru that no list had. */
static struct pa_error *find_unlisted(struct lru_check *k,
				      struct pa_check_result *result)
{
	struct pa_census *census = k->c->census;
	const struct pa_sections *sections = &k->c->kernel->sections;
	bool unevictable = k->lru->lruvecs.format.unevictable_linked;

	for (size_t i = 0; i < sections->list.length; i++) {
		const uint8_t *classes = census->classes[i];
		uint64_t pfn = sections->list.items[i].nr
			       << sections->pages_shift;
		struct pa_error *err = pa_job_check(k->c->job);

		for (uint64_t n = 0; !err && classes && n < sections->pages;
		     n++) {
			if (!(n % 8) &&
			    !pa_classes_have(classes + n, PA_CLASS_LRU) &&
			    !pa_classes_have(classes + n,
					     PA_CLASS_LRU_UNEVICTABLE)) {
				n += 7;
				continue;
			}

			uint8_t class = classes[n] & PA_CLASS_MASK;

			if (class != PA_CLASS_LRU &&
			    class != PA_CLASS_LRU_UNEVICTABLE)
				continue;
			result->examined++;
			if (classes[n] & PA_MARK_LISTED ||
			    (class == PA_CLASS_LRU_UNEVICTABLE && !unevictable))
				continue;

			bool judged;

			if (!pa_census_judges(census, &census->disturbed,
					      pfn + n, &judged))
				err = &pa_error_no_memory;
			else if (judged)
				err = check_unlisted(k, pfn + n);
		}
		if (err)
			return err;
	}
	if (k->unlisted_more)
		pa_finding_add(k->c->findings, PA_CHECK_LRU_STRUCTURE, PA_BUG,
			       PA_NO_PFN, PA_NO_PFN,
			       "%" PRIu64 " more folios with PG_lru are on no "
			       "LRU list",
			       k->unlisted_more);
	if (k->unknown)
		pa_check_status(result, PA_PARTIAL,
				"for %" PRIu64 " folios the list that should "
				"hold them could not be read",
				k->unknown);
	return NULL;
}

static void report_break(struct lru_check *k, const struct pa_list_fault *fault,
			 const struct pa_lruvec *lruvec, size_t index,
			 const struct folio *folio)
{
	const struct pa_lru_walked *walked = &k->lru->walked[index];
	const char *link = fault->a == PA_LRU_LINK_PREV ? "prev" : "next";
	bool at_head = fault->node == fault->head;
	struct pa_finding *f;

	if (fault->kind == PA_FAULT_ENDLESS)
		f = pa_finding_add(k->c->findings, PA_CHECK_LRU_STRUCTURE,
				   severity_of(k, lruvec, folio), folio->pfn,
				   folio->pfn_end, "LRU list has no end: %s",
				   fault->list);
	else
		f = pa_finding_add(k->c->findings, PA_CHECK_LRU_STRUCTURE,
				   severity_of(k, lruvec, folio), folio->pfn,
				   folio->pfn_end,
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
	add_folio(k, f, folio);
	add_lruvec(k, f, lruvec);
}

/*
 * A memory cgroup that is removed gives its lists to its parent, and tells its
 * folios' obj_cgroup next: memcg_reparent_objcgs() has both locks (v7.2).
 */
static bool is_reparented(struct lru_check *k,
			  const struct pa_list_fault *fault,
			  const struct pa_lruvec *lruvec,
			  const struct folio *folio)
{
	const struct pa_lruvec *own;

	if (fault->a != PA_LRU_WRONG_MEMCG || !lruvec || !lruvec->locked ||
	    !k->lru->lruvecs.format.lock_in_lruvec)
		return false;
	own = find_lruvec(k, folio);
	return own && own != lruvec && own->locked && own->memcg >= 0 &&
	       k->lru->memcgs.list.items[own->memcg].parent ==
		       (size_t)lruvec->memcg;
}

static void report_wrong_list(struct lru_check *k,
			      const struct pa_list_fault *fault,
			      const struct pa_lruvec *lruvec,
			      const struct folio *folio)
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
				   severity_of(k, lruvec, folio),
			   folio->pfn, folio->pfn_end,
			   "a folio is on the LRU list of another %s: %s",
			   names[first], fault->list);
	for (unsigned int i = 0; i < PA_NR_LRU_WRONGS; i++)
		if (fault->a & PA_BIT(i))
			pa_finding_text(f, "differs_in", "%s", names[i]);
	pa_finding_text(f, "list", "%s", fault->list);
	pa_finding_hex(f, "list_head", fault->head);
	add_folio(k, f, folio);
	add_lruvec(k, f, lruvec);
}

/*
 * On a list without PG_lru. Before v5.11 that, too, was only so under the
 * lock; since then whoever isolates the folio may not have the lock yet. Spin
 * locks are queued for, so with the lock held there may be many who wait.
 */
static void report_class(struct lru_check *k, const struct pa_list_fault *fault,
			 const struct pa_lruvec *lruvec,
			 const struct folio *folio)
{
	bool plain = folio->read && folio->type == PA_PAGE_UNTYPED &&
		     (fault->page_class == PA_CLASS_USED ||
		      fault->page_class == PA_CLASS_USED_HEAD);
	enum pa_severity severity = severity_of(k, lruvec, folio);
	struct pa_finding *f;

	if (plain && (lruvec->locked || is_handled(k, folio)))
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
	add_folio(k, f, folio);
	add_lruvec(k, f, lruvec);
}

/* The index of the list whose head is at @head; false if there is none. */
static bool find_list(const struct lru_check *k, uint64_t head, size_t *ret)
{
	for (size_t i = 0; i < k->lru->lruvecs.lists.length; i++)
		if (k->lru->lruvecs.lists.items[i].head == head) {
			*ret = i;
			return true;
		}
	return false;
}

static struct pa_error *check_fault(struct lru_check *k,
				    const struct pa_list_fault *fault)
{
	struct folio folio;
	size_t index;
	struct pa_error *err;

	/* What is no page that may be used is stale-page-reference's. */
	if (fault->holder != PA_HOLDER_LRU || fault->kind == PA_FAULT_STALE ||
	    !find_list(k, fault->head, &index))
		return NULL;
	err = read_folio(k, fault->pfn, &folio);
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
				   severity_of(k, lruvec, &folio), folio.pfn,
				   folio.pfn_end,
				   "a folio is on two lists, one of them: %s",
				   fault->list);
		add_folio(k, f, &folio);
		add_lruvec(k, f, lruvec);
		break;
	default:
		report_class(k, fault, lruvec, &folio);
		break;
	}
	return NULL;
}

/* All faults kept of a list are entries in sections that section-state told. */
static bool all_disputed(struct lru_check *k, uint64_t head)
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
static void report_more(struct lru_check *k)
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
				   severity_of(k, lruvec, NULL), PA_NO_PFN,
				   PA_NO_PFN,
				   "%" PRIu64
				   " more entries of an LRU list are "
				   "wrong",
				   walked->faults - walked->faults_kept);
		pa_finding_hex(f, "list_head", list->head);
		pa_finding_number(f, "entries", (int64_t)walked->entries);
		add_lruvec(k, f, lruvec);
	}
}

struct pa_error *pa_check_lru_structure(struct pa_check_context *c,
					struct pa_check_result *result)
{
	struct lru_check k = { .c = c, .lru = c->census->lru };
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
	err = find_unlisted(&k, result);
	for (size_t i = 0; !err && i < c->census->faults.length; i++)
		err = check_fault(&k, &c->census->faults.items[i]);
	if (!err)
		report_more(&k);
	pa_private_lists_deinit(&k.lists);
	return err;
}
