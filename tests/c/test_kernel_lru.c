// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory cgroups and lruvecs of hand-made memory, sound and hostile. */
#include <string.h>

#include "bytes.h"
#include "kernel/lruvec.h"

/* Where things are in the structures below. */
#define CSS 8
#define SIBLING (CSS + 0)
#define CHILDREN (CSS + 16)
#define FLAGS (CSS + 32)
#define CGROUP (CSS + 40)
#define NODEINFO 64
#define MEMCG_BYTES 128
#define LRUVEC 16
#define LOCK 80
#define LRUGEN 96
#define LRUVEC_BYTES (LRUGEN + 8 + 4 * 2 * 3 * 16)
#define NODE 4096

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

static uint64_t memcg_at(unsigned int n)
{
	return BASE + 8192 + n * UINT64_C(4096);
}

static void make_lruvec(uint64_t at, bool gens)
{
	for (int i = 0; i < 5; i++)
		list_init(at + (uint64_t)i * 16);
	for (int i = 0; gens && i < 4 * 2 * 3; i++)
		list_init(at + LRUGEN + 8 + (uint64_t)i * 16);
}

static void make_memcg(unsigned int n, uint64_t parent)
{
	uint64_t at = memcg_at(n);

	list_init(at + CHILDREN);
	if (parent)
		list_add_tail(at + SIBLING, parent + CHILDREN);
	put(at + FLAGS, 2);
	/* mem_cgroup_per_node, cgroup, kernfs_node and name behind it. */
	put(at + NODEINFO, at + 256);
	put(at + CGROUP, at + 2048);
	put(at + 2048, at + 2056);
	put(at + 2056, at + 2064);
	memory_bytes[at + 2064 - BASE] = (uint8_t)('a' + n);
	make_lruvec(at + 256 + LRUVEC, true);
}

/* Of elements of 16 bytes. */
#define ARRAY(type, name, at, nr)                                              \
	layout.members[PA_MEMBER_##type##__##name] = (struct pa_member)        \
	{                                                                      \
		.known = true, .offset = (at), .size = (nr)*16, .length = (nr) \
	}

static void make_layout(void)
{
	TYPE(mem_cgroup, MEMCG_BYTES);
	TYPE(lruvec, LRUVEC_BYTES);
	TYPE(page, PAGE_BYTES);
	SYMBOL(root_mem_cgroup, BASE);
	MEMBER(mem_cgroup, css, CSS, 48);
	MEMBER(mem_cgroup, nodeinfo, NODEINFO, 0);
	MEMBER(mem_cgroup_per_node, lruvec, LRUVEC, LRUVEC_BYTES);
	MEMBER(cgroup_subsys_state, sibling, 0, 16);
	MEMBER(cgroup_subsys_state, children, 16, 16);
	MEMBER(cgroup_subsys_state, flags, 32, 4);
	MEMBER(cgroup_subsys_state, cgroup, 40, 8);
	MEMBER(cgroup, kn, 0, 8);
	MEMBER(kernfs_node, name, 0, 8);
	ARRAY(lruvec, lists, 0, 5);
	MEMBER(lruvec, lru_lock, LOCK, 4);
	MEMBER(page, memcg_data, 56, 8);
	MEMBER(folio, mlock_count, 16, 4);
	ARRAY(pglist_data, node_zones, 0, 3);
	MEMBER(lruvec, lrugen, LRUGEN, 0);
	ARRAY(lru_gen_folio, folios, 8, 4 * 2 * 3);
	MEMBER(lru_gen_folio, enabled, 0, 1);
	ENUMERATOR(CSS_ONLINE, 2);
	for (int i = 0; i < 5; i++)
		layout.enumerators[PA_ENUM_LRU_INACTIVE_ANON + i] =
			(struct pa_enumerator){ true, i };
}

/* a, with b and c in it, and d in c: the root is a. */
static void make_tree(void)
{
	memset(memory_bytes, 0, sizeof(memory_bytes));
	put(BASE, memcg_at(0));
	make_memcg(0, 0);
	make_memcg(1, memcg_at(0));
	make_memcg(2, memcg_at(0));
	make_memcg(3, memcg_at(2));
	make_lruvec(BASE + NODE, true);
}

static void test_tree(struct pa_memory *memory)
{
	struct pa_memcgs memcgs;
	char path[16];

	make_tree();
	put(memcg_at(2) + FLAGS, 0);
	CHECK_OK(pa_memcgs_init(memory, &layout, &memcgs));
	CHECK(memcgs.enabled && memcgs.list.length == 4);
	CHECK(!memcgs.unreadable && !memcgs.corrupt);
	for (unsigned int i = 0; i < 4; i++) {
		const struct pa_memcg *memcg =
			pa_memcg_find(&memcgs, memcg_at(i));

		CHECK_FATAL(memcg);
		CHECK(memcg->online == (i != 2));
	}
	CHECK(!pa_memcg_find(&memcgs, memcg_at(0) + 8));
	pa_memcg_path(memory, &layout, &memcgs,
		      pa_memcg_find(&memcgs, memcg_at(3)), path, sizeof(path));
	CHECK(!strcmp(path, "/c/d"));
	pa_memcg_path(memory, &layout, &memcgs, memcgs.list.items, path,
		      sizeof(path));
	CHECK(!strcmp(path, "/"));
	/* A name that is no text, and one that is nowhere. */
	memory_bytes[memcg_at(3) + 2064 - BASE] = 7;
	put(memcg_at(2) + 2056, 1);
	pa_memcg_path(memory, &layout, &memcgs,
		      pa_memcg_find(&memcgs, memcg_at(3)), path, sizeof(path));
	CHECK(!strcmp(path, "/?/?"));
	pa_memcgs_deinit(&memcgs);
}

static void test_hostile_trees(struct pa_memory *memory)
{
	struct pa_memcgs memcgs;

	/* The root among the children of its child: no end but our own. */
	make_tree();
	list_add_tail(memcg_at(0) + SIBLING, memcg_at(3) + CHILDREN);
	CHECK_OK(pa_memcgs_init(memory, &layout, &memcgs));
	CHECK(memcgs.list.length == 4 && memcgs.corrupt == 1);
	pa_memcgs_deinit(&memcgs);

	/* A link to where nothing is, and one that is not answered. */
	make_tree();
	put(memcg_at(1) + SIBLING, BASE + SIZE + 4096);
	put(memcg_at(2) + CHILDREN, memcg_at(1) + SIBLING);
	CHECK_OK(pa_memcgs_init(memory, &layout, &memcgs));
	CHECK(memcgs.list.length == 2 && memcgs.unreadable == 1);
	pa_memcgs_deinit(&memcgs);

	/* Turned off by a boot option: an unset static key. */
	make_tree();
	SYMBOL(memory_cgrp_subsys_enabled_key, BASE + 16);
	CHECK_OK(pa_memcgs_init(memory, &layout, &memcgs));
	CHECK(!memcgs.enabled && !memcgs.list.length);
	pa_memcgs_deinit(&memcgs);
	layout.symbols[PA_SYM_memory_cgrp_subsys_enabled_key].known = false;
}

static void test_lruvecs(struct pa_memory *memory)
{
	struct pa_node node = { .address = BASE + NODE };
	struct pa_zones zones = { .nodes = { .items = &node, .length = 1 } };
	uint64_t lruvec = memcg_at(3) + 256 + LRUVEC;
	/* Generation 2, file, zone 1. */
	uint64_t gen_list = lruvec + LRUGEN + 8 + (2 * 2 * 3 + 3 + 1) * 16;
	struct pa_memcgs memcgs;
	struct pa_lruvecs lruvecs;
	char name[64];

	make_tree();
	list_add_tail(BASE + 1024, gen_list);
	/* A list of which one link alone says that it is empty. */
	put(lruvec + 3 * 16, BASE + 1024);
	put(lruvec + LOCK, 1);
	put(lruvec + LRUGEN, 1);
	CHECK_OK(pa_memcgs_init(memory, &layout, &memcgs));
	CHECK_OK(pa_lruvecs_init(memory, &layout, &zones, &memcgs, &lruvecs));
	CHECK(lruvecs.list.length == 4 && !lruvecs.unreadable);
	CHECK(lruvecs.format.nr_gens == 4 && lruvecs.format.nr_zones == 3);
	CHECK(!lruvecs.format.unevictable_linked);
	CHECK_FATAL(lruvecs.lists.length == 2);

	const struct pa_lru_list *classic = &lruvecs.lists.items[0];
	const struct pa_lru_list *gen = &lruvecs.lists.items[1];
	const struct pa_lruvec *found = pa_lruvec_at(&lruvecs, gen_list);

	CHECK(!classic->is_gen && classic->lru == 3 && classic->is_file);
	CHECK(gen->is_gen && gen->gen == 2 && gen->zone == 1 && gen->is_file);
	CHECK(gen->head == gen_list);
	CHECK_FATAL(found);
	CHECK(found == &lruvecs.list.items[gen->lruvec]);
	CHECK(found->address == lruvec && found->locked && found->gen_enabled);
	CHECK(memcgs.list.items[found->memcg].address == memcg_at(3));
	CHECK(!pa_lruvec_at(&lruvecs, lruvec - 1) ||
	      pa_lruvec_at(&lruvecs, lruvec - 1) != found);
	CHECK(!pa_lruvec_at(&lruvecs, BASE));
	pa_lru_list_name(&lruvecs, gen, "/c/d", name, sizeof(name));
	CHECK(!strcmp(name, "node 0 /c/d generation 2 file zone 1"));
	pa_lru_list_name(&lruvecs, classic, "/c/d", name, sizeof(name));
	CHECK(!strcmp(name, "node 0 /c/d active file"));
	pa_lruvecs_deinit(&lruvecs);

	/* Without memory cgroups it is the node's own. */
	pa_memcgs_deinit(&memcgs);
	memcgs = (struct pa_memcgs){ .enabled = false };
	MEMBER(pglist_data, __lruvec, 0, LRUVEC_BYTES);
	CHECK_OK(pa_lruvecs_init(memory, &layout, &zones, &memcgs, &lruvecs));
	CHECK(lruvecs.list.length == 1 && !lruvecs.lists.length);
	CHECK(lruvecs.list.items[0].memcg == -1);
	pa_lruvecs_deinit(&lruvecs);

	/* A node whose memory is not there. */
	node.address = BASE + SIZE;
	CHECK_OK(pa_lruvecs_init(memory, &layout, &zones, &memcgs, &lruvecs));
	CHECK(!lruvecs.list.length && lruvecs.unreadable == 1);
	pa_lruvecs_deinit(&lruvecs);

	/* Types that can't be. */
	layout.types[PA_TYPE_lruvec].size = 64;
	CHECK_ERROR(PA_ERROR_MISSING, pa_lruvecs_init(memory, &layout, &zones,
						      &memcgs, &lruvecs));
	layout.types[PA_TYPE_lruvec].size = LRUVEC_BYTES;
}

static void test_folio_memcg(struct pa_memory *memory)
{
	struct pa_lruvec_format format = { .memcg_data = 56,
					   .objcg_memcg = 16 };
	uint8_t page[PAGE_BYTES] = { 0 };
	uint64_t objcg = BASE + 2048, memcg = 1;
	uint64_t flagged = objcg | 2;

	memcpy(page + 56, &flagged, 8);
	CHECK_OK(pa_lru_folio_memcg(memory, &format, page, &memcg));
	CHECK(memcg == 0);
	format.memcg_word = PA_MEMCG_WORD_MEMCG;
	CHECK_OK(pa_lru_folio_memcg(memory, &format, page, &memcg));
	CHECK(memcg == objcg);
	format.memcg_word = PA_MEMCG_WORD_OBJCG;
	put(objcg + 16, memcg_at(1));
	CHECK_OK(pa_lru_folio_memcg(memory, &format, page, &memcg));
	CHECK(memcg == memcg_at(1));
	flagged = BASE + SIZE;
	memcpy(page + 56, &flagged, 8);
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_lru_folio_memcg(memory, &format, page, &memcg));
}

int main(void)
{
	struct pa_memory *memory = bytes_start();

	make_layout();
	test_tree(memory);
	test_hostile_trees(memory);
	test_lruvecs(memory);
	test_folio_memcg(memory);
	bytes_end(memory);
	return CHECK_DONE();
}
