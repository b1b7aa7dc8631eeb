/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page tables: what every address space maps, entry by entry, and the tables
 * themselves.
 */
#ifndef PA_CENSUS_PAGE_TABLE_H
#define PA_CENSUS_PAGE_TABLE_H

#include "census/census.h"
#include "census/mm_id.h"
#include "kernel/mm.h"
#include "kernel/page_table.h"

/* What the tables of one mm were found to hold. */
struct pa_mm_tables {
	/*
	 * Tables by level, the root among them. One that is shared counts in
	 * each mm, as mm_inc_nr_pmds() has it.
	 */
	uint64_t tables[PA_NR_LEVELS];
	/* PTE tables laid by for the split of a PMD that maps a huge page. */
	uint64_t deposited;
	/* Entries of tables that were not walked for another mm before. */
	uint64_t entries[PA_NR_ENTRY_KINDS];
	/* Tables that could not be read, entries that make no sense. */
	uint64_t unreadable;
};

struct pa_page_tables {
	struct pa_page_table_format format;
	struct pa_mms mms;
	/* Large folios' maps by mm, where the kernel counts those. */
	struct pa_mm_ids mm_ids;
	/* By index in mms.list; owned. */
	struct pa_mm_tables *of;
	/* Table pages by level; one that is shared is counted once. */
	uint64_t tables[PA_NR_LEVELS];
	uint64_t deposited;
};

void pa_page_tables_destroy(struct pa_page_tables *tables);

/*
 * What mm_pgtables_bytes() ought to be: roots are in no count, nor are P4D
 * tables (include/linux/mm.h, mm_inc_nr_ptes() and the like).
 */
static inline uint64_t pa_mm_tables_bytes(const struct pa_mm_tables *of)
{
	return (of->tables[PA_LEVEL_PTE] + of->deposited +
		of->tables[PA_LEVEL_PMD] + of->tables[PA_LEVEL_PUD]) *
	       PA_TABLE_BYTES;
}

#endif
