/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An audit: the census taken, the checks run, their findings put in order. */
#ifndef PA_CHECKS_AUDIT_H
#define PA_CHECKS_AUDIT_H

#include "checks/check.h"
#include "checks/poison_record.h"

struct pa_audit {
	/* Owned. */
	struct pa_census *census;
	struct pa_findings findings;
	/* Which checks were asked for. */
	bool selected[PA_NR_CHECKS];
	struct pa_check_result results[PA_NR_CHECKS];
	struct pa_poison_records poison;
};

/*
 * Runs the checks of @selected (all if NULL) over a new census, which @earlier
 * is for. Owned by the caller.
 */
struct pa_error *pa_audit_run(const struct pa_kernel *kernel,
			      const bool selected[PA_NR_CHECKS],
			      const struct pa_earlier *earlier,
			      struct pa_job *job, struct pa_audit **ret);
void pa_audit_destroy(struct pa_audit *audit);

#endif
