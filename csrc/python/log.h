/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's log and the crash, as Python sees them. */
#ifndef PA_PYTHON_LOG_H
#define PA_PYTHON_LOG_H

#include "python/module.h"

#include "kernel/kernel.h"

/*
 * New references, or NULL with an exception. A log that is not in the dump, or
 * that no kernel can have written, is no exception: nothing is known then.
 */

/*
 * A list of dicts: time (seconds), text (one line), kind, pfn (or None), of
 * the lines that speak of pages.
 */
PyObject *pa_py_log(struct pa_module_state *state,
		    const struct pa_kernel *kernel);

/*
 * All of the log: {"error": str or None, "lost", "unreadable", "records": [...]}
 * with dicts of seq, time_ns, level, facility, caller_id and text (bytes).
 */
PyObject *pa_py_log_records(struct pa_module_state *state,
			    const struct pa_kernel *kernel);

/*
 * None where the kernel did not crash, or a dict: panic, task, time, rip,
 * rip_symbol, cr2, pid, cpu (each None where unknown), registers by name, and
 * pages: of each the pfn, what names it and where, its state, section, memory
 * block and pgmap.
 */
PyObject *pa_py_crash(struct pa_module_state *state,
		      const struct pa_kernel *kernel);

#endif
