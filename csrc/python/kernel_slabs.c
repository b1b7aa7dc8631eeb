// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernel.slabs(): what SLUB has given out. */
#include "python/kernel_type.h"

#include "census/slabs.h"
#include "python/watch.h"

struct slabs_call {
	const struct pa_kernel *kernel;
	struct pa_job *job;
	struct pa_census *census;
	struct pa_memory *memory;
};

static struct pa_error *slabs_call_run(void *arg)
{
	struct slabs_call *call = arg;
	struct pa_error *err = pa_census_create(call->kernel, true, NULL,
						call->job, &call->census);

	return err ? err : pa_kernel_memory(call->kernel, &call->memory);
}

static bool visit_object(void *arg, uint64_t object)
{
	return pa_py_append(arg, PyLong_FromUnsignedLongLong(object));
}

static PyObject *cache_objects(struct pa_module_state *state,
			       const struct slabs_call *call, const char *name)
{
	const struct pa_slabs *slabs = call->census->slabs;
	const struct pa_slab_cache *cache = pa_slabs_cache_named(slabs, name);
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && cache && i < cache->nr; i++) {
		uint32_t index = slabs->by_cache.items[cache->first + i];
		struct pa_error *err = pa_slab_visit(call->census, call->memory,
						     &slabs->list.items[index],
						     visit_object, list);

		if (err)
			pa_raise(state, err);
		if (PyErr_Occurred())
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *place(struct pa_module_state *state,
		       const struct slabs_call *call, uint64_t address)
{
	struct pa_slab_place place;
	struct pa_error *err =
		pa_slabs_place(call->census, call->memory, address, &place);

	if (err)
		return pa_raise(state, err);
	if (!place.slab)
		Py_RETURN_NONE;
	return Py_BuildValue("{s:s,s:K,s:I,s:N}", "cache", place.cache->name,
			     "object", (unsigned long long)place.object,
			     "offset", place.offset, "allocated",
			     PyBool_FromLong(place.allocated));
}

static PyObject *answer(struct pa_module_state *state,
			const struct slabs_call *call, PyObject *question)
{
	const char *name;

	if (PyLong_Check(question)) {
		unsigned long long address =
			PyLong_AsUnsignedLongLong(question);

		return PyErr_Occurred() ? NULL : place(state, call, address);
	}
	name = PyUnicode_AsUTF8(question);
	return name ? cache_objects(state, call, name) : NULL;
}

PyObject *pa_py_slabs(struct pa_module_state *state,
		      const struct pa_kernel *kernel, unsigned int threads,
		      PyObject *questions)
{
	struct pa_job job;
	struct slabs_call call = { .kernel = kernel, .job = &job };
	PyObject *items = PySequence_Fast(questions, "not a sequence");
	PyObject *list = NULL;

	if (!items)
		return NULL;
	pa_job_init(&job, threads);
	if (!pa_watch_run(state, slabs_call_run, &call, &job, Py_None))
		list = PyList_New(0);
	for (Py_ssize_t i = 0; list && i < PySequence_Fast_GET_SIZE(items); i++)
		if (!pa_py_append(list,
				  answer(state, &call,
					 PySequence_Fast_GET_ITEM(items, i))))
			Py_CLEAR(list);
	Py_DECREF(items);
	pa_memory_destroy(call.memory);
	pa_census_destroy(call.census);
	return list;
}
