/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory errors that are being handled: for a moment a page's flag, the free
 * lists and the counters contradict each other. memory_failure() flags first,
 * takes a free page off its list then, and counts last, in action_result();
 * page_handle_poison() flags before it counts.
 */
#ifndef PA_CHECKS_POISON_FLIGHT_H
#define PA_CHECKS_POISON_FLIGHT_H

#include "census/walkers.h"
#include "checks/check.h"

struct pa_poison_flight {
	/* Borrowed from the census, or our own. */
	const struct pa_walkers *walkers;
	struct pa_walkers own;
	/* Somebody has a poisoned page in hand: as a rule nobody has. */
	bool any;
};

/* @ret is zeroed before, and the caller's to deinit in any case. */
struct pa_error *pa_poison_flight_init(const struct pa_census *census,
				       struct pa_memory *memory,
				       struct pa_poison_flight *ret);
void pa_poison_flight_deinit(struct pa_poison_flight *flight);

/* Who handles the error of the poisoned page at @pfn; NULL: nobody. */
const struct pa_walker *
pa_poison_flight_of(const struct pa_poison_flight *flight, uint64_t pfn);

/* Who handles any error; NULL: nobody. @nr_ret: how many do. */
const struct pa_walker *
pa_poison_flight_any(const struct pa_poison_flight *flight, uint64_t *nr_ret);

/*
 * For what contradicts itself: info where @by handles it, suspect where some
 * stacks could not be read.
 */
enum pa_severity
pa_poison_flight_severity(const struct pa_poison_flight *flight,
			  const struct pa_walker *by);

/* Evidence: who it is, if it is somebody. */
void pa_poison_flight_add(struct pa_finding *f, const struct pa_walker *by);

#endif
