// SPDX-License-Identifier: LGPL-2.1-or-later
/* Jobs hand out each item once, and stop on the first error or when told. */
#include "base/job.h"

#include "check.h"

#define NR_ITEMS 1000

struct totals {
	struct pa_job *job;
	/* Of each item: how often it was handled. */
	unsigned char seen[NR_ITEMS];
	uint64_t sum;
	unsigned int nr_finished;
	uint64_t fail_at;
	uint64_t cancel_at;
};

struct worker {
	struct totals *totals;
	uint64_t sum;
};

static struct pa_error *start(void *arg, void **worker_ret)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return &pa_error_no_memory;
	worker->totals = arg;
	*worker_ret = worker;
	return NULL;
}

static struct pa_error *item(void *arg, uint64_t index)
{
	struct worker *worker = arg;

	if (index == worker->totals->fail_at)
		return pa_error_at(PA_ERROR_CORRUPT, index, "item %d",
				   (int)index);
	if (index == worker->totals->cancel_at)
		atomic_store(&worker->totals->job->cancelled, true);
	worker->totals->seen[index]++;
	worker->sum += index;
	return NULL;
}

static struct pa_error *finish(void *arg, void *worker_arg, bool failed)
{
	struct totals *totals = arg;
	struct worker *worker = worker_arg;

	if (!failed)
		totals->sum += worker->sum;
	totals->nr_finished++;
	free(worker);
	return NULL;
}

static const struct pa_work work = { start, item, finish };

static void check_run(unsigned int threads)
{
	struct pa_job job;
	struct totals totals = { .job = &job,
				 .fail_at = UINT64_MAX,
				 .cancel_at = UINT64_MAX };

	pa_job_init(&job, threads);
	pa_job_phase(&job, "testing", NR_ITEMS);
	CHECK_OK(pa_job_run(&job, &work, &totals, NR_ITEMS));
	for (int i = 0; i < NR_ITEMS; i++)
		CHECK(totals.seen[i] == 1);
	CHECK(totals.sum == (uint64_t)NR_ITEMS * (NR_ITEMS - 1) / 2);
	CHECK(totals.nr_finished >= 1 && totals.nr_finished <= threads);
	CHECK(atomic_load(&job.done) == NR_ITEMS);

	totals = (struct totals){ .job = &job,
				  .fail_at = 500,
				  .cancel_at = UINT64_MAX };
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_job_run(&job, &work, &totals, NR_ITEMS));
	CHECK(totals.sum == 0);
	CHECK(totals.seen[NR_ITEMS - 1] == 0);

	totals = (struct totals){ .job = &job,
				  .fail_at = UINT64_MAX,
				  .cancel_at = 500 };
	CHECK_ERROR(PA_ERROR_CANCELLED,
		    pa_job_run(&job, &work, &totals, NR_ITEMS));
	CHECK(totals.seen[NR_ITEMS - 1] == 0);
}

/* A job that has used too much rests, and one that is cancelled does not. */
static void check_rest(void)
{
	const double work_seconds = 0.02;
	struct pa_job job;

	pa_job_init(&job, 1);
	job.max_cpu = 20;
	while (pa_job_cpu_clock() - job.cpu_begun < work_seconds)
		;
	CHECK_OK(pa_job_check(&job));
	/* Within the rest that is too short to be taken. */
	CHECK(pa_job_clock() - job.begun > work_seconds * 100 / 20 - 0.003);

	job.max_cpu = 1;
	job.cpu_begun -= 100;
	atomic_store(&job.cancelled, true);
	CHECK_ERROR(PA_ERROR_CANCELLED, pa_job_check(&job));
	CHECK(pa_job_clock() - job.begun < 100);
}

int main(void)
{
	struct pa_job job;
	struct totals totals = { .job = &job };

	check_run(1);
	check_run(2);
	check_run(7);
	check_rest();

	pa_job_init(&job, 0);
	CHECK(job.threads == 1);
	CHECK_OK(pa_job_run(&job, &work, &totals, 0));
	CHECK(totals.nr_finished == 1);
	return CHECK_DONE();
}
