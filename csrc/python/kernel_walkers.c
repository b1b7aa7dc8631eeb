// SPDX-License-Identifier: LGPL-2.1-or-later
/* "walkers" of Kernel.audit(): who goes through memory by pfn. */
#include "python/kernel_type.h"

#include <stdio.h>
#include <string.h>

#include "census/excess.h"

#define ULL(x) ((unsigned long long)(x))

static PyObject *place_dict(const struct pa_census *census, const char *name,
			    uint64_t pfn)
{
	return Py_BuildValue("{s:s,s:K,s:s}", "name", name, "pfn", ULL(pfn),
			     "is", pa_walker_target(census, pfn));
}

static PyObject *position_list(const struct pa_census *census,
			       const struct pa_walker *walker)
{
	PyObject *list = PyList_New(0);

	for (int i = 0; list && walker->control && i < PA_NR_POSITIONS; i++) {
		/* 0: not set yet. */
		if (!walker->positions[i] || walker->positions[i] == PA_NO_PFN)
			continue;
		if (!pa_py_append(list, place_dict(census,
						   pa_walker_position_names[i],
						   walker->positions[i])))
			Py_CLEAR(list);
	}
	for (size_t i = 0; list && i < walker->nr_pfns; i++)
		if (!pa_py_append(list,
				  place_dict(census, "page", walker->pfns[i])))
			Py_CLEAR(list);
	return list;
}

static PyObject *zone_name(const struct pa_zone *zone)
{
	if (!zone)
		Py_RETURN_NONE;
	return PyUnicode_FromFormat("node %u zone %s", zone->node, zone->name);
}

static PyObject *control_address(uint64_t address)
{
	char buffer[24];

	if (!address)
		Py_RETURN_NONE;
	snprintf(buffer, sizeof(buffer), "0x%llx", ULL(address));
	return PyUnicode_FromString(buffer);
}

PyObject *pa_py_walkers(const struct pa_census *census)
{
	PyObject *list = PyList_New(0);

	if (!list || !census->excess)
		return list;
	pa_array_for_each(walker, &census->excess->walkers.list) {
		/* A name of a task may be any bytes. */
		PyObject *comm = PyUnicode_DecodeUTF8(
			walker->comm, (Py_ssize_t)strlen(walker->comm),
			"backslashreplace");
		PyObject *dict =
			comm ? Py_BuildValue(
				       "{s:N,s:I,s:s,s:s,s:N,s:N,s:N}", "task",
				       comm, "pid", walker->pid, "walk",
				       pa_walk_names[walker->walk], "function",
				       walker->function, "compact_control",
				       control_address(walker->control), "zone",
				       zone_name(walker->zone), "at",
				       position_list(census, walker)) :
			       NULL;

		if (!pa_py_append(list, dict)) {
			Py_DECREF(list);
			return NULL;
		}
	}
	return list;
}
