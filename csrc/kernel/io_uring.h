/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages that io_uring holds: io_uring/rsrc.c, kbuf.c, memmap.c, zcrx.c. */
#ifndef PA_KERNEL_IO_URING_H
#define PA_KERNEL_IO_URING_H

#include "base/map.h"
#include "kernel/kernel.h"
#include "kernel/memmap.h"

enum pa_io_uring_hold {
	/* The user's memory, by pin_user_pages(). */
	PA_IO_URING_PINNED,
	/* Allocated for the ring: its first reference. */
	PA_IO_URING_OWNED,
	/* Somebody else's, lent for as long as it is registered. */
	PA_IO_URING_LENT,
};

struct pa_io_uring_page {
	enum pa_io_uring_hold hold;
	/* The struct page's address. */
	uint64_t page;
	/* Where it is named, or the memory of it is; 0: by a list. */
	uint64_t slot;
	/* The buffer or array that the slot is in: [start, end), or 0. */
	uint64_t start, end;
	/* Number of the registered buffer, or of the page in the ring. */
	uint64_t index;
};

/* False stops the walk. */
typedef bool (*pa_io_uring_fn)(void *arg, const struct pa_io_uring_page *page);

/* One walk over rings. */
struct pa_io_uring_walk {
	/* Borrowed. */
	const struct pa_kernel *kernel;
	struct pa_memory *memory;
	struct pa_memmap *memmap;
	pa_io_uring_fn visit;
	void *arg;
	bool stopped;
	/* Parts that could not be read. */
	uint64_t unreadable;
	/* Buffers met: rings can share them (io_clone_buffers(), v6.12). */
	struct pa_map met;
};

bool pa_io_uring_knows(const struct pa_layout *layout);

/* The pages of the io_ring_ctx at @ctx. Zero @walk's rest before the first. */
struct pa_error *pa_io_uring_visit(struct pa_io_uring_walk *walk, uint64_t ctx);
/*
 * The same of one registered buffer, that of the io_rsrc_node at @node (v6.13);
 * nothing if nobody has a reference to that, or if it was met before.
 */
struct pa_error *pa_io_uring_visit_node(struct pa_io_uring_walk *walk,
					uint64_t node, uint64_t index);
bool pa_io_uring_knows_nodes(const struct pa_layout *layout);
void pa_io_uring_walk_deinit(struct pa_io_uring_walk *walk);

#endif
