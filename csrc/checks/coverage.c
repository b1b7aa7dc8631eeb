// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/coverage.h"

#include <inttypes.h>

#include "census/holder.h"
#include "kernel/stack.h"

bool pa_check_has_poison(struct pa_check_context *c,
			 struct pa_check_result *result)
{
	if (c->kernel->page_format.flag.hwpoison)
		return true;
	pa_check_status(result, PA_NOT_APPLICABLE,
			"the kernel has no CONFIG_MEMORY_FAILURE");
	return false;
}

void pa_check_scan_coverage(struct pa_check_context *c,
			    struct pa_check_result *result)
{
	const struct pa_census *census = c->census;

	result->examined = census->pages_read;
	if (census->pages_excluded || census->pages_unreadable)
		pa_check_status(result, PA_PARTIAL,
				"%" PRIu64 " struct pages are not in the dump",
				census->pages_excluded +
					census->pages_unreadable);
}

void pa_check_overflow(struct pa_check_context *c,
		       struct pa_check_result *result,
		       enum pa_anomaly_kind kind)
{
	uint64_t kept = 0;

	for (size_t i = 0; i < c->census->anomalies.length; i++) {
		const struct pa_anomaly *a = &c->census->anomalies.items[i];

		if (a->kind == kind)
			kept += a->pfn_end - a->pfn;
	}
	if (kept < c->census->nr_anomalies[kind])
		pa_check_status(result, PA_PARTIAL,
				"only the first of %" PRIu64
				" faulty pages are listed",
				c->census->nr_anomalies[kind]);
}

void pa_check_part_coverage(struct pa_check_context *c,
			    struct pa_check_result *result,
			    enum pa_census_part part)
{
	const struct pa_census_part_result *p = &c->census->parts[part];

	if (p->unreadable)
		pa_check_status(result, PA_PARTIAL,
				"%" PRIu64 " lists or entries could not be "
				"read",
				p->unreadable);
}

void pa_check_holder_coverage(struct pa_check_context *c,
			      struct pa_check_result *result)
{
	const struct pa_census *census = c->census;

	for (int i = 0; i < PA_NR_HOLDERS; i++) {
		const struct pa_holder_result *holder = &census->holders[i];

		if (holder->err)
			pa_check_status(result, PA_PARTIAL, "%s: %s",
					pa_holders[i].name,
					holder->err->message);
		else if (holder->unreadable)
			pa_check_status(result, PA_PARTIAL,
					"%s: %" PRIu64
					" structures could not be read",
					pa_holders[i].name, holder->unreadable);
	}
}

enum pa_severity pa_check_hotplug_severity(struct pa_check_context *c)
{
	if (c->census->hotplug.task)
		return PA_INFO;
	return c->census->stacks_unread ? PA_SUSPECT : PA_BUG;
}

int pa_check_page_zone(struct pa_check_context *c, uint64_t pfn)
{
	const struct pa_zone *zone = NULL;
	const uint8_t *page;
	struct pa_error *err = pa_memmap_page(c->memmap, pfn, 1, &page);

	if (err)
		pa_error_destroy(err);
	else
		zone = pa_flags_zone(c->kernel,
				     pa_page_flags(&c->kernel->page_format,
						   page));
	return zone ? (int)(zone - c->kernel->zones.list.items) : -1;
}

enum pa_severity pa_check_zone_severity(struct pa_check_context *c, int zone)
{
	if (zone < 0 || !c->kernel->zones.list.items[zone].locked)
		return PA_BUG;
	return c->census->zones[zone].task ? PA_INFO : PA_SUSPECT;
}

void pa_check_add_zone_task(struct pa_check_context *c, struct pa_finding *f,
			    int zone)
{
	if (pa_check_zone_severity(c, zone) == PA_INFO)
		pa_check_add_task(c, f, c->census->zones[zone].task);
}

void pa_check_add_hotplug(struct pa_check_context *c, struct pa_finding *f)
{
	const struct pa_stack_hit *hit = &c->census->hotplug;

	if (hit->task)
		pa_finding_text(f, "task",
				"%s (pid %" PRIu32
				"), onlining or offlining memory",
				hit->comm, hit->pid);
}

void pa_check_add_task(struct pa_check_context *c, struct pa_finding *f,
		       uint64_t task)
{
	uint32_t pid;
	char comm[16];

	pa_task_name(c->kernel, c->memmap->memory, task, &pid, comm);
	pa_finding_text(f, "task", "%s (pid %" PRIu32 ")", comm, pid);
}

struct pa_finding *pa_check_disputed(struct pa_check_context *c, uint64_t pfn)
{
	for (size_t i = 0; i < c->findings->list.length; i++) {
		struct pa_finding *f = &c->findings->list.items[i];

		/* It runs first of all. */
		if (f->check != PA_CHECK_SECTION_STATE)
			break;
		if (f->pfn <= pfn && pfn < f->pfn_end)
			return f;
	}
	return NULL;
}
