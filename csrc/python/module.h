/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The binding: drgn_contrib._pageaudit. All its state lives in the module
 * object, none in globals.
 */
#ifndef PA_PYTHON_MODULE_H
#define PA_PYTHON_MODULE_H

/* "#" formats take Py_ssize_t. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/error.h"

/* Python 3.9 lacks these. */
#if PY_VERSION_HEX < 0x030a0000
#define Py_TPFLAGS_IMMUTABLETYPE 0
static inline PyObject *Py_NewRef(PyObject *object)
{
	Py_INCREF(object);
	return object;
}

static inline PyObject *Py_XNewRef(PyObject *object)
{
	Py_XINCREF(object);
	return object;
}
#endif

/* Owned references; shared, read-only once the module is made. */
struct pa_module_state {
	/* The target cannot be analysed (exit status 2 of the command). */
	PyObject *target_error;
	PyTypeObject *source_type;
	PyTypeObject *layout_type;
	PyTypeObject *kernel_type;
};

/* Borrowed from @module. */
static inline struct pa_module_state *pa_module_state(PyObject *module)
{
	return PyModule_GetState(module);
}

/*
 * Borrowed from the type's module. Only for objects of our own types, none of
 * which can be subclassed.
 */
static inline struct pa_module_state *pa_object_state(PyObject *object)
{
	return PyType_GetModuleState(Py_TYPE(object));
}

/*
 * Makes a heap type of the module, adds it under its name and returns an owned
 * reference, NULL with an exception.
 */
PyTypeObject *pa_module_add_type(PyObject *module, PyType_Spec *spec);

/* "0x..." as a str: Python before 3.12 formats no %llx. */
PyObject *pa_py_hex(uint64_t value);

/*
 * Sets the Python exception for @err, which is consumed; returns NULL.
 *
 * PA_ERROR_NO_MEMORY is MemoryError, PA_ERROR_CANCELLED KeyboardInterrupt (or
 * whatever a signal handler has raised), PA_ERROR_INVALID ValueError, all else
 * TargetError with the attributes "code" and "address".
 */
PyObject *pa_raise(struct pa_module_state *state, struct pa_error *err);

/* Each type's own file adds it to the module: 0, or -1 with an exception. */
int pa_source_type_add(PyObject *module);
int pa_layout_type_add(PyObject *module);

#endif
