/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages that somebody has in hand: the address of their struct page is in a
 * live stack frame or in a CPU's registers, or in a per-cpu batch of which the
 * CPU's task drops the references. Pages on their way between a list and a user,
 * or being made into a folio, are on no list and contradict themselves for a
 * moment; since kernels preempt themselves, the task in whose hands they are
 * need not be running.
 */
#ifndef PA_CENSUS_HANDLED_H
#define PA_CENSUS_HANDLED_H

#include "census/census.h"

/* Builds census->handled, and finds ->hotplug; @memory is the caller's. */
struct pa_error *pa_handled_build(struct pa_census *census,
				  struct pa_memory *memory);

/* Who has a page of [pfn, end) in hand: the first by pfn; NULL: nobody. */
const struct pa_handled *pa_handled_find(const struct pa_census *census,
					 uint64_t pfn, uint64_t end);

/*
 * Who is splitting a folio in @pfn's pageblock; NULL: nobody. Of all of its pages
 * just the next one to come to, and the end, are in his hands.
 */
const struct pa_handled *
pa_handled_find_splitter(const struct pa_census *census, uint64_t pfn);

/*
 * Who is freeing a range of pages that [pfn, end) is in, or next to; NULL:
 * nobody. __free_contig_range() drops the references of all of a range before
 * it frees any page of it (v7.2), and has the first and the last in hand.
 */
const struct pa_handled *pa_handled_find_freer(const struct pa_census *census,
					       uint64_t pfn, uint64_t end);

/*
 * The task that has the address of @pfn's lru on its live stack or in a register;
 * 0: none. Who moves a folio from list to list may keep nothing else of it
 * (lruvec_add_folio() in drain_evictable(), list_add() of what was isolated). Of
 * a listed one its neighbours have it as well, and so has whoever walks the list.
 */
uint64_t pa_handled_find_lru(const struct pa_census *census, uint64_t pfn);

#endif
