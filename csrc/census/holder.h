/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Holders: everything that refers to pages through a struct page pointer, a
 * pfn or a page table. Each is one file of this directory and one row of the
 * table in holder.c.
 *
 * A holder walks its structures and tells each slot that names a page with
 * pa_refer(). It is walked twice at most: once to count everything, and once
 * more for the pages that a reader asked about, whose slots are then kept.
 */
#ifndef PA_CENSUS_HOLDER_H
#define PA_CENSUS_HOLDER_H

#include "census/account.h"
#include "census/census.h"
#include "census/slabs.h"

/* One slot that names a page. */
struct pa_reference {
	enum pa_holder holder;
	enum pa_reference_kind kind;
	/* How many of @kind this slot stands for, usually 1. */
	uint32_t count;
	/* The page named; of a range, the first. */
	uint64_t pfn;
	/* Kernel virtual address of the slot; 0: it has none. */
	uint64_t slot;
	/* The structure that owns it (mm, address_space, pipe ...), or 0. */
	uint64_t owner;
	/* User address, page index or number of the slot: see the holder. */
	uint64_t index;
};

/* Pages [start, end). */
struct pa_pfn_range {
	uint64_t start, end;
};

/* Pages whose slots are to be kept: sorted, disjoint ranges. */
struct pa_watch {
	PA_ARRAY(struct pa_pfn_range) ranges;
};

/* Whether a page of [pfn, pfn + nr) is watched. */
bool pa_watch_has(const struct pa_watch *watch, uint64_t pfn, uint64_t nr);

/* One thread's state while holders are walked. */
struct pa_holder_walk {
	struct pa_census *census;
	/* Borrowed. */
	const struct pa_kernel *kernel;
	const struct pa_layout *layout;
	const struct pa_job *job;
	/* NULL while everything is counted. */
	const struct pa_watch *watch;
	/* The row being walked, and what it prepared; borrowed. */
	enum pa_holder holder;
	void *state;
	/* This thread's own. */
	struct pa_memory *memory;
	struct pa_memmap *memmap;
	PA_ARRAY(struct pa_reference) seen;
	PA_ARRAY(struct pa_list_fault) faults;
	/* See pa_census. */
	struct pa_disturbed disturbed, unread;
	/* Slots told; parts of structures that could not be read. */
	uint64_t references, unreadable;
	/* Our own failure inside of a visitor, which then stops. */
	struct pa_error *err;
};

/*
 * Tells a slot. Counts it, keeps it if it is watched, and keeps a stale-page
 * fault if the page is one that no slot of this kind may name. False if the
 * walk must stop (walk->err).
 */
bool pa_refer(struct pa_holder_walk *walk, const struct pa_reference *ref);

/*
 * The same for a slot that has a struct page's address, tag bits taken off;
 * ref->pfn is filled in. An address that is no struct page's is a fault.
 */
bool pa_refer_page(struct pa_holder_walk *walk, uint64_t page,
		   struct pa_reference *ref);

/*
 * What a holder does with an error of reading a structure: the target's are
 * counted as unreadable and NULL comes back; ours come back. Of a running kernel
 * what could not be read at an address counts if it was so in the read before,
 * too: most were freed, and are others' by now, when we come to them.
 */
struct pa_error *pa_holder_unread(struct pa_holder_walk *walk,
				  struct pa_error *err);

/*
 * Visits the allocated objects of all slabs of @cache (NULL: none), as
 * pa_slab_visit() does; slabs that can't be read are counted. @failure is where
 * @visit leaves an error that it stops with: our own, never a target's.
 */
struct pa_error *pa_holder_visit_cache(struct pa_holder_walk *walk,
				       const struct pa_slab_cache *cache,
				       pa_slab_visit_fn visit, void *arg,
				       struct pa_error *const *failure);

struct pa_holder_row {
	/* For people: "pipe buffer". */
	const char *name;
	/* What owner and index are: "pipe_inode_info", "slot". */
	const char *owner, *index;
	/*
	 * Finds what is to be walked: items 0 .. *nr_ret - 1, and a state for
	 * all threads, read-only from then on. NULL where it has one item and
	 * needs none. PA_ERROR_MISSING where types or symbols lack something;
	 * nothing (0 items) where the kernel has no such thing.
	 */
	struct pa_error *(*prepare)(struct pa_holder_walk *walk,
				    void **state_ret, uint64_t *nr_ret);
	/* Walks one item; target errors are caught by pa_holder_unread(). */
	struct pa_error *(*item)(struct pa_holder_walk *walk, uint64_t index);
	void (*destroy)(void *state);
};

/* By enum pa_holder; rows without an item are lists of other parts. */
extern const struct pa_holder_row pa_holders[PA_NR_HOLDERS];

/* What one holder's walk came to. */
struct pa_holder_result {
	/* Why it could not be walked at all; owned, NULL if it was. */
	struct pa_error *err;
	uint64_t references, unreadable;
	double seconds;
};

/* Counts everything: census part PA_CENSUS_HOLDERS. */
struct pa_error *pa_census_holders(struct pa_census *census,
				   struct pa_job *job);

/* What pa_holders_find() found: slots by pfn, then holder. */
struct pa_references {
	PA_ARRAY(struct pa_reference) list;
};

/* The slots that name pages of @watch. @ret is zeroed before. */
struct pa_error *pa_holders_find(struct pa_census *census, struct pa_job *job,
				 const struct pa_watch *watch,
				 struct pa_references *ret);
void pa_references_deinit(struct pa_references *references);

#endif
