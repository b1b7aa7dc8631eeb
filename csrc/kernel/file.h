/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Open files: include/linux/fs.h. */
#ifndef PA_KERNEL_FILE_H
#define PA_KERNEL_FILE_H

#include "kernel/kernel.h"

/* Files through which something that holds pages is found. */
enum pa_open_file_kind {
	/* A struct pipe_inode_info; of FIFOs, too. */
	PA_OPEN_PIPE,
	/* A struct io_ring_ctx. */
	PA_OPEN_IO_URING,
	/* A struct kioctx, by the private file that its ring lies in. */
	PA_OPEN_AIO,
	/* A struct socket. */
	PA_OPEN_SOCKET,
	PA_NR_OPEN_FILE_KINDS,
};

/* What the file at @address is for. */
struct pa_open_file {
	enum pa_open_file_kind kind;
	/* Virtual address of the kind's structure; 0: a file of no such kind. */
	uint64_t object;
};

/* Whether files of @kind can be told from others by what the layout knows. */
bool pa_open_file_knows(const struct pa_layout *layout,
			enum pa_open_file_kind kind);

/*
 * Reads the struct file at @address, which may be garbage: objects of other
 * types share slabs with files, and freed files keep what they named. Where
 * the structure that a file names can name it back, it has to.
 */
struct pa_error *pa_open_file_read(const struct pa_kernel *kernel,
				   struct pa_memory *memory, uint64_t address,
				   struct pa_open_file *ret);

#endif
