/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the programs that scripts/bench compiles share: opening a dump, the
 * clock, and figures on standard output, one name with its values a line.
 */
#ifndef PA_BENCH_H
#define PA_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernel/kernel.h"
#include "kernel/memmap.h"

/* Ends the program with the error's message unless @err is NULL. */
static inline void bench_ok(struct pa_error *err)
{
	if (!err)
		return;
	fprintf(stderr, "%s\n", err->message);
	exit(1);
}

static inline void bench_fail(const char *message)
{
	fprintf(stderr, "%s\n", message);
	exit(1);
}

static inline double bench_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Since when: by the wall, and of all threads' time on a processor. */
struct bench_time {
	double wall, cpu;
};

static inline struct bench_time bench_begin(void)
{
	return (struct bench_time){
		.wall = bench_clock(CLOCK_MONOTONIC),
		.cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID),
	};
}

/* "name WALL CPU" */
static inline void bench_end(const char *name, struct bench_time begin)
{
	struct bench_time end = bench_begin();

	printf("%s %.6f %.6f\n", name, end.wall - begin.wall,
	       end.cpu - begin.cpu);
}

static inline void bench_count(const char *name, uint64_t count)
{
	printf("%s %llu\n", name, (unsigned long long)count);
}

/* A line of /proc/self/status, in bytes; 0 if there is none. */
uint64_t bench_status_bytes(const char *name);

/*
 * Fills *@layout from the dump's BTF, or from @vmlinux where the dump has none.
 * @vmlinux may be NULL.
 */
void bench_layout(struct pa_source *source, const char *vmlinux,
		  struct pa_layout *layout);

/* The memory map of a dump, as pieces of physical memory. */
struct bench_span {
	uint64_t phys, bytes;
};

struct bench_spans {
	struct bench_span *items;
	size_t length, capacity;
	/* Struct pages in all of them. */
	uint64_t pages;
};

/* Where the struct pages of online memory lie that the dump has. */
void bench_memmap_spans(const struct pa_kernel *kernel,
			struct bench_spans *ret);

#endif
