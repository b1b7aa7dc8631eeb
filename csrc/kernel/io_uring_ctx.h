/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files that read an io_ring_ctx share. */
#ifndef PA_KERNEL_IO_URING_CTX_H
#define PA_KERNEL_IO_URING_CTX_H

#include "kernel/io_uring.h"

#define PA_MAX_IO_RING_CTX_BYTES 8192
#define PA_MAX_IO_UBUF_BYTES 128
#define PA_MAX_BIO_VEC_BYTES 64
/* IORING_MAX_REG_BUFFERS is 2^14; xarrays of groups have 2^16. */
#define PA_MAX_IO_BUFFERS PA_BIT(16)

/* The io_ring_ctx being walked. */
struct pa_io_ring {
	struct pa_io_uring_walk *walk;
	uint64_t address;
	uint8_t bytes[PA_MAX_IO_RING_CTX_BYTES];
};

#define PA_RING_GET(ring, member) \
	PA_GET((ring)->walk->kernel->layout, (ring)->bytes, io_ring_ctx, member)
#define PA_RING_HAS(ring, member) \
	PA_HAS((ring)->walk->kernel->layout, io_ring_ctx, member)
#define PA_RING_ADDRESS(ring, member) \
	((ring)->address +            \
	 PA_OFFSETOF((ring)->walk->kernel->layout, io_ring_ctx, member))

/* One part that can't be read is no reason to leave the others out. */
static inline struct pa_error *
pa_io_uring_forgive(struct pa_io_uring_walk *walk, struct pa_error *err)
{
	if (!pa_error_is_target(err))
		return err;
	pa_error_destroy(err);
	walk->unreadable++;
	return NULL;
}

static inline void pa_io_uring_tell(struct pa_io_uring_walk *walk,
				    const struct pa_io_uring_page *page)
{
	walk->stopped = walk->stopped || !walk->visit(walk->arg, page);
}

/* Registered buffers: io_uring_rsrc.c. */
struct pa_error *pa_io_uring_buffers(struct pa_io_ring *ring);
/* Those taken out of the table that requests use still, or a work waits for. */
struct pa_error *pa_io_uring_retired(struct pa_io_ring *ring);

#endif
