/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the census keeps of the hugetlb pools. */
#ifndef PA_CENSUS_HUGETLB_H
#define PA_CENSUS_HUGETLB_H

#include "census/census.h"
#include "kernel/hugetlb.h"

/* How the walk of one of a pool's lists went. */
struct pa_hugetlb_list {
	uint64_t length;
	/* Read to its end, without a break. */
	bool whole;
};

struct pa_hugetlb_census {
	struct pa_hstates hstates;
	/* By hstate * (nr_nodes + 1) + node; the last is the active list. */
	struct pa_hugetlb_list *lists;
};

static inline const struct pa_hugetlb_list *
pa_hugetlb_free_list(const struct pa_hugetlb_census *hugetlb, size_t hstate,
		     uint32_t node)
{
	return &hugetlb->lists[hstate * (hugetlb->hstates.nr_nodes + 1) + node];
}

static inline const struct pa_hugetlb_list *
pa_hugetlb_active_list(const struct pa_hugetlb_census *hugetlb, size_t hstate)
{
	return pa_hugetlb_free_list(hugetlb, hstate, hugetlb->hstates.nr_nodes);
}

/* NULL is allowed. */
void pa_hugetlb_census_destroy(struct pa_hugetlb_census *hugetlb);

#endif
