// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernel.references(): which slots name some pages. */
#include "python/kernel_type.h"

#include <stdlib.h>

#include "census/holder.h"
#include "python/watch.h"

#define ULL(x) ((unsigned long long)(x))

struct references_call {
	const struct pa_kernel *kernel;
	struct pa_job *job;
	struct pa_watch watch;
	struct pa_references found;
};

static struct pa_error *references_call_run(void *arg)
{
	struct references_call *call = arg;
	struct pa_census *census;
	struct pa_error *err =
		pa_census_create(call->kernel, true, NULL, call->job, &census);

	if (err)
		return err;
	err = pa_holders_find(census, call->job, &call->watch, &call->found);
	pa_census_destroy(census);
	return err;
}

static int compare(const void *a, const void *b)
{
	const struct pa_pfn_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* pa_watch_has() wants ranges that are sorted and do not touch. */
static void join(struct pa_watch *watch)
{
	struct pa_pfn_range *items = watch->ranges.items;
	size_t nr = 0;

	if (!watch->ranges.length)
		return;
	qsort(items, watch->ranges.length, sizeof(*items), compare);
	for (size_t i = 1; i < watch->ranges.length; i++)
		if (items[i].start <= items[nr].end)
			items[nr].end = pa_max(items[nr].end, items[i].end);
		else
			items[++nr] = items[i];
	watch->ranges.length = nr + 1;
}

static bool read_ranges(PyObject *ranges, struct pa_watch *watch)
{
	PyObject *items = PySequence_Fast(ranges, "not a sequence");
	bool ok = items;

	for (Py_ssize_t i = 0; ok && i < PySequence_Fast_GET_SIZE(items); i++) {
		PyObject *item = PySequence_Fast_GET_ITEM(items, i);
		unsigned long long start, end;

		ok = PyTuple_Check(item) &&
		     PyArg_ParseTuple(item, "KK", &start, &end);
		if (!ok && !PyErr_Occurred())
			PyErr_SetString(PyExc_TypeError,
					"not a (pfn, pfn_end)");
		if (ok && start < end &&
		    !pa_array_append(&watch->ranges,
				     (struct pa_pfn_range){ start, end })) {
			PyErr_NoMemory();
			ok = false;
		}
	}
	Py_XDECREF(items);
	if (ok)
		join(watch);
	return ok;
}

PyObject *pa_py_references(struct pa_module_state *state,
			   const struct pa_kernel *kernel, unsigned int threads,
			   PyObject *ranges)
{
	struct pa_job job;
	struct references_call call = { .kernel = kernel, .job = &job };
	PyObject *list = NULL;

	pa_job_init(&job, threads);
	if (read_ranges(ranges, &call.watch) &&
	    !pa_watch_run(state, references_call_run, &call, &job, Py_None))
		list = PyList_New(0);
	for (size_t i = 0; list && i < call.found.list.length; i++) {
		const struct pa_reference *ref = &call.found.list.items[i];

		if (!pa_py_append(
			    list,
			    Py_BuildValue(
				    "{s:s,s:s,s:I,s:K,s:K,s:K,s:K}", "holder",
				    pa_holders[ref->holder].name, "kind",
				    pa_reference_kind_names[ref->kind], "count",
				    ref->count, "pfn", ULL(ref->pfn), "slot",
				    ULL(ref->slot), "owner", ULL(ref->owner),
				    "index", ULL(ref->index))))
			Py_CLEAR(list);
	}
	pa_references_deinit(&call.found);
	pa_array_deinit(&call.watch.ranges);
	return list;
}
