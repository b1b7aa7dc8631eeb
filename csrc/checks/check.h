/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks: one file a family, one table (checks/table.c) that lists them all.
 *
 * A check looks at a census and adds findings. It never reports what could not
 * be read as bad: it counts that in its result, whose status is then partial
 * or skipped.
 */
#ifndef PA_CHECKS_CHECK_H
#define PA_CHECKS_CHECK_H

#include "census/census.h"
#include "checks/finding.h"

enum pa_check_id {
	PA_CHECK_SECTION_STATE,
	PA_CHECK_MEMMAP_UNINITIALISED,
	PA_CHECK_PAGE_LINKS,
	PA_CHECK_ZONE_DEVICE_TAINT,
	PA_CHECK_ZONE_ACCOUNTING,
	PA_CHECK_BUDDY_STRUCTURE,
	PA_CHECK_ISOLATED_PAGEBLOCK,
	PA_CHECK_LOST_FREE_PAGES,
	PA_CHECK_LRU_STRUCTURE,
	PA_CHECK_HUGETLB_POOL,
	PA_CHECK_STALE_PAGE_REFERENCE,
	PA_CHECK_COMPOUND_STRUCTURE,
	PA_CHECK_MAPCOUNT_MISMATCH,
	PA_CHECK_SOFT_OFFLINE_LEAK,
	PA_CHECK_DEVICE_PAGE_REFERENCE,
	PA_CHECK_REFCOUNT_LEAK,
	PA_CHECK_REFCOUNT_UNDERFLOW,
	PA_CHECK_COUNTER_DRIFT,
	PA_CHECK_PAGE_LOCK,
	PA_CHECK_HWPOISON_IN_BUDDY,
	PA_CHECK_HWPOISON_NEIGHBOUR_LEAK,
	PA_CHECK_HWPOISON_ACCOUNTING,
	PA_CHECK_HWPOISON_MAPPED,
	PA_CHECK_PGMAP_DANGLING,
	PA_NR_CHECKS,
};

_Static_assert(PA_NR_CHECKS <= PA_MAX_CHECKS, "each check counts findings");

enum pa_check_status {
	PA_RAN,
	/* Part of what it looks at could not be read. */
	PA_PARTIAL,
	/* The dump or the types lack what it needs. */
	PA_SKIPPED,
	PA_FAILED,
	/* This kernel has no such thing. */
	PA_NOT_APPLICABLE,
};

extern const char *const pa_check_status_names[];
extern const char *const pa_severity_names[];

struct pa_check_result {
	enum pa_check_status status;
	/* Why, unless it simply ran; owned, may be NULL. */
	char *reason;
	/* Things looked at, in the check's own unit. */
	uint64_t examined;
	double seconds;
};

/* What a check works with. */
struct pa_check_context {
	struct pa_census *census;
	const struct pa_kernel *kernel;
	struct pa_findings *findings;
	struct pa_job *job;
	/* For lookups; the check's own thread's. */
	struct pa_memmap *memmap;
	/* Virtual address of the task_struct whose stack was told last; or 0. */
	uint64_t stack_told;
	/* Of a running kernel: the folio being judged has moved meanwhile. */
	bool moved;
};

/*
 * Checks the census. An error is our own failure (memory, Ctrl-C) or the
 * target's where nothing could be checked; @result is zeroed before.
 */
typedef struct pa_error *(*pa_check_fn)(struct pa_check_context *context,
					struct pa_check_result *result);

struct pa_check {
	/* "section-state" */
	const char *id;
	/* One line: what is broken when it fires. */
	const char *summary;
	/* The rule, what it rests on in the kernel, what to do about it. */
	const char *doc;
	pa_check_fn run;
	/* Parts that it cannot do without: PA_NEEDS_PART(), _CENSUS(). */
	uint32_t needs;
};

#define PA_NEEDS_PART(part) (UINT32_C(1) << (part))
#define PA_NEEDS_CENSUS(part) (UINT32_C(1) << (16 + (part)))

/* By enum pa_check_id. */
extern const struct pa_check pa_checks[PA_NR_CHECKS];

/* The order to run them in: some use what others have found. */
extern const enum pa_check_id pa_check_order[PA_NR_CHECKS];

/* Sets a status and its reason; the worst of several stays. */
void pa_check_status(struct pa_check_result *result,
		     enum pa_check_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
