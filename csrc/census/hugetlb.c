// SPDX-License-Identifier: LGPL-2.1-or-later
/* The hugetlb pools' lists: mm/hugetlb.c. */
#include "census/hugetlb.h"

#include <inttypes.h>
#include <stdlib.h>

#include "census/lists.h"

struct walk {
	struct pa_list_worker *worker;
	const struct pa_hstate *hstate;
	struct pa_hugetlb_list *list;
	/* A free list's, else UINT32_MAX. */
	uint32_t node;
	struct pa_list_fault fault;
};

static int compare_folios(const void *a, const void *b)
{
	uint64_t x = ((const struct pa_hugetlb_folio *)a)->pfn;
	uint64_t y = ((const struct pa_hugetlb_folio *)b)->pfn;

	return x < y ? -1 : x > y;
}

/*
 * enqueue_hugetlb_folio() puts a free folio on its node's list of its hstate;
 * in use it is on the hstate's one active list.
 */
static bool visit(void *arg, uint64_t node)
{
	struct walk *w = arg;
	struct pa_list_worker *worker = w->worker;
	struct pa_census *census = worker->census;
	struct pa_list_fault *fault = &w->fault;
	struct pa_hugetlb_folio *folio;
	uint8_t *class;

	w->list->length++;
	worker->references++;
	if (!pa_list_entry(worker, node, fault, &class))
		return !worker->err;
	fault->page_class = *class & PA_CLASS_MASK;
	if (fault->page_class == PA_CLASS_UNKNOWN) {
		worker->unreadable++;
		return true;
	}
	if (fault->target == PA_TARGET_FREE) {
		fault->kind = PA_FAULT_STALE;
		return pa_list_fault_add(worker, fault);
	}

	struct pa_hugetlb_folio key = { .pfn = fault->pfn };

	folio = census->hugetlb.length ? bsearch(&key, census->hugetlb.items,
						 census->hugetlb.length,
						 sizeof(key), compare_folios) :
					 NULL;
	if (!folio) {
		fault->kind = PA_FAULT_CLASS;
		return pa_list_fault_add(worker, fault);
	}
	if (__atomic_fetch_or(class, PA_MARK_LISTED, __ATOMIC_RELAXED) &
	    PA_MARK_LISTED) {
		fault->kind = PA_FAULT_TWICE;
		return pa_list_fault_add(worker, fault);
	}
	if (w->node == UINT32_MAX)
		folio->on_active_list = true;
	else
		folio->on_free_list = true;
	if (folio->order == w->hstate->order &&
	    (w->node == UINT32_MAX || folio->node == w->node))
		return true;
	fault->kind = PA_FAULT_WRONG_LIST;
	fault->a = folio->order;
	fault->b = folio->node;
	return pa_list_fault_add(worker, fault);
}

static struct pa_error *walk_list(void *state, uint64_t index)
{
	struct pa_list_worker *worker = state;
	struct pa_hugetlb_census *hugetlb = worker->census->hugetlb_pools;
	const struct pa_sections *sections = &worker->census->kernel->sections;
	uint32_t nr_nodes = hugetlb->hstates.nr_nodes;
	uint32_t node = (uint32_t)(index % (nr_nodes + 1));
	bool active = node == nr_nodes;
	const struct pa_hstate *hstate =
		&hugetlb->hstates.list.items[index / (nr_nodes + 1)];
	struct walk w = {
		.worker = worker,
		.hstate = hstate,
		.list = &hugetlb->lists[index],
		.node = active ? UINT32_MAX : node,
		.fault = {
			.holder = active ? PA_HOLDER_HUGETLB_ACTIVE :
					   PA_HOLDER_HUGETLB_FREE,
			.head = active ? hstate->active_list :
					 pa_hstate_free_list(hstate, node),
			.zone = -1,
		},
	};
	uint64_t unreadable = worker->unreadable;
	uint64_t faults = worker->faults_met;
	struct pa_error *err;

	if (active)
		snprintf(worker->name, sizeof(worker->name), "%s active",
			 hstate->name);
	else
		snprintf(worker->name, sizeof(worker->name),
			 "%s node %" PRIu32 " free", hstate->name, node);
	err = pa_list_check(worker, &w.fault,
			    sections->list.length * sections->pages, visit, &w);
	w.list->whole = !err && worker->unreadable == unreadable &&
			worker->faults_met == faults;
	return err;
}

struct pa_error *pa_census_hugetlb(struct pa_census *census, struct pa_job *job)
{
	struct pa_hugetlb_census *hugetlb = calloc(1, sizeof(*hugetlb));
	struct pa_memory *memory;
	uint64_t nr_lists;
	struct pa_error *err;

	if (!hugetlb)
		return &pa_error_no_memory;
	census->hugetlb_pools = hugetlb;
	err = pa_kernel_memory(census->kernel, &memory);
	if (err)
		return err;
	err = pa_hstates_init(memory, census->kernel->layout,
			      &hugetlb->hstates);
	pa_memory_destroy(memory);
	if (err)
		return err;
	nr_lists = (uint64_t)hugetlb->hstates.list.length *
		   (hugetlb->hstates.nr_nodes + 1);
	hugetlb->lists = calloc(nr_lists + 1, sizeof(*hugetlb->lists));
	if (!hugetlb->lists)
		return &pa_error_no_memory;
	if (census->hugetlb.length)
		qsort(census->hugetlb.items, census->hugetlb.length,
		      sizeof(*census->hugetlb.items), compare_folios);
	return pa_lists_run(census, job, PA_CENSUS_HUGETLB, "hugetlb pools",
			    walk_list, nr_lists);
}

void pa_hugetlb_census_destroy(struct pa_hugetlb_census *hugetlb)
{
	if (!hugetlb)
		return;
	pa_hstates_deinit(&hugetlb->hstates);
	free(hugetlb->lists);
	free(hugetlb);
}
