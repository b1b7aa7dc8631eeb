/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mappings that are hard to count: one folio mapped whole here and by parts
 * there, at several addresses, by many tasks, by shared page tables, by none.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef __NR_memfd_secret
#define __NR_memfd_secret 447
#endif
#define GIB (1UL << 30)

static size_t number(int argc, char **argv, int i, size_t otherwise)
{
	return argc > i ? strtoul(argv[i], NULL, 0) : otherwise;
}

/*
 * Fork @count children, each of which runs @work with its number, and wait
 * until all of them have; they stay.
 */
static void crowd(size_t count, void (*work)(size_t, void *), void *arg)
{
	int ready[2];
	size_t i;

	if (pipe2(ready, O_CLOEXEC))
		die("pipe");
	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid)
			continue;
		close(ready[0]);
		work(i, arg);
		write_whole(ready[1], "", 1);
		close(ready[1]);
		for (;;)
			pause();
	}
	close(ready[1]);
	while (count--) {
		char byte;

		read_whole(ready[0], &byte, 1);
	}
	close(ready[0]);
}

/* An aligned range of addresses that nothing is mapped at. */
static char *reserve(size_t size, size_t align)
{
	char *p = mmap(NULL, size + align, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("%zu bytes of addresses", size);
	munmap(p, size + align);
	return (char *)(((uintptr_t)p + align - 1) & ~(align - 1));
}

static char *thps(size_t count)
{
	char *p = map_anon(count * HUGE_SIZE);

	if (madvise(p, count * HUGE_SIZE, MADV_HUGEPAGE))
		die("MADV_HUGEPAGE");
	touch(p, count * HUGE_SIZE);
	return p;
}

#define DOUBLED 8

static void double_one(size_t i, void *arg)
{
	char *p = arg, *moved;
	size_t j;

	switch (i % DOUBLED) {
	case 0:
		/* Mapped whole by others, by PTEs here. */
		for (j = 0; j < DOUBLED; j++)
			mprotect(p + j * HUGE_SIZE + 3 * PAGE_SIZE,
				 5 * PAGE_SIZE, PROT_READ);
		break;
	case 1:
		for (j = 0; j < DOUBLED; j++)
			munmap(p + j * HUGE_SIZE + 40 * PAGE_SIZE,
			       (j + 1) * 16 * PAGE_SIZE);
		break;
	case 2:
		for (j = 0; j < DOUBLED; j++)
			madvise(p + j * HUGE_SIZE, (j + 1) * 32 * PAGE_SIZE,
				MADV_DONTNEED);
		break;
	case 3:
		/* Copied on write, a page or the whole at a time. */
		touch(p + HUGE_SIZE + 7 * PAGE_SIZE, PAGE_SIZE);
		touch(p + 2 * HUGE_SIZE, 9 * PAGE_SIZE);
		break;
	case 4:
		moved = reserve(2 * HUGE_SIZE, HUGE_SIZE);
		mremap(p, HUGE_SIZE, HUGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       moved);
		mremap(p + HUGE_SIZE + 5 * PAGE_SIZE, 70 * PAGE_SIZE,
		       70 * PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       moved + HUGE_SIZE + PAGE_SIZE);
		break;
	case 5:
		mlock(p + 3 * HUGE_SIZE, HUGE_SIZE);
		mlock(p + 4 * HUGE_SIZE + 8 * PAGE_SIZE, 8 * PAGE_SIZE);
		break;
	case 6:
		mprotect(p + 5 * HUGE_SIZE, HUGE_SIZE, PROT_NONE);
		mprotect(p + 6 * HUGE_SIZE + PAGE_SIZE, PAGE_SIZE, PROT_NONE);
		break;
	default:
		/* All but one page, and all. */
		munmap(p, HUGE_SIZE - PAGE_SIZE);
		munmap(p + HUGE_SIZE, HUGE_SIZE);
	}
}

/*
 * doubled N: THPs of one parent that N children inherit, each of which does
 * another thing with them. One is given up by the parent afterwards.
 */
static int run_doubled(int argc, char **argv)
{
	size_t children = number(argc, argv, 1, DOUBLED);
	char *p;

	go_behind("doubled");
	p = thps(DOUBLED);
	crowd(children, double_one, p);
	munmap(p + 7 * HUGE_SIZE, HUGE_SIZE);
	munmap(p + 6 * HUGE_SIZE, HUGE_SIZE / 2);
	event("doubled pid=%d address=%p size=%lu children=%zu pfn=%lu",
	      getpid(), p, DOUBLED * HUGE_SIZE, children, pfn_of(p));
	settled();
}

static void crowd_one(size_t i, void *arg)
{
	char *p = arg;

	touch(p + i % 64 * PAGE_SIZE, PAGE_SIZE);
	if (i % 7 == 0)
		munmap(p + (i % 500) * PAGE_SIZE, 5 * PAGE_SIZE);
}

/* crowd N KIB [THPS]: N tasks that share the pages and THPs of their parent. */
static int run_crowd(int argc, char **argv)
{
	size_t count = number(argc, argv, 1, 200);
	size_t size = number(argc, argv, 2, 1024) << 10;
	size_t huge = number(argc, argv, 3, 2);
	char *p, *q;

	go_behind("crowd");
	p = map_anon(size);
	madvise(p, size, MADV_NOHUGEPAGE);
	touch(p, size);
	q = thps(huge ? huge : 1);
	if (!huge)
		munmap(q, HUGE_SIZE);
	crowd(count, crowd_one, p);
	event("crowd pid=%d address=%p size=%zu children=%zu pfn=%lu thp=%p",
	      getpid(), p, size, count, pfn_of(p), q);
	settled();
}

/*
 * aligned PATH MIB: a file mapped in tasks so that huge folios can be mapped
 * whole, so that they can't, and so that parts of them are; MADV_HUGEPAGE asks
 * file systems that can for large folios.
 */
struct aligned {
	int fd;
	size_t size;
};

static char *map_file(const struct aligned *f, size_t shift, int flags)
{
	char *p = reserve(f->size, HUGE_SIZE) + shift;

	p = mmap(p, f->size - HUGE_SIZE, PROT_READ | PROT_WRITE,
		 flags | MAP_FIXED, f->fd, 0);
	if (p == MAP_FAILED)
		die("mmap of a file");
	madvise(p, f->size - HUGE_SIZE, MADV_HUGEPAGE);
	return p;
}

static void read_all(const char *p, size_t size)
{
	size_t i;

	for (i = 0; i < size; i += PAGE_SIZE)
		(void)*(volatile const char *)(p + i);
}

static void align_one(size_t i, void *arg)
{
	const struct aligned *f = arg;
	size_t size = f->size - HUGE_SIZE, j;
	char *p;

	p = map_file(f, i == 1 ? 5 * PAGE_SIZE : 0,
		     i == 3 ? MAP_PRIVATE : MAP_SHARED);
	read_all(p, size);
	for (j = 0; j + HUGE_SIZE <= size; j += HUGE_SIZE) {
		if (i == 2)
			munmap(p + j + 11 * PAGE_SIZE, 22 * PAGE_SIZE);
		/* Copies of some pages, and the file's for the rest. */
		if (i == 3)
			touch(p + j, 3 * PAGE_SIZE);
		if (i == 4)
			mprotect(p + j + 9 * PAGE_SIZE, PAGE_SIZE, PROT_READ);
	}
}

static int run_aligned(int argc, char **argv)
{
	struct aligned f = { -1, number(argc, argv, 2, 8) * MIB };
	const char *path = argc > 1 ? argv[1] : "/tmp/aligned";
	char *buffer, *p;
	size_t i;

	go_behind("aligned");
	f.fd = open(path, O_RDWR | O_CREAT, 0600);
	buffer = calloc(1, MIB);
	if (f.fd < 0 || !buffer)
		die("%s", path);
	for (i = 0; i < f.size; i += MIB)
		write_whole(f.fd, buffer, MIB);
	fsync(f.fd);
	/* What was written a little at a time comes back in large folios. */
	posix_fadvise(f.fd, 0, 0, POSIX_FADV_DONTNEED);
	crowd(5, align_one, &f);
	p = map_file(&f, 0, MAP_SHARED);
	read_all(p, f.size - HUGE_SIZE);
	event("aligned pid=%d address=%p size=%zu pfn=%lu path=%s", getpid(), p,
	      f.size - HUGE_SIZE, pfn_of(p), path);
	settled();
}

/* moved: THPs and pages moved to other addresses, whole and in parts. */
static int run_moved(int argc, char **argv)
{
	char *p, *q, *to;

	(void)argc;
	(void)argv;
	go_behind("moved");
	p = thps(6);
	to = reserve(12 * HUGE_SIZE, HUGE_SIZE);
	mremap(p, HUGE_SIZE, HUGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	mremap(p + HUGE_SIZE, HUGE_SIZE, HUGE_SIZE,
	       MREMAP_MAYMOVE | MREMAP_FIXED, to + 2 * HUGE_SIZE + PAGE_SIZE);
	mremap(p + 2 * HUGE_SIZE, HUGE_SIZE, HUGE_SIZE,
	       MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
	       to + 4 * HUGE_SIZE);
	/* Half of one folio at each of two places. */
	mremap(p + 3 * HUGE_SIZE + HUGE_SIZE / 2, HUGE_SIZE, HUGE_SIZE,
	       MREMAP_MAYMOVE | MREMAP_FIXED, to + 6 * HUGE_SIZE);
	/* Across the end of a page table. */
	mremap(p + 5 * HUGE_SIZE, 30 * PAGE_SIZE, 30 * PAGE_SIZE,
	       MREMAP_MAYMOVE | MREMAP_FIXED,
	       to + 9 * HUGE_SIZE - 15 * PAGE_SIZE);
	q = map_anon(MIB);
	madvise(q, MIB, MADV_NOHUGEPAGE);
	touch(q, MIB);
	mprotect(q + 10 * PAGE_SIZE, 10 * PAGE_SIZE, PROT_NONE);
	mprotect(p + 4 * HUGE_SIZE + HUGE_SIZE / 2, PAGE_SIZE, PROT_NONE);
	event("moved pid=%d address=%p pfn=%lu", getpid(), to, pfn_of(to));
	settled();
}

struct hugetlbfs {
	int fd;
	char *at;
};

static void share_one(size_t i, void *arg)
{
	const struct hugetlbfs *f = arg;
	char *p = mmap(f->at, GIB, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_NORESERVE | MAP_FIXED, f->fd, 0);

	if (p == MAP_FAILED)
		die("mmap of a GiB of hugetlbfs");
	touch(p + (i % 4) * 5 * HUGE_SIZE, PAGE_SIZE);
	/* One who maps other than whole GiBs has page tables of its own. */
	if (i == 1)
		munmap(p + GIB / 2, GIB / 2);
}

/*
 * huge_shared N: a sparse GiB of hugetlbfs in N tasks, which share the page
 * tables of it; and private mappings of the same file, one of them written to.
 */
static int run_huge_shared(int argc, char **argv)
{
	size_t count = number(argc, argv, 1, 6);
	struct hugetlbfs f;
	char *p, *q;

	go_behind("huge_shared");
	f.fd = open("/mnt/huge/shared", O_RDWR | O_CREAT, 0600);
	if (f.fd < 0 || ftruncate(f.fd, GIB))
		die("/mnt/huge/shared");
	f.at = reserve(GIB, GIB);
	crowd(count, share_one, &f);
	share_one(0, &f);
	q = mmap(NULL, 6 * HUGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_NORESERVE, f.fd, 0);
	if (q == MAP_FAILED)
		die("mmap of a private part");
	read_all(q, PAGE_SIZE);
	read_all(q + 5 * HUGE_SIZE, PAGE_SIZE);
	touch(q + 5 * HUGE_SIZE, PAGE_SIZE);
	p = f.at;
	event("huge_shared pid=%d address=%p children=%zu pfn=%lu private=%p",
	      getpid(), p, count, pfn_of(p), q);
	settled();
}

static void cow_one(size_t i, void *arg)
{
	touch((char *)arg + i * HUGE_SIZE, PAGE_SIZE);
}

/* huge_cow: private huge pages of two children, of which each copies one. */
static int run_huge_cow(int argc, char **argv)
{
	char *p;

	(void)argc;
	(void)argv;
	go_behind("huge_cow");
	p = mmap(NULL, 2 * HUGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1,
		 0);
	if (p == MAP_FAILED)
		die("mmap of hugetlb");
	touch(p, 2 * HUGE_SIZE);
	crowd(2, cow_one, p);
	event("huge_cow pid=%d address=%p pfn=%lu", getpid(), p, pfn_of(p));
	settled();
}

/* A device's registers; whatever has some that may be mapped. */
static char *map_resource(void)
{
	DIR *devices = opendir("/sys/bus/pci/devices");
	struct dirent *entry;
	char path[512];
	char *p = MAP_FAILED;

	while (devices && p == MAP_FAILED && (entry = readdir(devices))) {
		int fd;

		snprintf(path, sizeof(path),
			 "/sys/bus/pci/devices/%s/resource0", entry->d_name);
		fd = open(path, O_RDWR | O_SYNC);
		if (fd < 0)
			continue;
		p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 fd, 0);
		close(fd);
	}
	if (devices)
		closedir(devices);
	return p;
}

/*
 * special: what is mapped and has no count: the BIOS through /dev/mem, device
 * registers, the zero page and the huge one.
 */
static int run_special(int argc, char **argv)
{
	char *rom, *resource, *zero;
	int fd;

	(void)argc;
	(void)argv;
	go_behind("special");
	fd = open("/dev/mem", O_RDONLY);
	rom = mmap(NULL, 0x20000, PROT_READ, MAP_SHARED, fd, 0xE0000);
	if (rom != MAP_FAILED)
		read_all(rom, 0x20000);
	resource = map_resource();
	zero = map_anon(2 * HUGE_SIZE);
	madvise(zero, HUGE_SIZE, MADV_HUGEPAGE);
	madvise(zero + HUGE_SIZE, HUGE_SIZE, MADV_NOHUGEPAGE);
	read_all(zero, PAGE_SIZE);
	read_all(zero + HUGE_SIZE, 64 * PAGE_SIZE);
	event("special pid=%d rom=%d resource=%d zero=%p", getpid(),
	      rom != MAP_FAILED, resource != MAP_FAILED, zero);
	settled();
}

/* segments: SysV shared memory, memfd, secret memory, attached and not. */
static int run_segments(int argc, char **argv)
{
	char *p = NULL, *q, *r;
	int fd, id, i;

	(void)argc;
	(void)argv;
	go_behind("segments");
	for (i = 0; i < 2; i++) {
		id = shmget(IPC_PRIVATE, MIB, IPC_CREAT | 0600);
		p = shmat(id, NULL, 0);
		if (p == (void *)-1)
			die("shmat");
		touch(p, MIB / 2);
		/* One is left without anybody, one is to go with us. */
		if (!i)
			shmdt(p);
		else
			shmctl(id, IPC_RMID, NULL);
	}
	fd = memfd_create("lab", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, MIB))
		die("memfd");
	q = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	r = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (q == MAP_FAILED || r == MAP_FAILED)
		die("mmap of memfd");
	touch(q, MIB / 2);
	read_all(r, MIB / 4);
	touch(r, MIB / 8);
	fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	if (fd >= 0 && !ftruncate(fd, HUGE_SIZE)) {
		r = mmap(NULL, HUGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 fd, 0);
		if (r != MAP_FAILED)
			touch(r, PAGE_SIZE);
	}
	fd = syscall(__NR_memfd_secret, 0);
	if (fd >= 0 && !ftruncate(fd, 4 * PAGE_SIZE)) {
		r = mmap(NULL, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED, fd, 0);
		if (r != MAP_FAILED)
			touch(r, 4 * PAGE_SIZE);
	}
	event("segments pid=%d shm=%p memfd=%p secret=%d pfn=%lu", getpid(), p,
	      q, fd, pfn_of(q));
	settled();
}

static void swap_one(size_t i, void *arg)
{
	char *p = arg;

	/* Each reads other pages in, one writes. */
	read_all(p + i * 64 * PAGE_SIZE, 32 * PAGE_SIZE);
	if (i)
		touch(p + 300 * PAGE_SIZE, 16 * PAGE_SIZE);
}

/* swapped MIB: pages, THPs and shared memory swapped out, before and after a fork. */
static int run_swapped(int argc, char **argv)
{
	size_t size = number(argc, argv, 1, 4) * MIB;
	char *p, *q, *r;

	go_behind("swapped");
	p = map_anon(size);
	madvise(p, size, MADV_NOHUGEPAGE);
	touch(p, size);
	q = thps(2);
	r = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		 -1, 0);
	if (r == MAP_FAILED)
		die("mmap");
	touch(r, size);
	madvise(p, size / 2, MADV_PAGEOUT);
	madvise(q, HUGE_SIZE, MADV_PAGEOUT);
	madvise(q + HUGE_SIZE, 64 * PAGE_SIZE, MADV_PAGEOUT);
	madvise(r, size / 2, MADV_PAGEOUT);
	crowd(2, swap_one, p);
	read_all(p, 16 * PAGE_SIZE);
	read_all(q, 8 * PAGE_SIZE);
	read_all(r, 16 * PAGE_SIZE);
	event("swapped pid=%d address=%p size=%zu thp=%p shmem=%p", getpid(), p,
	      size, q, r);
	settled();
}

const struct command mapped_commands[] = {
	{ "doubled", run_doubled },	    { "crowd", run_crowd },
	{ "aligned", run_aligned },	    { "moved", run_moved },
	{ "huge_shared", run_huge_shared }, { "huge_cow", run_huge_cow },
	{ "special", run_special },	    { "segments", run_segments },
	{ "swapped", run_swapped },	    { NULL, NULL },
};
