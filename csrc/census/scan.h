/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The scan's inside: one thread's state and the rules for single pages. */
#ifndef PA_CENSUS_SCAN_H
#define PA_CENSUS_SCAN_H

#include "census/census.h"

/* TAIL_MAPPING: POISON_POINTER_DELTA + 0x400 (include/linux/poison.h). */
#define PA_TAIL_MAPPING UINT64_C(0xdead000000000400)

struct pa_scanner {
	struct pa_census *census;
	const struct pa_kernel *kernel;
	const struct pa_page_format *format;
	struct pa_memmap *memmap;
	bool counts_adjacent;
	/* Links and flags together: what a plain page has of them. */
	uint64_t plain_mask;
	/* The links of the zone that the last page was in, no flags. */
	uint64_t plain_flags;
	const struct pa_zone *zone;
	struct pa_zone_count *zone_count;
	/* What pages of no known zone are counted to; for nothing. */
	struct pa_zone_count stray_count;

	/* The compound page that the scan is in: pfn < tail_end. */
	uint64_t head_pfn, tail_end;
	uint32_t order;
	uint64_t tail_word;
	/* The flags that each tail must share with plain_flags. */
	uint64_t tail_mask;
	/* HVO: vmemmap pages are shared; see pa_scan_page(). */
	bool tail_irregular;
	bool tail_check_mapping;

	/* The free block that the scan is in: pfn < free_end. */
	uint64_t free_pfn, free_end;
	uint32_t free_order;

	struct pa_zone_count *zones;
	PA_ARRAY(struct pa_anomaly) anomalies;
	uint64_t nr_anomalies[PA_NR_ANOMALIES];
	PA_ARRAY(struct pa_poisoned) poisoned;
	PA_ARRAY(struct pa_hugetlb_folio) hugetlb;
	uint64_t pages_read, pages_excluded, pages_unreadable;
	/* The dump was filtered, or may have been: see note_filtered(). */
	bool filtered;
	uint64_t kernel_pages_filtered;
};

/*
 * One page of online memory that is not plain. @page holds @nr (>= 1) struct
 * pages from @pfn on.
 */
struct pa_error *pa_scan_page(struct pa_scanner *s, uint64_t pfn,
			      const uint8_t *page, uint64_t nr,
			      uint8_t *class_ret);

/* A run of pages of a pgmap's data. */
struct pa_error *pa_scan_device(struct pa_scanner *s, uint8_t *classes,
				const struct pa_memmap_run *run);

/* Poison in the memory map of pages [pfn, end): offline, or an altmap's. */
struct pa_error *pa_scan_unused(struct pa_scanner *s, enum pa_pfn_state state,
				uint64_t pfn, uint64_t end);

/* Keeps an anomaly, joined to the one before it where it goes on. */
struct pa_error *pa_scan_anomaly(struct pa_scanner *s,
				 enum pa_anomaly_kind kind, uint64_t pfn,
				 uint64_t a, uint64_t b, uint64_t c);

#endif
