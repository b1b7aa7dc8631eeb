// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pipes, and the files that they are found by, of hand-made memory. */
#include "bytes.h"
#include "kernel/file.h"
#include "kernel/pipe.h"

#define PIPE (BASE + 256)
#define BUFS (BASE + 512)
#define OPS_ANON (BASE + 1024)
#define OPS_CACHE (BASE + 1088)
#define OPS_RELAY (BASE + 1152)
#define ANON_RELEASE UINT64_C(0xffffffff81000100)
#define CACHE_RELEASE UINT64_C(0xffffffff81000200)
#define GENERIC_RELEASE UINT64_C(0xffffffff81000300)
#define RELAY_RELEASE UINT64_C(0xffffffff81000400)

#define RING 4
#define TMP_PAGE 24
#define BUFFER_BYTES 24

static void make_layout(void)
{
	TYPE(pipe_inode_info, 64);
	MEMBER(pipe_inode_info, head, 0, 4);
	MEMBER(pipe_inode_info, tail, 4, 4);
	MEMBER(pipe_inode_info, ring_size, 8, 4);
	MEMBER(pipe_inode_info, bufs, 16, 8);
	MEMBER(pipe_inode_info, tmp_page, TMP_PAGE, 16);
	TYPE(pipe_buffer, BUFFER_BYTES);
	MEMBER(pipe_buffer, page, 0, 8);
	MEMBER(pipe_buffer, ops, 16, 8);
	MEMBER(pipe_buf_operations, release, 8, 8);
	SYMBOL(anon_pipe_buf_release, ANON_RELEASE);
	SYMBOL(page_cache_pipe_buf_release, CACHE_RELEASE);
	SYMBOL(generic_pipe_buf_release, GENERIC_RELEASE);
	put(OPS_ANON + 8, ANON_RELEASE);
	put(OPS_CACHE + 8, CACHE_RELEASE);
	put(OPS_RELAY + 8, RELAY_RELEASE);
}

static void set_pipe(uint32_t head, uint32_t tail, uint32_t ring_size)
{
	put_bytes(PIPE, head, 4);
	put_bytes(PIPE + 4, tail, 4);
	put_bytes(PIPE + 8, ring_size, 4);
	put(PIPE + 16, BUFS);
}

static void set_buffer(unsigned int index, uint64_t page, uint64_t ops)
{
	put(BUFS + index * BUFFER_BYTES, page);
	put(BUFS + index * BUFFER_BYTES + 16, ops);
}

struct seen {
	struct pa_pipe_page pages[16];
	size_t nr, limit;
};

static bool see(void *arg, const struct pa_pipe_page *page)
{
	struct seen *seen = arg;

	CHECK_FATAL(seen->nr < 16);
	seen->pages[seen->nr++] = *page;
	return seen->nr != seen->limit;
}

static void test_slots(struct pa_memory *memory)
{
	struct seen seen = { 0 };

	/* Both run free: slot 3, and on from the ring's start. */
	set_pipe(2, UINT32_MAX, RING);
	set_buffer(3, page_at(7), OPS_ANON);
	set_buffer(0, page_at(9), OPS_RELAY);
	set_buffer(1, page_at(8), OPS_CACHE);
	/* Not in use any more. */
	set_buffer(2, page_at(99), OPS_ANON);
	put(PIPE + TMP_PAGE + 8, page_at(11));
	CHECK_OK(pa_pipe_visit(&kernel, memory, PIPE, see, &seen));
	CHECK_FATAL(seen.nr == 4);
	CHECK(seen.pages[0].page == page_at(7) && seen.pages[0].index == 3);
	CHECK(seen.pages[0].slot == BUFS + 3 * BUFFER_BYTES);
	CHECK(seen.pages[0].referenced);
	CHECK(seen.pages[1].page == page_at(9) && seen.pages[1].index == 0);
	CHECK(!seen.pages[1].referenced);
	CHECK(seen.pages[2].page == page_at(8) && seen.pages[2].referenced);
	CHECK(seen.pages[3].page == page_at(11) && seen.pages[3].referenced);
	CHECK(seen.pages[3].index == RING + 1);
	CHECK(seen.pages[3].slot == PIPE + TMP_PAGE + 8);

	/* The visitor has enough. */
	seen = (struct seen){ .limit = 2 };
	CHECK_OK(pa_pipe_visit(&kernel, memory, PIPE, see, &seen));
	CHECK(seen.nr == 2);

	/* A slot taken and not yet filled; a page on its way into one. */
	set_buffer(3, page_at(7), 0);
	put(PIPE + TMP_PAGE, page_at(8));
	seen = (struct seen){ 0 };
	CHECK_OK(pa_pipe_visit(&kernel, memory, PIPE, see, &seen));
	CHECK_FATAL(seen.nr == 3);
	CHECK(seen.pages[0].page == page_at(9));
	CHECK(seen.pages[1].page == page_at(8) && seen.pages[1].index == 1);
	CHECK(seen.pages[2].page == page_at(11));

	/* An empty one. */
	set_pipe(77, 77, RING);
	put(PIPE + TMP_PAGE, 0);
	put(PIPE + TMP_PAGE + 8, 0);
	seen = (struct seen){ 0 };
	CHECK_OK(pa_pipe_visit(&kernel, memory, PIPE, see, &seen));
	CHECK(!seen.nr);
}

/* Since v7.3 spare pages are counted, and stay in the array. */
static void test_spare(struct pa_memory *memory)
{
	static const struct {
		uint32_t count;
		size_t nr;
	} cases[] = { { 0, 0 }, { 1, 1 }, { 3, 3 }, { UINT32_MAX, 3 } };

	MEMBER(pipe_inode_info, prealloc__pages, TMP_PAGE, 24);
	CHECK(pa_pipe_knows(&layout));
	layout.members[PA_MEMBER_pipe_inode_info__tmp_page].known = false;
	CHECK(!pa_pipe_knows(&layout));
	MEMBER(pipe_inode_info, prealloc__count, TMP_PAGE + 24, 4);
	CHECK(pa_pipe_knows(&layout));
	set_pipe(77, 77, RING);
	for (unsigned int i = 0; i < 3; i++)
		put(PIPE + TMP_PAGE + i * 8, page_at(20 + i));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seen seen = { 0 };

		put_bytes(PIPE + TMP_PAGE + 24, cases[i].count, 4);
		CHECK_OK(pa_pipe_visit(&kernel, memory, PIPE, see, &seen));
		CHECK_FATAL(seen.nr == cases[i].nr);
		for (size_t n = 0; n < seen.nr; n++) {
			CHECK(seen.pages[n].page == page_at(20 + n));
			CHECK(seen.pages[n].index == RING + n);
		}
	}
}

static void test_hostile(struct pa_memory *memory)
{
	static const uint32_t sizes[] = { 0, 3, 12, 1u << 20, UINT32_MAX };
	struct seen seen = { 0 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		set_pipe(1, 1, sizes[i]);
		CHECK_ERROR(PA_ERROR_CORRUPT,
			    pa_pipe_visit(&kernel, memory, PIPE, see, &seen));
	}
	set_pipe(6, 1, RING);
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_pipe_visit(&kernel, memory, PIPE, see, &seen));
	set_pipe(0, 1, RING);
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_pipe_visit(&kernel, memory, PIPE, see, &seen));
	/* Neither buffers nor operations where they should be. */
	set_pipe(1, 0, RING);
	put(PIPE + 16, NOWHERE);
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_pipe_visit(&kernel, memory, PIPE, see, &seen));
	put(PIPE + 16, BUFS);
	set_buffer(0, page_at(7), NOWHERE);
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_pipe_visit(&kernel, memory, PIPE, see, &seen));
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_pipe_visit(&kernel, memory, NOWHERE, see, &seen));
	CHECK(!seen.nr);
}

/* Of struct file, struct inode, struct socket and struct kioctx below. */
#define FILE_AT (BASE + 4096)
#define INODE (BASE + 5120)
#define MAPPING (BASE + 5632)
#define OBJECT (BASE + 6144)
#define FOPS UINT64_C(0xffffffff82000000)

static void set_file(uint64_t f_op, uint64_t private_data)
{
	put(FILE_AT + 8, f_op);
	put(FILE_AT + 16, INODE);
	put(FILE_AT + 24, private_data);
}

static uint64_t object_of(struct pa_memory *memory, enum pa_open_file_kind kind)
{
	struct pa_open_file file;

	CHECK_OK(pa_open_file_read(&kernel, memory, FILE_AT, &file));
	CHECK(!file.object || file.kind == kind);
	return file.object;
}

static void make_file_layout(void)
{
	TYPE(file, 64);
	MEMBER(file, f_op, 8, 8);
	MEMBER(file, f_inode, 16, 8);
	MEMBER(file, private_data, 24, 8);
	MEMBER(inode, i_pipe, 0, 8);
	MEMBER(inode, i_mapping, 8, 8);
	MEMBER(socket, file, 16, 8);
	MEMBER(kioctx, aio_ring_file, 32, 8);
	MEMBER(address_space, private_data, 40, 8);
	SYMBOL(pipefifo_fops, FOPS);
	SYMBOL(io_uring_fops, FOPS + 512);
	SYMBOL(aio_ring_fops, FOPS + 1024);
	SYMBOL(socket_file_ops, FOPS + 1536);
}

static void test_files(struct pa_memory *memory)
{
	struct pa_open_file file;

	make_file_layout();
	for (int i = 0; i < PA_NR_OPEN_FILE_KINDS; i++)
		CHECK(pa_open_file_knows(&layout, (enum pa_open_file_kind)i));
	/* A pipe is one if its inode says so. */
	set_file(FOPS, OBJECT);
	put(INODE, OBJECT);
	CHECK(object_of(memory, PA_OPEN_PIPE) == OBJECT);
	put(INODE, 0);
	CHECK(!object_of(memory, PA_OPEN_PIPE));
	put(INODE, OBJECT + 256);
	CHECK(!object_of(memory, PA_OPEN_PIPE));
	/* Both NULL is no pipe, either. */
	set_file(FOPS, 0);
	put(INODE, 0);
	CHECK(!object_of(memory, PA_OPEN_PIPE));
	/* A file of another kind, and a kind that has a symbol on others. */
	set_file(FOPS + 64, OBJECT);
	CHECK(!object_of(memory, PA_OPEN_PIPE));
	set_file(0, OBJECT);
	CHECK(!object_of(memory, PA_OPEN_PIPE));

	set_file(FOPS + 512, OBJECT);
	CHECK(object_of(memory, PA_OPEN_IO_URING) == OBJECT);
	set_file(FOPS + 512, 0);
	CHECK(!object_of(memory, PA_OPEN_IO_URING));

	set_file(FOPS + 1536, OBJECT);
	CHECK(!object_of(memory, PA_OPEN_SOCKET));
	put(OBJECT + 16, FILE_AT);
	CHECK(object_of(memory, PA_OPEN_SOCKET) == OBJECT);

	/* The kioctx is in the inode's mapping, and then in the inode. */
	set_file(FOPS + 1024, 0);
	put(INODE + 8, MAPPING);
	put(MAPPING + 40, OBJECT);
	CHECK(!object_of(memory, PA_OPEN_AIO));
	put(OBJECT + 32, FILE_AT);
	CHECK(object_of(memory, PA_OPEN_AIO) == OBJECT);
	put(MAPPING + 40, 0);
	CHECK(!object_of(memory, PA_OPEN_AIO));
	MEMBER(aio_inode_info, vfs_inode, 64, 16);
	MEMBER(aio_inode_info, ctx, 96, 8);
	put(INODE - 64 + 96, OBJECT);
	CHECK(object_of(memory, PA_OPEN_AIO) == OBJECT);

	/* What is not there. */
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_open_file_read(&kernel, memory, NOWHERE, &file));
	set_file(FOPS, OBJECT);
	put(FILE_AT + 16, NOWHERE);
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_open_file_read(&kernel, memory, FILE_AT, &file));
	layout.symbols[PA_SYM_pipefifo_fops].known = false;
	CHECK(!pa_open_file_knows(&layout, PA_OPEN_PIPE));
	layout.types[PA_TYPE_file].size = 1 << 20;
	CHECK(!pa_open_file_knows(&layout, PA_OPEN_SOCKET));
}

int main(void)
{
	struct pa_memory *memory = bytes_start();

	make_layout();
	CHECK(pa_pipe_knows(&layout));
	test_slots(memory);
	test_hostile(memory);
	test_spare(memory);
	layout.symbols[PA_SYM_generic_pipe_buf_release].known = false;
	CHECK(!pa_pipe_knows(&layout));
	bytes_end(memory);
	memory = bytes_start();
	test_files(memory);
	bytes_end(memory);
	return CHECK_DONE();
}
