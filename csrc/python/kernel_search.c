// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernel.search(): what of kernel memory names given pages. */
#include "python/kernel_type.h"

#include "census/search.h"
#include "python/watch.h"

#define ULL(x) ((unsigned long long)(x))

struct search_call {
	const struct pa_kernel *kernel;
	struct pa_job *job;
	struct pa_census *census;
	struct pa_memory *memory;
	struct pa_places *places;
	struct pa_needles needles;
	PA_ARRAY(uint64_t) known;
	struct pa_search_query query;
	struct pa_search_result result;
};

static struct pa_error *search_call_run(void *arg)
{
	struct search_call *call = arg;
	struct pa_error *err = pa_needles_settle(&call->needles);

	if (!err)
		err = pa_census_create(call->kernel, true, NULL, call->job,
				       &call->census);
	if (!err)
		err = pa_kernel_memory(call->kernel, &call->memory);
	if (!err)
		err = pa_places_create(call->census, call->memory,
				       &call->places);
	return err ? err :
		     pa_search(call->places, call->job, &call->query,
			       &call->result);
}

static PyObject *text_or_none(char *text)
{
	PyObject *ret = text ? PyUnicode_DecodeUTF8(text,
						    (Py_ssize_t)strlen(text),
						    "replace") :
			       PyErr_NoMemory();

	free(text);
	return ret;
}

static PyObject *place_dict(const struct pa_places *places,
			    const struct pa_place *place)
{
	return Py_BuildValue(
		"{s:s,s:K,s:O,s:K,s:K,s:z,s:K,s:I,s:s,s:K,s:K,s:I,s:K,s:N}",
		"kind", pa_place_names[place->kind], "address",
		ULL(place->address), "dead", place->dead ? Py_True : Py_False,
		"start", ULL(place->start), "end", ULL(place->end), "cache",
		place->cache ? place->cache->name : NULL, "task",
		ULL(place->task), "pid", place->pid, "comm", place->comm,
		"frame", ULL(place->frame), "caller", ULL(place->caller), "cpu",
		place->cpu, "per_cpu", ULL(place->per_cpu), "text",
		text_or_none(pa_place_describe(places, place)));
}

static PyObject *hit_dict(struct pa_module_state *state,
			  const struct search_call *call,
			  const struct pa_search_hit *hit)
{
	struct pa_place place;
	struct pa_error *err =
		pa_search_place(call->places, call->memory, hit, &place);

	if (err)
		return pa_raise(state, err);
	return Py_BuildValue("{s:K,s:s,s:K,s:K,s:N}", "pfn", ULL(hit->pfn),
			     "encoding", pa_encoding_names[hit->encoding],
			     "word", ULL(hit->word), "phys", ULL(hit->phys),
			     "place", place_dict(call->places, &place));
}

static PyObject *hit_list(struct pa_module_state *state,
			  const struct search_call *call)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < call->result.hits.length; i++)
		if (!pa_py_append(list, hit_dict(state, call,
						 &call->result.hits.items[i])))
			Py_CLEAR(list);
	return list;
}

static PyObject *total_dict(const struct search_call *call)
{
	const struct pa_needles *needles = &call->needles;
	PyObject *dict = PyDict_New();
	uint32_t n = 0, needle;

	for (uint64_t pfn = needles->first; dict && n < needles->nr; pfn++) {
		PyObject *key, *value;

		if (!pa_needles_find(needles, pfn, &needle))
			continue;
		n++;
		if (!call->result.totals[needle])
			continue;
		key = PyLong_FromUnsignedLongLong(pfn);
		value = PyLong_FromUnsignedLong(call->result.totals[needle]);
		if (!key || !value || PyDict_SetItem(dict, key, value) < 0)
			Py_CLEAR(dict);
		Py_XDECREF(key);
		Py_XDECREF(value);
	}
	return dict;
}

static PyObject *result_dict(struct pa_module_state *state,
			     const struct search_call *call)
{
	const struct pa_search_result *result = &call->result;
	PyObject *hits = hit_list(state, call);
	PyObject *totals = hits ? total_dict(call) : NULL;

	if (!totals) {
		Py_XDECREF(hits);
		return NULL;
	}
	return Py_BuildValue(
		"{s:N,s:N,s:{s:K,s:K,s:K,s:K},s:K,s:K,s:K,s:K,s:K,s:d}", "hits",
		hits, "totals", totals, "dropped", "free_object",
		ULL(result->dropped[PA_DROP_FREE_OBJECT]), "dead_stack",
		ULL(result->dropped[PA_DROP_DEAD_STACK]), "unused_slot",
		ULL(result->dropped[PA_DROP_UNUSED_SLOT]), "known",
		ULL(result->dropped[PA_DROP_KNOWN]), "bytes",
		ULL(result->bytes), "excluded_bytes",
		ULL(result->excluded_bytes), "unreadable_bytes",
		ULL(result->unreadable_bytes), "unknown_pages",
		ULL(result->unknown_pages), "unread_stacks",
		ULL(result->unread_stacks), "seconds", result->seconds);
}

/* Every number of a sequence; false with an exception. */
static bool each_number(PyObject *sequence,
			bool (*add)(struct search_call *, uint64_t),
			struct search_call *call)
{
	PyObject *items = PySequence_Fast(sequence, "not a sequence");
	bool ok = items;

	for (Py_ssize_t i = 0; ok && i < PySequence_Fast_GET_SIZE(items); i++) {
		unsigned long long value = PyLong_AsUnsignedLongLong(
			PySequence_Fast_GET_ITEM(items, i));

		ok = !PyErr_Occurred() && add(call, value);
	}
	Py_XDECREF(items);
	return ok;
}

static bool add_needle(struct search_call *call, uint64_t pfn)
{
	struct pa_error *err = pa_needles_add(&call->needles, pfn, 1);

	pa_error_destroy(err);
	if (err)
		PyErr_NoMemory();
	return !err;
}

static bool add_known(struct search_call *call, uint64_t address)
{
	bool ok = pa_array_append(&call->known, address);

	if (!ok)
		PyErr_NoMemory();
	return ok;
}

static bool add_encoding(struct search_call *call, const char *name)
{
	for (int i = 0; name && i < PA_NR_ENCODINGS; i++)
		if (!strcmp(name, pa_encoding_names[i])) {
			call->query.encodings |= (uint32_t)PA_BIT(i);
			return true;
		}
	if (name)
		PyErr_Format(PyExc_ValueError, "there is no encoding %s", name);
	return false;
}

static bool parse_encodings(struct search_call *call, PyObject *names)
{
	PyObject *items;
	bool ok;

	if (names == Py_None) {
		call->query.encodings = PA_ENCODINGS_USUAL;
		return true;
	}
	items = PySequence_Fast(names, "encodings must be a sequence of names");
	ok = items;
	for (Py_ssize_t i = 0; ok && i < PySequence_Fast_GET_SIZE(items); i++)
		ok = add_encoding(
			call,
			PyUnicode_AsUTF8(PySequence_Fast_GET_ITEM(items, i)));
	Py_XDECREF(items);
	return ok;
}

PyObject *pa_py_search(struct pa_module_state *state,
		       const struct pa_kernel *kernel, unsigned int threads,
		       PyObject *args, PyObject *kwds)
{
	static char *keywords[] = { "pfns",  "encodings", "max_hits",
				    "known", "plain",	  NULL };
	PyObject *pfns, *encodings = Py_None, *known = NULL, *dict = NULL;
	unsigned char max_hits = 16;
	int plain = 0;

	if (!PyArg_ParseTupleAndKeywords(args, kwds, "O|$ObOp:search", keywords,
					 &pfns, &encodings, &max_hits, &known,
					 &plain))
		return NULL;

	struct pa_job job;
	struct search_call call = {
		.kernel = kernel,
		.job = &job,
		.query = { .needles = &call.needles,
			   .max_hits = max_hits,
			   .plain = plain },
	};
	struct pa_error *err = pa_needles_init(&call.needles);

	if (err)
		return pa_raise(state, err);
	pa_job_init(&job, threads);
	if (parse_encodings(&call, encodings) &&
	    each_number(pfns, add_needle, &call) &&
	    (!known || each_number(known, add_known, &call))) {
		if (call.known.length)
			qsort(call.known.items, call.known.length,
			      sizeof(*call.known.items), pa_compare_u64);
		call.query.known = call.known.items;
		call.query.nr_known = call.known.length;
		if (!pa_watch_run(state, search_call_run, &call, &job, Py_None))
			dict = result_dict(state, &call);
	}
	pa_search_result_deinit(&call.result);
	pa_places_destroy(call.places);
	pa_memory_destroy(call.memory);
	pa_census_destroy(call.census);
	pa_array_deinit(&call.known);
	pa_needles_deinit(&call.needles);
	return dict;
}
