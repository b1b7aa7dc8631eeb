/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one program of the lab's guests: `guest CMD ARGS`. Workload commands stay
 * behind as processes that hold what they made, until the dump is taken.
 */
#ifndef LAB_GUEST_H
#define LAB_GUEST_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096UL
#define MIB (1UL << 20)
#define HUGE_SIZE (2 * MIB)

/* Print the message with errno and exit with status 1. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/*
 * Append "NAME key=value ..." to /run/events: what the host puts in the dump's
 * meta.json.
 */
void event(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Go on in a child; the parent exits with status 0 once the child calls
 * settled(), or with the child's status when it ends before.
 */
void go_behind(const char *name);
void settled(void) __attribute__((noreturn));

/* The pfn behind a mapped address of this process; 0 when there is none. */
uint64_t pfn_of(const void *address);

/* Private anonymous memory, aligned to 2 MiB. */
void *map_anon(size_t size_bytes);

/*
 * Write a word into each page: zero, so that the dump stays sparse, but for one
 * page in 32, which gets its own address.
 */
void touch(void *address, size_t size_bytes);

void read_whole(int fd, void *buffer, size_t size);
void write_whole(int fd, const void *buffer, size_t size);

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
};

extern const struct command memory_commands[];
extern const struct command poison_commands[];
extern const struct command mapped_commands[];
extern const struct command pin_commands[];
extern const struct command held_commands[];
extern const struct command ghost_commands[];
extern const struct command host_commands[];
extern const struct command truth_commands[];
extern const struct command storm_commands[];
extern const struct command dax_commands[];
extern const struct command latency_commands[];
extern const struct command kexec_commands[];

#endif
