/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages held otherwise than by a mapping: pipes, registered buffers, AIO rings. */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define IORING_REGISTER_BUFFERS 0
#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#define __NR_io_uring_register 427
#endif

/* pipes N: N pipes, each with written bytes and with user pages given by vmsplice. */
static int run_pipes(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 4, i;
	char *p;

	go_behind("pipes");
	p = map_anon(HUGE_SIZE * 2);
	madvise(p, HUGE_SIZE, MADV_HUGEPAGE);
	madvise(p + HUGE_SIZE, HUGE_SIZE, MADV_NOHUGEPAGE);
	touch(p, HUGE_SIZE * 2);
	for (i = 0; i < count; i++) {
		char *part = p + (i & 1 ? HUGE_SIZE : 0) + i * 8 * PAGE_SIZE;
		struct iovec iov = { part, 4 * PAGE_SIZE };
		int fds[2];

		if (pipe(fds))
			die("pipe");
		write_whole(fds[1], "some bytes", 10);
		if (vmsplice(fds[1], &iov, 1, 0) != (ssize_t)iov.iov_len)
			die("vmsplice");
		event("pipe pid=%d address=%p pages=4 pfn=%lu", getpid(), part,
		      pfn_of(part));
	}
	settled();
}

/* uring MIB: anonymous memory registered with io_uring (FOLL_PIN | FOLL_LONGTERM). */
static int run_uring(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 0) : 4) * MIB;
	uint32_t params[30] = { 0 };
	struct iovec iov[2];
	char *p;
	int fd;

	go_behind("uring");
	p = map_anon(size);
	madvise(p, size / 2, MADV_HUGEPAGE);
	madvise(p + size / 2, size / 2, MADV_NOHUGEPAGE);
	touch(p, size);
	iov[0] = (struct iovec){ p, size / 2 };
	iov[1] = (struct iovec){ p + size / 2, size / 2 };
	fd = syscall(__NR_io_uring_setup, 8, params);
	if (fd < 0)
		die("io_uring_setup");
	if (syscall(__NR_io_uring_register, fd, IORING_REGISTER_BUFFERS, iov,
		    2))
		die("io_uring_register");
	event("uring pid=%d address=%p size=%zu pfn=%lu", getpid(), p, size,
	      pfn_of(p));
	settled();
}

/* A ring whose parts are mapped; @flags of io_uring_setup(). */
static int ring_of(uint32_t entries, uint32_t flags)
{
	static const uint64_t parts[] = { 0, 0x8000000, 0x10000000 };
	/* Of struct io_uring_params: flags, and how soon its thread sleeps. */
	uint32_t params[30] = { [2] = flags, [4] = 10 };
	int fd = syscall(__NR_io_uring_setup, entries, params);
	size_t i;

	if (fd < 0)
		die("io_uring_setup");
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char *p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_POPULATE, fd, parts[i]);

		if (p == MAP_FAILED)
			die("mmap of a ring");
	}
	return fd;
}

/*
 * uring_kinds: registered buffers on all kinds of pages, from the middle of
 * THPs, one page twice, and unmapped since; a ring that a kernel thread polls.
 */
static int run_uring_kinds(int argc, char **argv)
{
	char *thp, *huge, *shared, *pages;
	struct iovec iov[6];
	int fd, polled, memory;

	(void)argc;
	(void)argv;
	go_behind("uring_kinds");
	thp = map_anon(2 * HUGE_SIZE);
	madvise(thp, 2 * HUGE_SIZE, MADV_HUGEPAGE);
	touch(thp, 2 * HUGE_SIZE);
	huge = mmap(NULL, HUGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	memory = memfd_create("uring", MFD_CLOEXEC);
	if (huge == MAP_FAILED || memory < 0 || ftruncate(memory, MIB))
		die("huge page or memfd");
	touch(huge, HUGE_SIZE);
	shared = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (shared == MAP_FAILED)
		die("mmap of memfd");
	touch(shared, MIB);
	pages = map_anon(MIB);
	madvise(pages, MIB, MADV_NOHUGEPAGE);
	touch(pages, MIB);
	iov[0] = (struct iovec){ thp + 3 * PAGE_SIZE + 100, 40 * PAGE_SIZE };
	iov[1] = (struct iovec){ thp + HUGE_SIZE - 8 * PAGE_SIZE,
				 16 * PAGE_SIZE };
	iov[2] = (struct iovec){ huge + PAGE_SIZE, 300 * PAGE_SIZE };
	iov[3] = (struct iovec){ shared + 200, 20 * PAGE_SIZE };
	iov[4] = (struct iovec){ pages + 7, 30 * PAGE_SIZE };
	iov[5] = (struct iovec){ pages, 8 * PAGE_SIZE };
	fd = ring_of(64, 0);
	if (syscall(__NR_io_uring_register, fd, IORING_REGISTER_BUFFERS, iov,
		    6))
		die("io_uring_register");
	munmap(pages, 4 * PAGE_SIZE);
	munmap(thp + HUGE_SIZE, HUGE_SIZE);
	polled = ring_of(8, 1 << 1);
	event("uring_kinds pid=%d thp=%p huge=%p shared=%p pages=%p pfn=%lu polled=%d",
	      getpid(), thp, huge, shared, pages, pfn_of(thp), polled);
	settled();
}

/* aio N: a ring for N events. */
static int run_aio(int argc, char **argv)
{
	unsigned long context = 0;

	go_behind("aio");
	if (syscall(__NR_io_setup, argc > 1 ? atoi(argv[1]) : 128, &context))
		die("io_setup");
	event("aio pid=%d ring=%#lx", getpid(), context);
	settled();
}

const struct command pin_commands[] = {
	{ "pipes", run_pipes },
	{ "uring", run_uring },
	{ "uring_kinds", run_uring_kinds },
	{ "aio", run_aio },
	{ NULL, NULL },
};
