/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Storms of memory that is lent: to rings, sockets and devices, and of page
 * tables that tasks share; what was lent is unmapped, moved and split meanwhile.
 */
#define _GNU_SOURCE
#include "guest.h"
#include "storm.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#define SO_ZEROCOPY 60
#endif
#define GIB (1UL << 30)
#define BUFFERS 8
#define REGISTER_BUFFERS 0
#define UNREGISTER_BUFFERS 1

static char *lent_memory(size_t size)
{
	char *p = map_anon(size);

	if (below(2))
		madvise(p, size, MADV_HUGEPAGE);
	write_some(p, size);
	return p;
}

void storm_uring(size_t size, int rounds)
{
	uint32_t params[30] = { 0 };
	int fd = syscall(__NR_io_uring_setup, 8, params), i, j;
	char *p = lent_memory(size);

	for (i = 0; i < rounds; i++) {
		struct iovec iov[BUFFERS];

		for (j = 0; j < BUFFERS; j++)
			iov[j].iov_base = some(p, size, &iov[j].iov_len);
		if (!below(3))
			syscall(__NR_io_uring_register, fd, UNREGISTER_BUFFERS,
				NULL, 0);
		/* Fails where a part of it is no longer mapped. */
		syscall(__NR_io_uring_register, fd, REGISTER_BUFFERS, iov,
			1 + below(BUFFERS));
		disturb(p, size);
	}
	close(fd);
	munmap(p, size);
}

struct disturbed {
	char *p;
	size_t size;
	volatile int over;
};

static void *disturb_on(void *arg)
{
	struct disturbed *d = arg;

	while (!d->over) {
		disturb(d->p, d->size);
		usleep(1000);
	}
	return NULL;
}

/* A file around the page cache, many requests at a time. */
void storm_direct(const char *dir, size_t size, int rounds)
{
	struct disturbed d = { lent_memory(size), size, 0 };
	struct iocb io[BUFFERS], *list[BUFFERS];
	struct io_event events[BUFFERS];
	aio_context_t context = 0;
	pthread_t thread;
	char path[256];
	int fd, i, j;

	snprintf(path, sizeof(path), "%s/direct.%zu", dir, below(4));
	fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0600);
	if (fd < 0 || ftruncate(fd, 8 * MIB) ||
	    syscall(__NR_io_setup, 2 * BUFFERS, &context) ||
	    pthread_create(&thread, NULL, disturb_on, &d))
		exit(1);
	for (i = 0; i < rounds; i++) {
		struct timespec wait = { 1, 0 };
		long n;

		memset(io, 0, sizeof(io));
		for (j = 0; j < BUFFERS; j++) {
			size_t len;
			char *at = some(d.p, size, &len);

			if (len > 64 * PAGE_SIZE)
				len = 64 * PAGE_SIZE;
			io[j].aio_fildes = fd;
			io[j].aio_lio_opcode = below(2) ? IOCB_CMD_PWRITE :
							  IOCB_CMD_PREAD;
			io[j].aio_buf = (uintptr_t)at;
			io[j].aio_nbytes = len;
			io[j].aio_offset = below(1024) * PAGE_SIZE;
			list[j] = &io[j];
		}
		n = syscall(__NR_io_submit, context, BUFFERS, list);
		if (n > 0 && below(3))
			syscall(__NR_io_getevents, context, n, n, events,
				&wait);
		else
			syscall(__NR_io_getevents, context, 0, BUFFERS, events,
				&wait);
	}
	d.over = 1;
	pthread_join(thread, NULL);
	syscall(__NR_io_destroy, context);
	close(fd);
	munmap(d.p, size);
}

static int connection(int fds[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t length = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int failed;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	failed = bind(listener, (struct sockaddr *)&at, sizeof(at)) ||
		 listen(listener, 1) ||
		 getsockname(listener, (struct sockaddr *)&at, &length) ||
		 connect(fds[0], (struct sockaddr *)&at, sizeof(at));
	fds[1] = failed ? -1 : accept(listener, NULL, NULL);
	close(listener);
	return fds[1] < 0;
}

/* Sent with and without a copy, and files' pages; read a little, or not at all. */
void storm_sockets(const char *dir, size_t size, int rounds)
{
	char *p = lent_memory(size), path[256];
	static char drain[65536];
	int fds[2], file, one = 1, i;

	snprintf(path, sizeof(path), "%s/storm.%zu", dir, below(8));
	file = open(path, O_RDWR | O_CREAT, 0600);
	if (connection(fds) || file < 0)
		exit(1);
	setsockopt(fds[0], SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one));
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	for (i = 0; i < rounds; i++) {
		loff_t offset = below(64) * PAGE_SIZE;
		size_t len;
		char *at = some(p, size, &len);
		ssize_t n = 0;

		switch (below(6)) {
		case 0:
			n = send(fds[0], at, len, MSG_DONTWAIT);
			break;
		case 1:
		case 2:
			n = send(fds[0], at, len, MSG_DONTWAIT | MSG_ZEROCOPY);
			break;
		case 3:
			n = sendfile(fds[0], file, &offset, len);
			break;
		case 4:
			n = read(fds[1], drain, sizeof(drain));
			break;
		default:
			disturb(p, size);
		}
		(void)n;
	}
	close(fds[0]);
	close(fds[1]);
	close(file);
	munmap(p, size);
}

/* A sparse GiB of hugetlbfs, whose page tables its tasks share and stop sharing. */
void storm_huge_shared(const char *dir, int rounds)
{
	char path[256], *p;
	int fd, i, j;

	snprintf(path, sizeof(path), "%s/shared.%zu", dir, below(2));
	fd = open(path, O_RDWR | O_CREAT, 0600);
	p = mmap(NULL, 2 * GIB, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fd < 0 || ftruncate(fd, GIB) || p == MAP_FAILED)
		exit(1);
	munmap(p, 2 * GIB);
	p = (char *)(((uintptr_t)p + GIB - 1) & ~(GIB - 1));
	for (i = 0; i < 3; i++) {
		if (fork())
			continue;
		srandom(getpid());
		if (mmap(p, GIB, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0) != p)
			_exit(1);
		for (j = 0; j < rounds; j++) {
			char *at = p + below(8) * HUGE_SIZE;

			switch (below(6)) {
			case 0:
				mprotect(at, HUGE_SIZE, PROT_READ);
				break;
			case 1:
				munmap(p + GIB / 2, GIB / 2);
				break;
			case 2:
				if (fallocate(fd,
					      FALLOC_FL_PUNCH_HOLE |
						      FALLOC_FL_KEEP_SIZE,
					      at - p, HUGE_SIZE))
					break;
				break;
			default:
				write_some(at, PAGE_SIZE);
			}
			usleep(5000);
		}
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	if (!below(3))
		unlink(path);
	close(fd);
}
