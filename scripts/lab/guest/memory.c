/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ordinary memory in all its kinds: anon, THP, shmem, hugetlb, KSM, forks. */
#define _GNU_SOURCE
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

static size_t mib_argument(int argc, char **argv, int i, size_t otherwise)
{
	return (argc > i ? strtoul(argv[i], NULL, 0) : otherwise) * MIB;
}

/* anon MIB: base pages only. */
static int run_anon(int argc, char **argv)
{
	size_t size = mib_argument(argc, argv, 1, 32);
	char *p;

	go_behind("anon");
	p = map_anon(size);
	madvise(p, size, MADV_NOHUGEPAGE);
	touch(p, size);
	event("anon pid=%d address=%p size=%zu pfn=%lu", getpid(), p, size,
	      pfn_of(p));
	settled();
}

/*
 * thp MIB: one quarter left whole, one PTE-mapped by mprotect of a part, one
 * with parts unmapped (on the deferred split list), one split and partly freed.
 */
static int run_thp(int argc, char **argv)
{
	size_t size = mib_argument(argc, argv, 1, 64), quarter = size / 4, i;
	char *p;

	go_behind("thp");
	p = map_anon(size);
	if (madvise(p, size, MADV_HUGEPAGE))
		die("MADV_HUGEPAGE");
	touch(p, size);
	for (i = quarter; i < 2 * quarter; i += HUGE_SIZE)
		if (mprotect(p + i + 64 * PAGE_SIZE, 16 * PAGE_SIZE, PROT_READ))
			die("mprotect");
	for (i = 2 * quarter; i < 3 * quarter; i += HUGE_SIZE)
		munmap(p + i + 100 * PAGE_SIZE, 32 * PAGE_SIZE);
	for (i = 3 * quarter; i < 4 * quarter; i += HUGE_SIZE)
		madvise(p + i, HUGE_SIZE / 2, MADV_DONTNEED);
	event("thp pid=%d address=%p size=%zu pfn=%lu", getpid(), p, size,
	      pfn_of(p));
	settled();
}

/* forks N MIB: N children share a parent's base pages and THPs and write a few. */
static int run_forks(int argc, char **argv)
{
	int children = argc > 1 ? atoi(argv[1]) : 4, ready[2], c;
	size_t size = mib_argument(argc, argv, 2, 16);
	char *p, *q, byte;

	go_behind("forks");
	p = map_anon(size);
	madvise(p, size, MADV_HUGEPAGE);
	touch(p, size);
	q = map_anon(size);
	madvise(q, size, MADV_NOHUGEPAGE);
	touch(q, size);
	if (pipe(ready))
		die("pipe");
	for (c = 0; c < children; c++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid)
			continue;
		touch(p + (c * HUGE_SIZE) % size, 3 * PAGE_SIZE);
		touch(q + (c * 17 * PAGE_SIZE) % size, 5 * PAGE_SIZE);
		if (c & 1)
			munmap(p + size / 2, size / 4);
		write_whole(ready[1], "", 1);
		for (;;)
			pause();
	}
	for (c = 0; c < children; c++)
		read_whole(ready[0], &byte, 1);
	event("forks pid=%d address=%p size=%zu children=%d pfn=%lu", getpid(),
	      p, 2 * size, children, pfn_of(p));
	settled();
}

/* shmem MIB [DIR]: a file of DIR (a tmpfs) and anonymous shared memory, mapped twice. */
static int run_shmem(int argc, char **argv)
{
	size_t size = mib_argument(argc, argv, 1, 32);
	const char *dir = argc > 2 ? argv[2] : "/dev/shm";
	char path[256], *p, *q, *r;
	int fd;

	go_behind("shmem");
	snprintf(path, sizeof(path), "%s/shmem.%d", dir, getpid());
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, size))
		die("%s", path);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	q = mmap(NULL, size / 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	r = mmap(NULL, size / 4, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || q == MAP_FAILED || r == MAP_FAILED)
		die("mmap");
	touch(p, size);
	touch(q, size / 2);
	touch(r, size / 4);
	event("shmem pid=%d address=%p size=%zu pfn=%lu path=%s", getpid(), p,
	      size, pfn_of(p), path);
	settled();
}

static struct {
	const char *start;
	size_t size;
} mapped_file;

static void read_mapped(int number)
{
	volatile const char *p = mapped_file.start;
	size_t i;

	(void)number;
	for (i = 0; i < mapped_file.size; i += PAGE_SIZE)
		(void)p[i];
}

/*
 * file PATH MIB: write a file, read it back, map the half of it. SIGUSR1: read that
 * half again, as the kernel may have unmapped it.
 */
static int run_file(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/tmp/file";
	size_t size = mib_argument(argc, argv, 2, 16), i;
	char *buffer, *p;
	int fd;

	go_behind("file");
	buffer = malloc(MIB);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (!buffer || fd < 0)
		die("%s", path);
	for (i = 0; i < size; i += MIB) {
		memset(buffer, 'a' + (i / MIB) % 26, MIB);
		write_whole(fd, buffer, MIB);
	}
	fsync(fd);
	p = mmap(NULL, size / 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap of %s", path);
	mapped_file.start = p;
	mapped_file.size = size / 2;
	read_mapped(0);
	touch(p, size / 8);
	signal(SIGUSR1, read_mapped);
	event("file pid=%d address=%p size=%zu pfn=%lu path=%s", getpid(), p,
	      size, pfn_of(p), path);
	settled();
}

/*
 * map PATH MIB: a part of a file or a device that is there already, mapped shared
 * by two tasks and written to.
 */
static int run_map(int argc, char **argv)
{
	size_t size = mib_argument(argc, argv, 2, 4);
	int fd, ready[2];
	pid_t pid;
	char *p, byte;

	if (argc < 2)
		return 64;
	go_behind("map");
	fd = open(argv[1], O_RDWR);
	if (fd < 0 || pipe(ready))
		die("%s", argv[1]);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap of %s", argv[1]);
	touch(p, size);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		touch(p, size / 2);
		write_whole(ready[1], "", 1);
		for (;;)
			pause();
	}
	read_whole(ready[0], &byte, 1);
	event("map pid=%d address=%p size=%zu pfn=%lu path=%s", getpid(), p,
	      size, pfn_of(p), argv[1]);
	settled();
}

/* hugetlb N: N huge pages mapped private, N shared by two tasks, one only reserved. */
static int run_hugetlb(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 0) : 4) * HUGE_SIZE;
	int flags = MAP_ANONYMOUS | MAP_HUGETLB, ready[2];
	char *p, *q, *r, byte;
	pid_t pid;

	go_behind("hugetlb");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | flags, -1,
		 0);
	q = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | flags, -1, 0);
	r = mmap(NULL, HUGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | flags,
		 -1, 0);
	if (p == MAP_FAILED || q == MAP_FAILED || r == MAP_FAILED)
		die("mmap of hugetlb");
	touch(p, size);
	touch(q, size);
	if (pipe(ready))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		touch(q, size);
		write_whole(ready[1], "", 1);
		for (;;)
			pause();
	}
	read_whole(ready[0], &byte, 1);
	event("hugetlb pid=%d private=%p shared=%p size=%zu pfn=%lu shared_pfn=%lu",
	      getpid(), p, q, size, pfn_of(p), pfn_of(q));
	settled();
}

/* ksm MIB: two processes with the same page contents, and an all-zero part. */
static int run_ksm(int argc, char **argv)
{
	size_t size = mib_argument(argc, argv, 1, 8), i;
	char *p;

	go_behind("ksm");
	fork();
	p = map_anon(size);
	madvise(p, size, MADV_NOHUGEPAGE);
	for (i = 0; i < size; i += PAGE_SIZE)
		memset(p + i, i < size / 8 ? 0 : 'k' + (i / PAGE_SIZE) % 7,
		       PAGE_SIZE);
	if (madvise(p, size, MADV_MERGEABLE))
		die("MADV_MERGEABLE");
	event("ksm pid=%d address=%p size=%zu", getpid(), p, size);
	settled();
}

/* mlocked MIB: locked anonymous memory, THPs and base pages. */
static int run_mlocked(int argc, char **argv)
{
	size_t size = mib_argument(argc, argv, 1, 8);
	char *p;

	go_behind("mlocked");
	p = map_anon(size);
	madvise(p, size / 2, MADV_HUGEPAGE);
	madvise(p + size / 2, size / 2, MADV_NOHUGEPAGE);
	if (mlock(p, size))
		die("mlock");
	touch(p, size);
	event("mlocked pid=%d address=%p size=%zu pfn=%lu", getpid(), p, size,
	      pfn_of(p));
	settled();
}

/* pageout MIB: anonymous memory, half of it reclaimed (to swap, where there is some). */
static int run_pageout(int argc, char **argv)
{
	size_t size = mib_argument(argc, argv, 1, 16);
	char *p;

	go_behind("pageout");
	p = map_anon(size);
	madvise(p, size, MADV_NOHUGEPAGE);
	touch(p, size);
	madvise(p, size / 2, MADV_PAGEOUT);
	/* Some come back: swap cache pages. */
	touch(p, size / 8);
	event("pageout pid=%d address=%p size=%zu", getpid(), p, size);
	settled();
}

/* churn MIB ROUNDS: leaves nothing but fragmented free lists behind. */
static int run_churn(int argc, char **argv)
{
	size_t size = mib_argument(argc, argv, 1, 64), i;
	int rounds = argc > 2 ? atoi(argv[2]) : 2;

	while (rounds--) {
		char *p = map_anon(size);

		madvise(p, size, rounds & 1 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		touch(p, size);
		for (i = 0; i < size; i += 8 * PAGE_SIZE)
			madvise(p + i, 3 * PAGE_SIZE, MADV_DONTNEED);
		munmap(p, size);
	}
	return 0;
}

/* migrate FROM TO: pages of all processes, to another node as far as they can. */
static int run_migrate(int argc, char **argv)
{
	unsigned long from, to;
	long moved = 0, left = 0;
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (argc != 3 || !proc)
		die("migrate");
	from = 1UL << atoi(argv[1]);
	to = 1UL << atoi(argv[2]);
	while ((entry = readdir(proc))) {
		int pid = atoi(entry->d_name);
		long status = pid > 1 && pid != getpid() ?
				      syscall(SYS_migrate_pages, pid, 64, &from,
					      &to) :
				      -1;

		if (status < 0)
			continue;
		moved++;
		left += status;
	}
	event("migrate from=%s to=%s processes=%ld left=%ld", argv[1], argv[2],
	      moved, left);
	return closedir(proc);
}

const struct command memory_commands[] = {
	{ "anon", run_anon },
	{ "thp", run_thp },
	{ "forks", run_forks },
	{ "shmem", run_shmem },
	{ "file", run_file },
	{ "map", run_map },
	{ "hugetlb", run_hugetlb },
	{ "ksm", run_ksm },
	{ "mlocked", run_mlocked },
	{ "pageout", run_pageout },
	{ "churn", run_churn },
	{ "migrate", run_migrate },
	{ NULL, NULL },
};
