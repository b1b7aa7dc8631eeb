/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storm KIND [ARGS]: memory used as roughly as it can be, at random, without
 * end; what fails for want of memory is passed over.
 */
#define _GNU_SOURCE
#include "storm.h"
#include "guest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

size_t below(size_t n)
{
	return n ? (size_t)random() % n : 0;
}

char *some(char *p, size_t size, size_t *len)
{
	size_t pages = size / PAGE_SIZE, first = below(pages);

	*len = (1 + below(below(pages - first) + 1)) * PAGE_SIZE;
	if (*len > size - first * PAGE_SIZE)
		*len = size - first * PAGE_SIZE;
	return p + first * PAGE_SIZE;
}

void write_some(char *p, size_t size)
{
	static int zero = -1;
	size_t len, i;
	char *at = some(p, size, &len);

	if (zero < 0)
		zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	/* A read of zeros stops at a hole where a store would kill us. */
	for (i = 0; i < len; i += PAGE_SIZE)
		if (read(zero, at + i, 8) < 0)
			break;
}

static void advise_some(char *p, size_t size)
{
	static const int hints[] = {
		MADV_DONTNEED, MADV_FREE,	 MADV_COLD,
		MADV_PAGEOUT,  MADV_COLLAPSE,	 MADV_HUGEPAGE,
		MADV_WILLNEED, MADV_NOHUGEPAGE,	 MADV_MERGEABLE,
		MADV_COLLAPSE, MADV_UNMERGEABLE, MADV_PAGEOUT,
	};
	size_t len;
	char *at = some(p, size, &len);

	madvise(at, len, hints[below(sizeof(hints) / sizeof(hints[0]))]);
}

void disturb(char *p, size_t size)
{
	size_t len;
	char *at = some(p, size, &len);

	switch (below(12)) {
	case 0:
		munmap(at, len);
		break;
	case 1:
		mprotect(at, len, PROT_READ);
		break;
	case 2:
		mprotect(at, len, PROT_READ | PROT_WRITE);
		break;
	case 3:
		mlock(at, len);
		break;
	case 4:
		munlock(at, len);
		break;
	case 5:
		mremap(at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
		       some(p, size - len + PAGE_SIZE, &len));
		break;
	case 6:
	case 7:
		write_some(p, size);
		break;
	default:
		advise_some(p, size);
	}
}

static void storm_thp(size_t size, int rounds)
{
	char *p = map_anon(size);
	int i;

	madvise(p, size, MADV_HUGEPAGE);
	for (i = 0; i < rounds; i++)
		disturb(p, size);
	munmap(p, size);
}

static void storm_forks(size_t size, int rounds)
{
	char *p = map_anon(size);
	int i, depth = 0;

	if (below(4))
		madvise(p, size, MADV_HUGEPAGE);
	write_some(p, size);
	for (i = 0; i < rounds; i++) {
		/* Children fork again: pages shared by many, then by few. */
		if (depth < 3 && !below(4) && !fork()) {
			depth++;
			srandom(getpid());
			continue;
		}
		disturb(p, size);
		if (depth && !below(8))
			_exit(0);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	if (depth)
		_exit(0);
	while (waitpid(-1, NULL, 0) > 0)
		;
	munmap(p, size);
}

/* A file of a directory: written, mapped, punched, cut, synced, dropped. */
static void storm_file(const char *dir, size_t size, int rounds)
{
	char path[256], *buffer = malloc(64 * PAGE_SIZE), *p;
	int i, fd;

	snprintf(path, sizeof(path), "%s/storm.%zu", dir, below(8));
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || !buffer) {
		free(buffer);
		return;
	}
	memset(buffer, 0, 64 * PAGE_SIZE);
	for (i = 0; i < rounds; i++) {
		size_t at = below(size / PAGE_SIZE) * PAGE_SIZE;
		size_t len = (1 + below(64)) * PAGE_SIZE;
		ssize_t n = 0;

		switch (below(10)) {
		case 0:
			n = ftruncate(fd, at);
			break;
		case 1:
			n = fallocate(
				fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				at, len);
			break;
		case 2:
			n = fdatasync(fd);
			break;
		case 3:
			posix_fadvise(fd, at, len, POSIX_FADV_DONTNEED);
			break;
		case 4:
			posix_fadvise(fd, at, len, POSIX_FADV_WILLNEED);
			break;
		case 5:
			p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
				 fd, 0);
			if (p == MAP_FAILED)
				break;
			advise_some(p, size);
			write_some(p, size);
			munmap(p, size);
			break;
		case 6:
		case 7:
			n = pread(fd, buffer, len, at);
			break;
		default:
			n = pwrite(fd, buffer, len, at);
		}
		(void)n;
	}
	if (!below(3))
		unlink(path);
	close(fd);
	free(buffer);
}

/* Huge pages of the pool: private and shared, inherited, given back. */
static void storm_hugetlb(size_t size, int rounds)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       (below(2) ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS |
			       MAP_HUGETLB | (below(2) ? MAP_NORESERVE : 0),
		       -1, 0);
	int i;

	if (p == MAP_FAILED) {
		usleep(20000);
		return;
	}
	for (i = 0; i < rounds; i++) {
		char *at = p + below(size / HUGE_SIZE) * HUGE_SIZE;

		if (!below(4))
			madvise(at, HUGE_SIZE, MADV_DONTNEED);
		else
			write_some(at, PAGE_SIZE);
	}
	if (!fork()) {
		write_some(p, HUGE_SIZE);
		_exit(0);
	}
	munmap(p, size);
	wait(NULL);
}

/* Pages lent to pipes, moved from one to the other, dropped with them. */
static void storm_pipes(size_t size, int rounds)
{
	char *p = map_anon(size), drain[4096];
	int a[2], b[2], i;

	if (pipe2(a, O_NONBLOCK | O_CLOEXEC) ||
	    pipe2(b, O_NONBLOCK | O_CLOEXEC))
		exit(1);
	for (i = 0; i < rounds; i++) {
		struct iovec v;

		v.iov_base = some(p, size, &v.iov_len);
		switch (below(6)) {
		case 0:
		case 1:
			vmsplice(a[1], &v, 1,
				 SPLICE_F_NONBLOCK |
					 (below(2) ? SPLICE_F_GIFT : 0));
			break;
		case 2:
			tee(a[0], b[1], 1 << 16, SPLICE_F_NONBLOCK);
			break;
		case 3:
			splice(a[0], NULL, b[1], NULL, 1 << 14,
			       SPLICE_F_NONBLOCK);
			break;
		case 4:
			if (read(b[0], drain, sizeof(drain)) < 0)
				write_some(p, size);
			break;
		default:
			disturb(p, size);
		}
	}
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
	munmap(p, size);
}

/* Soft memory errors: some pages a second, as each costs one for good. */
static void storm_poison(size_t size, int rounds)
{
	char *p = map_anon(size);
	int i;

	if (below(2))
		madvise(p, size, MADV_HUGEPAGE);
	for (i = 0; i < rounds; i++) {
		write_some(p, size);
		madvise(p + below(size / PAGE_SIZE) * PAGE_SIZE, PAGE_SIZE,
			MADV_SOFT_OFFLINE);
		usleep(300000);
	}
	munmap(p, size);
}

/* More than there is, a part of it at a time. */
static void storm_pressure(size_t size, int rounds)
{
	char *p = map_anon(size);
	int i;

	if (below(2))
		madvise(p, size, MADV_NOHUGEPAGE);
	for (i = 0; i < rounds; i++)
		write_some(p, size);
	munmap(p, size);
}

/* storm KIND MIB [ROUNDS [DIR]]: ROUNDS of 0, or none, is for ever. */
static int run_storm(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "thp";
	size_t size = (argc > 2 ? strtoul(argv[2], NULL, 0) : 16) * MIB;
	int rounds = argc > 3 ? atoi(argv[3]) : 0;
	const char *dir = argc > 4 ? argv[4] : "/tmp";

	do {
		int n = rounds ? rounds : 20 + (int)below(200);

		srandom(getpid() ^ time(NULL) ^ (unsigned int)random());
		if (!strcmp(kind, "thp"))
			storm_thp(size, n);
		else if (!strcmp(kind, "forks"))
			storm_forks(size, n);
		else if (!strcmp(kind, "file"))
			storm_file(dir, size, n);
		else if (!strcmp(kind, "hugetlb"))
			storm_hugetlb(size, n / 10);
		else if (!strcmp(kind, "pipes"))
			storm_pipes(size, n);
		else if (!strcmp(kind, "poison"))
			storm_poison(size, n);
		else if (!strcmp(kind, "pressure"))
			storm_pressure(size, n / 8);
		else if (!strcmp(kind, "uring"))
			storm_uring(size, n);
		else if (!strcmp(kind, "direct"))
			storm_direct(dir, size, n);
		else if (!strcmp(kind, "sockets"))
			storm_sockets(dir, size, n);
		else if (!strcmp(kind, "huge_shared"))
			storm_huge_shared(dir, n / 10);
		else
			return 64;
	} while (!rounds);
	return 0;
}

const struct command storm_commands[] = {
	{ "storm", run_storm },
	{ NULL, NULL },
};
