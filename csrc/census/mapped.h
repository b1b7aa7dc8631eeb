/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What folios say themselves of their mapping: which address_spaces they name,
 * and which of them belong on an LRU list and have PG_lru clear.
 */
#ifndef PA_CENSUS_MAPPED_H
#define PA_CENSUS_MAPPED_H

#include "census/census.h"

/* An address_space that some folio names. */
struct pa_named_mapping {
	uint64_t address;
	/* One of the folios. */
	uint64_t pfn;
};

/*
 * A folio in use that is anonymous or of a file, is no hugetlb folio, and has
 * PG_lru clear: on its way to an LRU list, isolated, or never meant for one.
 */
struct pa_off_lru {
	uint64_t pfn;
	uint32_t order;
	uint32_t node;
	/* folio_is_file_lru(). */
	bool is_file;
};

struct pa_mapped {
	/* By address. */
	PA_ARRAY(struct pa_named_mapping) named;
	/* By pfn. */
	PA_ARRAY(struct pa_off_lru) off_lru;
	/* Names that were one too many to be kept. */
	uint64_t overflow;
};

/* Builds census->mapped: census part PA_CENSUS_MAPPED. */
struct pa_error *pa_census_mapped(struct pa_census *census, struct pa_job *job);
/* NULL is allowed. */
void pa_mapped_destroy(struct pa_mapped *mapped);

/* The folio off the LRU that starts at @pfn; NULL if there is none. */
const struct pa_off_lru *pa_mapped_off_lru(const struct pa_mapped *mapped,
					   uint64_t pfn);

#endif
