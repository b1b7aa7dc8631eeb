// SPDX-License-Identifier: LGPL-2.1-or-later
/* Tables of the swap cache (v6.18), with folios' addresses or with their pfns. */
#include "tables.h"

enum {
	DEVICES = NR_FIXED,
	DEVICE,
	CLUSTERS,
	SWAP_TABLE,
	SLOTS = 8,
};

#define SHADOW UINT64_C(0x12345671)
#define COUNT (UINT64_C(3) << 59)

static void make_swap(bool pointers)
{
	make_machine();
	SYMBOL(nr_swapfiles, va_of(DEVICES));
	SYMBOL(swap_info, va_of(DEVICES) + 8);
	MEMBER(swap_info_struct, max, 0, 4);
	MEMBER(swap_info_struct, cluster_info, 8, 8);
	MEMBER(swap_cluster_info, table, 8, 8);
	MEMBER(swap_table, entries, 0, 8 * SLOTS);
	layout.members[PA_MEMBER_swap_table__entries].length = SLOTS;
	layout.types[PA_TYPE_swap_cluster_info] = (struct pa_type){ true, 16 };
	if (pointers)
		MEMBER(swap_info_struct, swap_map, 16, 8);
	put(DEVICES, 0, 1);
	put(DEVICES, 8, va_of(DEVICE));
	put(DEVICE, 0, SLOTS);
	put(DEVICE, 8, va_of(CLUSTERS));
	put(CLUSTERS, 8, va_of(SWAP_TABLE));
}

static void walk_swap(struct run *run)
{
	void *state = NULL;
	uint64_t nr = 0;

	run_init(run, NULL);
	run->walk.holder = PA_HOLDER_SWAP_CACHE;
	run->walk.references = run->walk.unreadable = 0;
	CHECK_OK(pa_swap_cache_prepare(&run->walk, &state, &nr));
	CHECK(nr == 1);
	run->walk.state = state;
	for (uint64_t i = 0; i < nr; i++)
		CHECK_OK(pa_swap_cache_item(&run->walk, i));
	CHECK(!run->walk.err && !run->walk.unreadable);
	pa_swap_cache_destroy(state);
}

static void test_pointers(void)
{
	struct run run;

	make_swap(true);
	set_entry(SWAP_TABLE, 0, page_va(1024));
	set_entry(SWAP_TABLE, 1, page_va(1024));
	set_entry(SWAP_TABLE, 2, SHADOW);
	set_entry(SWAP_TABLE, 4, page_va(1026));
	/* No struct page's. */
	set_entry(SWAP_TABLE, 5, page_va(1027) + 8);
	walk_swap(&run);
	CHECK(refs_of(&run, 1024) == 2 && refs_of(&run, 1026) == 1);
	CHECK(!refs_of(&run, 1025) && !refs_of(&run, 1027));
	CHECK(run.walk.references == 4);
	CHECK_FATAL(run.walk.faults.length == 1);
	CHECK(run.walk.faults.items[0].link == page_va(1027) + 8);
	run_deinit(&run);
}

static void test_pfns(void)
{
	struct run run;

	make_swap(false);
	set_entry(SWAP_TABLE, 0, 1024 << 2 | 2 | COUNT);
	set_entry(SWAP_TABLE, 1, SHADOW | COUNT);
	/* Swapped out without a shadow. */
	set_entry(SWAP_TABLE, 2, COUNT);
	set_entry(SWAP_TABLE, 7, 1027 << 2 | 2);
	walk_swap(&run);
	CHECK(refs_of(&run, 1024) == 1 && refs_of(&run, 1027) == 1);
	CHECK(run.walk.references == 2 && !run.walk.faults.length);
	run_deinit(&run);
}

int main(void)
{
	struct pa_source *source = start_kernel();

	test_pointers();
	test_pfns();
	pa_source_destroy(source);
	return CHECK_DONE();
}
