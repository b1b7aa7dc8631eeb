// SPDX-License-Identifier: LGPL-2.1-or-later
/* Compound pages: prep_compound_page() in mm/page_alloc.c, mm/internal.h. */
#include <inttypes.h>

#include "base/map.h"
#include "census/handled.h"
#include "checks/compound.h"
#include "checks/coverage.h"
#include "checks/families.h"

static bool is_compound(enum pa_anomaly_kind kind)
{
	switch (kind) {
	case PA_ANOMALY_COMPOUND_ORDER:
	case PA_ANOMALY_COMPOUND_NR_PAGES:
	case PA_ANOMALY_TAIL_HEAD:
	case PA_ANOMALY_NOT_TAIL:
	case PA_ANOMALY_TAIL_REFCOUNT:
	case PA_ANOMALY_TAIL_MAPPING:
		return true;
	default:
		return false;
	}
}

enum pa_target pa_anomaly_head(const struct pa_census *census,
			       const struct pa_anomaly *a, uint64_t *pfn_ret)
{
	const struct pa_kernel *kernel = census->kernel;
	uint64_t head;

	switch (a->kind) {
	case PA_ANOMALY_TAIL_HEAD:
		head = kernel->page_format.tail_form == PA_TAIL_MASK ?
			       pa_pfn_to_page(kernel, a->pfn) & a->a :
			       a->a - 1;
		return pa_census_target(census, head, pfn_ret);
	case PA_ANOMALY_NOT_TAIL:
		*pfn_ret = a->a;
		return PA_TARGET_USABLE;
	case PA_ANOMALY_TAIL_REFCOUNT:
	case PA_ANOMALY_TAIL_MAPPING:
		*pfn_ret = a->b;
		return PA_TARGET_USABLE;
	case PA_ANOMALY_COMPOUND_ORDER:
		/* A head out of place: the image of the one it should be. */
		*pfn_ret = a->a && a->a <= kernel->page_format.max_order ?
				   pa_align_down(a->pfn, PA_BIT(a->a)) :
				   a->pfn;
		return PA_TARGET_USABLE;
	default:
		*pfn_ret = a->pfn;
		return PA_TARGET_USABLE;
	}
}

/*
 * A compound page is made by prep_compound_page() and unmade by
 * free_pages_prepare() while it has no references, but for the allocator's one
 * before v7.0, and nobody's mapping; it is split with its references frozen
 * (__split_folio_to_order()). Its links are half made then, and whoever does
 * that has its address in hand.
 */
static enum pa_severity folio_severity(struct pa_check_context *c,
				       const struct pa_anomaly *a,
				       uint64_t head_pfn,
				       const struct pa_handled **handled_ret,
				       bool *unknown_ret)
{
	const struct pa_census *census = c->census;
	const struct pa_page_format *f = &c->kernel->page_format;
	const uint8_t *page;
	struct pa_error *err =
		head_pfn == PA_NO_PFN ?
			NULL :
			pa_memmap_page(c->memmap, head_pfn, 1, &page);

	*handled_ret = NULL;
	*unknown_ret = false;
	if (err || head_pfn == PA_NO_PFN) {
		pa_error_destroy(err);
		return PA_BUG;
	}

	uint64_t flags = pa_page_flags(f, page);
	uint32_t refcount = pa_page_refcount(f, page);
	bool fresh = refcount == 1 && !(flags & f->flag.lru) &&
		     !pa_load_u64(page + f->mapping);

	if (refcount && !fresh)
		return PA_BUG;
	*handled_ret =
		pa_handled_find(census, pa_min(head_pfn, a->pfn), a->pfn_end);
	*unknown_ret = !*handled_ret && census->stacks_unread;
	if (*handled_ret)
		return PA_INFO;
	return !refcount && flags & f->flag.locked ? PA_SUSPECT : PA_BUG;
}

static struct pa_finding *add_finding(struct pa_check_context *c,
				      const struct pa_anomaly *a,
				      enum pa_severity severity)
{
#define ADD(...)                                                           \
	pa_finding_add(c->findings, PA_CHECK_COMPOUND_STRUCTURE, severity, \
		       a->pfn, a->pfn_end, __VA_ARGS__)
	struct pa_finding *f;

	switch (a->kind) {
	case PA_ANOMALY_COMPOUND_ORDER:
		f = ADD("a compound head of order %" PRIu64
			", which is impossible here",
			a->a);
		pa_finding_number(f, "order", (int64_t)a->a);
		return f;
	case PA_ANOMALY_COMPOUND_NR_PAGES:
		f = ADD("a compound head of order %" PRIu64
			" that counts %" PRIu64 " pages",
			a->b, a->a);
		pa_finding_number(f, "order", (int64_t)a->b);
		pa_finding_number(f, "nr_pages", (int64_t)a->a);
		return f;
	case PA_ANOMALY_TAIL_HEAD:
		f = ADD("tail pages of a compound page that has no such head");
		pa_finding_hex(f, "compound_word", a->a);
		return f;
	case PA_ANOMALY_NOT_TAIL:
		f = ADD("%s", a->b & 1 ?
				      "a tail page names another head than the "
				      "compound page that it lies in" :
				      "a page inside of a compound page is no "
				      "tail of it");
		pa_finding_hex(f, "compound_word", a->b);
		return f;
	case PA_ANOMALY_TAIL_REFCOUNT:
		f = ADD("a tail page has a reference count of its own");
		pa_finding_number(f, "refcount", (int64_t)a->a);
		return f;
	default:
		f = ADD("a tail page's mapping is not TAIL_MAPPING");
		pa_finding_hex(f, "mapping", a->a);
		return f;
	}
#undef ADD
}

/*
 * Anomalies of one folio are one defect: the first tells, the rest show. By
 * head and by the first anomaly's pfn: indices in the list of findings.
 */
static struct pa_finding *find_same_head(struct pa_check_context *c,
					 const struct pa_map *told,
					 uint64_t head_pfn)
{
	uint64_t index;

	return head_pfn != PA_NO_PFN && pa_map_get(told, head_pfn, &index) ?
		       &c->findings->list.items[index] :
		       NULL;
}

static struct pa_error *set_told(struct pa_check_context *c,
				 struct pa_map *told,
				 const struct pa_finding *f, uint64_t head_pfn)
{
	uint64_t index;

	if (!f)
		return NULL;
	index = (uint64_t)(f - c->findings->list.items);
	return pa_map_set(told, f->pfn, index) &&
			       (head_pfn == PA_NO_PFN ||
				pa_map_set(told, head_pfn, index)) ?
		       NULL :
		       &pa_error_no_memory;
}

/*
 * Makes a folio's finding cover another of its anomalies. An image of the head
 * in the middle of its folio is what hugetlb's memory map optimisation leaves
 * behind when it is not undone right: the whole folio is concerned.
 */
static void widen(struct pa_finding *f, const struct pa_anomaly *a,
		  uint64_t head_pfn)
{
	uint64_t end = a->pfn_end;

	if (a->kind == PA_ANOMALY_COMPOUND_ORDER && a->pfn != head_pfn) {
		end = head_pfn + PA_BIT(a->a);
		pa_finding_count(f, "head_images", 1);
	}
	if (a->pfn < f->pfn)
		f->pfn = a->pfn;
	if (end > f->pfn_end)
		f->pfn_end = end;
}

/* The head's own struct page is garbage, which other checks have told. */
static bool is_garbage(struct pa_check_context *c, uint64_t pfn)
{
	const struct pa_page_format *f = &c->kernel->page_format;
	const struct pa_zone *zone;
	const uint8_t *byte =
		pfn == PA_NO_PFN ? NULL : pa_census_class(c->census, pfn);
	const uint8_t *page;

	if (!byte)
		return false;
	if ((*byte & PA_CLASS_MASK) == PA_CLASS_UNKNOWN ||
	    (*byte & PA_CLASS_MASK) == PA_CLASS_UNINITIALISED)
		return true;

	struct pa_error *err = pa_memmap_page(c->memmap, pfn, 1, &page);

	if (err) {
		pa_error_destroy(err);
		return false;
	}
	/* page-links */
	zone = pa_flags_zone(c->kernel, pa_page_flags(f, page));
	return !zone || !pa_zone_spans(zone, pfn);
}

static struct pa_error *check_anomaly(struct pa_check_context *c,
				      struct pa_check_result *result,
				      struct pa_map *told,
				      const struct pa_anomaly *a)
{
	uint64_t head_pfn;
	enum pa_target target = pa_anomaly_head(c->census, a, &head_pfn);
	const struct pa_handled *handled;
	enum pa_severity severity;
	struct pa_finding *f;
	bool unknown;

	/* A head that is no usable page: stale-page-reference's. */
	if (pa_target_is_stale(target) ||
	    (head_pfn != a->pfn && is_garbage(c, head_pfn)))
		return NULL;
	f = find_same_head(c, told, head_pfn);
	if (f) {
		widen(f, a, head_pfn);
		return set_told(c, told, f, head_pfn);
	}
	severity = folio_severity(c, a, head_pfn, &handled, &unknown);
	if (unknown) {
		pa_check_status(result, PA_PARTIAL,
				"compound pages may be in the hands of tasks "
				"whose stacks could not be read");
		return NULL;
	}
	f = add_finding(c, a, severity);
	if (handled)
		pa_check_add_task(c, f, handled->task);
	if (head_pfn != PA_NO_PFN)
		pa_finding_hex(f, "head_pfn", head_pfn);
	pa_finding_hex(f, "page", pa_pfn_to_page(c->kernel, a->pfn));
	return set_told(c, told, f, head_pfn);
}

struct pa_error *pa_check_compound_structure(struct pa_check_context *c,
					     struct pa_check_result *result)
{
	struct pa_map told = { 0 };
	struct pa_error *err = NULL;

	pa_check_scan_coverage(c, result);
	for (int kind = 0; kind < PA_NR_ANOMALIES; kind++)
		if (is_compound((enum pa_anomaly_kind)kind))
			pa_check_overflow(c, result,
					  (enum pa_anomaly_kind)kind);
	for (size_t i = 0; !err && i < c->census->anomalies.length; i++)
		if (is_compound(c->census->anomalies.items[i].kind))
			err = check_anomaly(c, result, &told,
					    &c->census->anomalies.items[i]);
	pa_map_deinit(&told);
	return err;
}
