// SPDX-License-Identifier: LGPL-2.1-or-later
/* The buddy allocator: mm/page_alloc.c, __free_one_page(). */
#include <inttypes.h>

#include "base/map.h"
#include "census/handled.h"
#include "census/holder.h"
#include "checks/coverage.h"
#include "checks/families.h"

struct buddy_check {
	struct pa_check_context *c;
	/* By pfn: indices in the list of findings. */
	struct pa_map told;
};

static const char *fault_text(const struct pa_list_fault *fault)
{
	switch (fault->kind) {
	case PA_FAULT_BROKEN:
		return "the list is broken: a link is not answered";
	case PA_FAULT_ENDLESS:
		return "the list has more entries than its zone has pages";
	case PA_FAULT_CLASS:
		return "an entry of the list is no free page";
	case PA_FAULT_TWICE:
		return "an entry of the list is on a free list twice";
	case PA_FAULT_WRONG_LIST:
		return "a free block is on the list of another order or zone";
	case PA_FAULT_COUNT:
		return "the list's count differs from its length";
	case PA_FAULT_STALE:
		break;
	}
	return NULL;
}

/* What was told of the page at @pfn; NULL if nothing. */
static struct pa_finding *find_told(struct buddy_check *k, uint64_t pfn)
{
	uint64_t index;

	return pa_map_get(&k->told, pfn, &index) ?
		       &k->c->findings->list.items[index] :
		       NULL;
}

static void set_told(struct buddy_check *k, const struct pa_finding *f)
{
	if (f && f->pfn != PA_NO_PFN && !pa_map_has(&k->told, f->pfn) &&
	    !pa_map_set(&k->told, f->pfn,
			(uint64_t)(f - k->c->findings->list.items)))
		k->c->findings->failed = true;
}

static void check_fault(struct buddy_check *k,
			const struct pa_list_fault *fault)
{
	struct pa_check_context *c = k->c;
	const char *text = fault_text(fault);
	enum pa_severity severity = pa_check_zone_severity(c, fault->zone);

	if ((fault->holder != PA_HOLDER_BUDDY &&
	     fault->holder != PA_HOLDER_PCP) ||
	    !text)
		return;
	/* Per-cpu lists change under another lock, or none (v5.10). */
	if (fault->holder == PA_HOLDER_PCP)
		severity = fault->busy ? PA_INFO : PA_SUSPECT;

	struct pa_finding *f = pa_finding_add(
		c->findings, PA_CHECK_BUDDY_STRUCTURE, severity, fault->pfn,
		fault->pfn == PA_NO_PFN ? PA_NO_PFN : fault->pfn + 1,
		"%s, %s: %s", pa_holders[fault->holder].name, fault->list,
		text);

	set_told(k, f);
	if (fault->holder == PA_HOLDER_BUDDY)
		pa_check_add_zone_task(c, f, fault->zone);
	pa_finding_hex(f, "list_head", fault->head);
	if (fault->kind == PA_FAULT_COUNT) {
		pa_finding_number(f, "count", (int64_t)fault->a);
		pa_finding_number(f, "length", (int64_t)fault->b);
		return;
	}
	pa_finding_hex(f, "entry", fault->node);
	if (fault->link)
		pa_finding_hex(f, "link", fault->link);
}

/* An entry of the wrong order is one defect, with all that it makes look so. */
static bool is_told(struct buddy_check *k, const struct pa_anomaly *a)
{
	struct pa_finding *f =
		find_told(k, a->kind == PA_ANOMALY_FREE_BODY ? a->a : a->pfn);

	if (!f)
		return false;
	if (a->kind == PA_ANOMALY_FREE_ORDER)
		pa_finding_count(f, "order", (int64_t)a->a);
	else if (a->kind == PA_ANOMALY_FREE_BODY)
		pa_finding_count(f, "pages_in_use_inside",
				 (int64_t)(a->pfn_end - a->pfn));
	else
		return false;
	return true;
}

static void check_anomaly(struct buddy_check *k, const struct pa_anomaly *a)
{
	struct pa_check_context *c = k->c;
	struct pa_finding *f;

	if (is_told(k, a))
		return;

	switch (a->kind) {
	case PA_ANOMALY_FREE_ORDER:
		f = pa_finding_add(c->findings, PA_CHECK_BUDDY_STRUCTURE,
				   PA_BUG, a->pfn, a->pfn_end,
				   "a free page of order %" PRIu64
				   ", which is impossible here",
				   a->a);
		pa_finding_number(f, "order", (int64_t)a->a);
		break;
	case PA_ANOMALY_FREE_REFERENCED:
		f = pa_finding_add(c->findings, PA_CHECK_BUDDY_STRUCTURE,
				   PA_BUG, a->pfn, a->pfn_end,
				   "a free page has references");
		pa_finding_number(f, "refcount", (int64_t)a->a);
		break;
	case PA_ANOMALY_FREE_BODY:
		f = pa_finding_add(c->findings, PA_CHECK_BUDDY_STRUCTURE,
				   PA_BUG, a->pfn, a->pfn_end,
				   "a page inside of a free block is in use");
		pa_finding_number(f, "refcount", (int64_t)a->c);
		pa_finding_hex(f, "block_pfn", a->a);
		pa_finding_number(f, "block_order", (int64_t)a->b);
		break;
	default:
		return;
	}
	pa_finding_hex(f, "page", pa_pfn_to_page(c->kernel, a->pfn));
	set_told(k, f);
}

/* Every free block must have been met on its list. */
static void check_unlisted(struct buddy_check *k, uint64_t pfn, uint32_t order)
{
	struct pa_check_context *c = k->c;

	/* But on a per-cpu list, say. */
	if (find_told(k, pfn))
		return;

	/* __del_page_from_free_list() takes it off before it unmarks it. */
	int zone = pa_check_page_zone(c, pfn);
	enum pa_severity severity = pa_handled_find(c->census, pfn, pfn + 1) ?
					    pa_check_zone_severity(c, zone) :
					    PA_BUG;
	struct pa_finding *f =
		pa_finding_add(c->findings, PA_CHECK_BUDDY_STRUCTURE, severity,
			       pfn, pfn + PA_BIT(order),
			       "a free block of order %u is on no list", order);

	if (severity == PA_INFO)
		pa_check_add_zone_task(c, f, zone);
	pa_finding_number(f, "order", (int64_t)order);
	pa_finding_hex(f, "page", pa_pfn_to_page(c->kernel, pfn));
}

/*
 * __free_one_page() merges two free buddies below pageblock_order whatever
 * their migratetypes are. Above it, they may stay apart (page_is_mergeable
 * types), and nothing merges them when a type changes later.
 */
static bool should_have_merged(struct pa_check_context *c, uint64_t pfn,
			       uint32_t order)
{
	const uint8_t *buddy = pa_census_class(c->census, pfn ^ PA_BIT(order));
	const uint8_t *page;

	if (order >= c->kernel->zones.pageblock_order || !buddy ||
	    pfn & PA_BIT(order) ||
	    *buddy != (PA_MARK_LISTED | (PA_CLASS_FREE + order)))
		return false;

	/* Buddies never merge across zones (page_is_buddy()). */
	uint64_t links[2];

	for (int i = 0; i < 2; i++) {
		struct pa_error *err = pa_memmap_page(
			c->memmap, pfn ^ (i ? PA_BIT(order) : 0), 1, &page);

		if (err) {
			pa_error_destroy(err);
			return false;
		}
		links[i] = pa_page_flags(&c->kernel->page_format, page) &
			   c->kernel->page_format.link_mask;
	}
	return links[0] == links[1];
}

struct pa_error *pa_check_buddy_structure(struct pa_check_context *c,
					  struct pa_check_result *result)
{
	const struct pa_kernel *kernel = c->kernel;
	struct pa_census *census = c->census;
	const struct pa_sections *sections = &kernel->sections;
	bool lists_whole = !census->parts[PA_CENSUS_BUDDY].unreadable;
	struct buddy_check k = { .c = c };

	pa_check_scan_coverage(c, result);
	pa_check_part_coverage(c, result, PA_CENSUS_BUDDY);
	pa_check_part_coverage(c, result, PA_CENSUS_PCP);
	for (size_t i = 0; i < census->faults.length; i++) {
		const struct pa_list_fault *fault = &census->faults.items[i];

		/* What follows a break was not seen. */
		if (fault->holder == PA_HOLDER_BUDDY &&
		    (fault->kind == PA_FAULT_BROKEN ||
		     fault->kind == PA_FAULT_ENDLESS))
			lists_whole = false;
		check_fault(&k, fault);
	}
	for (size_t i = 0; i < census->anomalies.length; i++)
		check_anomaly(&k, &census->anomalies.items[i]);
	result->examined = 0;
	for (size_t i = 0; i < sections->list.length; i++) {
		const uint8_t *classes = census->classes[i];
		uint64_t start = sections->list.items[i].nr
				 << sections->pages_shift;

		if (!classes)
			continue;
		for (uint64_t j = 0; j < sections->pages; j++) {
			if (!(j % 8) && !pa_classes_have_free(classes + j)) {
				j += 7;
				continue;
			}

			uint8_t class = classes[j] & PA_CLASS_MASK;
			uint32_t order = class - PA_CLASS_FREE;

			if (class < PA_CLASS_FREE)
				continue;
			result->examined++;
			if (!(classes[j] & PA_MARK_LISTED)) {
				if (lists_whole)
					check_unlisted(&k, start + j, order);
			} else if (should_have_merged(c, start + j, order)) {
				struct pa_finding *f = pa_finding_add(
					c->findings, PA_CHECK_BUDDY_STRUCTURE,
					PA_BUG, start + j,
					start + j + PA_BIT(order + 1),
					"two free buddies of order %u are not "
					"merged",
					order);

				pa_finding_number(f, "order", order);
			}
		}
	}
	pa_map_deinit(&k.told);
	return NULL;
}
