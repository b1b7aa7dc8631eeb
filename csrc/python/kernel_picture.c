// SPDX-License-Identifier: LGPL-2.1-or-later
/* Of Kernel.audit(): what each page is, in runs. */
#include "python/kernel_type.h"

#include "census/picture.h"

#define ULL(x) ((unsigned long long)(x))

static PyObject *kind_names(void)
{
	PyObject *list = PyList_New(0);

	for (int i = 0; list && i < PA_NR_PICTURE_KINDS; i++)
		if (!pa_py_append(list, PyUnicode_FromString(
						pa_picture_kind_names[i])))
			Py_CLEAR(list);
	return list;
}

static PyObject *kind_counts(const struct pa_picture *picture)
{
	PyObject *list = PyList_New(0);

	for (int i = 0; list && i < PA_NR_PICTURE_KINDS; i++)
		if (!pa_py_append(list, PyLong_FromUnsignedLongLong(
						ULL(picture->pages[i]))))
			Py_CLEAR(list);
	return list;
}

static PyObject *section_list(const struct pa_picture *picture)
{
	const struct pa_sections *sections = &picture->census->kernel->sections;
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < sections->list.length; i++) {
		const struct pa_picture_section *section =
			&picture->sections[i];

		if (!section->cells.length)
			continue;
		if (!pa_py_append(
			    list,
			    Py_BuildValue("(Ky#y#)",
					  ULL(sections->list.items[i].nr),
					  section->cells.items,
					  (Py_ssize_t)section->cells.length,
					  section->runs.items,
					  (Py_ssize_t)section->runs.length)))
			Py_CLEAR(list);
	}
	return list;
}

PyObject *pa_py_picture(const struct pa_picture *picture)
{
	PyObject *dict = PyDict_New();

	if (dict &&
	    !(pa_py_set(dict, "kinds", kind_names()) &&
	      pa_py_set(dict, "pages", kind_counts(picture)) &&
	      pa_py_set(dict, "poisoned",
			PyLong_FromUnsignedLongLong(ULL(picture->poisoned))) &&
	      pa_py_set(dict, "cell_pages",
			PyLong_FromLong(1 << PA_PICTURE_CELL_SHIFT)) &&
	      pa_py_set(dict, "sections", section_list(picture))))
		Py_CLEAR(dict);
	return dict;
}
