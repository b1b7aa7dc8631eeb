/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The walk of one mm's page tables, or of some: what page_table.c hands out. */
#ifndef PA_CENSUS_PAGE_TABLE_WALK_H
#define PA_CENSUS_PAGE_TABLE_WALK_H

#include "census/holder.h"
#include "census/page_table.h"
#include "kernel/vma.h"

/* What names a table, and said so when it was read. */
struct pa_table_link {
	/* Kernel virtual address. */
	uint64_t slot;
	uint64_t value;
};

/* Tables below one entry, or all of an mm's. */
struct pa_table_item {
	/* Index in mms.list. */
	uint32_t mm;
	uint32_t level;
	/* Of the table. */
	uint64_t pfn;
	/* The address that its first entry maps. */
	uint64_t va;
	struct pa_table_link link;
};

/* What the threads of one walk over all tables have in common. */
struct pa_table_state {
	/* The census's, borrowed, or our own. */
	struct pa_page_tables *tables;
	/* Of a running kernel that is walked once more: its mms by then. */
	struct pa_page_tables *own;
	/* Only grows before the threads start. */
	PA_ARRAY(struct pa_table_item) items;
	/* A bit a page, by section: tables met. Made when needed. */
	uint64_t **met;
	size_t nr_sections;
	/* Bits of classes that a page in plain use may have. */
	uint64_t plain_classes;
};

/* One item's walk. */
struct pa_table_walk {
	/* All borrowed. */
	struct pa_holder_walk *holder;
	struct pa_table_state *state;
	const struct pa_page_table_format *format;
	const struct pa_mm *mm;
	uint32_t mm_index;
	/* Tables of this level are left for later: put in state->items. */
	int stop_level;
	/* What this walk came to, and of that what no other had met. */
	struct pa_mm_tables found;
	uint64_t tables[PA_NR_LEVELS], deposited;
	/* Tables met that were walked for another mm. */
	uint32_t nr_shared;
	/* The section that pages were last found in. */
	uint64_t section;
	const uint8_t *classes;
	uint32_t *maps;
	/* Maps of large folios are counted by mm. */
	bool mm_ids;
	/* The large folio that pages were last found in, and maps of it. */
	struct pa_mm_id_folio *folio;
	uint32_t folio_maps;
	/* Read when first needed. */
	struct pa_vmas vmas;
	bool vmas_read;
};

void pa_table_walk_init(struct pa_table_walk *walk,
			struct pa_holder_walk *holder,
			struct pa_table_state *state, uint32_t mm);
/* Enters in the census what the walk came to. */
void pa_table_walk_deinit(struct pa_table_walk *walk);

/*
 * The root, and what is above the walk's stop_level. Our own failures may be
 * in holder->err instead of the result.
 */
struct pa_error *pa_table_walk_root(struct pa_table_walk *walk);

/*
 * The table of @level at @pfn, whose first entry maps @va, and all below. What
 * a running kernel has taken away by the time that it was read, so that @link
 * names it no more, is passed over.
 */
struct pa_error *pa_table_walk(struct pa_table_walk *walk, unsigned int level,
			       uint64_t pfn, uint64_t va,
			       const struct pa_table_link *link);

/*
 * Whether @link still names its table: an entry is cleared before what it names
 * is freed (pmd_clear(), pud_clear()), the root freed when the last reference to
 * the mm is gone (__mmdrop()).
 */
struct pa_error *pa_table_is_linked(struct pa_table_walk *walk,
				    const struct pa_table_link *link,
				    bool *ret);

/*
 * Whether the page at @pfn may be a table: by its class, or, of a running kernel,
 * which may have made it one since, by what it is now.
 */
struct pa_error *pa_table_may_be(struct pa_table_walk *walk, uint64_t pfn,
				 bool *ret);

#endif
