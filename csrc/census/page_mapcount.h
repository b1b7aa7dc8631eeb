/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether the kernel counts the maps of each page of a large folio: with
 * CONFIG_NO_PAGE_MAPCOUNT (v6.15) it only counts those of the folio, which no
 * type or symbol tells. Each page's _mapcount is -1 then, _nr_pages_mapped
 * undefined, and a folio is mapped as a whole or not at all.
 */
#ifndef PA_CENSUS_PAGE_MAPCOUNT_H
#define PA_CENSUS_PAGE_MAPCOUNT_H

#include "census/census.h"

/* True, too, if no folio tells. The page tables were walked before. */
struct pa_error *pa_page_mapcounts_kept(const struct pa_census *census,
					bool *ret);

#endif
