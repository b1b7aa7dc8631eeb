/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where each poisoned page is, and how far its handling has come. */
#ifndef PA_CHECKS_POISON_RECORD_H
#define PA_CHECKS_POISON_RECORD_H

#include "checks/check.h"

enum pa_poison_place {
	PA_POISON_FREE,
	PA_POISON_PCP,
	/* In the hands of a task, or on a list of somebody's own. */
	PA_POISON_IN_TRANSIT,
	PA_POISON_ANON,
	PA_POISON_PAGE_CACHE,
	PA_POISON_HUGETLB,
	PA_POISON_SLAB,
	PA_POISON_RESERVED,
	/* Of somebody in the kernel whom nothing names. */
	PA_POISON_KERNEL,
	/* One reference, kept for good: taken off the free lists, or unmapped. */
	PA_POISON_OUT_OF_USE,
	/* Without a reference: free_pages_prepare() did not free it. */
	PA_POISON_ON_NO_LIST,
	PA_POISON_DEVICE,
	PA_POISON_ALTMAP,
	PA_POISON_OFFLINE,
	/* Its struct page, or that of its head, could not be read. */
	PA_POISON_UNKNOWN,
	PA_NR_POISON_PLACES,
};

/* "free list": stable, they are in reports. */
extern const char *const pa_poison_place_names[PA_NR_POISON_PLACES];

enum pa_poison_handling {
	/* Nobody uses the page, and nobody will. */
	PA_POISON_COMPLETE,
	/* Left to the allocation that meets it. */
	PA_POISON_DELAYED,
	/* A task is at it. */
	PA_POISON_IN_PROGRESS,
	/* Failed or ignored, as the log says. */
	PA_POISON_GIVEN_UP,
	/* Somebody still has the page. */
	PA_POISON_IN_USE,
	PA_NR_POISON_HANDLINGS,
};

extern const char *const pa_poison_handling_names[PA_NR_POISON_HANDLINGS];

struct pa_poison_record {
	uint64_t pfn;
	enum pa_poison_place place;
	enum pa_poison_handling handling;
	uint32_t refcount;
	/* Entries of page tables that map it; -1: not counted. */
	int64_t maps;
	/* PA_POISON_IN_PROGRESS: who it is. */
	uint32_t pid;
	char comm[16];
	/* PA_POISON_HUGETLB: which pages are bad is known, and all of them. */
	bool raw_known, raw_complete;
	PA_ARRAY(uint64_t) raw;
};

struct pa_poison_records {
	/* By pfn. */
	PA_ARRAY(struct pa_poison_record) list;
};

/* No more than this many are told of. */
#define PA_MAX_POISON_RECORDS 4096

/*
 * Poisoned pages of [pfn, end). @ret is zeroed before, and the caller's to
 * deinit in any case.
 */
struct pa_error *pa_poison_records_init(const struct pa_census *census,
					struct pa_memmap *memmap, uint64_t pfn,
					uint64_t end,
					struct pa_poison_records *ret);
void pa_poison_records_deinit(struct pa_poison_records *records);

/*
 * HPG_raw_hwp_unreliable: there was no memory for an entry of raw_hwp_list of
 * the folio at @head_pfn. True as well where the kernel has no such mark.
 */
bool pa_poison_raw_unreliable(const struct pa_census *census,
			      uint64_t head_pfn);

#endif
