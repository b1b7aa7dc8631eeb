/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Source: where bytes come from, as Python sees it. */
#ifndef PA_PYTHON_SOURCE_TYPE_H
#define PA_PYTHON_SOURCE_TYPE_H

#include <pthread.h>

#include "python/module.h"

#include "source/source.h"

struct pa_source_object {
	PyObject_HEAD
		/* Owned; never NULL in an object that Python code can see. */
		struct pa_source *source;
	/* Owned: what Source.from_callback() got, or NULL. */
	PyObject *read;
	/* A Program is for one thread at a time. Not waited for with the GIL. */
	pthread_mutex_t lock;
};

/*
 * A sequence of paths: the list (to be freed), NULL with an exception. The
 * strings live as long as *@held_ret, an owned tuple of that length.
 */
const char **pa_paths_from_python(PyObject *paths, PyObject **held_ret);

#endif
