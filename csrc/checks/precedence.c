// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/precedence.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

/* The left one's finding absorbs the right one's. */
static const struct {
	enum pa_check_id left, right;
} precedence[] = {
	{ PA_CHECK_COMPOUND_STRUCTURE, PA_CHECK_HWPOISON_NEIGHBOUR_LEAK },
	{ PA_CHECK_COMPOUND_STRUCTURE, PA_CHECK_LOST_FREE_PAGES },
	{ PA_CHECK_COMPOUND_STRUCTURE, PA_CHECK_HUGETLB_POOL },
	{ PA_CHECK_COMPOUND_STRUCTURE, PA_CHECK_BUDDY_STRUCTURE },
	{ PA_CHECK_COMPOUND_STRUCTURE, PA_CHECK_LRU_STRUCTURE },
	{ PA_CHECK_COMPOUND_STRUCTURE, PA_CHECK_MAPCOUNT_MISMATCH },
	{ PA_CHECK_COMPOUND_STRUCTURE, PA_CHECK_REFCOUNT_LEAK },
	{ PA_CHECK_COMPOUND_STRUCTURE, PA_CHECK_REFCOUNT_UNDERFLOW },
	{ PA_CHECK_MAPCOUNT_MISMATCH, PA_CHECK_REFCOUNT_LEAK },
	{ PA_CHECK_SOFT_OFFLINE_LEAK, PA_CHECK_REFCOUNT_LEAK },
	{ PA_CHECK_MAPCOUNT_MISMATCH, PA_CHECK_REFCOUNT_UNDERFLOW },
	{ PA_CHECK_HWPOISON_NEIGHBOUR_LEAK, PA_CHECK_LOST_FREE_PAGES },
	{ PA_CHECK_HWPOISON_NEIGHBOUR_LEAK, PA_CHECK_BUDDY_STRUCTURE },
	{ PA_CHECK_LOST_FREE_PAGES, PA_CHECK_BUDDY_STRUCTURE },
	{ PA_CHECK_HUGETLB_POOL, PA_CHECK_REFCOUNT_LEAK },
	{ PA_CHECK_HUGETLB_POOL, PA_CHECK_REFCOUNT_UNDERFLOW },
	{ PA_CHECK_MEMMAP_UNINITIALISED, PA_CHECK_PAGE_LINKS },
	{ PA_CHECK_MEMMAP_UNINITIALISED, PA_CHECK_BUDDY_STRUCTURE },
	{ PA_CHECK_MEMMAP_UNINITIALISED, PA_CHECK_LRU_STRUCTURE },
	{ PA_CHECK_MEMMAP_UNINITIALISED, PA_CHECK_COMPOUND_STRUCTURE },
	{ PA_CHECK_MEMMAP_UNINITIALISED, PA_CHECK_HUGETLB_POOL },
	/* A list's links stand where a device page's pgmap does. */
	{ PA_CHECK_STALE_PAGE_REFERENCE, PA_CHECK_PGMAP_DANGLING },
	{ PA_CHECK_PAGE_LINKS, PA_CHECK_BUDDY_STRUCTURE },
	{ PA_CHECK_PAGE_LINKS, PA_CHECK_LRU_STRUCTURE },
	{ PA_CHECK_PAGE_LINKS, PA_CHECK_COMPOUND_STRUCTURE },
	{ PA_CHECK_PAGE_LINKS, PA_CHECK_HUGETLB_POOL },
	{ PA_CHECK_MEMMAP_UNINITIALISED, PA_CHECK_MAPCOUNT_MISMATCH },
	{ PA_CHECK_MEMMAP_UNINITIALISED, PA_CHECK_REFCOUNT_LEAK },
	{ PA_CHECK_MEMMAP_UNINITIALISED, PA_CHECK_REFCOUNT_UNDERFLOW },
	{ PA_CHECK_PAGE_LINKS, PA_CHECK_MAPCOUNT_MISMATCH },
	{ PA_CHECK_PAGE_LINKS, PA_CHECK_REFCOUNT_LEAK },
	{ PA_CHECK_PAGE_LINKS, PA_CHECK_REFCOUNT_UNDERFLOW },
};

static bool absorbs(int left, int right)
{
	/* Whether such a section's pages may be used is the question itself. */
	if (left == PA_CHECK_SECTION_STATE)
		return right != PA_CHECK_SECTION_STATE;
	for (size_t i = 0; i < sizeof(precedence) / sizeof(precedence[0]); i++)
		if ((int)precedence[i].left == left &&
		    (int)precedence[i].right == right)
			return true;
	return false;
}

/* A finding about pages. */
struct row {
	uint64_t pfn, pfn_end;
	/* The largest pfn_end up to this row. */
	uint64_t max_end;
	/* In the list of findings. */
	size_t index;
};

/* One check's findings, by rising pfn. */
struct rows {
	PA_ARRAY(struct row) list;
};

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->pfn != y->pfn)
		return x->pfn < y->pfn ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static bool sort_rows(const struct pa_findings *findings,
		      struct rows checks[PA_NR_CHECKS])
{
	for (size_t i = 0; i < findings->list.length; i++) {
		const struct pa_finding *f = &findings->list.items[i];

		if (f->pfn != PA_NO_PFN &&
		    !pa_array_append(&checks[f->check].list,
				     (struct row){ .pfn = f->pfn,
						   .pfn_end = f->pfn_end,
						   .index = i }))
			return false;
	}
	for (int check = 0; check < PA_NR_CHECKS; check++) {
		uint64_t max_end = 0;

		if (checks[check].list.length)
			qsort(checks[check].list.items,
			      checks[check].list.length, sizeof(struct row),
			      compare_rows);
		pa_array_for_each(row, &checks[check].list) {
			max_end = pa_max(max_end, row->pfn_end);
			row->max_end = max_end;
		}
	}
	return true;
}

/*
 * The first finding of @rows that overlaps @right and has not been absorbed
 * itself, if it comes before @best in the list of findings; else @best.
 */
static size_t find_overlap(const struct pa_findings *findings,
			   const struct rows *rows,
			   const struct pa_finding *right, size_t best)
{
	/* Those that start behind its end are of no use. */
	size_t low = pa_bisect(rows->list.items, rows->list.length, it,
			       it->pfn < right->pfn_end);

	while (low-- > 0 && rows->list.items[low].max_end > right->pfn) {
		const struct row *row = &rows->list.items[low];

		if (row->pfn_end > right->pfn && row->index < best &&
		    findings->list.items[row->index].summary)
			best = row->index;
	}
	return best;
}

/* What absorbs @right; NULL if nothing does. */
static struct pa_finding *find_left(const struct pa_findings *findings,
				    const struct rows checks[PA_NR_CHECKS],
				    const struct pa_finding *right)
{
	size_t best = SIZE_MAX;

	if (right->pfn == PA_NO_PFN)
		return NULL;
	for (int check = 0; check < PA_NR_CHECKS; check++)
		if (absorbs(check, right->check))
			best = find_overlap(findings, &checks[check], right,
					    best);
	return best == SIZE_MAX ? NULL : &findings->list.items[best];
}

static void absorb(struct pa_finding *left, struct pa_finding *right)
{
	/* As evidence: how many of which check, and what they cost. */
	pa_finding_count(left, pa_checks[right->check].id, 1);
	pa_array_for_each(e, &right->evidence)
		if (!strcmp(e->key, "bytes"))
			pa_finding_count(left, "absorbed_bytes", e->number);
	pa_finding_deinit(right);
	right->summary = NULL;
}

bool pa_findings_absorb(struct pa_findings *findings)
{
	struct rows checks[PA_NR_CHECKS] = { 0 };
	bool ok = sort_rows(findings, checks);
	size_t kept = 0;

	for (size_t i = 0; ok && i < findings->list.length; i++) {
		struct pa_finding *right = &findings->list.items[i];
		struct pa_finding *left = find_left(findings, checks, right);

		if (left)
			absorb(left, right);
	}
	for (size_t i = 0; ok && i < findings->list.length; i++)
		if (findings->list.items[i].summary)
			findings->list.items[kept++] = findings->list.items[i];
	if (ok)
		findings->list.length = kept;
	for (int check = 0; check < PA_NR_CHECKS; check++)
		pa_array_deinit(&checks[check].list);
	return ok;
}
