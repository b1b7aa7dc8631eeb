/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words with the host over the second serial port: one line there, one line
 * back. The host plugs DIMMs, stops the machine and dumps it.
 */
#define _GNU_SOURCE
#include "host.h"
#include "guest.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define PORT "/dev/ttyS1"

int host_open(void)
{
	struct termios raw;
	int fd = open(PORT, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || tcgetattr(fd, &raw))
		die(PORT);
	cfmakeraw(&raw);
	raw.c_cflag |= CLOCAL;
	cfsetspeed(&raw, B115200);
	if (tcsetattr(fd, TCSANOW, &raw))
		die(PORT);
	return fd;
}

void host_ask(int fd, const char *line, char *reply, size_t size)
{
	size_t n = 0;

	write_whole(fd, line, strlen(line));
	for (;;) {
		char c;

		read_whole(fd, &c, 1);
		if (c == '\n')
			break;
		if (n + 1 < size)
			reply[n++] = c;
	}
	reply[n] = 0;
}

/* host WORDS...: prints the answer; status 1 where it does not begin with ok. */
static int run_host(int argc, char **argv)
{
	char line[512] = "", reply[512];
	int i;

	for (i = 1; i < argc; i++) {
		strncat(line, argv[i], sizeof(line) - strlen(line) - 2);
		strcat(line, i + 1 < argc ? " " : "\n");
	}
	host_ask(host_open(), line, reply, sizeof(reply));
	puts(reply);
	return strncmp(reply, "ok", 2) != 0;
}

const struct command host_commands[] = {
	{ "host", run_host },
	{ NULL, NULL },
};
