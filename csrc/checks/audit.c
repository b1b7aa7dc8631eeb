// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "checks/precedence.h"

const char *const pa_check_status_names[] = {
	[PA_RAN] = "ran",
	[PA_PARTIAL] = "partial",
	[PA_SKIPPED] = "skipped",
	[PA_FAILED] = "failed",
	[PA_NOT_APPLICABLE] = "not-applicable",
};

const char *const pa_severity_names[] = {
	[PA_INFO] = "info",
	[PA_SUSPECT] = "suspect",
	[PA_BUG] = "bug",
};

void pa_check_status(struct pa_check_result *result,
		     enum pa_check_status status, const char *format, ...)
{
	va_list ap;

	if (result->reason && status <= result->status)
		return;
	free(result->reason);
	va_start(ap, format);
	if (vasprintf(&result->reason, format, ap) < 0)
		result->reason = NULL;
	va_end(ap);
	result->status = status;
}

/* Severest first, then by check, then by pfn; no pfn comes last. */
static int compare_findings(const void *a, const void *b)
{
	const struct pa_finding *x = a, *y = b;

	if (x->severity != y->severity)
		return x->severity > y->severity ? -1 : 1;
	if (x->check != y->check)
		return x->check < y->check ? -1 : 1;
	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

/* Whether what the check needs was there; sets the status if not. */
static bool needs_met(const struct pa_audit *audit,
		      const struct pa_kernel *kernel,
		      const struct pa_check *check,
		      struct pa_check_result *result)
{
	for (int i = 0; i < PA_NR_PARTS; i++)
		if (check->needs & PA_NEEDS_PART(i) && kernel->parts[i]) {
			/* No such symbol: the kernel lacks the thing. */
			bool lacks = kernel->parts[i]->code == PA_ERROR_MISSING;

			pa_check_status(result,
					lacks ? PA_NOT_APPLICABLE : PA_SKIPPED,
					"%s", kernel->parts[i]->message);
			return false;
		}
	for (int i = 0; i < PA_NR_CENSUS_PARTS; i++)
		if (check->needs & PA_NEEDS_CENSUS(i) &&
		    audit->census->parts[i].err) {
			bool lacks = audit->census->parts[i].err->code ==
				     PA_ERROR_MISSING;

			pa_check_status(result,
					lacks ? PA_NOT_APPLICABLE : PA_SKIPPED,
					"%s",
					audit->census->parts[i].err->message);
			return false;
		}
	return true;
}

/* What the target lacks fails one check; what we lack, the audit. */
static struct pa_error *run_check(struct pa_audit *audit,
				  struct pa_check_context *context,
				  enum pa_check_id id)
{
	const struct pa_check *check = &pa_checks[id];
	struct pa_check_result *result = &audit->results[id];
	double start = pa_job_clock();
	struct pa_error *err = pa_job_check(context->job);

	if (err || !needs_met(audit, context->kernel, check, result))
		return err;
	err = check->run(context, result);
	result->seconds = pa_job_clock() - start;
	pa_findings_end(context->findings, id);
	if (pa_error_is_target(err) || (err && err->code == PA_ERROR_MISSING)) {
		pa_check_status(result, PA_FAILED, "%s", err->message);
		pa_error_destroy(err);
		return NULL;
	}
	return err;
}

static struct pa_error *run_checks(struct pa_audit *audit,
				   const struct pa_kernel *kernel,
				   struct pa_job *job)
{
	struct pa_check_context context = {
		.census = audit->census,
		.kernel = kernel,
		.findings = &audit->findings,
		.job = job,
	};
	struct pa_error *err = pa_memmap_create(kernel, &context.memmap);

	if (err)
		return err;
	pa_job_phase(job, "checks", PA_NR_CHECKS);
	for (int i = 0; !err && i < PA_NR_CHECKS; i++) {
		enum pa_check_id id = pa_check_order[i];

		if (audit->selected[id])
			err = run_check(audit, &context, id);
		atomic_fetch_add(&job->done, 1);
	}
	if (!err && audit->findings.failed)
		err = &pa_error_no_memory;
	if (!err)
		err = pa_poison_records_init(audit->census, context.memmap, 0,
					     PA_NO_PFN, &audit->poison);
	pa_memmap_destroy(context.memmap);
	return err;
}

static bool needs_references(const struct pa_audit *audit)
{
	for (int i = 0; i < PA_NR_CHECKS; i++)
		if (audit->selected[i] &&
		    pa_checks[i].needs & PA_NEEDS_CENSUS(PA_CENSUS_HOLDERS))
			return true;
	return false;
}

struct pa_error *pa_audit_run(const struct pa_kernel *kernel,
			      const bool selected[PA_NR_CHECKS],
			      const struct pa_earlier *earlier,
			      struct pa_job *job, struct pa_audit **ret)
{
	struct pa_audit *audit = calloc(1, sizeof(*audit));

	if (!audit)
		return &pa_error_no_memory;
	for (int i = 0; i < PA_NR_CHECKS; i++)
		audit->selected[i] = !selected || selected[i];

	struct pa_error *err = pa_census_create(kernel, needs_references(audit),
						earlier, job, &audit->census);

	if (!err)
		err = run_checks(audit, kernel, job);
	if (err) {
		pa_audit_destroy(audit);
		return err;
	}
	if (!pa_findings_absorb(&audit->findings)) {
		pa_audit_destroy(audit);
		return &pa_error_no_memory;
	}
	pa_disturbed_settle(&audit->census->disturbed);
	pa_disturbed_settle(&audit->census->unread);
	if (audit->findings.list.length)
		qsort(audit->findings.list.items, audit->findings.list.length,
		      sizeof(struct pa_finding), compare_findings);
	*ret = audit;
	return NULL;
}

void pa_audit_destroy(struct pa_audit *audit)
{
	if (!audit)
		return;
	pa_census_destroy(audit->census);
	pa_findings_deinit(&audit->findings);
	pa_poison_records_deinit(&audit->poison);
	for (int i = 0; i < PA_NR_CHECKS; i++)
		free(audit->results[i].reason);
	free(audit);
}
