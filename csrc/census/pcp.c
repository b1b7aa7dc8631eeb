// SPDX-License-Identifier: LGPL-2.1-or-later
/* Per-cpu free lists: struct per_cpu_pages, mm/page_alloc.c. */
#include "census/lists.h"

struct pcp_list {
	struct pa_list_worker *worker;
	const struct pa_zone *zone;
	struct pa_list_fault fault;
	uint64_t pages;
	uint32_t order;
};

/* All of a block's pages leave the class of pages that nobody explains. */
static bool claim(struct pcp_list *list, uint64_t pfn)
{
	struct pa_census *census = list->worker->census;
	bool whole = true;

	for (uint64_t i = 0; i < PA_BIT(list->order); i++) {
		uint8_t *class = pa_census_class(census, pfn + i);

		if (!class || (*class & PA_CLASS_MASK) != PA_CLASS_ZERO) {
			/* One page that is wrong leaves the others here. */
			whole = whole && class &&
				(*class & PA_CLASS_MASK) == PA_CLASS_UNKNOWN;
			continue;
		}
		*class = (uint8_t)((*class & ~PA_CLASS_MASK) | PA_CLASS_PCP |
				   PA_MARK_LISTED);
	}
	return whole;
}

static bool visit_pcp(void *arg, uint64_t node)
{
	struct pcp_list *list = arg;
	struct pa_list_worker *worker = list->worker;
	struct pa_list_fault *fault = &list->fault;
	uint8_t *class;

	list->pages += PA_BIT(list->order);
	if (!pa_list_entry(worker, node, fault, &class))
		return !worker->err;
	fault->page_class = *class & PA_CLASS_MASK;
	/* Garbage, which is told; the list has what else is in its block. */
	if (fault->page_class == PA_CLASS_UNKNOWN) {
		claim(list, fault->pfn);
		return true;
	}
	fault->kind = PA_FAULT_CLASS;
	if (fault->page_class == PA_CLASS_PCP)
		fault->kind = PA_FAULT_TWICE;
	else if (!pa_zone_spans(list->zone, fault->pfn))
		fault->kind = PA_FAULT_WRONG_LIST;
	else if (claim(list, fault->pfn))
		return true;
	return pa_list_fault_add(worker, fault);
}

/*
 * Order of the pages on lists[index]. Before v5.14 all are of order 0. Since
 * then (commit 44042b449872) index is order * MIGRATE_PCPTYPES + type up to
 * PAGE_ALLOC_COSTLY_ORDER; the lists behind those hold THPs.
 */
static uint32_t list_order(const struct pa_kernel *kernel, uint32_t index)
{
	const struct pa_layout *layout = kernel->layout;
	uint32_t types = PA_HAS_ENUM(layout, MIGRATE_PCPTYPES) ?
				 (uint32_t)PA_ENUM(layout, MIGRATE_PCPTYPES) :
				 3;
	const uint32_t costly_order = 3;

	if (!types || index / types > costly_order)
		return kernel->zones.pageblock_order;
	return index / types;
}

static struct pa_error *walk_cpu(struct pa_list_worker *worker,
				 size_t zone_index, const struct pa_cpu *cpu,
				 uint64_t pcp, uint64_t *pages, uint64_t *count)
{
	const struct pa_kernel *kernel = worker->census->kernel;
	const struct pa_layout *layout = kernel->layout;
	const struct pa_zone *zone = &kernel->zones.list.items[zone_index];
	const struct pa_member *lists = PA_M(layout, per_cpu_pages, lists);
	uint32_t stored;
	struct pa_error *err = pa_memory_read_u32(
		worker->memory, pcp + PA_OFFSETOF(layout, per_cpu_pages, count),
		&stored);

	if (err)
		return err;
	*count += stored;
	for (uint32_t i = 0; !err && i < lists->length; i++) {
		struct pcp_list list = {
			.worker = worker,
			.zone = zone,
			.order = list_order(kernel, i),
			.fault = {
				.holder = PA_HOLDER_PCP,
				.zone = (int)zone_index,
				.head = pcp + lists->offset +
					(uint64_t)i * lists->element_size,
			},
		};

		snprintf(worker->name, sizeof(worker->name),
			 "node %u zone %s cpu %u list %u", zone->node,
			 zone->name, cpu->nr, i);
		err = pa_list_check(worker, &list.fault, zone->spanned,
				    visit_pcp, &list);
		*pages += list.pages;
		worker->references += list.pages;
	}
	return err;
}

/* Some list was not followed to its end. */
static bool is_cut_short(const struct pa_list_worker *worker,
			 size_t first_fault, uint64_t unreadable)
{
	for (size_t i = first_fault; i < worker->faults.length; i++)
		if (worker->faults.items[i].kind == PA_FAULT_BROKEN ||
		    worker->faults.items[i].kind == PA_FAULT_ENDLESS)
			return true;
	return worker->unreadable != unreadable;
}

/*
 * The lists and their count change under the lock of the structure, before
 * v6.1 with interrupts off on their CPU alone: rmqueue_bulk() fills a list, and
 * only its caller counts.
 */
static bool is_busy(struct pa_list_worker *worker, const struct pa_cpu *cpu,
		    uint64_t pcp)
{
	const struct pa_census *census = worker->census;
	const struct pa_layout *layout = census->kernel->layout;
	uint32_t lock = 0;

	if (!PA_HAS(layout, per_cpu_pages, lock))
		return pa_cpu_tasks_irqs_off(&census->cpu_tasks, cpu->nr);
	pa_error_destroy(pa_memory_read_u32(
		worker->memory, pcp + PA_OFFSETOF(layout, per_cpu_pages, lock),
		&lock));
	return lock;
}

/* All CPUs' lists of one zone. */
static struct pa_error *walk_zone(void *arg, uint64_t index)
{
	struct pa_list_worker *worker = arg;
	struct pa_census *census = worker->census;
	const struct pa_kernel *kernel = census->kernel;
	const struct pa_layout *layout = kernel->layout;
	const struct pa_zone *zone = &kernel->zones.list.items[index];
	uint64_t inside = 0;

	if (!zone->pcp)
		return NULL;
	if (PA_HAS(layout, zone, pageset))
		inside = PA_OFFSETOF(layout, per_cpu_pageset, pcp);
	for (size_t i = 0; i < kernel->cpus.list.length; i++) {
		const struct pa_cpu *cpu = &kernel->cpus.list.items[i];
		uint64_t pages = 0, count = 0;
		uint64_t unreadable = worker->unreadable;
		size_t first_fault = worker->faults.length;
		struct pa_error *err = walk_cpu(
			worker, index, cpu, zone->pcp + cpu->offset + inside,
			&pages, &count);

		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			worker->unreadable++;
			continue;
		}
		if (err)
			return err;
		census->zones[index].pcp_pages += pages;
		census->zones[index].pcp_count += count;
		if (pages == count ||
		    is_cut_short(worker, first_fault, unreadable))
			continue;

		struct pa_list_fault fault = {
			.kind = PA_FAULT_COUNT,
			.holder = PA_HOLDER_PCP,
			.zone = (int)index,
			.pfn = PA_NO_PFN,
			.head = zone->pcp + cpu->offset + inside,
			.busy = is_busy(worker, cpu,
					zone->pcp + cpu->offset + inside),
			.a = count,
			.b = pages,
		};

		snprintf(worker->name, sizeof(worker->name),
			 "node %u zone %s cpu %u", zone->node, zone->name,
			 cpu->nr);
		if (!pa_list_fault_add(worker, &fault))
			return &pa_error_no_memory;
	}
	return NULL;
}

struct pa_error *pa_census_pcp(struct pa_census *census, struct pa_job *job)
{
	struct pa_memory *memory;
	struct pa_error *err = pa_kernel_memory(census->kernel, &memory);

	if (err)
		return err;
	err = pa_cpu_tasks_init(census->kernel, memory, &census->cpu_tasks);
	pa_memory_destroy(memory);
	if (err)
		return err;
	return pa_lists_run(census, job, PA_CENSUS_PCP, "per-cpu lists",
			    walk_zone, census->kernel->zones.list.length);
}
