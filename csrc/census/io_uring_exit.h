/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rings whose file is gone: io_ring_ctx_wait_and_kill() leaves them to a work,
 * which frees them when their last request has ended (io_ring_exit_work()). Until
 * then they hold what was registered.
 */
#ifndef PA_CENSUS_IO_URING_EXIT_H
#define PA_CENSUS_IO_URING_EXIT_H

#include "census/holder.h"

/* Addresses of io_ring_ctxs, in no order. */
struct pa_io_uring_exits {
	PA_ARRAY(uint64_t) list;
};

/* @ret is zeroed before. What can't be read is added to @walk. */
struct pa_error *pa_io_uring_exits_find(struct pa_holder_walk *walk,
					struct pa_io_uring_exits *ret);
void pa_io_uring_exits_deinit(struct pa_io_uring_exits *exits);

#endif
