// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/disturbed.h"

#include "base/bits.h"

/* 32 MiB: where more is wrong at a time, it is no matter of pages. */
#define MAX_PFNS PA_BIT(22)

bool pa_disturbed_add(struct pa_disturbed *disturbed, uint64_t pfn)
{
	if (disturbed->pfns.length < MAX_PFNS)
		return pa_array_append(&disturbed->pfns, pfn);
	disturbed->more = true;
	return true;
}

bool pa_disturbed_extend(struct pa_disturbed *disturbed,
			 const struct pa_disturbed *other)
{
	disturbed->more |= other->more;
	pa_array_for_each(pfn, &other->pfns)
		if (!pa_disturbed_add(disturbed, *pfn))
			return false;
	return true;
}

void pa_disturbed_settle(struct pa_disturbed *disturbed)
{
	size_t nr = 0;

	if (disturbed->pfns.length)
		qsort(disturbed->pfns.items, disturbed->pfns.length,
		      sizeof(*disturbed->pfns.items), pa_compare_u64);
	pa_array_for_each(pfn, &disturbed->pfns)
		if (!nr || disturbed->pfns.items[nr - 1] != *pfn)
			disturbed->pfns.items[nr++] = *pfn;
	disturbed->pfns.length = nr;
}

bool pa_disturbed_has(const struct pa_disturbed *disturbed, uint64_t pfn)
{
	return disturbed->pfns.length &&
	       bsearch(&pfn, disturbed->pfns.items, disturbed->pfns.length,
		       sizeof(pfn), pa_compare_u64);
}

void pa_disturbed_deinit(struct pa_disturbed *disturbed)
{
	pa_array_deinit(&disturbed->pfns);
}
