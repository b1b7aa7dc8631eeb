/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Long work beside a Python thread that stays awake for signals. */
#ifndef PA_PYTHON_WATCH_H
#define PA_PYTHON_WATCH_H

#include "python/module.h"

#include "base/job.h"

/*
 * Runs @fn(@arg) on a thread of its own, without the GIL, while the calling
 * thread wakes every 100 ms to run signal handlers and to call
 * @progress(phase: str, done: int, total: int), unless that is None. When
 * either raises, @job is cancelled; the exception is seen once @fn has
 * returned, so @arg is never used after this.
 *
 * 0, or -1 with an exception (@fn's error as pa_raise() has it).
 */
int pa_watch_run(struct pa_module_state *state,
		 struct pa_error *(*fn)(void *arg), void *arg,
		 struct pa_job *job, PyObject *progress);

#endif
