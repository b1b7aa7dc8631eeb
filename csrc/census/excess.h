/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The excess: for the folios whose counts disagree, who holds them as far as
 * that is known, and what else in the kernel's memory names them.
 */
#ifndef PA_CENSUS_EXCESS_H
#define PA_CENSUS_EXCESS_H

#include "census/counts.h"
#include "census/entry_in_hand.h"
#include "census/holder.h"
#include "census/in_hand.h"
#include "census/search.h"
#include "census/waiters.h"
#include "census/walkers.h"

struct pa_excess {
	/* The folios looked for: the first of census->counts->list. */
	size_t nr_folios;
	/* Slots of holders, by pfn. */
	struct pa_references slots;
	/* What is left: by pfn. */
	struct pa_needles needles;
	struct pa_search_result search;
	/* Of tasks that take or drop references of many pages. */
	struct pa_in_hand in_hand;
	/* Entries of page tables that tasks have in hand. */
	struct pa_entries_in_hand entries;
	/*
	 * Who waits for what pages; empty where that is not known. Those that
	 * are locked, with a task that waits for the lock and nobody who has
	 * them in hand, are looked for as well.
	 */
	struct pa_waiting waiting;
	/* Who goes through memory by pfn. */
	struct pa_walkers walkers;
	/* Owned. */
	struct pa_places *places;
};

/* Builds census->excess: census part PA_CENSUS_EXCESS. */
struct pa_error *pa_census_excess(struct pa_census *census, struct pa_job *job);
void pa_excess_destroy(struct pa_excess *excess);

/* Whether somebody waits for the lock of a page that nobody has in hand. */
bool pa_excess_is_stuck(const struct pa_excess *excess,
			const struct pa_waited *waited);

/* The hits, and the slots, of pages [pfn, end): first index and number. */
size_t pa_excess_hits(const struct pa_excess *excess, uint64_t pfn,
		      uint64_t end, size_t *nr_ret);
size_t pa_excess_slots(const struct pa_excess *excess, uint64_t pfn,
		       uint64_t end, size_t *nr_ret);

#endif
