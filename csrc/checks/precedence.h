/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One defect, one finding: which check's finding tells of pages. */
#ifndef PA_CHECKS_PRECEDENCE_H
#define PA_CHECKS_PRECEDENCE_H

#include "checks/check.h"

/*
 * Where two checks speak of the same pages, the one that is nearer to the
 * cause absorbs the other's finding. False if out of memory.
 */
bool pa_findings_absorb(struct pa_findings *findings);

#endif
