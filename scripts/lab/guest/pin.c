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
	{ "aio", run_aio },
	{ NULL, NULL },
};
