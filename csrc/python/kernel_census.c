// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernel.census(): what every page is, and what each zone was found to have. */
#include "python/kernel_type.h"

#include <stdio.h>

#include "census/census.h"
#include "python/watch.h"

#define ULL(x) ((unsigned long long)(x))

static const struct {
	uint8_t value;
	const char *name;
} classes[] = {
	{ PA_CLASS_UNKNOWN, "unknown" },
	{ PA_CLASS_NOT_MEMORY, "not-memory" },
	{ PA_CLASS_DEVICE, "device" },
	{ PA_CLASS_ALTMAP, "altmap" },
	{ PA_CLASS_RESERVED, "reserved" },
	{ PA_CLASS_UNINITIALISED, "uninitialised" },
	{ PA_CLASS_ZERO, "zero" },
	{ PA_CLASS_PCP, "pcp" },
	{ PA_CLASS_TAKEN, "taken" },
	{ PA_CLASS_FREE_BODY, "free-body" },
	{ PA_CLASS_TAIL, "tail" },
	{ PA_CLASS_USED, "used" },
	{ PA_CLASS_USED_HEAD, "used-head" },
	{ PA_CLASS_LRU, "lru" },
	{ PA_CLASS_LRU_UNEVICTABLE, "lru-unevictable" },
	{ PA_CLASS_HUGETLB, "hugetlb" },
	{ PA_CLASS_FROZEN, "frozen" },
	{ PA_CLASS_FROZEN_HEAD, "frozen-head" },
};

static PyObject *class_names(const struct pa_kernel *kernel)
{
	PyObject *dict = PyDict_New();

	for (size_t i = 0; dict && i < sizeof(classes) / sizeof(classes[0]);
	     i++)
		if (!pa_py_set(dict, classes[i].name,
			       PyLong_FromLong(classes[i].value)))
			Py_CLEAR(dict);
	for (uint32_t order = 0; dict && order < kernel->zones.nr_orders;
	     order++) {
		char name[32];

		snprintf(name, sizeof(name), "free-%u", order);
		if (!pa_py_set(dict, name,
			       PyLong_FromUnsignedLong(PA_CLASS_FREE + order)))
			Py_CLEAR(dict);
	}
	return dict;
}

PyObject *pa_py_class(uint8_t byte)
{
	uint8_t class = byte & PA_CLASS_MASK;

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (classes[i].value == class)
			return PyUnicode_FromString(classes[i].name);
	return PyUnicode_FromFormat("free-%d", class - PA_CLASS_FREE);
}

static PyObject *section_classes(const struct pa_census *census)
{
	const struct pa_sections *sections = &census->kernel->sections;
	PyObject *dict = PyDict_New();

	for (size_t i = 0; dict && i < sections->list.length; i++) {
		PyObject *key, *bytes;

		if (!census->classes[i])
			continue;
		key = PyLong_FromUnsignedLongLong(sections->list.items[i].nr);
		bytes = PyBytes_FromStringAndSize(
			(const char *)census->classes[i],
			(Py_ssize_t)sections->pages);
		if (!key || !bytes || PyDict_SetItem(dict, key, bytes) < 0)
			Py_CLEAR(dict);
		Py_XDECREF(key);
		Py_XDECREF(bytes);
	}
	return dict;
}

/* Free blocks by order: on the zone's lists, and in the memory map. */
static PyObject *free_lists(const struct pa_kernel *kernel,
			    const struct pa_zone_count *count, bool listed)
{
	PyObject *list = PyList_New(0);

	for (uint32_t order = 0; list && order < kernel->zones.nr_orders;
	     order++) {
		uint64_t blocks = listed ? 0 : count->nr_free[order];

		for (uint32_t type = 0;
		     listed && type < kernel->zones.nr_migrate_types; type++)
			blocks += count->listed[order][type];
		if (!pa_py_append(list, PyLong_FromUnsignedLongLong(blocks)))
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *zone_counts(const struct pa_census *census)
{
	const struct pa_zones *zones = &census->kernel->zones;
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < zones->list.length; i++) {
		const struct pa_zone *zone = &zones->list.items[i];
		const struct pa_zone_count *count = &census->zones[i];
		PyObject *listed = free_lists(census->kernel, count, true);
		PyObject *mapped = free_lists(census->kernel, count, false);

		if (!listed || !mapped) {
			Py_XDECREF(listed);
			Py_XDECREF(mapped);
			Py_CLEAR(list);
			break;
		}
		if (!pa_py_append(
			    list,
			    Py_BuildValue("{s:I,s:s,s:K,s:K,s:K,s:K,s:N,s:N}",
					  "node", zone->node, "name",
					  zone->name, "pages",
					  ULL(count->pages), "reserved",
					  ULL(count->reserved), "free_pages",
					  ULL(count->free_pages), "pcp_pages",
					  ULL(count->pcp_pages), "listed",
					  listed, "mapped", mapped)))
			Py_CLEAR(list);
	}
	return list;
}

struct census_call {
	const struct pa_kernel *kernel;
	struct pa_job *job;
	struct pa_census *census;
};

static struct pa_error *census_call_run(void *arg)
{
	struct census_call *call = arg;

	return pa_census_create(call->kernel, true, NULL, call->job,
				&call->census);
}

PyObject *pa_py_census(struct pa_module_state *state,
		       const struct pa_kernel *kernel, unsigned int threads)
{
	struct pa_job job;
	struct census_call call = { .kernel = kernel, .job = &job };
	PyObject *dict = NULL;

	pa_job_init(&job, threads);
	if (!pa_watch_run(state, census_call_run, &call, &job, Py_None)) {
		dict = PyDict_New();
		if (dict &&
		    !(pa_py_set(dict, "class_names", class_names(kernel)) &&
		      pa_py_set(dict, "classes",
				section_classes(call.census)) &&
		      pa_py_set(dict, "zones", zone_counts(call.census)) &&
		      pa_py_set(dict, "accounts",
				pa_py_accounts(call.census)) &&
		      pa_py_set(dict, "holders", pa_py_holders(call.census)) &&
		      pa_py_set(dict, "mms", pa_py_mms(call.census)) &&
		      pa_py_set(dict, "mm_ids", pa_py_mm_ids(call.census)) &&
		      pa_py_set(dict, "page_tables",
				pa_py_page_tables(call.census)) &&
		      pa_py_set(dict, "mappings", pa_py_mappings(call.census))))
			Py_CLEAR(dict);
	}
	pa_census_destroy(call.census);
	return dict;
}
