/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kexec KERNEL INITRAMFS CMDLINE: the kernel to be booted when this one panics. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <linux/kexec.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int run_kexec(int argc, char **argv)
{
	int kernel, initramfs;

	if (argc < 4)
		return 64;
	kernel = open(argv[1], O_RDONLY | O_CLOEXEC);
	initramfs = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (kernel < 0 || initramfs < 0)
		die("%s or %s", argv[1], argv[2]);
	if (syscall(__NR_kexec_file_load, kernel, initramfs,
		    strlen(argv[3]) + 1, argv[3], KEXEC_FILE_ON_CRASH))
		die("kexec_file_load");
	return 0;
}

const struct command kexec_commands[] = {
	{ "kexec", run_kexec },
	{ NULL, NULL },
};
