/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of io_uring, which have a reference to the registered buffer that
 * they use: one that was taken out of its table stays pinned until the last of
 * them ends (io_find_buf_node(), v6.13).
 */
#ifndef PA_CENSUS_IO_URING_REQUEST_H
#define PA_CENSUS_IO_URING_REQUEST_H

#include "census/holder.h"

/* Addresses of io_rsrc_nodes, in no order, some twice. */
struct pa_io_uring_nodes {
	PA_ARRAY(uint64_t) list;
};

/*
 * Nodes that requests have, or had: a request that waits for its next use says
 * what it said. @ret is zeroed before. What can't be read is added to @walk.
 */
struct pa_error *pa_io_uring_nodes_find(struct pa_holder_walk *walk,
					struct pa_io_uring_nodes *ret);
void pa_io_uring_nodes_deinit(struct pa_io_uring_nodes *nodes);

#endif
