/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory errors, soft and hard, on every kind of user page. */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

static void *map_kind(const char *kind, size_t size)
{
	char *p;
	int fd;

	if (!strcmp(kind, "anon") || !strcmp(kind, "thp")) {
		p = map_anon(size);
		madvise(p, size, *kind == 't' ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		touch(p, size);
	} else if (!strcmp(kind, "hugetlb")) {
		p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
		if (p == MAP_FAILED)
			die("mmap of hugetlb");
		touch(p, size);
	} else {
		/* A path: a file that exists, or is made. */
		fd = open(kind, O_RDWR | O_CREAT, 0600);
		if (fd < 0)
			die("%s", kind);
		if (strncmp(kind, "/dev/", 5) || !strncmp(kind, "/dev/shm/", 9)) {
			char zero[PAGE_SIZE] = { 1 };
			size_t i;

			for (i = 0; i < size; i += PAGE_SIZE)
				write_whole(fd, zero, PAGE_SIZE);
			fsync(fd);
		}
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			die("mmap of %s", kind);
		for (size_t i = 0; i < size; i += PAGE_SIZE)
			((volatile char *)p)[i];
	}
	return p;
}

static void on_sigbus(int signal_number)
{
	(void)signal_number;
}

/*
 * poison soft|hard KIND INDEX [keep]: a 2 MiB mapping of that kind, its page
 * INDEX offlined or poisoned. Without keep the process then ends.
 */
static int run_poison(int argc, char **argv)
{
	size_t index;
	uint64_t pfn;
	int soft, err;
	char *p;

	if (argc < 4) {
		fprintf(stderr, "usage: poison soft|hard KIND INDEX [keep]\n");
		return 64;
	}
	soft = !strcmp(argv[1], "soft");
	index = strtoul(argv[3], NULL, 0);
	go_behind("poison");
	/* Some kernels force the signal, which kills where it is ignored. */
	signal(SIGBUS, on_sigbus);
	p = map_kind(argv[2], HUGE_SIZE);
	pfn = pfn_of(p + index * PAGE_SIZE);
	err = madvise(p + index * PAGE_SIZE, PAGE_SIZE, soft ? MADV_SOFT_OFFLINE : MADV_HWPOISON) ?
		      errno :
		      0;
	event("poison how=%s kind=%s pid=%d address=%p pfn=%lu errno=%d keep=%d", argv[1], argv[2],
	      getpid(), p + index * PAGE_SIZE, pfn, err, argc > 4);
	if (argc > 4)
		settled();
	_exit(0);
}

/* freed MIB: prints the pfn of a page that was mapped and is free again (most likely). */
static int run_freed(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 0) : 8) * MIB;
	char *p = map_anon(size);

	madvise(p, size, MADV_NOHUGEPAGE);
	touch(p, size);
	printf("%lu\n", pfn_of(p + size / 2));
	return 0;
}

const struct command poison_commands[] = {
	{ "poison", run_poison },
	{ "freed", run_freed },
	{ NULL, NULL },
};
