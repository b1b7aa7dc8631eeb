// SPDX-License-Identifier: LGPL-2.1-or-later
/* XArrays of nodes with four slots, sound and hostile. */
#include "bytes.h"
#include "kernel/xarray.h"

#define XARRAY (BASE + 64)
#define HEAD (XARRAY + 8)
#define SLOTS 16
#define NODE_BYTES (SLOTS + 4 * 8)
#define RETRY 0x402
#define ZERO 0x406
#define POINTER (BASE + 0x4000)

static uint64_t node_at(unsigned int n)
{
	return BASE + 1024 + n * UINT64_C(256);
}

static uint64_t slot_at(unsigned int n, unsigned int slot)
{
	return node_at(n) + SLOTS + slot * 8;
}

static void set_node(unsigned int n, unsigned int shift, unsigned int offset,
		     uint64_t parent)
{
	put_bytes(node_at(n), shift, 1);
	put_bytes(node_at(n) + 1, offset, 1);
	put(node_at(n) + 8, parent);
}

/* Node @n below node @parent. */
static void hang(unsigned int n, unsigned int shift, unsigned int parent,
		 unsigned int offset)
{
	set_node(n, shift, offset, node_at(parent));
	put(slot_at(parent, offset), node_at(n) + 2);
}

static void make_layout(void)
{
	TYPE(xarray, 16);
	MEMBER(xarray, xa_head, 8, 8);
	TYPE(xa_node, NODE_BYTES);
	MEMBER(xa_node, shift, 0, 1);
	MEMBER(xa_node, offset, 1, 1);
	MEMBER(xa_node, count, 2, 1);
	MEMBER(xa_node, parent, 8, 8);
	MEMBER(xa_node, slots, SLOTS, 32);
	layout.members[PA_MEMBER_xa_node__slots].length = 4;
	layout.members[PA_MEMBER_xa_node__slots].element_size = 8;
}

struct seen {
	struct pa_xarray_entry entries[16];
	size_t nr, limit;
	struct pa_xarray_result result;
};

static bool see(void *arg, const struct pa_xarray_entry *entry)
{
	struct seen *seen = arg;

	CHECK_FATAL(seen->nr < 16);
	seen->entries[seen->nr++] = *entry;
	return seen->nr != seen->limit;
}

static struct seen walk(struct pa_memory *memory, size_t limit)
{
	struct seen seen = { .limit = limit };

	CHECK_OK(pa_xarray_walk(memory, &layout, XARRAY, see, &seen,
				&seen.result));
	return seen;
}

static void check_entry(const struct pa_xarray_entry *entry, uint64_t first,
			uint64_t last, uint64_t value, uint64_t slot)
{
	CHECK(entry->first == first);
	CHECK(entry->last == last);
	CHECK(entry->entry == value);
	CHECK(entry->slot == slot);
}

static void test_head(struct pa_memory *memory)
{
	struct seen seen = walk(memory, 0);

	CHECK(seen.nr == 0);
	put(HEAD, POINTER);
	seen = walk(memory, 0);
	CHECK_FATAL(seen.nr == 1);
	check_entry(&seen.entries[0], 0, 0, POINTER, HEAD);
	put(HEAD, ZERO);
	CHECK(walk(memory, 0).nr == 0);
}

/* Two levels: single entries, values, and one entry of many indices. */
static void make_tree(void)
{
	set_node(0, 2, 0, 0);
	put(HEAD, node_at(0) + 2);
	hang(1, 0, 0, 0);
	put(slot_at(1, 0), POINTER);
	put(slot_at(1, 1), 7);
	put(slot_at(1, 2), RETRY);
	put(slot_at(1, 3), POINTER + 64);
	/* Indices 4 to 11, and a sibling of its own chunk only. */
	put(slot_at(0, 1), POINTER + 128);
	put(slot_at(0, 2), 1 << 2 | 2);
	hang(2, 0, 0, 3);
	put(slot_at(2, 2), POINTER + 192);
	put(slot_at(2, 3), 2 << 2 | 2);
}

static void test_tree(struct pa_memory *memory)
{
	make_tree();

	struct seen seen = walk(memory, 0);

	CHECK_FATAL(seen.nr == 5);
	check_entry(&seen.entries[0], 0, 0, POINTER, slot_at(1, 0));
	check_entry(&seen.entries[1], 1, 1, 7, slot_at(1, 1));
	check_entry(&seen.entries[2], 3, 3, POINTER + 64, slot_at(1, 3));
	check_entry(&seen.entries[3], 4, 11, POINTER + 128, slot_at(0, 1));
	check_entry(&seen.entries[4], 14, 15, POINTER + 192, slot_at(2, 2));
	CHECK(!seen.result.corrupt && !seen.result.unreadable);
	CHECK(walk(memory, 2).nr == 2);
}

/* The part below a bad node is left out and told; the others are not. */
static void check_bad_child(struct pa_memory *memory, uint64_t corrupt,
			    uint64_t unreadable)
{
	struct seen seen = walk(memory, 0);

	CHECK(seen.nr == 2);
	CHECK(seen.result.corrupt == corrupt);
	CHECK(seen.result.unreadable == unreadable);
	make_tree();
}

static void test_hostile(struct pa_memory *memory)
{
	put(node_at(1) + 8, node_at(2));
	check_bad_child(memory, 1, 0);
	put_bytes(node_at(1), 2, 1);
	check_bad_child(memory, 1, 0);
	put_bytes(node_at(1) + 1, 3, 1);
	check_bad_child(memory, 1, 0);
	put(slot_at(0, 0), NOWHERE + 2);
	check_bad_child(memory, 0, 1);
	/* A circle: the root below itself. */
	put(slot_at(0, 0), node_at(0) + 2);
	check_bad_child(memory, 1, 0);
	/* A shift that no tree has. */
	put_bytes(node_at(0), 63, 1);
	CHECK(walk(memory, 0).result.corrupt == 1);
	put(HEAD, NOWHERE + 2);
	CHECK(walk(memory, 0).result.unreadable == 1);
}

static void test_layout(struct pa_memory *memory)
{
	struct seen seen = { 0 };

	layout.members[PA_MEMBER_xa_node__slots].length = 3;
	CHECK_ERROR(PA_ERROR_MISSING, pa_xarray_walk(memory, &layout, XARRAY,
						     see, &seen, &seen.result));
}

int main(void)
{
	struct pa_memory *memory = bytes_start();

	make_layout();
	test_head(memory);
	test_tree(memory);
	test_hostile(memory);
	test_layout(memory);
	bytes_end(memory);
	return CHECK_DONE();
}
