/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counters of a running kernel, read again next to what they are compared with:
 * what the reader itself allocates for a read is in both then.
 */
#ifndef PA_CENSUS_ZONES_NOW_H
#define PA_CENSUS_ZONES_NOW_H

#include "census/census.h"

/*
 * Nodes and zones as they are now, as many as kernel->zones has; nothing if the
 * kernel is not running. @ret is zeroed before, and the caller's to deinit.
 */
struct pa_error *pa_zones_now(const struct pa_census *census,
			      struct pa_zones *ret);

#endif
