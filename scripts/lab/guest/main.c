/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dispatch, and what all commands share. */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* How often touch() leaves its own address. */
#define MARK_BYTES (32 * PAGE_SIZE)

static int settled_fd = -1;

void die(const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(saved));
	exit(1);
}

void event(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int fd, len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (len > (int)sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	fd = open("/run/events", O_WRONLY | O_APPEND | O_CREAT, 0644);
	if (fd < 0)
		die("/run/events");
	write_whole(fd, line, len);
	close(fd);
}

void go_behind(const char *name)
{
	int fds[2], status;
	pid_t pid;
	char byte;

	if (pipe2(fds, O_CLOEXEC))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid) {
		close(fds[1]);
		if (read(fds[0], &byte, 1) == 1 && byte == 's')
			_exit(0);
		/* It ended, or is about to: what it had mapped is to be free by then. */
		waitpid(pid, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	close(fds[0]);
	settled_fd = fds[1];
	setsid();
	prctl(PR_SET_NAME, name);
}

void settled(void)
{
	write_whole(settled_fd, "s", 1);
	close(settled_fd);
	for (;;)
		pause();
}

uint64_t pfn_of(const void *address)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0)
		die("/proc/self/pagemap");
	if (pread(fd, &entry, 8, (uintptr_t)address / PAGE_SIZE * 8) != 8)
		die("pagemap of %p", address);
	close(fd);
	return entry >> 63 ? entry & ((1UL << 55) - 1) : 0;
}

void *map_anon(size_t size_bytes)
{
	uintptr_t start;
	char *p = mmap(NULL, size_bytes + HUGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap of %zu bytes", size_bytes);
	start = ((uintptr_t)p + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);
	if (start != (uintptr_t)p)
		munmap(p, start - (uintptr_t)p);
	munmap((char *)start + size_bytes, (uintptr_t)p + HUGE_SIZE - start);
	return (void *)start;
}

void touch(void *address, size_t size_bytes)
{
	char *p = address;
	size_t i;

	for (i = 0; i < size_bytes; i += PAGE_SIZE)
		*(volatile uint64_t *)(p + i) =
			i % MARK_BYTES ? 0 : (uintptr_t)(p + i) | 1;
}

void read_whole(int fd, void *buffer, size_t size)
{
	char *p = buffer;

	while (size) {
		ssize_t n = read(fd, p, size);

		if (n <= 0)
			die("read");
		p += n;
		size -= n;
	}
}

void write_whole(int fd, const void *buffer, size_t size)
{
	const char *p = buffer;

	while (size) {
		ssize_t n = write(fd, p, size);

		if (n <= 0)
			die("write");
		p += n;
		size -= n;
	}
}

int main(int argc, char **argv)
{
	static const struct command *const tables[] = {
		memory_commands, mapped_commands,  poison_commands,
		pin_commands,	 held_commands,	   ghost_commands,
		host_commands,	 truth_commands,   storm_commands,
		dax_commands,	 latency_commands, kexec_commands,
	};
	const struct command *c;
	size_t i;

	if (argc < 2) {
		fprintf(stderr, "usage: guest CMD ARGS\n");
		return 64;
	}
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (c = tables[i]; c->name; c++)
			if (!strcmp(c->name, argv[1]))
				return c->run(argc - 1, argv + 1);
	fprintf(stderr, "guest: no command %s\n", argv[1]);
	return 64;
}
