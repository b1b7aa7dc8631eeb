// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/poison_flight.h"

#include <inttypes.h>

#include "census/excess.h"

struct pa_error *pa_poison_flight_init(const struct pa_census *census,
				       struct pa_memory *memory,
				       struct pa_poison_flight *ret)
{
	struct pa_error *err = NULL;

	ret->walkers = census->excess ? &census->excess->walkers : &ret->own;
	if (!census->excess)
		err = pa_walkers_init(census, memory, &ret->own);
	pa_array_for_each(walker, &ret->walkers->list)
		ret->any |= walker->nr_poisoned != 0;
	return err;
}

void pa_poison_flight_deinit(struct pa_poison_flight *flight)
{
	pa_walkers_deinit(&flight->own);
}

const struct pa_walker *
pa_poison_flight_of(const struct pa_poison_flight *flight, uint64_t pfn)
{
	if (!flight->any)
		return NULL;
	pa_array_for_each(walker, &flight->walkers->list)
		for (size_t i = 0; i < walker->nr_poisoned; i++)
			if (walker->poisoned[i] == pfn)
				return walker;
	return NULL;
}

const struct pa_walker *
pa_poison_flight_any(const struct pa_poison_flight *flight, uint64_t *nr_ret)
{
	const struct pa_walker *found = NULL;

	*nr_ret = 0;
	pa_array_for_each(walker, &flight->walkers->list) {
		*nr_ret += walker->memory_error;
		if (walker->memory_error && !found)
			found = walker;
	}
	return found;
}

enum pa_severity
pa_poison_flight_severity(const struct pa_poison_flight *flight,
			  const struct pa_walker *by)
{
	if (by)
		return PA_INFO;
	return flight->walkers->unread ? PA_SUSPECT : PA_BUG;
}

void pa_poison_flight_add(struct pa_finding *f, const struct pa_walker *by)
{
	if (by)
		pa_finding_text(f, "task",
				"%s (pid %" PRIu32 "), handling a memory error "
				"in %s()",
				by->comm, by->pid, by->function);
}
