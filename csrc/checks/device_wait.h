/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who waits for the references to device memory to go: memunmap_pages() for
 * all pages of a pgmap, DAX layout breaking for one page.
 */
#ifndef PA_CHECKS_DEVICE_WAIT_H
#define PA_CHECKS_DEVICE_WAIT_H

#include "census/place.h"
#include "census/waiters.h"
#include "checks/check.h"

/* What is found when it is first asked for. Zeroed, but for the context. */
struct pa_device_wait {
	/* Borrowed. */
	struct pa_check_context *c;
	/* Owned; NULL until somebody waits. */
	struct pa_places *places;
	struct pa_waiting waiting;
	bool has_waiting;
};

void pa_device_wait_deinit(struct pa_device_wait *wait);

/*
 * Evidence for a finding on device pages [pfn, end): their pgmap and device,
 * and the task that waits for them, with its stack.
 */
struct pa_error *pa_device_wait_add(struct pa_device_wait *wait,
				    struct pa_finding *f, uint64_t pfn,
				    uint64_t end);

/*
 * A finding, info, for device pages that somebody waits for though all of
 * their references are accounted for: who has them.
 */
struct pa_error *pa_device_wait_report(struct pa_device_wait *wait);

#endif
