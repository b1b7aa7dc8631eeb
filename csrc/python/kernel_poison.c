// SPDX-License-Identifier: LGPL-2.1-or-later
/* "poisoned" of Kernel.audit() and Kernel.dossier(): where poisoned pages are. */
#include "python/kernel_type.h"

#include <string.h>

#include "checks/poison_record.h"

/* None where not all of them are known. */
static PyObject *raw_list(const struct pa_poison_record *record)
{
	PyObject *list;

	if (!record->raw_known)
		Py_RETURN_NONE;
	list = PyList_New(0);
	/* The latest comes first. */
	for (size_t i = record->raw.length; list && i-- > 0;)
		if (!pa_py_append(list, PyLong_FromUnsignedLongLong(
						record->raw.items[i])))
			Py_CLEAR(list);
	return list;
}

/* A name of a task may be any bytes. */
static PyObject *task_text(const struct pa_poison_record *record)
{
	PyObject *comm, *text;

	if (record->handling != PA_POISON_IN_PROGRESS)
		Py_RETURN_NONE;
	comm = PyUnicode_DecodeUTF8(record->comm,
				    (Py_ssize_t)strnlen(record->comm,
							sizeof(record->comm)),
				    "backslashreplace");
	text = comm ? PyUnicode_FromFormat("%U (pid %u)", comm, record->pid) :
		      NULL;
	Py_XDECREF(comm);
	return text;
}

static PyObject *record_dict(const struct pa_poison_record *record)
{
	PyObject *dict = PyDict_New();
	bool ok =
		dict &&
		pa_py_set(dict, "pfn",
			  PyLong_FromUnsignedLongLong(record->pfn)) &&
		pa_py_set(dict, "place",
			  PyUnicode_FromString(
				  pa_poison_place_names[record->place])) &&
		pa_py_set(
			dict, "handling",
			PyUnicode_FromString(
				pa_poison_handling_names[record->handling])) &&
		pa_py_set(dict, "refcount",
			  PyLong_FromLong((int32_t)record->refcount)) &&
		pa_py_set(dict, "maps",
			  record->maps < 0 ?
				  Py_NewRef(Py_None) :
				  PyLong_FromLongLong(record->maps)) &&
		pa_py_set(dict, "task", task_text(record)) &&
		pa_py_set(dict, "raw_pages", raw_list(record)) &&
		pa_py_set(dict, "raw_pages_complete",
			  PyBool_FromLong(record->raw_complete));

	if (!ok)
		Py_CLEAR(dict);
	return dict;
}

PyObject *pa_py_poison(const struct pa_poison_records *records)
{
	PyObject *list = PyList_New(0);

	pa_array_for_each(record, &records->list)
		if (list && !pa_py_append(list, record_dict(record)))
			Py_CLEAR(list);
	return list;
}
