/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Layout: what the bytes mean, as Python sees it. */
#ifndef PA_PYTHON_LAYOUT_TYPE_H
#define PA_PYTHON_LAYOUT_TYPE_H

#include "python/module.h"

#include "types/kallsyms.h"
#include "types/layout.h"

struct pa_layout_object {
	PyObject_HEAD
		/*
		 * Owned; never NULL in an object that Python code can see, and
		 * read-only from then on.
		 */
		struct pa_layout *layout;
	/* Owned: the kernel's symbols where they were read, or NULL. */
	struct pa_kallsyms *kallsyms;
};

#endif
