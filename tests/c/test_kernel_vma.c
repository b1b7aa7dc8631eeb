// SPDX-License-Identifier: LGPL-2.1-or-later
/* VMAs of hand-made memory, as lists and as maple trees, sound and hostile. */
#include <elf.h>
#include <string.h>

#include "check.h"
#include "kernel/maple_tree.h"
#include "kernel/vma.h"

#define BASE UINT64_C(0xffff888000000000)
#define SIZE 65536
#define MM BASE
/* Nodes are of 256 bytes, and aligned to that. */
#define NODE(n) (BASE + 4096 + (n)*UINT64_C(256))
#define VMA(n) (BASE + 32768 + (n)*UINT64_C(128))

/* include/linux/maple_tree.h: kinds of nodes, in a pointer's bits 3 to 6. */
enum { LEAF = 1, RANGE, ARANGE };
enum { RANGE_SLOTS = 16, ARANGE_SLOTS = 10 };
#define NODE_NULL 4
#define NODE_ROOT 2

enum { VMA_START = 0, VMA_END = 8, VMA_NEXT = 16, VMA_FLAGS = 24 };

static uint8_t memory_bytes[SIZE];
static struct pa_layout layout;

static void put(uint64_t address, uint64_t value)
{
	CHECK_FATAL(address - BASE <= SIZE - 8);
	memcpy(memory_bytes + (address - BASE), &value, 8);
}

static struct pa_error *read_phys(void *arg, uint64_t phys, uint64_t length,
				  uint8_t *buffer, enum pa_presence *presence)
{
	(void)arg;
	*presence = phys < SIZE && length <= SIZE - phys ? PA_PRESENT :
							   PA_UNREADABLE;
	if (*presence == PA_PRESENT)
		memcpy(buffer, memory_bytes + phys, length);
	return NULL;
}

#define MEMBER(type, name, at, bytes)                                   \
	layout.members[PA_MEMBER_##type##__##name] = (struct pa_member) \
	{                                                               \
		.known = true, .offset = (at), .size = (bytes),         \
		.length = (bytes) / 8                                   \
	}
#define ENUMERATOR(name, number)                                    \
	layout.enumerators[PA_ENUM_##name] = (struct pa_enumerator) \
	{                                                           \
		true, number                                        \
	}

static void make_layout(bool tree)
{
	memset(&layout, 0, sizeof(layout));
	layout.types[PA_TYPE_vm_area_struct] = (struct pa_type){ true, 128 };
	MEMBER(vm_area_struct, vm_start, VMA_START, 8);
	MEMBER(vm_area_struct, vm_end, VMA_END, 8);
	MEMBER(vm_area_struct, vm_flags, VMA_FLAGS, 8);
	MEMBER(vm_area_struct, vm_pgoff, 32, 8);
	MEMBER(vm_area_struct, vm_file, 40, 8);
	MEMBER(vm_area_struct, anon_vma, 48, 8);
	if (!tree) {
		MEMBER(mm_struct, mmap, 0, 8);
		MEMBER(vm_area_struct, vm_next, VMA_NEXT, 8);
		return;
	}
	MEMBER(mm_struct, mm_mt, 0, 16);
	MEMBER(maple_tree, ma_root, 8, 8);
	MEMBER(maple_range_64, pivot, 8, (RANGE_SLOTS - 1) * 8);
	MEMBER(maple_range_64, slot, 128, RANGE_SLOTS * 8);
	MEMBER(maple_arange_64, pivot, 8, (ARANGE_SLOTS - 1) * 8);
	MEMBER(maple_arange_64, slot, 80, ARANGE_SLOTS * 8);
	ENUMERATOR(maple_leaf_64, LEAF);
	ENUMERATOR(maple_range_64, RANGE);
	ENUMERATOR(maple_arange_64, ARANGE);
}

/* Of 16 KiB each, from 64 KiB on, with a hole of as much behind each. */
static uint64_t start_of(unsigned int n)
{
	return 65536 + n * UINT64_C(32768);
}

static void make_vma(unsigned int n)
{
	put(VMA(n) + VMA_START, start_of(n));
	put(VMA(n) + VMA_END, start_of(n) + 16384);
	put(VMA(n) + VMA_FLAGS, PA_VM_PFNMAP << n);
	put(VMA(n) + 32, 100 + n);
	put(VMA(n) + 40, BASE + 60000 + n);
}

static struct pa_error *read_vmas(struct pa_source *source, struct pa_vmas *ret)
{
	struct pa_kernel kernel = {
		.source = source,
		.layout = &layout,
		.arch = &pa_arch_x86_64,
		.space = {
			.page_shift = 12,
			.levels = 4,
			.direct_start = BASE,
			.direct_end = BASE + PA_BIT(46),
			.root_phys = PA_BIT(40),
		},
	};
	struct pa_memory *memory;
	struct pa_error *err;

	memset(ret, 0, sizeof(*ret));
	CHECK_OK(pa_kernel_memory(&kernel, &memory));
	err = pa_vmas_read(&kernel, memory, MM, ret);
	pa_memory_destroy(memory);
	return err;
}

/* They are 0 .. @nr - 1. */
static void expect(struct pa_source *source, size_t nr, uint64_t unreadable)
{
	struct pa_vmas vmas;

	CHECK_OK(read_vmas(source, &vmas));
	CHECK(vmas.list.length == nr);
	CHECK(vmas.unreadable == unreadable);
	for (unsigned int i = 0; i < vmas.list.length; i++) {
		const struct pa_vma *vma = &vmas.list.items[i];

		CHECK(vma->address == VMA(i));
		CHECK(vma->start == start_of(i));
		CHECK(vma->end == start_of(i) + 16384);
		CHECK(vma->flags == PA_VM_PFNMAP << i);
		CHECK(vma->pgoff == 100 + i && vma->file == BASE + 60000 + i);
		CHECK(pa_vmas_find(&vmas, vma->start) == vma);
		CHECK(pa_vmas_find(&vmas, vma->end - 1) == vma);
		CHECK(!pa_vmas_find(&vmas, vma->end));
	}
	CHECK(!pa_vmas_find(&vmas, 0));
	CHECK(!pa_vmas_find(&vmas, ~UINT64_C(0)));
	pa_vmas_deinit(&vmas);
}

/* So many of them, whichever. */
static void count(struct pa_source *source, size_t nr, uint64_t unreadable)
{
	struct pa_vmas vmas;

	CHECK_OK(read_vmas(source, &vmas));
	CHECK(vmas.list.length == nr && vmas.unreadable == unreadable);
	pa_vmas_deinit(&vmas);
}

static void make_list(void)
{
	make_layout(false);
	memset(memory_bytes, 0, sizeof(memory_bytes));
	put(MM, VMA(0));
	for (unsigned int i = 0; i < 4; i++) {
		make_vma(i);
		put(VMA(i) + VMA_NEXT, i < 3 ? VMA(i + 1) : 0);
	}
}

static void test_lists(struct pa_source *source)
{
	make_list();
	expect(source, 4, 0);
	put(MM, 0);
	expect(source, 0, 0);

	/* Round again, to nowhere, and one that ends before it starts. */
	make_list();
	put(VMA(3) + VMA_NEXT, VMA(1));
	expect(source, 4, 1);
	put(VMA(1) + VMA_NEXT, 0x1230);
	expect(source, 2, 1);
	put(VMA(1) + VMA_END, start_of(1));
	expect(source, 1, 1);
}

static uint64_t node(unsigned int n, uint64_t type)
{
	return NODE(n) | type << 3 | NODE_NULL;
}

/* Entry @i of a leaf or range node ends with the index @last. */
static void put_slot(unsigned int n, unsigned int i, uint64_t last,
		     uint64_t entry)
{
	if (i < RANGE_SLOTS - 1)
		put(NODE(n) + 8 + i * 8, last);
	put(NODE(n) + 128 + i * 8, entry);
}

/* VMAs [first, first + nr), and the hole before each, up to @max. */
static void make_leaf(unsigned int n, unsigned int first, unsigned int nr,
		      uint64_t max)
{
	for (unsigned int i = 0; i < nr; i++) {
		make_vma(first + i);
		put_slot(n, i * 2, start_of(first + i) - 1, 0);
		put_slot(n, i * 2 + 1, start_of(first + i) + 16383,
			 VMA(first + i));
	}
	put_slot(n, nr * 2, max, 0);
}

/* A root over two leaves: 7 VMAs, whose last pivots are left out. */
static void make_tree(void)
{
	make_layout(true);
	memset(memory_bytes, 0, sizeof(memory_bytes));
	put(MM + 8, node(0, ARANGE) | NODE_ROOT);
	put(NODE(0) + 8, start_of(3) - 4097);
	put(NODE(0) + 80, node(1, LEAF));
	put(NODE(0) + 88, node(2, LEAF));
	make_leaf(1, 0, 3, start_of(3) - 4097);
	make_leaf(2, 3, 4, 0);
}

static void test_trees(struct pa_source *source)
{
	make_tree();
	expect(source, 7, 0);

	/* A leaf that is the root, one entry without a node, and none. */
	put(MM + 8, node(1, LEAF) | NODE_ROOT);
	put_slot(1, 6, 0, 0);
	expect(source, 3, 0);
	put(MM + 8, VMA(0));
	expect(source, 1, 0);
	put(MM + 8, 0);
	expect(source, 0, 0);
	put(MM + 8, 0x1000);
	expect(source, 0, 1);

	/* XA_ZERO_ENTRY: fork is in the middle of it. */
	make_tree();
	put_slot(1, 5, start_of(2) + 16383, 257 << 2 | 2);
	put_slot(2, 0, start_of(3) - 1, 0);
	make_vma(2);
	count(source, 6, 0);
}

static void test_hostile_trees(struct pa_source *source)
{
	/* The root in itself: no end but our own. */
	make_tree();
	put(NODE(0) + 80, node(0, ARANGE));
	put(NODE(0) + 88, node(0, ARANGE));
	count(source, 0, 2);

	/* A node that is nowhere, of a kind that is none, and no node. */
	make_tree();
	put(NODE(0) + 88, (BASE + 2 * SIZE) | LEAF << 3 | NODE_NULL);
	expect(source, 3, 1);
	put(NODE(0) + 88, node(2, 9));
	expect(source, 3, 1);
	put(NODE(0) + 88, 0);
	expect(source, 3, 1);

	/* Pivots that fall, and one beyond the node's end. */
	make_tree();
	put_slot(1, 3, 5, VMA(1));
	count(source, 5, 1);
	make_tree();
	put_slot(1, 1, start_of(9), VMA(0));
	count(source, 4, 1);

	/* VMAs that are nowhere, or elsewhere than the tree says. */
	make_tree();
	put_slot(1, 5, start_of(2) + 16383, 0x1230);
	put_slot(2, 1, start_of(3) + 16383, VMA(0));
	count(source, 5, 2);
}

int main(void)
{
	struct pa_source *source;

	CHECK_OK(pa_source_callback(read_phys, NULL, NULL, false, EM_X86_64,
				    &source));
	test_lists(source);
	test_trees(source);
	test_hostile_trees(source);
	pa_source_destroy(source);
	return CHECK_DONE();
}
