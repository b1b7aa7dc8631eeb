// SPDX-License-Identifier: LGPL-2.1-or-later
/* Folios with PG_lru that are on no LRU list: see lru.c for what is no fault. */
#include <inttypes.h>

#include "checks/coverage.h"
#include "checks/lru_folio.h"

/* Findings of one kind; what is beyond it is counted. */
#define MAX_FINDINGS 256
/* Folios on a list of what was skipped: of a batch of reclaim. */
#define MAX_SKIPPED 4096

/* The folio's flags say that it is on @list, or was on its way there. */
static bool may_be_on(const struct pa_lru_check *k,
		      const struct pa_lru_list *list, uint64_t flags)
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
static bool break_explains(struct pa_lru_check *k,
			   const struct pa_lruvec *lruvec, uint64_t flags,
			   bool *known)
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
static struct pa_error *is_on_stack_list(struct pa_lru_check *k, uint64_t node,
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

static struct pa_error *check_unlisted(struct pa_lru_check *k, uint64_t pfn)
{
	const struct pa_memcgs *memcgs = &k->lru->memcgs;
	const struct pa_lruvec *lruvec;
	struct pa_finding *finding;
	struct pa_lru_folio folio;
	bool known;
	struct pa_error *err = pa_lru_check_read(k, pfn, &folio);

	if (err)
		return err;
	if (!folio.read || !folio.memcg_known) {
		k->unknown++;
		return NULL;
	}
	lruvec = pa_lru_check_lruvec(k, &folio);
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

	enum pa_severity severity = pa_lru_check_severity(k, lruvec, &folio);
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
	pa_lru_check_add_folio(k, finding, &folio);
	if (lruvec)
		pa_lru_check_add_lruvec(k, finding, lruvec);
	return NULL;
}

struct pa_error *pa_lru_check_unlisted(struct pa_lru_check *k,
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
