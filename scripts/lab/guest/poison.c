/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory errors, soft and hard, on every kind of user page. */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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
		madvise(p, size,
			*kind == 't' ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
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
		if (!strncmp(kind, "/mnt/huge/", 10)) {
			/* A file of hugetlbfs cannot be written to. */
			if (ftruncate(fd, size))
				die("ftruncate of %s", kind);
		} else if (strncmp(kind, "/dev/", 5) ||
			   !strncmp(kind, "/dev/shm/", 9)) {
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
	err = madvise(p + index * PAGE_SIZE, PAGE_SIZE,
		      soft ? MADV_SOFT_OFFLINE : MADV_HWPOISON) ?
		      errno :
		      0;
	event("poison how=%s kind=%s pid=%d address=%p pfn=%lu errno=%d keep=%d",
	      argv[1], argv[2], getpid(), p + index * PAGE_SIZE, pfn, err,
	      argc > 4);
	if (argc > 4)
		settled();
	_exit(0);
}

/* freed MIB [KIND]: prints the pfn of a page that was mapped and is free again (most likely). */
static int run_freed(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 0) : 8) * MIB;
	char *p = map_kind(argc > 2 ? argv[2] : "anon", size);

	printf("%lu\n", pfn_of(p + size / 2 + 77 * PAGE_SIZE));
	return 0;
}

/* thps PERCENT: take so much of what is free as THPs, once, and give it back. */
static int run_thps(int argc, char **argv)
{
	size_t size = 0, huge = 0, kib, i;
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128], *p;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemFree: %zu", &kib) == 1)
			size = kib * 1024 / 100 *
			       (argc > 1 ? atoi(argv[1]) : 80);
	size &= ~(HUGE_SIZE - 1);
	p = map_anon(size);
	madvise(p, size, MADV_HUGEPAGE);
	for (i = 0; i < size; i += HUGE_SIZE) {
		p[i] = 0;
		huge += pfn_of(p + i) % 512 == 0;
	}
	event("thps wanted=%zu got=%zu", size / HUGE_SIZE, huge);
	return 0;
}

/* A packet socket whose ring is one block of memory. */
static int packet_ring(size_t size)
{
	struct tpacket_req ring = {
		.tp_block_size = size,
		.tp_block_nr = 1,
		.tp_frame_size = 2048,
		.tp_frame_nr = size / 2048,
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)))
		die("a packet ring of %zu bytes", size);
	return fd;
}

/*
 * kernel_poison ORDER INDEX [again]: a buffer of 2^ORDER pages that belongs to the
 * kernel (a packet socket's ring) gets a memory error in its page INDEX, which the
 * kernel ignores, since it cannot handle such pages; then the buffer is freed. With
 * again, the next one of that size is asked for at once: up to order 3 it would get
 * the same pages, from this CPU's list.
 */
static int run_kernel_poison(int argc, char **argv)
{
	int order = argc > 1 ? atoi(argv[1]) : 3, again = argc > 3, fd, inject;
	size_t index = argc > 2 ? strtoul(argv[2], NULL, 0) : 5,
	       size = PAGE_SIZE << order;
	uint64_t first, last, pfn;
	cpu_set_t one;
	char text[32], *p;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die("sched_setaffinity");
	fd = packet_ring(size);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap of the packet ring");
	first = pfn_of(p);
	last = pfn_of(p + size - PAGE_SIZE);
	if (last - first != (1UL << order) - 1)
		die("pfns %lu to %lu", first, last);
	pfn = first + index;
	munmap(p, size);
	inject = open("/sys/kernel/debug/hwpoison/corrupt-pfn", O_WRONLY);
	snprintf(text, sizeof(text), "%lu\n", pfn);
	if (inject < 0)
		die("corrupt-pfn");
	/* It says EIO or EBUSY for a page that it ignores; the page is marked all the same. */
	if (write(inject, text, strlen(text)) < 0)
		snprintf(text, sizeof(text), "%d", errno);
	else
		strcpy(text, "0");
	close(fd);
	if (again)
		close(packet_ring(size));
	event("kernel_poison pfn=%lu first=%lu order=%d again=%d errno=%s", pfn,
	      first, order, again, text);
	return 0;
}

const struct command poison_commands[] = {
	{ "poison", run_poison }, { "freed", run_freed },
	{ "thps", run_thps },	  { "kernel_poison", run_kernel_poison },
	{ NULL, NULL },
};
