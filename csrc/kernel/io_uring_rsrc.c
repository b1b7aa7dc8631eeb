// SPDX-License-Identifier: LGPL-2.1-or-later
/* io_uring's registered buffers: io_uring/rsrc.c. */
#include "kernel/io_uring_ctx.h"

#include <inttypes.h>

#include "kernel/list.h"

/* io_validate_user_buf_range() allows 2^40 bytes. */
#define MAX_BVECS PA_BIT(28)
/* bio_vecs that are read at once. */
#define NR_AT_ONCE 64
#define MAX_LIST PA_BIT(20)
#define MAX_NODE_BYTES 256
/* IORING_RSRC_BUFFER: io_rsrc_node.type of v6.3 on. */
#define RSRC_BUFFER 1

/*
 * A buffer lent by a driver (io_buffer_register_bvec()) is released by that
 * driver.
 */
static bool is_lent(const struct pa_layout *layout, const uint8_t *ubuf)
{
	if (PA_HAS(layout, io_mapped_ubuf, flags))
		return !PA_HAS_ENUM(layout, IO_REGBUF_F_KBUF) ||
		       PA_GET(layout, ubuf, io_mapped_ubuf, flags) &
			       (uint64_t)PA_ENUM(layout, IO_REGBUF_F_KBUF);
	return PA_HAS(layout, io_mapped_ubuf, is_kbuf) &&
	       PA_GET(layout, ubuf, io_mapped_ubuf, is_kbuf);
}

/*
 * One pin for each bvec: of a page or, where the folios of the buffer were
 * coalesced (io_coalesce_buffer(), v6.12), of a folio.
 */
static struct pa_error *visit_bvecs(struct pa_io_uring_walk *walk,
				    uint64_t bvecs, uint64_t nr,
				    struct pa_io_uring_page *page)
{
	const struct pa_layout *layout = walk->kernel->layout;
	uint64_t size = PA_SIZEOF(layout, bio_vec);
	uint8_t bytes[NR_AT_ONCE * PA_MAX_BIO_VEC_BYTES];

	for (uint64_t done = 0; done < nr; done += NR_AT_ONCE) {
		uint64_t part = pa_min(nr - done, NR_AT_ONCE);
		uint64_t at = bvecs + done * size;
		struct pa_error *err =
			pa_memory_read(walk->memory, at, part * size, bytes);

		if (err)
			return err;
		for (uint64_t i = 0; !walk->stopped && i < part; i++) {
			page->page = PA_GET(layout, bytes + i * size, bio_vec,
					    bv_page);
			page->slot = at + i * size +
				     PA_OFFSETOF(layout, bio_vec, bv_page);
			if (page->page)
				pa_io_uring_tell(walk, page);
		}
		if (walk->stopped)
			break;
	}
	return NULL;
}

static struct pa_error *visit_ubuf(struct pa_io_uring_walk *walk, uint64_t ubuf,
				   uint64_t index)
{
	const struct pa_layout *layout = walk->kernel->layout;
	uint32_t header = PA_OFFSETOF(layout, io_mapped_ubuf, bvec);
	struct pa_io_uring_page page = { .index = index };
	uint8_t bytes[PA_MAX_IO_UBUF_BYTES] = { 0 };
	uint64_t nr;
	struct pa_error *err;

	if (pa_map_has(&walk->met, ubuf))
		return NULL;
	if (!pa_map_set(&walk->met, ubuf, index))
		return &pa_error_no_memory;
	err = pa_memory_read(walk->memory, ubuf, header, bytes);
	if (err)
		return err;
	/* The dummy of an empty slot (dummy_ubuf, before v6.13) has none. */
	nr = PA_GET(layout, bytes, io_mapped_ubuf, nr_bvecs);
	if (nr > MAX_BVECS)
		return pa_error_at(PA_ERROR_CORRUPT, ubuf,
				   "registered buffer at 0x%" PRIx64
				   " of %" PRIu64 " bvecs",
				   ubuf, nr);
	page.hold = is_lent(layout, bytes) ? PA_IO_URING_LENT :
					     PA_IO_URING_PINNED;
	page.start = ubuf;
	page.end = ubuf + header + nr * PA_SIZEOF(layout, bio_vec);
	return visit_bvecs(walk, ubuf + header, nr, &page);
}

bool pa_io_uring_knows_nodes(const struct pa_layout *layout)
{
	return PA_HAS(layout, io_rsrc_node, buf) &&
	       PA_HAS(layout, io_rsrc_node, refs) &&
	       PA_HAS(layout, io_rsrc_node, type) &&
	       PA_SIZEOF(layout, io_rsrc_node) <= MAX_NODE_BYTES;
}

struct pa_error *pa_io_uring_visit_node(struct pa_io_uring_walk *walk,
					uint64_t node, uint64_t index)
{
	const struct pa_layout *layout = walk->kernel->layout;
	uint8_t bytes[MAX_NODE_BYTES];
	uint64_t ubuf;
	struct pa_error *err = pa_memory_read(
		walk->memory, node, PA_SIZEOF(layout, io_rsrc_node), bytes);

	if (err || !PA_GET(layout, bytes, io_rsrc_node, refs) ||
	    PA_GET(layout, bytes, io_rsrc_node, type) != RSRC_BUFFER)
		return err;
	ubuf = PA_GET(layout, bytes, io_rsrc_node, buf);
	return pa_is_kernel_address(ubuf) ? visit_ubuf(walk, ubuf, index) :
					    NULL;
}

/* The buffer in the table's slot @index, 0 if none. */
static struct pa_error *read_slot(struct pa_io_ring *ring, uint64_t table,
				  uint64_t index, uint64_t *ret)
{
	struct pa_memory *memory = ring->walk->memory;
	struct pa_error *err =
		pa_memory_read_u64(memory, table + index * 8, ret);

	if (err || !*ret || !PA_RING_HAS(ring, buf_table__nodes))
		return err;
	/* A struct io_rsrc_node since v6.13. */
	return pa_memory_read_u64(memory,
				  *ret + PA_OFFSETOF(ring->walk->kernel->layout,
						     io_rsrc_node, buf),
				  ret);
}

static struct pa_error *read_table(struct pa_io_ring *ring, uint64_t *table_ret,
				   uint64_t *nr_ret)
{
	const struct pa_layout *layout = ring->walk->kernel->layout;
	uint64_t data, nr = 0;
	uint32_t nr_data;
	struct pa_error *err;

	if (PA_RING_HAS(ring, buf_table__nodes)) {
		*table_ret = PA_RING_GET(ring, buf_table__nodes);
		*nr_ret = PA_RING_GET(ring, buf_table__nr);
		/* io_rsrc_data_free() has put all, and frees the table. */
		if (*nr_ret == UINT32_MAX)
			*nr_ret = 0;
		return NULL;
	}
	*table_ret = PA_RING_GET(ring, user_bufs);
	nr = PA_RING_GET(ring, nr_user_bufs);
	/* 0 for as long as io_sqe_buffers_unregister() waits for their users. */
	if (*table_ret && !nr && PA_RING_HAS(ring, buf_data) &&
	    PA_HAS(layout, io_rsrc_data, nr)) {
		data = PA_RING_GET(ring, buf_data);
		if (data) {
			err = pa_memory_read_u32(
				ring->walk->memory,
				data + PA_OFFSETOF(layout, io_rsrc_data, nr),
				&nr_data);
			if (err)
				return err;
			nr = nr_data;
		}
	}
	*nr_ret = nr;
	return NULL;
}

struct pa_error *pa_io_uring_buffers(struct pa_io_ring *ring)
{
	struct pa_io_uring_walk *walk = ring->walk;
	uint64_t table, nr;
	struct pa_error *err = read_table(ring, &table, &nr);

	if (err)
		return err;
	if (!table)
		return NULL;
	if (nr > PA_MAX_IO_BUFFERS)
		return pa_error_at(PA_ERROR_CORRUPT, ring->address,
				   "io_uring at 0x%" PRIx64 " with %" PRIu64
				   " buffers",
				   ring->address, nr);
	for (uint64_t i = 0; !err && !walk->stopped && i < nr; i++) {
		uint64_t ubuf;

		err = read_slot(ring, table, i, &ubuf);
		if (!err && ubuf)
			err = visit_ubuf(walk, ubuf, i);
		err = pa_io_uring_forgive(walk, err);
	}
	return err;
}

/* Walking nodes that have resources to put, in their order. */
struct retired {
	struct pa_io_ring *ring;
	/* Of the table's buffers. */
	uint64_t buf_data;
	uint64_t index;
	struct pa_error *err;
};

static bool visit_put(void *arg, uint64_t node)
{
	struct retired *retired = arg;
	struct pa_io_uring_walk *walk = retired->ring->walk;
	const struct pa_layout *layout = walk->kernel->layout;
	uint64_t ubuf;
	struct pa_error *err = pa_memory_read_u64(
		walk->memory,
		node - PA_OFFSETOF(layout, io_rsrc_put, list) +
			PA_OFFSETOF(layout, io_rsrc_put, buf),
		&ubuf);

	if (!err && ubuf)
		err = visit_ubuf(walk, ubuf, retired->index++);
	retired->err = pa_io_uring_forgive(walk, err);
	return !retired->err && !walk->stopped;
}

/* An io_rsrc_node of before v6.3 has a list of what it puts, of one kind. */
static struct pa_error *visit_puts(struct retired *retired, uint64_t node)
{
	struct pa_io_uring_walk *walk = retired->ring->walk;
	const struct pa_layout *layout = walk->kernel->layout;
	struct pa_list_result result;
	uint64_t data;
	struct pa_error *err = pa_memory_read_u64(
		walk->memory,
		node + PA_OFFSETOF(layout, io_rsrc_node, rsrc_data), &data);

	if (err || data != retired->buf_data)
		return err;
	err = pa_list_walk(walk->memory,
			   node + PA_OFFSETOF(layout, io_rsrc_node, rsrc_list),
			   MAX_LIST, visit_put, retired, &result);
	if (!err)
		err = retired->err;
	if (!err && result.end != PA_LIST_WHOLE &&
	    result.end != PA_LIST_STOPPED)
		walk->unreadable++;
	return err;
}

/* One of v6.3 to v6.12 has one. */
static struct pa_error *visit_put_item(struct retired *retired, uint64_t node)
{
	struct pa_io_uring_walk *walk = retired->ring->walk;
	const struct pa_layout *layout = walk->kernel->layout;
	uint8_t bytes[MAX_NODE_BYTES];
	uint64_t ubuf;
	struct pa_error *err = pa_memory_read(
		walk->memory, node, PA_SIZEOF(layout, io_rsrc_node), bytes);

	if (err || PA_GET(layout, bytes, io_rsrc_node, empty) ||
	    PA_GET(layout, bytes, io_rsrc_node, type) != RSRC_BUFFER)
		return err;
	ubuf = PA_GET(layout, bytes, io_rsrc_node, item__buf);
	return ubuf ? visit_ubuf(walk, ubuf, retired->index++) : NULL;
}

static struct pa_error *visit_retired(struct retired *retired, uint64_t node)
{
	const struct pa_layout *layout = retired->ring->walk->kernel->layout;

	if (PA_HAS(layout, io_rsrc_node, item__buf))
		return visit_put_item(retired, node);
	return visit_puts(retired, node);
}

static bool visit_node(void *arg, uint64_t node)
{
	struct retired *retired = arg;
	struct pa_io_uring_walk *walk = retired->ring->walk;

	node -= PA_OFFSETOF(walk->kernel->layout, io_rsrc_node, node);
	retired->err = pa_io_uring_forgive(walk, visit_retired(retired, node));
	return !retired->err && !walk->stopped;
}

/*
 * Nodes whose users are gone: a work puts what they have, up to a second later
 * (io_rsrc_node_ref_zero(), before v6.3).
 */
static struct pa_error *visit_put_list(struct retired *retired)
{
	struct pa_io_ring *ring = retired->ring;
	struct pa_io_uring_walk *walk = ring->walk;
	const struct pa_layout *layout = walk->kernel->layout;
	uint64_t next = PA_RING_GET(ring, rsrc_put_llist);
	struct pa_error *err = NULL;

	for (uint64_t i = 0; !err && next && !walk->stopped; i++) {
		uint64_t node = next - PA_OFFSETOF(layout, io_rsrc_node, llist);

		if (i >= MAX_LIST)
			return pa_error_at(PA_ERROR_CORRUPT, ring->address,
					   "io_uring at 0x%" PRIx64
					   " with a list without end",
					   ring->address);
		err = pa_io_uring_forgive(walk, visit_retired(retired, node));
		if (!err)
			err = pa_memory_read_u64(walk->memory, next, &next);
	}
	return err;
}

struct pa_error *pa_io_uring_retired(struct pa_io_ring *ring)
{
	struct pa_io_uring_walk *walk = ring->walk;
	const struct pa_layout *layout = walk->kernel->layout;
	struct retired retired = { .ring = ring };
	struct pa_list_result result;
	struct pa_error *err;
	bool one = PA_HAS(layout, io_rsrc_node, item__buf) &&
		   PA_HAS(layout, io_rsrc_node, empty) &&
		   PA_HAS(layout, io_rsrc_node, type) &&
		   PA_SIZEOF(layout, io_rsrc_node) <= MAX_NODE_BYTES;
	bool list = PA_HAS(layout, io_rsrc_node, rsrc_list) &&
		    PA_HAS(layout, io_rsrc_node, rsrc_data) &&
		    PA_HAS(layout, io_rsrc_put, list) &&
		    PA_HAS(layout, io_rsrc_put, buf) &&
		    PA_RING_HAS(ring, buf_data);

	/* Since v6.13 a request has a reference on what it uses. */
	if ((!one && !list) || !PA_RING_HAS(ring, rsrc_ref_list) ||
	    !PA_HAS(layout, io_rsrc_node, node))
		return NULL;
	/* Behind those of the table. */
	retired.index = PA_RING_GET(ring, nr_user_bufs);
	retired.buf_data = PA_RING_GET(ring, buf_data);
	err = pa_list_walk(walk->memory, PA_RING_ADDRESS(ring, rsrc_ref_list),
			   MAX_LIST, visit_node, &retired, &result);
	if (!err)
		err = retired.err;
	if (!err && result.end != PA_LIST_WHOLE &&
	    result.end != PA_LIST_STOPPED)
		walk->unreadable++;
	if (!err && PA_RING_HAS(ring, rsrc_put_llist) &&
	    PA_HAS(layout, io_rsrc_node, llist))
		err = visit_put_list(&retired);
	return err;
}
