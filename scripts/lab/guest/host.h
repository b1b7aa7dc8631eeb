/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LAB_HOST_H
#define LAB_HOST_H

#include <stddef.h>

/* The port to the host, raw. */
int host_open(void);

/* Say a line (with its newline), wait for a line, stored without its newline. */
void host_ask(int fd, const char *line, char *reply, size_t size);

#endif
