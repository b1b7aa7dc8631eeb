/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an inode is called: include/linux/fs.h, dcache.h. */
#ifndef PA_KERNEL_INODE_NAME_H
#define PA_KERNEL_INODE_NAME_H

#include "kernel/kernel.h"

struct pa_inode_name {
	uint64_t ino;
	/* Type of its file system, "ext4", and s_id, "sda1" or the same. */
	char type[32], id[32];
	/*
	 * Where it is in its file system, by its first name; the end of it
	 * where it is longer. Empty if it has none, or none that can be read.
	 */
	char path[256];
};

/* As far as it can be read: what can't be is empty. Errors are ours. */
struct pa_error *pa_inode_name_read(const struct pa_kernel *kernel,
				    struct pa_memory *memory, uint64_t inode,
				    struct pa_inode_name *ret);

#endif
