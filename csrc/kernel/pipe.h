/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pipes and the pages in them: fs/pipe.c, include/linux/pipe_fs_i.h. */
#ifndef PA_KERNEL_PIPE_H
#define PA_KERNEL_PIPE_H

#include "kernel/kernel.h"

/* pipe_inode_info.tmp_page: one, and two since v6.15; .prealloc: 8 since v7.3. */
#define PA_MAX_PIPE_TMP_PAGES 8

/* One page that a pipe has. */
struct pa_pipe_page {
	/* The struct page's address, and that of the pointer to it. */
	uint64_t page, slot;
	/*
	 * Number of the slot in the pipe's ring; pages kept for the next write
	 * (tmp_page, prealloc) come behind the ring's.
	 */
	uint64_t index;
	/*
	 * The buffer's release() gives one reference back. Relay's and the
	 * tracing ring's buffers, and the zero page's, have none: those pages
	 * are somebody else's.
	 */
	bool referenced;
};

/* False stops the walk. */
typedef bool (*pa_pipe_page_fn)(void *arg, const struct pa_pipe_page *page);

bool pa_pipe_knows(const struct pa_layout *layout);

/*
 * Calls @visit with the pages of the pipe_inode_info at @address: those of live
 * slots, and the spare ones. A pipe that cannot be one is PA_ERROR_CORRUPT.
 */
struct pa_error *pa_pipe_visit(const struct pa_kernel *kernel,
			       struct pa_memory *memory, uint64_t address,
			       pa_pipe_page_fn visit, void *arg);

#endif
