// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernel.waiters(): who waits for a page or a bit. */
#include "python/kernel_type.h"

#include "census/waiters.h"
#include "python/watch.h"

#define ULL(x) ((unsigned long long)(x))

struct waiters_call {
	const struct pa_kernel *kernel;
	struct pa_job *job;
	struct pa_waiting waiting;
};

static struct pa_error *waiters_call_run(void *arg)
{
	struct waiters_call *call = arg;
	struct pa_census *census = NULL;
	struct pa_memory *memory = NULL;
	struct pa_error *err =
		pa_census_create(call->kernel, false, NULL, call->job, &census);

	if (!err)
		err = pa_kernel_memory(call->kernel, &memory);
	if (!err)
		err = pa_waiting_init(census, memory, &call->waiting);
	pa_memory_destroy(memory);
	pa_census_destroy(census);
	return err;
}

/* None where the waiter waits for no page. */
static PyObject *pfn_object(uint64_t pfn)
{
	if (pfn == PA_NO_PFN)
		Py_RETURN_NONE;
	return PyLong_FromUnsignedLongLong(pfn);
}

static PyObject *waiter_list(const struct pa_waiters *waiters)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < waiters->list.length; i++) {
		const struct pa_waiter *waiter = &waiters->list.items[i];

		if (!pa_py_append(
			    list,
			    Py_BuildValue(
				    "{s:s,s:N,s:i,s:K,s:K,s:N,s:K}", "kind",
				    pa_wait_kind_names[waiter->kind],
				    "exclusive",
				    PyBool_FromLong(waiter->exclusive), "bit",
				    waiter->bit, "task", ULL(waiter->task),
				    "what", ULL(waiter->what), "pfn",
				    pfn_object(waiter->pfn), "entry",
				    ULL(waiter->entry))))
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *page_list(const struct pa_waiting *waiting)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < waiting->pages.length; i++) {
		const struct pa_waited *page = &waiting->pages.items[i];

		if (!pa_py_append(
			    list,
			    Py_BuildValue(
				    "{s:K,s:K,s:N,s:N,s:N,s:I,s:K}", "pfn",
				    ULL(page->pfn), "waiters", ULL(page->nr),
				    "readable", PyBool_FromLong(page->readable),
				    "locked", PyBool_FromLong(page->locked),
				    "writeback",
				    PyBool_FromLong(page->writeback),
				    "refcount", page->refcount, "task",
				    ULL(page->task))))
			Py_CLEAR(list);
	}
	return list;
}

PyObject *pa_py_waiters(struct pa_module_state *state,
			const struct pa_kernel *kernel, unsigned int threads)
{
	struct pa_job job;
	struct waiters_call call = { .kernel = kernel, .job = &job };
	PyObject *result = NULL;

	pa_job_init(&job, threads);
	if (!pa_watch_run(state, waiters_call_run, &call, &job, Py_None))
		result = Py_BuildValue("{s:N,s:N,s:K,s:K}", "waiters",
				       waiter_list(&call.waiting.waiters),
				       "pages", page_list(&call.waiting),
				       "others",
				       ULL(call.waiting.waiters.others),
				       "unreadable",
				       ULL(call.waiting.waiters.unreadable));
	pa_waiting_deinit(&call.waiting);
	return result;
}
