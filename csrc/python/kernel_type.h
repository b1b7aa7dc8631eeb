/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kernel: a dumped kernel's memory model and its audit, as Python sees it. */
#ifndef PA_PYTHON_KERNEL_TYPE_H
#define PA_PYTHON_KERNEL_TYPE_H

#include "python/module.h"

#include "kernel/kernel.h"

struct pa_census;
struct pa_picture;
struct pa_poison_records;

struct pa_kernel_object {
	PyObject_HEAD
		/* Owned; never NULL in an object that Python code can see. */
		struct pa_kernel *kernel;
	/* Owned: what the kernel borrows from. */
	PyObject *source;
	PyObject *layout;
	unsigned int threads;
};

int pa_kernel_type_add(PyObject *module);

/* checks() of the module: the table of checks. */
PyObject *pa_py_checks(PyObject *module, PyObject *args);

/*
 * New references, or NULL with an exception; each in the file of its name.
 * The kernel is borrowed.
 */
PyObject *pa_py_audit(struct pa_module_state *state,
		      const struct pa_kernel *kernel, unsigned int threads,
		      PyObject *args, PyObject *kwds);
/* None for PA_NO_PFN. */
PyObject *pa_py_pfn(uint64_t pfn);
PyObject *pa_py_memory(const struct pa_kernel *kernel);
PyObject *pa_py_page(struct pa_module_state *state,
		     const struct pa_kernel *kernel, uint64_t pfn);
/* A digest of 8 bytes for each 8-byte pfn of the bytes: kernel/snapshot.h. */
PyObject *pa_py_snapshot(struct pa_module_state *state,
			 const struct pa_kernel *kernel, PyObject *pfns);
PyObject *pa_py_dossier(struct pa_module_state *state,
			const struct pa_kernel *kernel, unsigned int threads,
			PyObject *pfns, PyObject *progress);
/* Name of the class in a byte of the census. */
PyObject *pa_py_class(uint8_t byte);
PyObject *pa_py_census(struct pa_module_state *state,
		       const struct pa_kernel *kernel, unsigned int threads);
PyObject *pa_py_accounts(const struct pa_census *census);
PyObject *pa_py_holders(const struct pa_census *census);
PyObject *pa_py_mms(const struct pa_census *census);
PyObject *pa_py_mm_ids(const struct pa_census *census);
PyObject *pa_py_page_tables(const struct pa_census *census);
PyObject *pa_py_mappings(const struct pa_census *census);
PyObject *pa_py_walkers(const struct pa_census *census);
PyObject *pa_py_picture(const struct pa_picture *picture);
PyObject *pa_py_poison(const struct pa_poison_records *records);
PyObject *pa_py_waiters(struct pa_module_state *state,
			const struct pa_kernel *kernel, unsigned int threads);
PyObject *pa_py_references(struct pa_module_state *state,
			   const struct pa_kernel *kernel, unsigned int threads,
			   PyObject *ranges);
PyObject *pa_py_slabs(struct pa_module_state *state,
		      const struct pa_kernel *kernel, unsigned int threads,
		      PyObject *questions);
PyObject *pa_py_search(struct pa_module_state *state,
		       const struct pa_kernel *kernel, unsigned int threads,
		       PyObject *args, PyObject *kwds);

/* Sets @key to @value, whose reference is stolen; false with an exception. */
static inline bool pa_py_set(PyObject *dict, const char *key, PyObject *value)
{
	int failed = value ? PyDict_SetItemString(dict, key, value) : -1;

	Py_XDECREF(value);
	return !failed;
}

/* Appends @value, whose reference is stolen; false with an exception. */
static inline bool pa_py_append(PyObject *list, PyObject *value)
{
	int failed = value ? PyList_Append(list, value) : -1;

	Py_XDECREF(value);
	return !failed;
}

#endif
