/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs of pages that nobody holds: shared by the checks that judge them. */
#ifndef PA_CHECKS_LOST_H
#define PA_CHECKS_LOST_H

#include "census/census.h"

/*
 * Called with each run [pfn, end) of online pages with no reference, no type,
 * and on no list, that is not the rest of a non-compound allocation.
 */
typedef void (*pa_lost_run_fn)(void *arg, uint64_t pfn, uint64_t end);

void pa_lost_runs(const struct pa_census *census, pa_lost_run_fn visit,
		  void *arg);

/* The largest naturally aligned block around @pfn inside of [start, end). */
uint32_t pa_lost_block_order(uint64_t pfn, uint64_t start, uint64_t end,
			     uint32_t max_order);

#endif
