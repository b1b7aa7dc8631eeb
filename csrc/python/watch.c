// SPDX-License-Identifier: LGPL-2.1-or-later
#include "python/watch.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#define WAKE_NS 100000000L

/* Shared by the watcher and the thread that works. */
struct watch {
	struct pa_error *(*fn)(void *arg);
	void *arg;
	struct pa_error *err;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	/* Under the lock. */
	bool done;
};

static void *watched_main(void *arg)
{
	struct watch *watch = arg;

	watch->err = watch->fn(watch->arg);
	pthread_mutex_lock(&watch->lock);
	watch->done = true;
	pthread_cond_signal(&watch->ended);
	pthread_mutex_unlock(&watch->lock);
	return NULL;
}

/* True when the work has ended; waits for that at most WAKE_NS. */
static bool wait_a_little(struct watch *watch)
{
	struct timespec until;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += WAKE_NS;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}

	pthread_mutex_lock(&watch->lock);
	while (!watch->done &&
	       pthread_cond_timedwait(&watch->ended, &watch->lock, &until) == 0)
		;
	done = watch->done;
	pthread_mutex_unlock(&watch->lock);
	return done;
}

static int report_progress(struct pa_job *job, PyObject *progress)
{
	if (progress == Py_None)
		return 0;

	PyObject *result = PyObject_CallFunction(
		progress, "sKK", atomic_load(&job->phase),
		(unsigned long long)atomic_load(&job->done),
		(unsigned long long)atomic_load(&job->total));

	Py_XDECREF(result);
	return result ? 0 : -1;
}

/* Started with all signals blocked: they are for the interpreter's threads. */
static int start_thread(pthread_t *thread, struct watch *watch)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);

	int ret = pthread_create(thread, NULL, watched_main, watch);

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

int pa_watch_run(struct pa_module_state *state,
		 struct pa_error *(*fn)(void *arg), void *arg,
		 struct pa_job *job, PyObject *progress)
{
	struct watch watch = { .fn = fn, .arg = arg };
	pthread_condattr_t attr;
	pthread_t thread;
	bool done = false;
	bool raised = false;

	pthread_mutex_init(&watch.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&watch.ended, &attr);
	pthread_condattr_destroy(&attr);

	int errnum = start_thread(&thread, &watch);

	if (errnum) {
		watch.err = pa_error_os(errnum, "starting a thread");
	} else {
		while (!done && !raised) {
			Py_BEGIN_ALLOW_THREADS
			done = wait_a_little(&watch);
			Py_END_ALLOW_THREADS

			raised = PyErr_CheckSignals() < 0 ||
				 report_progress(job, progress) < 0;
		}
		if (raised)
			atomic_store(&job->cancelled, true);

		Py_BEGIN_ALLOW_THREADS
		pthread_join(thread, NULL);
		Py_END_ALLOW_THREADS
	}
	pthread_cond_destroy(&watch.ended);
	pthread_mutex_destroy(&watch.lock);

	if (raised)
		pa_error_destroy(watch.err);
	else if (watch.err)
		pa_raise(state, watch.err);
	return raised || watch.err ? -1 : 0;
}
