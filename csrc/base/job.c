// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/job.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"

void pa_job_init(struct pa_job *job, unsigned int threads)
{
	atomic_init(&job->cancelled, false);
	atomic_init(&job->phase, "");
	atomic_init(&job->done, 0);
	atomic_init(&job->total, 0);
	job->threads = threads ? threads : 1;
	job->max_cpu = 0;
	job->begun = pa_job_clock();
	job->cpu_begun = pa_job_cpu_clock();
}

void pa_job_phase(struct pa_job *job, const char *phase, uint64_t total)
{
	atomic_store(&job->done, 0);
	atomic_store(&job->total, total);
	atomic_store(&job->phase, phase);
}

static double clock_seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double pa_job_clock(void)
{
	return clock_seconds(CLOCK_MONOTONIC);
}

double pa_job_cpu_clock(void)
{
	return clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
}

static bool is_cancelled(const struct pa_job *job)
{
	return atomic_load_explicit(&job->cancelled, memory_order_relaxed);
}

/* Until what was used is no more than what may be. */
static void rest(const struct pa_job *job)
{
	/* Shorter rests cost more than they spare; longer ones delay Ctrl-C. */
	const double shortest = 0.002, longest = 0.1;

	while (!is_cancelled(job)) {
		double used = pa_job_cpu_clock() - job->cpu_begun;
		double owed = used * 100 / job->max_cpu -
			      (pa_job_clock() - job->begun);

		if (owed < shortest)
			return;
		if (owed > longest)
			owed = longest;

		struct timespec t = { .tv_nsec = (long)(owed * 1e9) };

		nanosleep(&t, NULL);
	}
}

struct pa_error *pa_job_check(const struct pa_job *job)
{
	if (job->max_cpu)
		rest(job);
	return is_cancelled(job) ? &pa_error_cancelled : NULL;
}

/* What the threads of one pa_job_run() share. */
struct crew {
	struct pa_job *job;
	const struct pa_work *work;
	void *arg;
	uint64_t nr_items;
	atomic_uint_fast64_t next;
	/* One thread failed: the others stop at their next item. */
	atomic_bool failed;
};

struct member {
	struct crew *crew;
	pthread_t thread;
	bool running;
	bool started;
	void *worker;
	struct pa_error *err;
};

static void *member_main(void *arg)
{
	struct member *member = arg;
	struct crew *crew = member->crew;

	member->err = crew->work->start(crew->arg, &member->worker);
	member->started = !member->err;
	while (!member->err && !atomic_load(&crew->failed)) {
		uint64_t index = atomic_fetch_add(&crew->next, 1);

		if (index >= crew->nr_items)
			break;
		member->err = pa_job_check(crew->job);
		if (!member->err)
			member->err = crew->work->item(member->worker, index);
		atomic_fetch_add_explicit(&crew->job->done, 1,
					  memory_order_relaxed);
	}
	if (member->err)
		atomic_store(&crew->failed, true);
	return NULL;
}

struct pa_error *pa_job_run(struct pa_job *job, const struct pa_work *work,
			    void *arg, uint64_t nr_items)
{
	struct crew crew = {
		.job = job, .work = work, .arg = arg, .nr_items = nr_items
	};
	unsigned int size = job->threads;

	if (size > nr_items)
		size = nr_items ? (unsigned int)nr_items : 1;

	pa_auto_free struct member *members = calloc(size, sizeof(*members));

	if (!members)
		return &pa_error_no_memory;
	for (unsigned int i = 0; i < size; i++)
		members[i].crew = &crew;
	/* A thread that cannot be had is done without: the caller is one. */
	for (unsigned int i = 1; i < size; i++)
		members[i].running = !pthread_create(&members[i].thread, NULL,
						     member_main, &members[i]);
	member_main(&members[0]);

	struct pa_error *err = members[0].err;

	for (unsigned int i = 1; i < size; i++) {
		if (!members[i].running)
			continue;
		pthread_join(members[i].thread, NULL);
		if (err)
			pa_error_destroy(members[i].err);
		else
			err = members[i].err;
	}
	for (unsigned int i = 0; i < size; i++) {
		if (!members[i].started)
			continue;

		struct pa_error *late =
			work->finish(arg, members[i].worker, err != NULL);

		if (err)
			pa_error_destroy(late);
		else
			err = late;
	}
	return err;
}
