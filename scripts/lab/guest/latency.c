/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * latency MICROSECONDS: how late a real-time task is woken that sleeps so long
 * again and again, until SIGTERM; what an administrator feels of others' work.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Beyond these it goes on, with the first ones forgotten. */
#define SAMPLES (1UL << 18)
#define SECOND 1000000000L

static volatile sig_atomic_t over;

static void end(int signal)
{
	(void)signal;
	over = 1;
}

static int later(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int run_latency(int argc, char **argv)
{
	long period = (argc > 1 ? strtol(argv[1], NULL, 0) : 1000) * 1000;
	static const double parts[] = { 0.5, 0.9, 0.99, 0.999, 1 };
	struct sched_param high = { .sched_priority = 80 };
	struct sigaction action = { .sa_handler = end };
	static uint32_t late[SAMPLES];
	struct timespec next, now;
	size_t n = 0, have, i;

	sigaction(SIGTERM, &action, NULL);
	if (mlockall(MCL_CURRENT) || sched_setscheduler(0, SCHED_FIFO, &high))
		die("latency");
	/* The first touch of each page is not what is measured. */
	memset(late, 0xff, sizeof(late));
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!over) {
		long ns;

		next.tv_nsec += period;
		next.tv_sec += next.tv_nsec / SECOND;
		next.tv_nsec %= SECOND;
		if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next,
				    NULL))
			continue;
		clock_gettime(CLOCK_MONOTONIC, &now);
		ns = (now.tv_sec - next.tv_sec) * SECOND + now.tv_nsec -
		     next.tv_nsec;
		late[n++ % SAMPLES] = ns > 0 ? ns / 1000 : 0;
		/* What was missed is missed once. */
		if (ns > period)
			next = now;
	}
	have = n < SAMPLES ? n : SAMPLES;
	if (!have)
		return 1;
	qsort(late, have, sizeof(*late), later);
	printf("{\"samples\": %zu", n);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		printf(", \"%g\": %u", parts[i] * 100,
		       late[(size_t)(parts[i] * (have - 1))]);
	puts("}");
	return 0;
}

const struct command latency_commands[] = {
	{ "latency", run_latency },
	{ NULL, NULL },
};
