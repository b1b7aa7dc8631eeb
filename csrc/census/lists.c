// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/lists.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Faults kept of one holder by one thread; a broken dump has no end of them. */
#define MAX_FAULTS 4096

struct list_run {
	struct pa_census *census;
	const struct pa_job *job;
	enum pa_census_part part;
};

static struct pa_error *worker_start(void *arg, void **ret)
{
	struct list_run *run = arg;
	struct pa_list_worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return &pa_error_no_memory;
	worker->census = run->census;
	worker->job = run->job;

	struct pa_error *err =
		pa_kernel_memory(run->census->kernel, &worker->memory);

	if (err) {
		free(worker);
		return err;
	}
	*ret = worker;
	return NULL;
}

static struct pa_error *worker_finish(void *arg, void *state, bool failed)
{
	struct list_run *run = arg;
	struct pa_list_worker *worker = state;
	struct pa_census *census = run->census;
	struct pa_error *err = NULL;

	census->references += worker->references;
	census->parts[run->part].unreadable += worker->unreadable;
	if (!failed &&
	    pa_disturbed_extend(&census->disturbed, &worker->disturbed) &&
	    pa_array_extend(&census->faults, &worker->faults)) {
		/* The names are the census's now. */
	} else {
		pa_array_for_each(fault, &worker->faults)
			free(fault->list);
		err = failed ? NULL : &pa_error_no_memory;
	}
	pa_array_deinit(&worker->faults);
	pa_disturbed_deinit(&worker->disturbed);
	pa_memory_destroy(worker->memory);
	free(worker);
	return err;
}

struct pa_error *pa_lists_run(struct pa_census *census, struct pa_job *job,
			      enum pa_census_part part, const char *phase,
			      pa_list_item_fn item, uint64_t nr_lists)
{
	struct list_run run = {
		.census = census,
		.job = job,
		.part = part,
	};
	struct pa_work work = {
		.start = worker_start,
		.item = item,
		.finish = worker_finish,
	};

	pa_job_phase(job, phase, nr_lists);
	return pa_job_run(job, &work, &run, nr_lists);
}

bool pa_list_judges(struct pa_list_worker *worker,
		    const struct pa_list_fault *fault, bool *ret)
{
	*ret = true;
	if (fault->kind == PA_FAULT_BROKEN || fault->kind == PA_FAULT_ENDLESS ||
	    fault->pfn == PA_NO_PFN)
		return true;
	if (pa_census_judges(worker->census, &worker->disturbed, fault->pfn,
			     ret))
		return true;
	worker->err = &pa_error_no_memory;
	return false;
}

bool pa_list_fault_add(struct pa_list_worker *worker,
		       const struct pa_list_fault *fault)
{
	bool judged;

	worker->faults_met++;
	if (!pa_list_judges(worker, fault, &judged))
		return false;
	return !judged || pa_list_fault_keep(worker, fault);
}

bool pa_list_fault_keep(struct pa_list_worker *worker,
			const struct pa_list_fault *fault)
{
	struct pa_list_fault copy = *fault;

	if (worker->faults.length >= MAX_FAULTS)
		return true;
	copy.list = strdup(worker->name);
	if (copy.list && pa_array_append(&worker->faults, copy))
		return true;
	free(copy.list);
	worker->err = &pa_error_no_memory;
	return false;
}

bool pa_list_entry(struct pa_list_worker *worker, uint64_t node,
		   struct pa_list_fault *fault, uint8_t **class_ret)
{
	struct pa_census *census = worker->census;

	fault->node = node;
	fault->target = pa_census_target(
		census, node - census->kernel->page_format.lru, &fault->pfn);
	switch (fault->target) {
	case PA_TARGET_USABLE:
	case PA_TARGET_FREE:
	case PA_TARGET_UNKNOWN:
		*class_ret = fault->pfn == PA_NO_PFN ?
				     NULL :
				     pa_census_class(census, fault->pfn);
		if (*class_ret)
			return true;
		worker->unreadable++;
		return false;
	default:
		fault->kind = PA_FAULT_STALE;
		pa_list_fault_add(worker, fault);
		return false;
	}
}

static bool is_outside(const struct pa_census *census, uint64_t node)
{
	uint64_t pfn;

	pa_page_to_pfn(census->kernel, node - census->kernel->page_format.lru,
		       &pfn);
	return pfn == PA_NO_PFN;
}

static uint64_t read_link(struct pa_list_worker *worker, uint64_t at)
{
	uint64_t link;
	struct pa_error *err = pa_memory_read_u64(worker->memory, at, &link);

	if (!err)
		return link;
	pa_error_destroy(err);
	return 0;
}

/*
 * An entry of a list whose link back is not answered. Either its own link
 * is wrong, or that of the entry before, which is the wrong one if the entry
 * is well linked to another.
 */
static bool is_wrong_itself(struct pa_list_worker *worker,
			    const struct pa_list_fault *fault, uint64_t node)
{
	struct pa_census *census = worker->census;
	uint64_t pfn, previous;
	uint8_t *class;

	switch (pa_census_target(census, node - census->kernel->page_format.lru,
				 &pfn)) {
	case PA_TARGET_USABLE:
	case PA_TARGET_FREE:
	case PA_TARGET_UNKNOWN:
		break;
	default:
		return false;
	}
	class = pfn == PA_NO_PFN ? NULL : pa_census_class(census, pfn);
	if (!class)
		return false;
	/* All of its struct page is garbage. */
	if ((*class & PA_CLASS_MASK) == PA_CLASS_UNINITIALISED ||
	    (*class & PA_CLASS_MASK) == PA_CLASS_UNKNOWN)
		return true;
	if (fault->holder != PA_HOLDER_PCP &&
	    (fault->holder != PA_HOLDER_BUDDY ||
	     (*class & PA_CLASS_MASK) < PA_CLASS_FREE))
		return false;
	previous = read_link(worker, node + 8);
	return !pa_is_kernel_address(previous) || previous & 7 ||
	       read_link(worker, previous) != node;
}

/*
 * A list names, as its next entry, memory that is no longer to be used, and the
 * entry does not answer: its struct page may be gone, or somebody else's.
 */
static bool names_stale(struct pa_list_worker *worker, uint64_t node,
			struct pa_list_fault *fault)
{
	struct pa_census *census = worker->census;

	fault->target = pa_census_target(
		census, node - census->kernel->page_format.lru, &fault->pfn);
	switch (fault->target) {
	case PA_TARGET_OFFLINE:
	case PA_TARGET_ABSENT:
	case PA_TARGET_HOLE:
	case PA_TARGET_ALTMAP:
	case PA_TARGET_DEVICE:
		fault->kind = PA_FAULT_STALE;
		fault->node = node;
		return true;
	default:
		return false;
	}
}

struct cancellable {
	struct pa_list_worker *worker;
	pa_list_visit_fn visit;
	void *arg;
};

/* Ctrl-C is heard at each entry. */
static bool visit_unless_cancelled(void *arg, uint64_t node)
{
	struct cancellable *walk = arg;

	walk->worker->err = pa_job_check(walk->worker->job);
	return !walk->worker->err && walk->visit(walk->arg, node);
}

struct pa_error *pa_list_check(struct pa_list_worker *worker,
			       const struct pa_list_fault *fault,
			       uint64_t limit, pa_list_visit_fn visit,
			       void *arg)
{
	struct pa_list_fault copy = *fault;
	struct cancellable walk = {
		.worker = worker,
		.visit = visit,
		.arg = arg,
	};
	struct pa_list_result result;
	struct pa_error *err = pa_list_walk(worker->memory, fault->head, limit,
					    visit_unless_cancelled, &walk,
					    &result);

	/* No entry is met twice: each must answer the one met before it. */
	if (!err && (result.end == PA_LIST_BROKEN ||
		     result.end == PA_LIST_UNREADABLE)) {
		struct pa_list_result back;

		err = pa_list_walk_back(worker->memory, fault->head, limit,
					visit_unless_cancelled, &walk, &back);
	}
	if (!err && worker->err)
		err = pa_take(worker->err);
	if (err)
		return err;
	if ((result.end == PA_LIST_UNREADABLE ||
	     result.end == PA_LIST_BROKEN) &&
	    names_stale(worker, result.link, &copy)) {
		/* What comes behind it was not seen. */
		worker->unreadable++;
		return pa_list_fault_add(worker, &copy) ? NULL :
							  pa_take(worker->err);
	}
	copy.node = result.node;
	copy.link = result.link;
	copy.pfn = PA_NO_PFN;
	pa_page_to_pfn(worker->census->kernel,
		       result.node - worker->census->kernel->page_format.lru,
		       &copy.pfn);
	switch (result.end) {
	case PA_LIST_WHOLE:
	case PA_LIST_STOPPED:
		return NULL;
	case PA_LIST_UNREADABLE:
		/* A link to no struct page (poison) is wrong, not missing. */
		if (result.link && is_outside(worker->census, result.link)) {
			copy.kind = PA_FAULT_BROKEN;
			break;
		}
		worker->unreadable++;
		return NULL;
	case PA_LIST_BROKEN:
		copy.kind = PA_FAULT_BROKEN;
		if (!is_wrong_itself(worker, fault, result.link))
			break;
		copy.node = result.link;
		copy.link = read_link(worker, result.link + 8);
		pa_page_to_pfn(worker->census->kernel,
			       copy.node -
				       worker->census->kernel->page_format.lru,
			       &copy.pfn);
		break;
	case PA_LIST_ENDLESS:
		copy.kind = PA_FAULT_ENDLESS;
		break;
	}
	copy.target = PA_TARGET_USABLE;
	return pa_list_fault_add(worker, &copy) ? NULL : pa_take(worker->err);
}
