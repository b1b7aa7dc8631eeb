/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A job: one long piece of work that a user can watch and cancel, spread over
 * worker threads.
 */
#ifndef PA_BASE_JOB_H
#define PA_BASE_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Shared by the threads that work and the one that watches; every member is
 * atomic, so that watching needs no lock.
 */
struct pa_job {
	/* Set by the watcher; workers stop at their next item. */
	atomic_bool cancelled;
	/* What is being done now; a string literal. */
	_Atomic(const char *) phase;
	/* Units of work of this phase. */
	atomic_uint_fast64_t done;
	atomic_uint_fast64_t total;
	/* Threads to use; fixed before the job starts, at least 1. */
	unsigned int threads;
	/*
	 * The process may use so many hundredths of one processor; 0 for no
	 * bound. Fixed before the job starts, and measured from then on.
	 */
	unsigned int max_cpu;
	double begun, cpu_begun;
};

void pa_job_init(struct pa_job *job, unsigned int threads);
void pa_job_phase(struct pa_job *job, const char *phase, uint64_t total);
/* Seconds on a clock that only runs forward, for telling how long a part took. */
double pa_job_clock(void);
/* CPU seconds that this process has used, all its threads together. */
double pa_job_cpu_clock(void);
/*
 * pa_error_cancelled when the watcher asked us to stop. Sleeps first as long as
 * the job is above its max_cpu.
 */
struct pa_error *pa_job_check(const struct pa_job *job);

/*
 * One kind of parallel work over items 0 .. n-1. Items are handed out in
 * rising order, each to one worker.
 */
struct pa_work {
	/* Makes one thread's state, on that thread. */
	struct pa_error *(*start)(void *arg, void **worker_ret);
	struct pa_error *(*item)(void *worker, uint64_t index);
	/*
	 * Takes one thread's state apart, after all threads have ended, on the
	 * caller's thread: results merge here without a lock. Called for every
	 * started worker, also after an error (then @failed).
	 */
	struct pa_error *(*finish)(void *arg, void *worker, bool failed);
};

/*
 * Runs @work on the job's threads (the caller's own when there is but one) and
 * returns the first error. Progress counts items.
 */
struct pa_error *pa_job_run(struct pa_job *job, const struct pa_work *work,
			    void *arg, uint64_t nr_items);

#endif
