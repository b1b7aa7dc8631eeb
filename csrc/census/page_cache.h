/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page cache: every address_space that has pages, and what is in it. */
#ifndef PA_CENSUS_PAGE_CACHE_H
#define PA_CENSUS_PAGE_CACHE_H

#include "census/census.h"
#include "census/holder.h"

struct pa_cached_mapping {
	/* Virtual addresses of the address_space, and of its inode. */
	uint64_t address, host;
	/*
	 * nrpages as stored, and as recounted, in the kernel's unit: base
	 * pages, but huge ones for hugetlbfs up to v6.6.
	 */
	uint64_t nrpages, counted;
	/* Shadow and swap entries. */
	uint64_t values;
	/* Its entries name pfns: IS_DAX(). */
	bool dax;
	/* Of an inode that is on no super block's list; a folio named it. */
	bool unlisted;
	/* Nodes of its tree that could not be read: counted is a lower bound */
	uint64_t unreadable;
};

struct pa_page_cache {
	/* By address. */
	PA_ARRAY(struct pa_cached_mapping) mappings;
	uint64_t super_blocks, inodes;
	/*
	 * Mappings that folios name and that are no inode's: what drivers
	 * leave in the word, or garbage.
	 */
	uint64_t strangers;
};

/* NULL is allowed. */
void pa_page_cache_destroy(struct pa_page_cache *cache);

/* The mapping at @address, if it has pages; else NULL. */
const struct pa_cached_mapping *
pa_page_cache_find(const struct pa_page_cache *cache, uint64_t address);

/*
 * Tells all entries of the xarray of the address_space at @mapping, as the page
 * cache and the swap cache have them; @counted gets what they add up to.
 */
struct pa_error *pa_page_cache_walk(struct pa_holder_walk *walk,
				    uint64_t mapping, bool dax,
				    struct pa_cached_mapping *counted);

#endif
