// SPDX-License-Identifier: LGPL-2.1-or-later
/* io_uring's pages by each kernel's rule, of hand-made memory. */
#include "bytes.h"
#include "kernel/io_uring.h"

#define CTX (BASE + 256)
#define OTHER_CTX (BASE + 1024)
#define TABLE (BASE + 2048)
#define NODES (BASE + 3072)
#define UBUF (BASE + 4096)
#define LENT (BASE + 5632)
#define PAGES (BASE + 6144)
#define GROUPS (BASE + 8192)

/* Of struct io_ring_ctx. */
enum {
	CTX_FLAGS = 0,
	CTX_RINGS = 8,
	CTX_SQES = 16,
	CTX_BUFS = 24,
	CTX_NR_BUFS = 32,
	CTX_DATA = 40,
	CTX_RING_PAGES = 48,
	CTX_NR_RING_PAGES = 56,
	CTX_NR_SQE_PAGES = 58,
	CTX_SQE_PAGES = 64,
	CTX_GROUPS = 72,
	CTX_BUFFER_PAGES = 80,
	CTX_RING_REGION = 96,
	CTX_SQ_REGION = 120,
	CTX_PARAM_REGION = 144,
	CTX_REF_LIST = 168,
	CTX_PUT_LIST = 184,
	CTX_BYTES = 192,
};

#define UBUF_HEADER 48
#define BVEC_BYTES 16
#define GROUP_BYTES 64
#define PAGE_LRU 8
#define PG_HEAD 0x40
#define NO_MMAP (1 << 14)

static void make_layout(void)
{
	TYPE(io_ring_ctx, CTX_BYTES);
	MEMBER(io_ring_ctx, flags, CTX_FLAGS, 4);
	MEMBER(io_ring_ctx, rings, CTX_RINGS, 8);
	MEMBER(io_ring_ctx, sq_sqes, CTX_SQES, 8);
	TYPE(io_mapped_ubuf, UBUF_HEADER);
	MEMBER(io_mapped_ubuf, nr_bvecs, 16, 4);
	MEMBER(io_mapped_ubuf, bvec, UBUF_HEADER, 0);
	TYPE(bio_vec, BVEC_BYTES);
	MEMBER(bio_vec, bv_page, 0, 8);
}

/* As v5.10 and v6.1 have them. */
static void make_old_layout(void)
{
	make_layout();
	MEMBER(io_ring_ctx, user_bufs, CTX_BUFS, 8);
	MEMBER(io_ring_ctx, nr_user_bufs, CTX_NR_BUFS, 4);
	MEMBER(io_ring_ctx, buf_data, CTX_DATA, 8);
	MEMBER(io_rsrc_data, nr, 8, 4);
}

/* As v7 has them. */
static void make_new_layout(void)
{
	make_layout();
	MEMBER(io_ring_ctx, buf_table__nodes, CTX_BUFS, 8);
	MEMBER(io_ring_ctx, buf_table__nr, CTX_NR_BUFS, 4);
	MEMBER(io_rsrc_node, buf, 16, 8);
	MEMBER(io_mapped_ubuf, flags, 28, 1);
	ENUMERATOR(IO_REGBUF_F_KBUF, 1);
	TYPE(io_mapped_region, 24);
	MEMBER(io_mapped_region, pages, 0, 8);
	MEMBER(io_mapped_region, nr_pages, 16, 4);
	MEMBER(io_mapped_region, flags, 20, 4);
	ENUMERATOR(IO_REGION_F_USER_PROVIDED, 2);
	ENUMERATOR(IO_REGION_F_SINGLE_REF, 4);
	MEMBER(io_ring_ctx, ring_region, CTX_RING_REGION, 24);
	MEMBER(io_ring_ctx, sq_region, CTX_SQ_REGION, 24);
	MEMBER(io_ring_ctx, param_region, CTX_PARAM_REGION, 24);
}

struct seen {
	struct pa_io_uring_page pages[256];
	size_t nr, limit;
};

static bool see(void *arg, const struct pa_io_uring_page *page)
{
	struct seen *seen = arg;

	CHECK_FATAL(seen->nr < 256);
	seen->pages[seen->nr++] = *page;
	return seen->nr != seen->limit;
}

static struct pa_io_uring_walk
start(struct pa_memory *memory, struct pa_memmap *memmap, struct seen *seen)
{
	*seen = (struct seen){ 0 };
	return (struct pa_io_uring_walk){
		.kernel = &kernel,
		.memory = memory,
		.memmap = memmap,
		.visit = see,
		.arg = seen,
	};
}

static bool saw(const struct seen *seen, size_t at, uint64_t pfn,
		enum pa_io_uring_hold hold, uint64_t slot, uint64_t index)
{
	const struct pa_io_uring_page *page = &seen->pages[at];

	return at < seen->nr && page->page == page_at(pfn) &&
	       page->hold == hold && page->slot == slot && page->index == index;
}

static void set_ubuf(uint64_t at, uint32_t nr, uint64_t pfn)
{
	put_bytes(at + 16, nr, 4);
	for (uint32_t i = 0; i < nr && i < 100; i++)
		put(at + UBUF_HEADER + i * BVEC_BYTES, page_at(pfn + i));
}

static void test_old(struct pa_memory *memory, struct pa_memmap *memmap)
{
	struct seen seen;
	struct pa_io_uring_walk walk = start(memory, memmap, &seen);

	make_old_layout();
	CHECK(pa_io_uring_knows(&layout));
	/* Empty, a dummy without bvecs, one of more than is read at once. */
	put(CTX + CTX_BUFS, TABLE);
	put_bytes(CTX + CTX_NR_BUFS, 3, 4);
	put(TABLE + 8, LENT);
	put(TABLE + 16, UBUF);
	set_ubuf(UBUF, 70, 100);
	/* Rings of the direct map. */
	kernel.space.direct_start = BASE + PA_BIT(40);
	kernel.space.direct_end = BASE + PA_BIT(41);
	put(CTX + CTX_RINGS, kernel.space.direct_start + 5 * 4096 + 64);
	put(CTX + CTX_SQES, kernel.space.direct_start + 9 * 4096);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(seen.nr == 72 && !walk.unreadable);
	CHECK(saw(&seen, 0, 100, PA_IO_URING_PINNED, UBUF + UBUF_HEADER, 2));
	CHECK(saw(&seen, 69, 169, PA_IO_URING_PINNED,
		  UBUF + UBUF_HEADER + 69 * BVEC_BYTES, 2));
	CHECK(saw(&seen, 70, 5, PA_IO_URING_OWNED, CTX + CTX_RINGS, 0));
	CHECK(saw(&seen, 71, 9, PA_IO_URING_OWNED, CTX + CTX_SQES, 0));

	/* Another ring with the same buffer: it is pinned once. */
	put(OTHER_CTX + CTX_BUFS, TABLE);
	put_bytes(OTHER_CTX + CTX_NR_BUFS, 3, 4);
	CHECK_OK(pa_io_uring_visit(&walk, OTHER_CTX));
	CHECK(seen.nr == 72);
	pa_io_uring_walk_deinit(&walk);

	/* Being unregistered: the count is where it was allocated. */
	walk = start(memory, memmap, &seen);
	put_bytes(CTX + CTX_NR_BUFS, 0, 4);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(seen.nr == 2);
	put(CTX + CTX_DATA, NODES);
	put_bytes(NODES + 8, 3, 4);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(seen.nr == 2 + 72);
	pa_io_uring_walk_deinit(&walk);

	/* The visitor has enough. */
	walk = start(memory, memmap, &seen);
	seen.limit = 3;
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(seen.nr == 3 && walk.stopped);
	pa_io_uring_walk_deinit(&walk);
}

static void list_of_one(uint64_t head, uint64_t node)
{
	put(head, node);
	put(head + 8, node);
	put(node, head);
	put(node + 8, head);
}

/* Buffers out of the table that requests use, and that a work is to put. */
static void test_retired(struct pa_memory *memory, struct pa_memmap *memmap)
{
	struct seen seen;
	struct pa_io_uring_walk walk = start(memory, memmap, &seen);

	make_old_layout();
	MEMBER(io_ring_ctx, rsrc_ref_list, CTX_REF_LIST, 16);
	MEMBER(io_ring_ctx, rsrc_put_llist, CTX_PUT_LIST, 8);
	TYPE(io_rsrc_node, 64);
	MEMBER(io_rsrc_node, node, 8, 16);
	MEMBER(io_rsrc_node, rsrc_list, 24, 16);
	MEMBER(io_rsrc_node, rsrc_data, 40, 8);
	MEMBER(io_rsrc_node, llist, 48, 8);
	MEMBER(io_rsrc_put, list, 0, 16);
	MEMBER(io_rsrc_put, buf, 24, 8);
	put_bytes(CTX + CTX_NR_BUFS, 3, 4);
	put(CTX + CTX_DATA, TABLE);
	/* In use still. */
	list_of_one(CTX + CTX_REF_LIST, NODES + 8);
	list_of_one(NODES + 24, NODES + 512);
	put(NODES + 40, TABLE);
	put(NODES + 512 + 24, UBUF);
	set_ubuf(UBUF, 1, 100);
	/* Files on their way out, and behind them a buffer. */
	put(CTX + CTX_PUT_LIST, NODES + 64 + 48);
	list_of_one(NODES + 64 + 24, NODES + 576);
	put(NODES + 64 + 40, TABLE + 64);
	put(NODES + 576 + 24, NOWHERE);
	put(NODES + 64 + 48, NODES + 128 + 48);
	list_of_one(NODES + 128 + 24, NODES + 640);
	put(NODES + 128 + 40, TABLE);
	put(NODES + 640 + 24, LENT);
	set_ubuf(LENT, 1, 200);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(seen.nr == 2 && !walk.unreadable);
	CHECK(saw(&seen, 0, 100, PA_IO_URING_PINNED, UBUF + UBUF_HEADER, 3));
	CHECK(saw(&seen, 1, 200, PA_IO_URING_PINNED, LENT + UBUF_HEADER, 4));
	pa_io_uring_walk_deinit(&walk);

	/* A circle. */
	put(NODES + 128 + 48, NODES + 64 + 48);
	walk = start(memory, memmap, &seen);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(seen.nr == 2 && walk.unreadable == 1);
	pa_io_uring_walk_deinit(&walk);
	put(CTX + CTX_PUT_LIST, 0);

	/* v6.3 has one a node, and says what it is. */
	MEMBER(io_rsrc_node, type, 0, 2);
	MEMBER(io_rsrc_node, empty, 2, 1);
	MEMBER(io_rsrc_node, item__buf, 56, 8);
	put(NODES + 56, UBUF);
	put_bytes(NODES, 1, 2);
	walk = start(memory, memmap, &seen);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(seen.nr == 1);
	CHECK(saw(&seen, 0, 100, PA_IO_URING_PINNED, UBUF + UBUF_HEADER, 3));
	pa_io_uring_walk_deinit(&walk);
	put_bytes(NODES + 2, 1, 1);
	walk = start(memory, memmap, &seen);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(!seen.nr && !walk.unreadable);
	pa_io_uring_walk_deinit(&walk);
}

static void test_ring_pages(struct pa_memory *memory, struct pa_memmap *memmap)
{
	struct seen seen;
	struct pa_io_uring_walk walk = start(memory, memmap, &seen);

	make_old_layout();
	MEMBER(io_ring_ctx, ring_pages, CTX_RING_PAGES, 8);
	MEMBER(io_ring_ctx, sqe_pages, CTX_SQE_PAGES, 8);
	MEMBER(io_ring_ctx, n_ring_pages, CTX_NR_RING_PAGES, 2);
	MEMBER(io_ring_ctx, n_sqe_pages, CTX_NR_SQE_PAGES, 2);
	kernel.page_format.flag.head = PG_HEAD;
	/* Compound, and two single ones. */
	put(CTX + CTX_RING_PAGES, PAGES);
	put_bytes(CTX + CTX_NR_RING_PAGES, 2, 2);
	put(PAGES, page_at(16));
	put(PAGES + 8, page_at(17));
	put(page_at(16), PG_HEAD);
	put(CTX + CTX_SQE_PAGES, PAGES + 64);
	put_bytes(CTX + CTX_NR_SQE_PAGES, 2, 2);
	put(PAGES + 64, page_at(31));
	put(PAGES + 72, page_at(40));
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(seen.nr == 3 && !walk.unreadable);
	CHECK(saw(&seen, 0, 16, PA_IO_URING_OWNED, PAGES, 0));
	CHECK(saw(&seen, 1, 31, PA_IO_URING_OWNED, PAGES + 64, 0));
	CHECK(saw(&seen, 2, 40, PA_IO_URING_OWNED, PAGES + 72, 1));

	/* The user's memory: each page is pinned, of whatever folio. */
	put_bytes(CTX + CTX_FLAGS, NO_MMAP, 4);
	walk = start(memory, memmap, &seen);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(seen.nr == 4);
	CHECK(saw(&seen, 1, 17, PA_IO_URING_PINNED, PAGES + 8, 1));
	put_bytes(CTX + CTX_FLAGS, 0, 4);
}

static void test_groups(struct pa_memory *memory, struct pa_memmap *memmap)
{
	struct seen seen;
	struct pa_io_uring_walk walk = start(memory, memmap, &seen);
	uint64_t list = CTX + CTX_BUFFER_PAGES;
	uint64_t node = page_at(50) + PAGE_LRU;

	make_old_layout();
	kernel.page_format.lru = PAGE_LRU;
	TYPE(io_buffer_list, GROUP_BYTES);
	MEMBER(io_buffer_list, buf_pages, 0, 8);
	MEMBER(io_buffer_list, buf_nr_pages, 18, 2);
	MEMBER(io_ring_ctx, io_bl, CTX_GROUPS, 8);
	MEMBER(io_ring_ctx, io_buffers_pages, CTX_BUFFER_PAGES, 16);
	/* The last of 64, and a list of classic buffers before. */
	put(CTX + CTX_GROUPS, GROUPS);
	put(GROUPS, GROUPS);
	put(GROUPS + 63 * GROUP_BYTES, PAGES);
	put_bytes(GROUPS + 63 * GROUP_BYTES + 18, 1, 2);
	put(PAGES, page_at(60));
	put(list, node);
	put(list + 8, node);
	put(node, list);
	put(node + 8, list);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(seen.nr == 2 && !walk.unreadable);
	CHECK(saw(&seen, 0, 60, PA_IO_URING_PINNED, PAGES, 0));
	CHECK(saw(&seen, 1, 50, PA_IO_URING_OWNED, 0, 0));

	/* v6.12 says what it is, and may have allocated it. */
	MEMBER(io_buffer_list, flags, 26, 2);
	ENUMERATOR(IOBL_BUF_RING, 1);
	ENUMERATOR(IOBL_MMAP, 2);
	walk = start(memory, memmap, &seen);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(seen.nr == 1);
	put_bytes(GROUPS + 63 * GROUP_BYTES + 26, 3, 2);
	walk = start(memory, memmap, &seen);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(saw(&seen, 0, 60, PA_IO_URING_OWNED, PAGES, 0));

	/* Pages in a circle that leaves the head out, or nowhere. */
	put(node, node);
	walk = start(memory, memmap, &seen);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(walk.unreadable == 1);
	put(list, NOWHERE);
	put(CTX + CTX_GROUPS, NOWHERE);
	walk = start(memory, memmap, &seen);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(!seen.nr && walk.unreadable == 65);
}

static void set_region(uint64_t at, uint64_t pages, uint32_t nr, uint32_t flags)
{
	put(at, pages);
	put_bytes(at + 16, nr, 4);
	put_bytes(at + 20, flags, 4);
}

static void test_new(struct pa_memory *memory, struct pa_memmap *memmap)
{
	struct seen seen;
	struct pa_io_uring_walk walk = start(memory, memmap, &seen);

	make_new_layout();
	CHECK(pa_io_uring_knows(&layout));
	put(CTX + CTX_BUFS, TABLE);
	put_bytes(CTX + CTX_NR_BUFS, 3, 4);
	put(TABLE + 8, NODES);
	put(TABLE + 16, NODES + 64);
	put(NODES + 16, UBUF);
	put(NODES + 64 + 16, LENT);
	set_ubuf(UBUF, 1, 100);
	set_ubuf(LENT, 1, 200);
	put_bytes(LENT + 28, 1, 1);
	for (unsigned int i = 0; i < 4; i++)
		put(PAGES + i * 8, page_at(16 + i));
	set_region(CTX + CTX_RING_REGION, PAGES, 4, 4);
	set_region(CTX + CTX_SQ_REGION, PAGES, 2, 2);
	set_region(CTX + CTX_PARAM_REGION, PAGES + 16, 2, 0);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(seen.nr == 7 && !walk.unreadable);
	CHECK(saw(&seen, 0, 100, PA_IO_URING_PINNED, UBUF + UBUF_HEADER, 1));
	CHECK(saw(&seen, 1, 200, PA_IO_URING_LENT, LENT + UBUF_HEADER, 2));
	CHECK(saw(&seen, 2, 16, PA_IO_URING_OWNED, PAGES, 0));
	CHECK(saw(&seen, 3, 16, PA_IO_URING_PINNED, PAGES, 0));
	CHECK(saw(&seen, 4, 17, PA_IO_URING_PINNED, PAGES + 8, 1));
	CHECK(saw(&seen, 5, 18, PA_IO_URING_OWNED, PAGES + 16, 0));
	CHECK(saw(&seen, 6, 19, PA_IO_URING_OWNED, PAGES + 24, 1));
	pa_io_uring_walk_deinit(&walk);
}

static void test_hostile(struct pa_memory *memory, struct pa_memmap *memmap)
{
	struct seen seen;
	struct pa_io_uring_walk walk = start(memory, memmap, &seen);

	/* One slot that is nowhere, one buffer of too many pages. */
	make_new_layout();
	put(CTX + CTX_BUFS, TABLE);
	put_bytes(CTX + CTX_NR_BUFS, 3, 4);
	put(TABLE, NOWHERE);
	put(TABLE + 8, NODES);
	put(TABLE + 16, NODES + 64);
	put(NODES + 16, UBUF);
	put(NODES + 64 + 16, LENT);
	put_bytes(UBUF + 16, UINT32_MAX, 4);
	set_ubuf(LENT, 1, 200);
	/* A region that is too long, and one whose array ends too early. */
	set_region(CTX + CTX_RING_REGION, PAGES, UINT32_MAX, 2);
	set_region(CTX + CTX_SQ_REGION, BASE + SIZE - 8, 2, 2);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(seen.nr == 1 && walk.unreadable == 4);
	CHECK(saw(&seen, 0, 200, PA_IO_URING_PINNED, LENT + UBUF_HEADER, 2));
	pa_io_uring_walk_deinit(&walk);

	walk = start(memory, memmap, &seen);
	put_bytes(CTX + CTX_NR_BUFS, UINT32_MAX - 1, 4);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(!seen.nr && walk.unreadable == 3);
	pa_io_uring_walk_deinit(&walk);

	/* io_rsrc_data_free() has put all of them: there is nothing to read. */
	walk = start(memory, memmap, &seen);
	put_bytes(CTX + CTX_NR_BUFS, UINT32_MAX, 4);
	CHECK_OK(pa_io_uring_visit(&walk, CTX));
	CHECK(!seen.nr && walk.unreadable == 2);
	pa_io_uring_walk_deinit(&walk);

	walk = start(memory, memmap, &seen);
	CHECK_ERROR(PA_ERROR_UNREADABLE, pa_io_uring_visit(&walk, NOWHERE));
	pa_io_uring_walk_deinit(&walk);

	layout.types[PA_TYPE_io_mapped_ubuf].size = 4096;
	CHECK(!pa_io_uring_knows(&layout));
}

int main(void)
{
	static void (*const tests[])(struct pa_memory * memory,
				     struct pa_memmap * memmap) = {
		test_old,    test_retired, test_ring_pages,
		test_groups, test_new,	   test_hostile,
	};

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		struct pa_memory *memory = bytes_start();
		struct pa_memmap *memmap;

		CHECK_OK(pa_memmap_create(&kernel, &memmap));
		tests[i](memory, memmap);
		pa_memmap_destroy(memmap);
		bytes_end(memory);
	}
	return CHECK_DONE();
}
