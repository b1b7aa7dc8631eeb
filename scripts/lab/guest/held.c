/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages that sit in queues: spliced into pipes, sent over sockets that nobody
 * reads, in I/O that a frozen file system keeps from ending.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#define SO_ZEROCOPY 60
#endif

static char *huge(void)
{
	char *p = map_anon(HUGE_SIZE);

	madvise(p, HUGE_SIZE, MADV_HUGEPAGE);
	touch(p, HUGE_SIZE);
	return p;
}

static char *base(size_t size)
{
	char *p = map_anon(size);

	madvise(p, size, MADV_NOHUGEPAGE);
	touch(p, size);
	return p;
}

/*
 * splices PATH: pages of a file in a pipe and, by tee, in a second; pages of a
 * THP and of a given away range in others; one pipe read in part.
 */
static int run_splices(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/tmp/file";
	char *thp, *gift, drain[6000];
	struct iovec iov;
	int a[2], b[2], c[2], d[2], fd;
	loff_t at = 3 * PAGE_SIZE + 100;
	ssize_t n, m;

	go_behind("splices");
	fd = open(path, O_RDONLY);
	if (fd < 0 || pipe(a) || pipe(b) || pipe(c) || pipe(d))
		die("%s", path);
	n = splice(fd, &at, a[1], NULL, 10 * PAGE_SIZE, 0);
	m = tee(a[0], b[1], 6 * PAGE_SIZE, 0);
	if (n <= 0 || m <= 0)
		die("splice of %s", path);
	read_whole(a[0], drain, 5000);
	thp = huge();
	iov = (struct iovec){ thp + 5 * PAGE_SIZE, 9 * PAGE_SIZE };
	if (vmsplice(c[1], &iov, 1, 0) < 0)
		die("vmsplice of a THP");
	/* What the pipe holds is nobody else's any more. */
	munmap(thp + 5 * PAGE_SIZE, 4 * PAGE_SIZE);
	gift = base(8 * PAGE_SIZE);
	iov = (struct iovec){ gift, 8 * PAGE_SIZE };
	if (vmsplice(d[1], &iov, 1, SPLICE_F_GIFT) < 0)
		die("vmsplice of a gift");
	munmap(gift, 4 * PAGE_SIZE);
	event("splices pid=%d path=%s file=%zd tee=%zd thp=%p pfn=%lu",
	      getpid(), path, n, m, thp, pfn_of(thp));
	settled();
}

/* A connection to ourselves, of which @fds[1] is the receiver that never reads. */
static void connected(int fds[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t length = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || fds[0] < 0 ||
	    bind(listener, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&at, &length) ||
	    connect(fds[0], (struct sockaddr *)&at, sizeof(at)))
		die("loopback");
	fds[1] = accept(listener, NULL, NULL);
	if (fds[1] < 0)
		die("accept");
	close(listener);
}

/* sockets PATH: what is sent and never read: copied, zero-copy, a file's pages. */
static int run_sockets(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/tmp/file";
	int copied[2], zero[2], file[2], unix_[2], datagram[2], one = 1, fd;
	size_t room = 512 << 10;
	char *thp, *pages;
	ssize_t n[6] = { 0 };
	loff_t at = 0;

	go_behind("sockets");
	fd = open(path, O_RDONLY);
	if (fd < 0)
		die("%s", path);
	connected(copied);
	connected(zero);
	connected(file);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, unix_) ||
	    socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram))
		die("socketpair");
	setsockopt(zero[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(int));
	if (setsockopt(zero[0], SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)))
		die("SO_ZEROCOPY");
	thp = huge();
	pages = base(MIB);
	n[0] = send(copied[0], pages, MIB / 2, MSG_DONTWAIT);
	/* Beyond the receiver's window: these stay with the sender, uncopied. */
	n[1] = send(zero[0], pages, MIB / 2, MSG_DONTWAIT | MSG_ZEROCOPY);
	n[2] = send(zero[0], thp + PAGE_SIZE, MIB / 2,
		    MSG_DONTWAIT | MSG_ZEROCOPY);
	fcntl(file[0], F_SETFL, O_NONBLOCK);
	n[3] = sendfile(file[0], fd, &at, MIB);
	fcntl(unix_[0], F_SETFL, O_NONBLOCK);
	at = PAGE_SIZE + 5;
	n[4] = sendfile(unix_[0], fd, &at, 16 * PAGE_SIZE);
	n[5] = send(datagram[0], pages, 60000, MSG_DONTWAIT);
	event("sockets pid=%d copied=%zd zero=%zd thp=%zd file=%zd unix=%zd datagram=%zd address=%p pfn=%lu",
	      getpid(), n[0], n[1], n[2], n[3], n[4], n[5], pages,
	      pfn_of(pages));
	settled();
}

/* rings: kernel memory mapped by tasks: a packet socket's ring, perf's buffers. */
static int run_rings(int argc, char **argv)
{
	struct tpacket_req ring = { 16384, 8, 2048, 64 };
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.sample_period = 100000000,
	};
	char *packets = MAP_FAILED, *samples = MAP_FAILED;
	int fd;

	(void)argc;
	(void)argv;
	go_behind("rings");
	fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	if (fd >= 0 &&
	    !setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)))
		packets = mmap(NULL, 16384 * 8, PROT_READ | PROT_WRITE,
			       MAP_SHARED, fd, 0);
	fd = syscall(__NR_perf_event_open, &attr, 0, -1, -1, 0);
	if (fd >= 0)
		samples = mmap(NULL, 9 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_SHARED, fd, 0);
	if (packets != MAP_FAILED)
		(void)*(volatile char *)(packets + 20000);
	if (samples != MAP_FAILED)
		(void)*(volatile char *)(samples + 2 * PAGE_SIZE);
	event("rings pid=%d packets=%d samples=%d", getpid(),
	      packets != MAP_FAILED, samples != MAP_FAILED);
	settled();
}

/*
 * direct DEVICE: asynchronous I/O around the page cache, and writeback, on a
 * device that answers no more: pages that belong to requests for ever.
 */
static int run_direct(int argc, char **argv)
{
	const char *device = argc > 1 ? argv[1] : "/dev/loop1";
	struct iocb io[6], *list[6];
	aio_context_t context = 0;
	char *pages, *thp, *buffer;
	int fd, cached, i, n;

	go_behind("direct");
	fd = open(device, O_RDWR | O_DIRECT);
	cached = open(device, O_RDWR);
	if (fd < 0 || cached < 0 || syscall(__NR_io_setup, 16, &context))
		die("%s", device);
	pages = base(64 * PAGE_SIZE);
	thp = huge();
	memset(io, 0, sizeof(io));
	for (i = 0; i < 6; i++) {
		char *p = i & 1 ? thp + i * 20 * PAGE_SIZE :
				  pages + i * 10 * PAGE_SIZE;

		io[i].aio_fildes = fd;
		io[i].aio_lio_opcode = i < 4 ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
		io[i].aio_buf = (uintptr_t)p;
		io[i].aio_nbytes = (i + 1) * PAGE_SIZE;
		io[i].aio_offset = i * MIB;
		list[i] = &io[i];
	}
	n = syscall(__NR_io_submit, context, 6, list);
	if (n != 6)
		die("io_submit");
	buffer = calloc(1, 16 * PAGE_SIZE);
	if (!buffer || pwrite(cached, buffer, 16 * PAGE_SIZE, 8 * MIB) < 0 ||
	    sync_file_range(cached, 8 * MIB, 16 * PAGE_SIZE,
			    SYNC_FILE_RANGE_WRITE))
		die("writeback to %s", device);
	/* One more who waits for what it asked for: reads, and never gets it. */
	if (!fork()) {
		if (pread(cached, buffer, 16 * PAGE_SIZE, 10 * MIB) < 0)
			_exit(1);
	}
	/* Two that wait for themselves: with a bio on the stack, and vectors too. */
	for (i = 0; i < 2; i++) {
		char *p = base((3 + 17 * i) * PAGE_SIZE);
		pid_t child = fork();

		if (!child) {
			if (pwrite(fd, p, (3 + 17 * i) * PAGE_SIZE,
				   (12 + i) * MIB) < 0)
				_exit(1);
			pause();
		}
		event("synchronous pid=%d address=%p pages=%d", child, p,
		      3 + 17 * i);
	}
	event("direct pid=%d address=%p thp=%p pfn=%lu", getpid(), pages, thp,
	      pfn_of(pages));
	settled();
}

const struct command held_commands[] = {
	{ "splices", run_splices },
	{ "sockets", run_sockets },
	{ "rings", run_rings },
	{ "direct", run_direct },
	{ NULL, NULL },
};
