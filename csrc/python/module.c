// SPDX-License-Identifier: LGPL-2.1-or-later
#include "python/kernel_type.h"

#include <inttypes.h>

#include <elfutils/libdwfl.h>
#include <libkdumpfile/kdumpfile.h>

static const char *error_code_name(enum pa_error_code code)
{
	switch (code) {
	case PA_ERROR_NO_MEMORY:
		return "no-memory";
	case PA_ERROR_CANCELLED:
		return "cancelled";
	case PA_ERROR_OS:
		return "os";
	case PA_ERROR_FORMAT:
		return "format";
	case PA_ERROR_UNSUPPORTED:
		return "unsupported";
	case PA_ERROR_MISSING:
		return "missing";
	case PA_ERROR_UNREADABLE:
		return "unreadable";
	case PA_ERROR_EXCLUDED:
		return "excluded";
	case PA_ERROR_CORRUPT:
		return "corrupt";
	case PA_ERROR_INVALID:
		return "invalid";
	}
	return "unknown";
}

static void raise_target_error(struct pa_module_state *state,
			       const struct pa_error *err)
{
	/* Paths and strings from dumps are bytes of any encoding. */
	PyObject *message = PyUnicode_DecodeFSDefaultAndSize(
		err->message, (Py_ssize_t)strlen(err->message));

	if (!message)
		return;

	PyObject *exception = PyObject_CallOneArg(state->target_error, message);

	Py_DECREF(message);
	if (!exception)
		return;

	PyObject *code = PyUnicode_FromString(error_code_name(err->code));
	PyObject *address = PyLong_FromUnsignedLongLong(err->address);

	if (code && address &&
	    PyObject_SetAttrString(exception, "code", code) == 0 &&
	    PyObject_SetAttrString(exception, "address", address) == 0)
		PyErr_SetObject(state->target_error, exception);
	Py_XDECREF(code);
	Py_XDECREF(address);
	Py_DECREF(exception);
}

PyObject *pa_raise(struct pa_module_state *state, struct pa_error *err)
{
	switch (err->code) {
	case PA_ERROR_NO_MEMORY:
		PyErr_NoMemory();
		break;
	case PA_ERROR_CANCELLED:
		/* The handler of the signal that cancelled us has its say. */
		if (PyErr_CheckSignals() == 0)
			PyErr_SetNone(PyExc_KeyboardInterrupt);
		break;
	case PA_ERROR_INVALID:
		PyErr_SetString(PyExc_ValueError, err->message);
		break;
	default:
		raise_target_error(state, err);
	}
	pa_error_destroy(err);
	return NULL;
}

PyObject *pa_py_hex(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	return PyUnicode_FromString(text);
}

PyTypeObject *pa_module_add_type(PyObject *module, PyType_Spec *spec)
{
	PyTypeObject *type =
		(PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);

	if (!type)
		return NULL;
	if (PyModule_AddType(module, type) < 0) {
		Py_DECREF(type);
		return NULL;
	}
	return type;
}

static PyObject *versions(PyObject *Py_UNUSED(module),
			  PyObject *Py_UNUSED(args))
{
	return Py_BuildValue("{s:s,s:s}", "libkdumpfile",
			     KDUMPFILE_VERSION_STRING, "libdw",
			     dwfl_version(NULL));
}

static PyMethodDef module_methods[] = {
	{ "versions", versions, METH_NOARGS,
	  "versions() -> dict\n\nThe libraries in use, by name." },
	{ "checks", pa_py_checks, METH_NOARGS,
	  "checks() -> list\n\nThe checks: id, summary and doc of each." },
	{ NULL },
};

static int module_exec(PyObject *module)
{
	struct pa_module_state *state = pa_module_state(module);

	state->target_error = PyErr_NewExceptionWithDoc(
		"drgn_contrib._pageaudit.TargetError",
		"The target cannot be analysed: one sentence says why.\n\n"
		"code names the kind (\"format\", \"missing\", ...), address\n"
		"is the address that it is about, or 0.",
		NULL, NULL);
	if (!state->target_error)
		return -1;
	/* Steals a reference, but only where it succeeds. */
	Py_INCREF(state->target_error);
	if (PyModule_AddObject(module, "TargetError", state->target_error) <
	    0) {
		Py_DECREF(state->target_error);
		return -1;
	}
	if (pa_source_type_add(module) < 0 || pa_layout_type_add(module) < 0 ||
	    pa_kernel_type_add(module) < 0)
		return -1;
	return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
	struct pa_module_state *state = pa_module_state(module);

	Py_VISIT(state->target_error);
	Py_VISIT(state->source_type);
	Py_VISIT(state->layout_type);
	Py_VISIT(state->kernel_type);
	return 0;
}

static int module_clear(PyObject *module)
{
	struct pa_module_state *state = pa_module_state(module);

	Py_CLEAR(state->target_error);
	Py_CLEAR(state->source_type);
	Py_CLEAR(state->layout_type);
	Py_CLEAR(state->kernel_type);
	return 0;
}

static void module_free(void *module)
{
	module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {
	{ Py_mod_exec, module_exec },
	{ 0, NULL },
};

static struct PyModuleDef module_def = {
	PyModuleDef_HEAD_INIT,
	.m_name = "drgn_contrib._pageaudit",
	.m_doc = "The C core of pageaudit.",
	.m_size = sizeof(struct pa_module_state),
	.m_methods = module_methods,
	.m_slots = module_slots,
	.m_traverse = module_traverse,
	.m_clear = module_clear,
	.m_free = module_free,
};

PyMODINIT_FUNC PyInit__pageaudit(void)
{
	return PyModuleDef_Init(&module_def);
}
