/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The picture: what each page of the machine is, in few words for people, and
 * in few bytes for those who draw it.
 */
#ifndef PA_CENSUS_PICTURE_H
#define PA_CENSUS_PICTURE_H

#include "census/census.h"

enum pa_picture_kind {
	/* Its struct page was not in the target. */
	PA_PICTURE_UNKNOWN,
	/* Not online: the map of states says why. */
	PA_PICTURE_NOT_MEMORY,
	PA_PICTURE_DEVICE,
	PA_PICTURE_ALTMAP,
	PA_PICTURE_RESERVED,
	PA_PICTURE_UNINITIALISED,
	PA_PICTURE_FREE,
	/* On a per-cpu free list. */
	PA_PICTURE_PCP,
	/* Taken out of the buddy by a holder that we know. */
	PA_PICTURE_TRANSIT,
	/* Not free, and without a reference. */
	PA_PICTURE_UNREFERENCED,
	PA_PICTURE_ANON,
	PA_PICTURE_FILE,
	PA_PICTURE_SHMEM,
	PA_PICTURE_HUGETLB,
	PA_PICTURE_SLAB,
	PA_PICTURE_PAGE_TABLE,
	/* PageOffline(): a balloon's, or a hypervisor's. */
	PA_PICTURE_BALLOON,
	/* In use, and its struct page does not say by whom. */
	PA_PICTURE_KERNEL,
	/* A tail of no folio. */
	PA_PICTURE_TAIL,
	PA_NR_PICTURE_KINDS,
};

/* Stable: they are in reports. */
extern const char *const pa_picture_kind_names[PA_NR_PICTURE_KINDS];

/* Beside the kind, in a byte of a run or of a cell. */
#define PA_PICTURE_KIND_MASK 0x1f
/* A cell: part of a folio of anonymous or file memory of its size or more. */
#define PA_PICTURE_HUGE 0x40
#define PA_PICTURE_HWPOISON 0x80

/* log2 of a cell's pages: 2 MiB, a THP. */
#define PA_PICTURE_CELL_SHIFT 9

/* One section; both empty where nothing is known of it. */
struct pa_picture_section {
	/*
	 * A byte for each cell: what most of it is; and whether any of it is
	 * huge or poisoned.
	 */
	PA_ARRAY(uint8_t) cells;
	/*
	 * All of it in runs of pages of one kind: a byte of the kind, one of
	 * the order of the naturally aligned blocks or folios that the run is
	 * cut from, and how many pages, in LEB128.
	 */
	PA_ARRAY(uint8_t) runs;
};

struct pa_picture {
	/* Borrowed. */
	const struct pa_census *census;
	/* By index in kernel->sections.list. */
	struct pa_picture_section *sections;
	/* By kind; and those that are poisoned. */
	uint64_t pages[PA_NR_PICTURE_KINDS];
	uint64_t poisoned;
};

/* Owned by the caller; the census must outlive it. */
struct pa_error *pa_picture_create(const struct pa_census *census,
				   struct pa_job *job, struct pa_picture **ret);
/* NULL is allowed. */
void pa_picture_destroy(struct pa_picture *picture);

#endif
