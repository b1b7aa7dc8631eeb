/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Address spaces that are not one task's: of tasks that are gone while somebody
 * reads their memory, of two tasks, and such as userfaultfd fills.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Missing pages of a range are ours to give from now on; -1: no such thing. */
static int watch_range(void *p, size_t size)
{
	struct uffdio_register range = {
		.range = { (uintptr_t)p, size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) ||
	    ioctl(fd, UFFDIO_REGISTER, &range))
		die("userfaultfd");
	return fd;
}

static void give(int fd, char *p, size_t pages)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)p,
		.len = pages * PAGE_SIZE,
	};
	struct uffdio_zeropage zero = {
		.range = { (uintptr_t)p + pages * PAGE_SIZE, 2 * PAGE_SIZE },
	};
	char *source = map_anon(pages * PAGE_SIZE);

	touch(source, pages * PAGE_SIZE);
	copy.src = (uintptr_t)source;
	if (ioctl(fd, UFFDIO_COPY, &copy) || ioctl(fd, UFFDIO_ZEROPAGE, &zero))
		die("UFFDIO_COPY");
	munmap(source, pages * PAGE_SIZE);
}

/*
 * ghost MIB: a task that was killed while another read a page of its memory
 * that nobody ever gives: the reader keeps all of the address space, which no
 * task shows any more.
 */
static int run_ghost(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 0) : 2) * MIB;
	char *p, *q, *missing, byte;
	int ready[2], fd;
	pid_t victim, reader;

	go_behind("ghost");
	/* Mapped before the fork, so that all know where; watched by the victim. */
	p = map_anon(size);
	madvise(p, size, MADV_NOHUGEPAGE);
	q = map_anon(HUGE_SIZE);
	madvise(q, HUGE_SIZE, MADV_HUGEPAGE);
	missing = map_anon(16 * PAGE_SIZE);
	madvise(missing, 16 * PAGE_SIZE, MADV_NOHUGEPAGE);
	if (pipe(ready))
		die("pipe");
	victim = fork();
	if (!victim) {
		fd = watch_range(missing, 16 * PAGE_SIZE);
		/* Who holds the file keeps faults waiting for it. */
		if (!fork())
			for (;;)
				pause();
		give(fd, missing, 4);
		touch(p, size);
		touch(q, HUGE_SIZE);
		event("ghost pid=%d address=%p size=%zu pfn=%lu thp=%p thp_pfn=%lu",
		      getpid(), p, size, pfn_of(p), q, pfn_of(q));
		write_whole(ready[1], "", 1);
		for (;;)
			pause();
	}
	read_whole(ready[0], &byte, 1);
	reader = fork();
	if (!reader) {
		struct iovec here = { &byte, 1 };
		struct iovec there = { missing + 10 * PAGE_SIZE, 1 };

		write_whole(ready[1], "", 1);
		if (process_vm_readv(victim, &here, 1, &there, 1, 0) < 0)
			die("process_vm_readv");
		for (;;)
			pause();
	}
	read_whole(ready[0], &byte, 1);
	usleep(300 * 1000);
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);
	event("ghosted pid=%d reader=%d", victim, reader);
	settled();
}

/* Reads a page that never comes. */
static void *fault(void *p)
{
	return (void *)(uintptr_t) * (volatile char *)p;
}

/* userfault: pages given by hand, and a thread that waits for one. */
static int run_userfault(int argc, char **argv)
{
	pthread_t thread;
	char *p;

	(void)argc;
	(void)argv;
	go_behind("userfault");
	p = map_anon(64 * PAGE_SIZE);
	give(watch_range(p, 64 * PAGE_SIZE), p, 20);
	if (pthread_create(&thread, NULL, fault, p + 60 * PAGE_SIZE))
		die("thread");
	usleep(100 * 1000);
	event("userfault pid=%d address=%p pfn=%lu", getpid(), p, pfn_of(p));
	settled();
}

static void *sleep_on(void *p)
{
	for (;;)
		pause();
	return p;
}

/* shared_mm: a parent that waits in vfork() and a task that has its memory; threads. */
static int run_shared_mm(int argc, char **argv)
{
	pthread_t thread;
	char *p;

	(void)argc;
	(void)argv;
	go_behind("shared_mm");
	p = map_anon(MIB);
	touch(p, MIB);
	event("shared_mm pid=%d address=%p pfn=%lu", getpid(), p, pfn_of(p));
	if (pthread_create(&thread, NULL, sleep_on, NULL))
		die("thread");
	if (!vfork())
		settled();
	_exit(1);
}

/* held_mem: /proc/PID/mem of a task that is gone: an mm_struct, and nothing in it. */
static int run_held_mem(int argc, char **argv)
{
	char path[64];
	pid_t pid;

	(void)argc;
	(void)argv;
	go_behind("held_mem");
	pid = fork();
	if (!pid)
		for (;;)
			pause();
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	if (open(path, O_RDONLY) < 0)
		die("%s", path);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	event("held_mem pid=%d of=%d", getpid(), pid);
	settled();
}

const struct command ghost_commands[] = {
	{ "ghost", run_ghost },
	{ "userfault", run_userfault },
	{ "shared_mm", run_shared_mm },
	{ "held_mem", run_held_mem },
	{ NULL, NULL },
};
