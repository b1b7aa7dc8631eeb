// SPDX-License-Identifier: LGPL-2.1-or-later
/* Super blocks and inodes of hand-made memory, with lists sound and broken. */
#include "bytes.h"
#include "kernel/super_block.h"

#define SUPER_BLOCKS (BASE + 64)
#define S_LIST 8
#define S_INODES 32
/* Offsets in an inode, and in its address_space. */
#define I_SB 0
#define I_FLAGS 8
#define I_MAPPING 16
#define I_SB_LIST 24
#define I_DATA 40
#define HOST 0
#define I_PAGES 8
#define NRPAGES 32
#define MAPPING_BYTES 40
#define INODE_BYTES (I_DATA + MAPPING_BYTES)
#define S_DAX PA_BIT(13)

#define NR_INODES 4

static uint64_t sb_at(unsigned int n)
{
	return BASE + 512 + n * UINT64_C(128);
}

static uint64_t inode_at(unsigned int n)
{
	return BASE + 4096 + n * UINT64_C(128);
}

static void list_init(uint64_t head)
{
	put(head, head);
	put(head + 8, head);
}

static void list_add_tail(uint64_t node, uint64_t head)
{
	uint64_t last = pa_load_u64(memory_bytes + (head + 8 - BASE));

	put(node, head);
	put(node + 8, last);
	put(last, node);
	put(head + 8, node);
}

static void make_layout(void)
{
	SYMBOL(super_blocks, SUPER_BLOCKS);
	TYPE(super_block, 64);
	MEMBER(super_block, s_list, S_LIST, 16);
	MEMBER(super_block, s_inodes, S_INODES, 16);
	TYPE(inode, INODE_BYTES);
	MEMBER(inode, i_sb, I_SB, 8);
	MEMBER(inode, i_flags, I_FLAGS, 4);
	MEMBER(inode, i_mapping, I_MAPPING, 8);
	MEMBER(inode, i_sb_list, I_SB_LIST, 16);
	MEMBER(inode, i_data, I_DATA, MAPPING_BYTES);
	TYPE(address_space, MAPPING_BYTES);
	MEMBER(address_space, host, HOST, 8);
	MEMBER(address_space, i_pages, I_PAGES, 16);
	MEMBER(address_space, nrpages, NRPAGES, 8);
	TYPE(xarray, 16);
	MEMBER(xarray, xa_head, 8, 8);
}

/* Two super blocks: inodes 0 to 3, and none. */
static void make_inodes(void)
{
	list_init(SUPER_BLOCKS);
	for (unsigned int i = 0; i < 2; i++) {
		list_add_tail(sb_at(i) + S_LIST, SUPER_BLOCKS);
		list_init(sb_at(i) + S_INODES);
	}
	for (unsigned int i = 0; i < NR_INODES; i++) {
		uint64_t inode = inode_at(i);

		put(inode + I_SB, sb_at(0));
		put_bytes(inode + I_FLAGS, i == 1 ? S_DAX : 0, 4);
		put(inode + I_MAPPING, inode + I_DATA);
		list_add_tail(inode + I_SB_LIST, sb_at(0) + S_INODES);
		put(inode + I_DATA + HOST, inode);
		put(inode + I_DATA + I_PAGES + 8, 1000 + i);
		put(inode + I_DATA + NRPAGES, i);
	}
}

struct seen {
	struct pa_inode inodes[16];
	size_t nr, limit;
	struct pa_inodes_result result;
};

static bool see(void *arg, const struct pa_inode *inode)
{
	struct seen *seen = arg;

	CHECK_FATAL(seen->nr < 16);
	seen->inodes[seen->nr++] = *inode;
	return seen->nr != seen->limit;
}

static struct seen visit(struct pa_memory *memory, size_t limit)
{
	struct seen seen = { .limit = limit };

	CHECK_OK(pa_inodes_visit(memory, &layout, see, &seen, &seen.result));
	return seen;
}

static bool has_seen(const struct seen *seen, unsigned int n)
{
	for (size_t i = 0; i < seen->nr; i++)
		if (seen->inodes[i].address == inode_at(n))
			return true;
	return false;
}

static void test_sound(struct pa_memory *memory)
{
	struct seen seen = visit(memory, 0);

	CHECK_FATAL(seen.nr == NR_INODES);
	CHECK(seen.result.super_blocks == 2);
	CHECK(seen.result.inodes == NR_INODES);
	CHECK(!seen.result.unreadable);
	for (unsigned int i = 0; i < NR_INODES; i++) {
		const struct pa_inode *inode = &seen.inodes[i];

		CHECK(inode->address == inode_at(i));
		CHECK(inode->sb == sb_at(0));
		CHECK(inode->i_mapping == inode_at(i) + I_DATA);
		CHECK(inode->data.address == inode_at(i) + I_DATA);
		CHECK(inode->data.host == inode_at(i));
		CHECK(inode->data.head == 1000 + i);
		CHECK(inode->data.nrpages == i);
	}
	CHECK(visit(memory, 2).nr == 2);
}

static void test_broken(struct pa_memory *memory)
{
	struct seen seen;

	/* The rest is visited from the end. */
	put(inode_at(1) + I_SB_LIST, UINT64_C(0xdead000000000100));
	seen = visit(memory, 0);
	CHECK(seen.result.unreadable == 1);
	for (unsigned int i = 0; i < NR_INODES; i++)
		CHECK(has_seen(&seen, i));
	make_inodes();

	/* A circle that leaves the head out. */
	put(inode_at(2) + I_SB_LIST, inode_at(1) + I_SB_LIST);
	seen = visit(memory, 0);
	CHECK(seen.result.unreadable == 1);
	for (unsigned int i = 0; i < NR_INODES; i++)
		CHECK(has_seen(&seen, i));
	make_inodes();

	/* One that is another super block's, or none at all. */
	put(inode_at(2) + I_SB, sb_at(1));
	seen = visit(memory, 0);
	CHECK(seen.result.unreadable == 1);
	CHECK(seen.nr == NR_INODES - 1);
	CHECK(!has_seen(&seen, 2));
	make_inodes();

	/* The list of super blocks itself. */
	put(sb_at(0) + S_LIST, NOWHERE);
	seen = visit(memory, 0);
	CHECK(seen.result.unreadable == 1);
	CHECK(seen.result.super_blocks == 2);
	make_inodes();
	put(SUPER_BLOCKS, NOWHERE);
	put(SUPER_BLOCKS + 8, NOWHERE);
	seen = visit(memory, 0);
	CHECK(seen.result.unreadable == 1);
	CHECK(!seen.nr);
	make_inodes();
}

static void test_hosts(struct pa_memory *memory)
{
	struct pa_mapping mapping;
	bool hosts, dax;

	CHECK_OK(pa_mapping_read(memory, &layout, inode_at(1) + I_DATA,
				 &mapping));
	CHECK(mapping.host == inode_at(1));
	CHECK_OK(pa_mapping_is_hosts(memory, &layout, &mapping, &hosts, &dax));
	CHECK(hosts && dax);
	/* A block device's: of one inode, and i_mapping of others. */
	put(inode_at(0) + I_MAPPING, inode_at(1) + I_DATA);
	mapping.host = inode_at(0);
	CHECK_OK(pa_mapping_is_hosts(memory, &layout, &mapping, &hosts, &dax));
	CHECK(hosts && !dax);
	/* Of an inode that has others. */
	mapping.host = inode_at(3);
	CHECK_OK(pa_mapping_is_hosts(memory, &layout, &mapping, &hosts, &dax));
	CHECK(!hosts);
	mapping.host = 0;
	CHECK_OK(pa_mapping_is_hosts(memory, &layout, &mapping, &hosts, &dax));
	CHECK(!hosts && !dax);
	mapping.host = NOWHERE;
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_mapping_is_hosts(memory, &layout, &mapping, &hosts,
					&dax));
}

int main(void)
{
	struct pa_memory *memory = bytes_start();
	struct seen seen = { 0 };

	make_layout();
	make_inodes();
	test_sound(memory);
	test_broken(memory);
	test_hosts(memory);
	layout.symbols[PA_SYM_super_blocks].known = false;
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_inodes_visit(memory, &layout, see, &seen, &seen.result));
	bytes_end(memory);
	return CHECK_DONE();
}
