/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What checks share: saying what was not seen, and who is in the middle. */
#ifndef PA_CHECKS_COVERAGE_H
#define PA_CHECKS_COVERAGE_H

#include "checks/check.h"

/*
 * False, with the status set, on a kernel without memory error handling: it has
 * no flag for poisoned pages.
 */
bool pa_check_has_poison(struct pa_check_context *context,
			 struct pa_check_result *result);

/* Sets examined to the pages read; partial if some of the memmap is absent. */
void pa_check_scan_coverage(struct pa_check_context *context,
			    struct pa_check_result *result);

/* Partial if there were more anomalies of @kind than the census keeps. */
void pa_check_overflow(struct pa_check_context *context,
		       struct pa_check_result *result,
		       enum pa_anomaly_kind kind);

/* Partial if parts of a census part's lists could not be read. */
void pa_check_part_coverage(struct pa_check_context *context,
			    struct pa_check_result *result,
			    enum pa_census_part part);

/* Partial, with their names, if holders could not be walked, or all of one. */
void pa_check_holder_coverage(struct pa_check_context *context,
			      struct pa_check_result *result);

/*
 * The finding that says that the section of @pfn, or its memory block,
 * contradicts itself: whether the section's pages may be used is then unknown.
 * NULL if there is none, or section-state did not run.
 */
struct pa_finding *pa_check_disputed(struct pa_check_context *context,
				     uint64_t pfn);

/*
 * For what contradicts itself while memory is onlined or offlined: sections,
 * lists, counters and the memory block's state change one after the other in
 * online_pages() and offline_pages(). Info while a task is in there.
 */
enum pa_severity pa_check_hotplug_severity(struct pa_check_context *context);

/* Index of the zone that the page at @pfn says it is in, or -1. */
int pa_check_page_zone(struct pa_check_context *context, uint64_t pfn);

/*
 * For what contradicts itself in a zone's lists and counts, which change one
 * after the other under its lock: info while somebody runs with the zone in
 * hand, suspect while only the lock is taken. @zone: index, or -1.
 */
enum pa_severity pa_check_zone_severity(struct pa_check_context *context,
					int zone);

/* Evidence: who has the zone in hand, if there is somebody. */
void pa_check_add_zone_task(struct pa_check_context *context,
			    struct pa_finding *f, int zone);

/* Evidence: that task, if there is one. */
void pa_check_add_hotplug(struct pa_check_context *context,
			  struct pa_finding *f);

/* Evidence: the task at @task, by name and pid. */
void pa_check_add_task(struct pa_check_context *context, struct pa_finding *f,
		       uint64_t task);

#endif
