/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The heads that compound pages' anomalies name, for checks that share them. */
#ifndef PA_CHECKS_COMPOUND_H
#define PA_CHECKS_COMPOUND_H

#include "census/census.h"

/*
 * The head that the anomaly's compound page has, or that its tail names: what
 * it is, and its pfn (PA_NO_PFN if it is outside of the memory map).
 */
enum pa_target pa_anomaly_head(const struct pa_census *census,
			       const struct pa_anomaly *anomaly,
			       uint64_t *pfn_ret);

/* Memory that nothing may refer to as a page of RAM. */
static inline bool pa_target_is_stale(enum pa_target target)
{
	return target == PA_TARGET_OFFLINE || target == PA_TARGET_ABSENT ||
	       target == PA_TARGET_HOLE || target == PA_TARGET_ALTMAP ||
	       target == PA_TARGET_DEVICE;
}

#endif
