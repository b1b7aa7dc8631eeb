/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looking up what the scan kept of poisoned pages, which is sorted by pfn. */
#ifndef PA_CENSUS_POISONED_H
#define PA_CENSUS_POISONED_H

#include "census/census.h"

/* Index in census->poisoned of the first at or behind @pfn; may be its end. */
static inline size_t pa_poisoned_from(const struct pa_census *census,
				      uint64_t pfn)
{
	return pa_bisect(census->poisoned.items, census->poisoned.length, it,
			 it->pfn < pfn);
}

/* There is one in [pfn, end). */
static inline bool pa_poisoned_in(const struct pa_census *census, uint64_t pfn,
				  uint64_t end)
{
	size_t at = pa_poisoned_from(census, pfn);

	return at < census->poisoned.length &&
	       census->poisoned.items[at].pfn < end;
}

#endif
