/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LAB_STORM_H
#define LAB_STORM_H

#include <stddef.h>

/* A random number below n; 0 where n is. */
size_t below(size_t n);

/* A page-aligned range within size bytes. */
char *some(char *p, size_t size, size_t *len);

/* Write to a range, as far as it is mapped and may be written to. */
void write_some(char *p, size_t size);

/* One of everything that may be done to a mapping. */
void disturb(char *p, size_t size);

/* Of storm_io.c: pages lent to the kernel while they are disturbed. */
void storm_uring(size_t size, int rounds);
void storm_direct(const char *dir, size_t size, int rounds);
void storm_sockets(const char *dir, size_t size, int rounds);
void storm_huge_shared(const char *dir, int rounds);

#endif
