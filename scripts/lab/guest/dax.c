/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages of device memory that outlive their mappings, and who waits for them. */
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
#include <sys/wait.h>
#include <unistd.h>

#define IORING_REGISTER_BUFFERS 0
#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#define __NR_io_uring_register 427
#endif

/* Registered with a ring; which not all kernels allow for files' pages. 0, or errno. */
static int register_pages(char *p, size_t size)
{
	struct iovec iov = { p, size };
	uint32_t params[30] = { 0 };
	int fd = syscall(__NR_io_uring_setup, 8, params);

	if (fd < 0)
		die("io_uring_setup");
	if (!syscall(__NR_io_uring_register, fd, IORING_REGISTER_BUFFERS, &iov,
		     1))
		return 0;
	close(fd);
	return errno;
}

/*
 * dax_pins PATH [map]: pages of a file or device given to a pipe, one of them
 * twice, and others registered with io_uring; with map, two processes go on to
 * have them mapped, else nobody.
 */
static int run_dax_pins(int argc, char **argv)
{
	int map = argc > 2, fd, pipes[2], more[2], err;
	struct iovec iov;
	uint64_t pfn;
	char *p;

	if (argc < 2)
		return 64;
	go_behind("dax_pins");
	fd = open(argv[1], O_RDWR);
	if (fd < 0 || pipe(pipes) || pipe(more))
		die("%s", argv[1]);
	p = mmap(NULL, HUGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap of %s", argv[1]);
	touch(p, HUGE_SIZE);
	pfn = pfn_of(p);
	iov = (struct iovec){ p + 5 * PAGE_SIZE, 4 * PAGE_SIZE };
	if (vmsplice(pipes[1], &iov, 1, 0) != (ssize_t)iov.iov_len ||
	    tee(pipes[0], more[1], PAGE_SIZE, 0) != PAGE_SIZE)
		die("vmsplice of %s", argv[1]);
	err = register_pages(p + 20 * PAGE_SIZE, 10 * PAGE_SIZE);
	if (!map)
		munmap(p, HUGE_SIZE);
	else if (!fork())
		for (touch(p, HUGE_SIZE / 2);;)
			pause();
	close(fd);
	event("dax_pins pid=%d path=%s address=%p pfn=%lu first=%lu pages=4 twice=%lu uring=%d map=%d",
	      getpid(), argv[1], p, pfn, pfn + 5, pfn + 5, err, map);
	settled();
}

/* A word of /proc/PID/NAME; the first, or what follows the command's name. */
static void proc_word(pid_t pid, const char *name, char word[64])
{
	char path[64], text[256], *p;
	int fd, n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = 0;
	if (fd >= 0)
		close(fd);
	p = strrchr(text, ')');
	if (sscanf(p ? p + 1 : text, "%63s", word) != 1)
		strcpy(word, "-");
}

/*
 * stuck COMMAND...: run until it ends, or has been asleep in one place for so
 * long that it waits for what does not come.
 */
static int run_stuck(int argc, char **argv)
{
	char state[64], where[64], before[64] = "";
	int status = 0, still = 0;
	pid_t pid, ended = 0;

	if (argc < 2)
		return 64;
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		setsid();
		execvp(argv[1], argv + 1);
		die("%s", argv[1]);
	}
	while (still < 15) {
		usleep(200 * 1000);
		ended = waitpid(pid, &status, WNOHANG);
		if (ended)
			break;
		proc_word(pid, "stat", state);
		proc_word(pid, "wchan", where);
		still = !strcmp(where, before) && strchr("DS", *state) ?
				still + 1 :
				0;
		strcpy(before, where);
	}
	if (ended && status)
		die("%s: status %d", argv[1], status);
	event("stuck pid=%d comm=%s ended=%d state=%s wchan=%s", pid, argv[1],
	      ended > 0, ended ? "-" : state, ended ? "-" : where);
	return 0;
}

const struct command dax_commands[] = {
	{ "dax_pins", run_dax_pins },
	{ "stuck", run_stuck },
	{ NULL, NULL },
};
