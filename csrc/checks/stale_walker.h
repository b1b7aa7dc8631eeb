/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stale-page-reference: what tasks that go by pfn work on. */
#ifndef PA_CHECKS_STALE_WALKER_H
#define PA_CHECKS_STALE_WALKER_H

#include "checks/check.h"

/*
 * A finding for each unusable page that a walker works on, or that the kernel
 * crashed on while one ran.
 */
struct pa_error *pa_check_stale_walkers(struct pa_check_context *context,
					struct pa_check_result *result);

#endif
