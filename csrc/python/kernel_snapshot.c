// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernel.snapshot(): whether pages hold still. */
#include "python/kernel_type.h"

#include "kernel/snapshot.h"

PyObject *pa_py_snapshot(struct pa_module_state *state,
			 const struct pa_kernel *kernel, PyObject *pfns)
{
	struct pa_error *err;
	Py_ssize_t length;
	PyObject *ret;
	char *bytes;

	if (PyBytes_AsStringAndSize(pfns, &bytes, &length) < 0)
		return NULL;
	if (length % 8) {
		PyErr_SetString(PyExc_ValueError, "a pfn has 8 bytes");
		return NULL;
	}
	ret = PyBytes_FromStringAndSize(NULL, length);
	if (!ret)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	err = pa_snapshot(kernel, (uint64_t *)bytes, (size_t)length / 8,
			  (uint64_t *)PyBytes_AS_STRING(ret));
	Py_END_ALLOW_THREADS
	if (!err)
		return ret;
	Py_DECREF(ret);
	return pa_raise(state, err);
}
