/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counts: what each struct page says of its mappings and references, beside
 * what the holders showed. One more pass over the memory map, after all
 * holders; what agrees is only added up.
 */
#ifndef PA_CENSUS_COUNTS_H
#define PA_CENSUS_COUNTS_H

#include "census/account.h"
#include "census/census.h"

/* What a folio is, for what may hold it. */
enum pa_folio_kind {
	/* Nothing says what its owner uses it for. */
	PA_FOLIO_UNKNOWN,
	PA_FOLIO_ANON,
	PA_FOLIO_KSM,
	/* mapping is an address_space; shmem: PG_swapbacked too. */
	PA_FOLIO_FILE,
	PA_FOLIO_SHMEM,
	/* On an LRU, and truncated: mapping is gone. */
	PA_FOLIO_TRUNCATED,
	PA_FOLIO_HUGETLB,
	/* ZONE_DEVICE memory: of a file (fsdax) or a device (devdax). */
	PA_FOLIO_DEVICE,
	PA_NR_FOLIO_KINDS,
};

extern const char *const pa_folio_kind_names[PA_NR_FOLIO_KINDS];

/* The counters of a folio. */
enum pa_count {
	/* _mapcount + 1, of one page. */
	PA_COUNT_MAPCOUNT,
	/* + 1 */
	PA_COUNT_ENTIRE,
	/* + 1 */
	PA_COUNT_LARGE,
	PA_COUNT_NR_PAGES_MAPPED,
	/* + 1, of one mm: census/mm_id.h. */
	PA_COUNT_MM_ID,
	PA_COUNT_PINCOUNT,
	PA_COUNT_REFCOUNT,
	PA_NR_COUNTS,
};

extern const char *const pa_count_names[PA_NR_COUNTS];

struct pa_stored_counted {
	int64_t stored, counted;
};

/* A folio whose counts disagree. */
struct pa_discrepancy {
	/* The head; and of PA_COUNT_MAPCOUNT, the first page that differs. */
	uint64_t pfn, mapcount_pfn;
	uint32_t order;
	enum pa_folio_kind kind;
	uint8_t page_class;
	/* Bits of enum pa_count: those that were compared, those that differ. */
	uint32_t compared, wrong;
	/* Pages whose _mapcount differs. */
	uint32_t nr_mapcounts;
	/* Those compared, and the refcount in any case. */
	struct pa_stored_counted counts[PA_NR_COUNTS];
	uint64_t flags, mapping;
	/*
	 * What the expected refcount is made of; own: PG_private's, or that of
	 * idle device memory.
	 */
	uint64_t maps, entire, refs, pins, own;
};

/* Counters of one node, in pages unless said otherwise. */
struct pa_node_count {
	/* NR_ANON_MAPPED and NR_FILE_MAPPED as the stored mapcounts have it. */
	int64_t anon_mapped, file_mapped;
	/* The same as the page tables have it. */
	int64_t anon_mapped_counted, file_mapped_counted;
	/* Folios of PMD size with an entire map, of the page cache at all. */
	int64_t anon_thps, anon_thps_counted;
	int64_t shmem, shmem_thps, shmem_pmd_mapped, file_thps, file_pmd_mapped;
	/* Of shmem and shmem_thps what the page cache may not have yet. */
	int64_t shmem_added, shmem_thps_added;
	int64_t shmem_pmd_mapped_counted, file_pmd_mapped_counted;
	/* LRU pages: anon, file, unevictable. */
	int64_t lru_anon, lru_file, unevictable;
	/* Page tables. */
	int64_t page_tables;
};

/* Why folios are set aside: census/aside.h. */
enum pa_aside_kind {
	/* Pins, where a driver is that pins pages and keeps none. */
	PA_ASIDE_PINNED,
	/* Until v6.16 alloc_extent_buffer() of btrfs kept a reference of each. */
	PA_ASIDE_EXTENT_BUFFER,
	/*
	 * A driver of graphics has references of the pages of an object's file,
	 * and names at most the first of those in a row; reclaim is told to
	 * leave them (drm_gem_get_pages(), shmem_sg_alloc_table()). So it is of
	 * a segment that is locked, too (shmem_lock()).
	 */
	PA_ASIDE_GRAPHICS,
	PA_NR_ASIDE_KINDS,
};

struct pa_aside {
	/* refs: references or pins that nothing else accounts for. */
	uint64_t folios, pages, refs, first_pfn;
};

struct pa_counts {
	/* By pfn. */
	PA_ARRAY(struct pa_discrepancy) list;
	uint64_t nr_discrepancies;
	/* By index in kernel->zones.nodes. */
	struct pa_node_count *nodes;
	/* By kind: folios, their references as stored and those explained. */
	uint64_t folios[PA_NR_FOLIO_KINDS];
	uint64_t stored[PA_NR_FOLIO_KINDS], explained[PA_NR_FOLIO_KINDS];
	/* Maps and pins that the holders showed; pins set aside, too. */
	uint64_t maps, entire, pins;
	/* pa_pinner_find() */
	const char *pinner;
	struct pa_aside asides[PA_NR_ASIDE_KINDS];
	/* Folios in use that nothing says whose they are: drivers', stacks. */
	uint64_t unjudged;
	/* The maps of each page of a large folio are counted: page_mapcount.h. */
	bool page_mapcounts;
};

/* No more than this many are kept; the rest are counted. */
#define PA_MAX_DISCREPANCIES 65536

/* Builds census->counts: census part PA_CENSUS_COUNTS. */
struct pa_error *pa_census_counts(struct pa_census *census, struct pa_job *job);
/*
 * The counts of the page, or of the folio of @nr pages, that starts at @pfn,
 * whether they agree or not. Nothing is compared where nobody's references to
 * such a page are judged.
 */
struct pa_error *pa_count_folio(struct pa_census *census, uint64_t pfn,
				uint64_t nr, struct pa_discrepancy *ret);
void pa_counts_destroy(struct pa_counts *counts);

#endif
