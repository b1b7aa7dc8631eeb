// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/pipe.h"

#include <inttypes.h>

#define MAX_PIPE_BYTES 512
#define MAX_BUFFER_BYTES 128
/* round_pipe_size() allows 2^31 bytes. */
#define MAX_RING_SIZE PA_BIT(19)
/* Buffers that are read at once. */
#define NR_AT_ONCE 64

struct pipe {
	const struct pa_kernel *kernel;
	struct pa_memory *memory;
	uint64_t address;
	uint32_t head, tail, ring_size;
	uint64_t bufs;
	uint64_t tmp_pages[PA_MAX_PIPE_TMP_PAGES];
	unsigned int nr_tmp_pages;
	/* The operations met last, and whether their release() puts a page. */
	uint64_t ops;
	bool puts;
	pa_pipe_page_fn visit;
	void *arg;
	bool stopped;
};

/* Pages kept for the next write (anon_pipe_get_page()); counted since v7.3. */
static const struct pa_member *spare_member(const struct pa_layout *layout)
{
	return PA_HAS(layout, pipe_inode_info, prealloc__pages) ?
		       PA_M(layout, pipe_inode_info, prealloc__pages) :
		       PA_M(layout, pipe_inode_info, tmp_page);
}

static bool knows_spare(const struct pa_layout *layout)
{
	return PA_HAS(layout, pipe_inode_info, tmp_page) ||
	       (PA_HAS(layout, pipe_inode_info, prealloc__pages) &&
		PA_HAS(layout, pipe_inode_info, prealloc__count));
}

bool pa_pipe_knows(const struct pa_layout *layout)
{
	return PA_HAS(layout, pipe_inode_info, head) &&
	       PA_HAS(layout, pipe_inode_info, tail) &&
	       PA_HAS(layout, pipe_inode_info, ring_size) &&
	       PA_HAS(layout, pipe_inode_info, bufs) && knows_spare(layout) &&
	       PA_HAS(layout, pipe_buffer, page) &&
	       PA_HAS(layout, pipe_buffer, ops) &&
	       PA_HAS(layout, pipe_buf_operations, release) &&
	       PA_HAS_SYM(layout, generic_pipe_buf_release) &&
	       PA_HAS_SYM(layout, page_cache_pipe_buf_release) &&
	       PA_HAS_SYM(layout, anon_pipe_buf_release) &&
	       PA_SIZEOF(layout, pipe_inode_info) <= MAX_PIPE_BYTES &&
	       PA_SIZEOF(layout, pipe_buffer) <= MAX_BUFFER_BYTES;
}

static struct pa_error *read_pipe(struct pipe *pipe)
{
	const struct pa_layout *layout = pipe->kernel->layout;
	const struct pa_member *spare = spare_member(layout);
	uint64_t nr = spare->size / 8;
	uint8_t bytes[MAX_PIPE_BYTES];
	struct pa_error *err =
		pa_memory_read(pipe->memory, pipe->address,
			       PA_SIZEOF(layout, pipe_inode_info), bytes);

	if (err)
		return err;
	pipe->head = (uint32_t)PA_GET(layout, bytes, pipe_inode_info, head);
	pipe->tail = (uint32_t)PA_GET(layout, bytes, pipe_inode_info, tail);
	pipe->ring_size =
		(uint32_t)PA_GET(layout, bytes, pipe_inode_info, ring_size);
	pipe->bufs = PA_GET(layout, bytes, pipe_inode_info, bufs);
	/* Behind those that it counts are what they were. */
	if (PA_HAS(layout, pipe_inode_info, prealloc__pages))
		nr = pa_min(nr, PA_GET(layout, bytes, pipe_inode_info,
				       prealloc__count));
	for (uint32_t i = 0; i < nr && i < PA_MAX_PIPE_TMP_PAGES; i++)
		pipe->tmp_pages[pipe->nr_tmp_pages++] =
			pa_load_u64(bytes + spare->offset + i * 8);
	/* head and tail run free; a pipe may be smaller than it was. */
	if (!pipe->ring_size || pipe->ring_size & (pipe->ring_size - 1) ||
	    pipe->ring_size > MAX_RING_SIZE ||
	    pipe->head - pipe->tail > pipe->ring_size)
		return pa_error_at(PA_ERROR_CORRUPT, pipe->address,
				   "pipe at 0x%" PRIx64
				   " with head %u, tail %u, ring_size %u",
				   pipe->address, pipe->head, pipe->tail,
				   pipe->ring_size);
	return NULL;
}

/*
 * What a buffer's release() does tells whether the pipe has a reference: all
 * other operations' (relay_pipe_buf_release(), buffer_pipe_buf_release(),
 * zero_pipe_buf_release(), those of modules) may put none.
 */
static struct pa_error *read_operations(struct pipe *pipe, uint64_t ops)
{
	static const enum pa_symbol_id putting[] = {
		PA_SYM_anon_pipe_buf_release,
		PA_SYM_page_cache_pipe_buf_release,
		PA_SYM_generic_pipe_buf_release,
		PA_SYM_watch_queue_pipe_buf_release,
	};
	const struct pa_layout *layout = pipe->kernel->layout;
	uint64_t release;
	struct pa_error *err;

	if (ops == pipe->ops)
		return NULL;
	err = pa_memory_read_u64(pipe->memory,
				 ops + PA_OFFSETOF(layout, pipe_buf_operations,
						   release),
				 &release);
	if (err)
		return err;
	pipe->ops = ops;
	pipe->puts = false;
	for (size_t i = 0; i < sizeof(putting) / sizeof(putting[0]); i++) {
		const struct pa_symbol *symbol = &layout->symbols[putting[i]];

		if (symbol->known && symbol->address == release)
			pipe->puts = true;
	}
	return NULL;
}

static struct pa_error *visit_buffer(struct pipe *pipe, uint32_t index,
				     const uint8_t *buffer)
{
	const struct pa_layout *layout = pipe->kernel->layout;
	uint64_t ops = PA_GET(layout, buffer, pipe_buffer, ops);
	struct pa_pipe_page page = {
		.page = PA_GET(layout, buffer, pipe_buffer, page),
		.slot = pipe->bufs +
			(uint64_t)index * PA_SIZEOF(layout, pipe_buffer) +
			PA_OFFSETOF(layout, pipe_buffer, page),
		.index = index,
	};
	struct pa_error *err;

	/*
	 * pipe_buf_release() clears ops before tail moves on; before v6.15
	 * pipe_write() moves head before it fills the slot.
	 */
	if (!ops || !page.page)
		return NULL;
	err = read_operations(pipe, ops);
	if (err)
		return err;
	page.referenced = pipe->puts;
	/* For a moment pipe_write() has it in both places (before v6.15). */
	for (unsigned int i = 0; i < pipe->nr_tmp_pages; i++)
		if (pipe->tmp_pages[i] == page.page)
			pipe->tmp_pages[i] = 0;
	pipe->stopped = !pipe->visit(pipe->arg, &page);
	return NULL;
}

static struct pa_error *visit_buffers(struct pipe *pipe)
{
	const struct pa_layout *layout = pipe->kernel->layout;
	uint32_t bytes = PA_SIZEOF(layout, pipe_buffer);
	uint32_t mask = pipe->ring_size - 1;
	uint8_t buffers[NR_AT_ONCE * MAX_BUFFER_BYTES];
	uint32_t at = pipe->tail;
	struct pa_error *err = NULL;

	while (!err && !pipe->stopped && at != pipe->head) {
		/* As far as the ring's end. */
		uint32_t first = at & mask;
		uint32_t nr = (uint32_t)pa_min(pa_min(pipe->head - at,
						      pipe->ring_size - first),
					       NR_AT_ONCE);

		err = pa_memory_read(pipe->memory,
				     pipe->bufs + (uint64_t)first * bytes,
				     (uint64_t)nr * bytes, buffers);
		for (uint32_t i = 0; !err && !pipe->stopped && i < nr; i++)
			err = visit_buffer(pipe, first + i,
					   buffers + (size_t)i * bytes);
		at += nr;
	}
	return err;
}

struct pa_error *pa_pipe_visit(const struct pa_kernel *kernel,
			       struct pa_memory *memory, uint64_t address,
			       pa_pipe_page_fn visit, void *arg)
{
	struct pipe pipe = {
		.kernel = kernel,
		.memory = memory,
		.address = address,
		.visit = visit,
		.arg = arg,
	};
	struct pa_error *err = read_pipe(&pipe);

	if (!err)
		err = visit_buffers(&pipe);
	for (unsigned int i = 0; !err && i < pipe.nr_tmp_pages; i++) {
		struct pa_pipe_page page = {
			.page = pipe.tmp_pages[i],
			.slot = address + spare_member(kernel->layout)->offset +
				i * 8,
			.index = (uint64_t)pipe.ring_size + i,
			.referenced = true,
		};

		if (page.page && !pipe.stopped)
			pipe.stopped = !visit(arg, &page);
	}
	return err;
}
