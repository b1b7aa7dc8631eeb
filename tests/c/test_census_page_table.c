// SPDX-License-Identifier: LGPL-2.1-or-later
/* Page tables of a made machine, sound and hostile: what is counted of them. */
#include "tables.h"

static void test_entries(void)
{
	/* Of a kernel without hwpoison, markers and device memory: two. */
	const uint64_t migration = 30;
	struct run run;

	make_machine();
	set_entry(PTE_A, 0, entry(1024, P | RW | USER));
	set_entry(PTE_A, 9, entry(1025, P | USER));
	set_entry(PTE_A, 511, entry(1025, P | USER));
	set_entry(PTE_A, 10, (~(UINT64_C(1026) << 12) & FRAME) | PROTNONE);
	set_entry(PTE_A, 11, entry(1027, P | SPECIAL));
	set_entry(PTE_A, 12, swap_entry(3, 77));
	set_entry(PTE_A, 13, swap_entry(migration, 1028));
	set_entry(PMD_A, 1, entry(1536, P | PSE | USER));
	set_entry(PMD_A, 2,
		  (~(UINT64_C(2048) << 12) & FRAME & ~PA_MASK(21)) | PSE);
	set_entry(PMD_A, 3, entry(0x6200, P | PSE));
	set_entry(PMD_A, 4, swap_entry(migration + 1, 2560));
	set_entry(PTE_B, 511, entry(1025, P | USER));
	/* The kernel's half is nobody's. */
	set_entry(PGD_A, 256, entry(PUD_B, TABLE));
	run_init(&run, NULL);

	const struct pa_mm_tables *a = tables_of(&run, MM_A);
	const struct pa_mm_tables *b = tables_of(&run, MM_B);

	CHECK(maps_of(&run, 1024) == 1 && maps_of(&run, 1025) == 3);
	CHECK(maps_of(&run, 1026) == 1);
	CHECK(maps_of(&run, 1027) == 0 && maps_of(&run, 1028) == 0);
	CHECK(entire_of(&run, 1536) == 1 && entire_of(&run, 2048) == 1);
	CHECK(entire_of(&run, 2560) == 0 && entire_of(&run, 0x6200) == 0);
	CHECK(a->entries[PA_ENTRY_PAGE] == 6);
	CHECK(a->entries[PA_ENTRY_SPECIAL] == 2);
	CHECK(a->entries[PA_ENTRY_SWAP] == 1);
	CHECK(a->entries[PA_ENTRY_MIGRATION] == 2);
	CHECK(b->entries[PA_ENTRY_PAGE] == 1);
	for (int level = 0; level < 4; level++)
		CHECK(a->tables[level] == 1 && b->tables[level] == 1);
	CHECK(pa_mm_tables_bytes(a) == 3 * 4096);
	for (unsigned int pfn = PGD_A; pfn <= PTE_A; pfn++)
		CHECK(refs_of(&run, pfn) == 1);
	CHECK(!refs_of(&run, ROOT));
	/* There are no slabs to look for more mms in. */
	CHECK(run.walk.unreadable == 1 && !run.walk.faults.length);
	run_deinit(&run);
}

static void test_deposited(void)
{
	struct run run;

	make_machine();
	set_entry(PMD_A, 1, entry(1536, P | PSE | USER));
	set_entry(PMD_A, 2, entry(2048, P | PSE | USER));
	put_page(PMD_A, PAGE_PMD_HUGE_PTE, page_va(DEPOSIT_1));
	put_page(DEPOSIT_1, PAGE_LRU, page_va(DEPOSIT_2) + PAGE_LRU);
	put_page(DEPOSIT_2, PAGE_LRU, page_va(DEPOSIT_1) + PAGE_LRU);
	run_init(&run, NULL);
	CHECK(tables_of(&run, MM_A)->deposited == 2);
	CHECK(refs_of(&run, DEPOSIT_1) == 1 && refs_of(&run, DEPOSIT_2) == 1);
	CHECK(pa_mm_tables_bytes(tables_of(&run, MM_A)) == 5 * 4096);
	run_deinit(&run);

	/* Without split PMD locks: one list for all of the mm. */
	put_page(PMD_A, PAGE_PMD_HUGE_PTE, 0);
	MEMBER(mm_struct, pmd_huge_pte, MM_PMD_HUGE_PTE, 8);
	put(MM_A, MM_PMD_HUGE_PTE, page_va(DEPOSIT_1));
	run_init(&run, NULL);
	CHECK(tables_of(&run, MM_A)->deposited == 2);
	CHECK(!tables_of(&run, MM_B)->deposited);
	CHECK(refs_of(&run, DEPOSIT_1) == 1 && refs_of(&run, DEPOSIT_2) == 1);
	run_deinit(&run);
	layout.members[PA_MEMBER_mm_struct__pmd_huge_pte].known = false;
	put_page(PMD_A, PAGE_PMD_HUGE_PTE, page_va(DEPOSIT_1));

	/* A ring that never comes back to where it began. */
	put_page(DEPOSIT_2, PAGE_LRU, page_va(DEPOSIT_2) + PAGE_LRU);
	run_init(&run, NULL);
	CHECK(tables_of(&run, MM_A)->deposited <= PA_TABLE_ENTRIES);
	run_deinit(&run);

	/* One that leads out of the memory map. */
	put_page(DEPOSIT_1, PAGE_LRU, 0x1234);
	run_init(&run, NULL);
	CHECK(tables_of(&run, MM_A)->deposited == 2);
	CHECK(run.walk.faults.length == 1);
	run_deinit(&run);
}

static void test_shared(void)
{
	struct pa_pfn_range range = { 4096, 4097 };
	struct pa_watch watch = { .ranges = { .items = &range, .length = 1 } };
	unsigned int maps = 0, links = 0;
	struct run run;

	make_machine();
	classes[4096] = PA_CLASS_HUGETLB;
	set_entry(PUD_A, 1, entry(SHARED_PMD, TABLE));
	set_entry(PUD_B, 1, entry(SHARED_PMD, TABLE));
	set_entry(SHARED_PMD, 0, entry(4096, P | PSE | USER));
	run_init(&run, NULL);
	CHECK(entire_of(&run, 4096) == 1);
	CHECK(refs_of(&run, SHARED_PMD) == 1);
	CHECK(tables_of(&run, MM_A)->tables[PA_LEVEL_PMD] == 2);
	CHECK(tables_of(&run, MM_B)->tables[PA_LEVEL_PMD] == 2);
	CHECK(run.census->page_tables->tables[PA_LEVEL_PMD] == 3);
	run_deinit(&run);

	/* Asked for, both are told. */
	run_init(&run, &watch);
	pa_array_for_each(ref, &run.walk.seen) {
		CHECK(ref->pfn == 4096);
		maps += ref->kind == PA_REF_MAP_ENTIRE;
		links += ref->kind == PA_REF_LINK;
	}
	CHECK(maps == 1 && links == 1);
	run_deinit(&run);

	/* Before it had a counter each of them held a reference. */
	layout.members[PA_MEMBER_page__pt_share_count].known = false;
	run_init(&run, NULL);
	CHECK(refs_of(&run, SHARED_PMD) == 2 && entire_of(&run, 4096) == 1);
	run_deinit(&run);
}

static void test_raw_leaf(void)
{
	struct run run;

	/* A page of a driver, mapped by a PMD of a VM_PFNMAP: v6.11 and less. */
	make_machine();
	classes[1536] = PA_CLASS_USED_HEAD;
	classes[2048] = PA_CLASS_USED_HEAD;
	set_entry(PMD_A, 1, entry(1536, P | PSE | USER));
	set_entry(PMD_A, 2, entry(2048, P | PSE | USER));
	put(MM_A, MM_MMAP, va_of(MM_A) + 256);
	put(MM_A, 256, UINT64_C(0x200000));
	put(MM_A, 256 + 8, UINT64_C(0x400000));
	put(MM_A, 256 + VMA_FLAGS, PA_BIT(10));
	run_init(&run, NULL);
	CHECK(!entire_of(&run, 1536) && entire_of(&run, 2048) == 1);
	run_deinit(&run);

	/* A list of VMAs that goes round. */
	put(MM_A, 256 + 16, va_of(MM_A) + 256);
	run_init(&run, NULL);
	CHECK(!entire_of(&run, 1536) && entire_of(&run, 2048) == 1);
	run_deinit(&run);
	layout.symbols[PA_SYM_follow_pfnmap_start].known = true;
	run_init(&run, NULL);
	CHECK(entire_of(&run, 1536) == 1 && entire_of(&run, 2048) == 1);
	run_deinit(&run);
}

static void test_hostile(void)
{
	struct run run;

	/* Each level names itself in every entry: 512^4 walks, or one. */
	make_machine();
	for (unsigned int i = 0; i < 512; i++) {
		set_entry(PGD_A, i, entry(PGD_A, TABLE));
		set_entry(PUD_B, i, entry(PUD_B, TABLE));
	}
	run_init(&run, NULL);
	/* The user's half of the root, and the LDT's entry. */
	CHECK(tables_of(&run, MM_A)->tables[2] == 257);
	run_deinit(&run);

	/* Tables that are free, in no section, absent, and that are data. */
	make_machine();
	set_entry(PGD_A, 1, entry(5000, TABLE));
	classes[5000] = PA_CLASS_FREE + 3;
	set_entry(PGD_A, 2, entry(PA_BIT(36), TABLE));
	set_entry(PGD_A, 3, entry(60, TABLE));
	classes[60] = PA_CLASS_USED;
	set_entry(PGD_A, 4, entry(1024, TABLE));
	set_entry(PGD_A, 5, entry(20000, TABLE));
	classes[20000] = PA_CLASS_USED;
	set_entry(PGD_A, 6, entry(1024, P | PSE));
	run_init(&run, NULL);
	/* The free one and the one that is nowhere. */
	CHECK(run.walk.faults.length == 2);
	CHECK(run.walk.faults.items[0].pfn == 5000);
	CHECK(run.walk.faults.items[0].target == PA_TARGET_FREE);
	CHECK(run.walk.faults.items[0].head == va_of(MM_A));
	CHECK(run.walk.faults.items[0].node == va_of(PGD_A) + 8);
	CHECK(tables_of(&run, MM_A)->unreadable == 5);
	CHECK(tables_of(&run, MM_A)->entries[PA_ENTRY_BAD] == 1);
	run_deinit(&run);

	/* A page that is free, and one that is offline, are told as such. */
	make_machine();
	set_entry(PTE_A, 5, entry(5000, P | USER));
	classes[5001] = PA_CLASS_FREE_BODY;
	set_entry(PTE_A, 6, entry(5001, P | USER));
	set_entry(PTE_A, 7, entry(PAGES + 1, P | USER));
	run_init(&run, NULL);
	CHECK(run.walk.faults.length == 2);
	CHECK(run.walk.faults.items[0].pfn == 5001);
	CHECK(run.walk.faults.items[0].link == page_va(5001));
	CHECK(run.walk.faults.items[1].target == PA_TARGET_ABSENT);
	CHECK(maps_of(&run, 5000) == 1 && maps_of(&run, 5001) == 1);
	run_deinit(&run);

	/* An mm that is no mm, one that is gone, and no tasks at all. */
	make_machine();
	put(MM_A, MM_PGD, 0x1234);
	put(MM_B, MM_USERS, 0);
	run_init(&run, NULL);
	CHECK(!run.census->page_tables->mms.list.length);
	CHECK(run.walk.unreadable == 2);
	run_deinit(&run);
	put(INIT_TASK, TASK_TASKS, 0);
	run_init(&run, NULL);
	CHECK(!run.census->page_tables->mms.list.length);
	CHECK(run.walk.unreadable == 2);
	run_deinit(&run);
}

/* A big mm is walked in pieces, and comes to the same. */
static void test_pieces(void)
{
	struct run run;

	make_machine();
	set_entry(PTE_A, 0, entry(1024, P | USER));
	set_entry(PUD_A, 3, entry(PTE_B, TABLE));
	set_entry(PTE_B, 3, entry(PMD_B, TABLE));
	set_entry(PMD_B, 3, entry(1024, P | USER));
	set_entry(PGD_B, 255, 0);
	put(MM_A, MM_BYTES, UINT64_C(64) << 20);
	run_init(&run, NULL);
	CHECK(maps_of(&run, 1024) == 2);
	CHECK(tables_of(&run, MM_A)->tables[PA_LEVEL_PMD] == 2);
	CHECK(tables_of(&run, MM_A)->tables[PA_LEVEL_PTE] == 2);
	run_deinit(&run);
}

/* Five levels: the root is one table more away. */
static void test_five_levels(void)
{
	struct run run;

	make_machine();
	kernel.space.levels = 5;
	set_entry(PGD_A, 0, entry(P4D_A, TABLE));
	set_entry(P4D_A, 511, entry(PUD_A, TABLE));
	set_entry(PTE_A, 1, entry(1024, P | USER));
	set_entry(PGD_B, 255, 0);
	run_init(&run, NULL);

	const struct pa_mm_tables *a = tables_of(&run, MM_A);

	CHECK(maps_of(&run, 1024) == 1);
	for (int level = 0; level < PA_NR_LEVELS; level++)
		CHECK(a->tables[level] == 1);
	/* Roots and P4D tables are in no count. */
	CHECK(pa_mm_tables_bytes(a) == 3 * 4096);
	CHECK(!run.walk.faults.length);
	run_deinit(&run);
	kernel.space.levels = 4;
}

/* Under PTI: tables of the mm in the kernel's half, of which it maps nothing. */
static void check_ldt(unsigned int level, unsigned int root, bool big)
{
	struct run run;

	make_machine();
	kernel.space.levels = level + 1;
	set_entry(PGD_B, 255, 0);
	set_entry(PGD_A, 0, 0);
	set_entry(PGD_A, root, entry(level > 3 ? P4D_A : PUD_A, TABLE));
	set_entry(P4D_A, 0, entry(PUD_A, TABLE));
	set_entry(PTE_A, 0, entry(1024, P));
	set_entry(PMD_A, 1, entry(1536, P | PSE));
	put(MM_A, MM_BYTES, big ? UINT64_C(64) << 20 : 3 * 4096);
	run_init(&run, NULL);

	const struct pa_mm_tables *a = tables_of(&run, MM_A);
	bool ldt = root == 272;

	CHECK(pa_mm_tables_bytes(a) == (ldt ? 3 * 4096 : 0));
	CHECK(refs_of(&run, PUD_A) == ldt && refs_of(&run, PTE_A) == ldt);
	CHECK(!maps_of(&run, 1024) && !entire_of(&run, 1536));
	CHECK(run.walk.unreadable == 1 && !run.walk.faults.length);
	run_deinit(&run);
	kernel.space.levels = 4;
}

static void test_ldt(void)
{
	for (unsigned int level = 3; level < 5; level++) {
		check_ldt(level, 272, false);
		check_ldt(level, 272, true);
		check_ldt(level, 271, false);
		check_ldt(level, 273, false);
	}
}

/* To whoever asks the LDT's pages are named, and not mapped. */
static void test_ldt_is_named(void)
{
	struct pa_pfn_range range = { 1024, 1025 };
	struct pa_watch watch = { .ranges = { .items = &range, .length = 1 } };
	struct run run;

	make_machine();
	set_entry(PGD_A, 272, entry(PUD_A, TABLE));
	set_entry(PGD_A, 0, 0);
	set_entry(PTE_A, 1, entry(1024, P));
	run_init(&run, &watch);
	CHECK(run.walk.seen.length == 1);
	pa_array_for_each(ref, &run.walk.seen) {
		CHECK(ref->kind == PA_REF_LINK);
		CHECK(ref->index == UINT64_C(0xffff880000001000));
	}
	run_deinit(&run);
}

static void free_table(void)
{
	set_entry(PMD_A, 0, 0);
}

static void free_root(void)
{
	put(MM_A, MM_COUNT, 0);
}

/* What each of two reads makes of a table that somebody frees meanwhile. */
static void check_freed(unsigned int table, void (*run_meanwhile)(void),
			bool live)
{
	struct run run;

	make_machine();
	/* Somebody's data by now. */
	set_entry(PTE_A, 0, entry(1024, P | RW | USER));
	set_entry(PTE_A, 1, entry(5000, P | RW | USER));
	classes[5000] = PA_CLASS_FREE + 3;
	set_entry(PTE_B, 0, entry(1030, P | RW | USER));
	kernel.source->info.live = live;
	meanwhile.phys = (uint64_t)table << 12;
	meanwhile.run = run_meanwhile;
	run_init(&run, NULL);
	CHECK(!meanwhile.run);
	CHECK(maps_of(&run, 1024) == !live && maps_of(&run, 1030) == 1);
	CHECK(run.walk.faults.length == !live);
	/* There are no slabs to look for more mms in. */
	CHECK(run.walk.unreadable == 1);
	run_deinit(&run);
	kernel.source->info.live = false;
}

static void test_freed_meanwhile(void)
{
	for (unsigned int live = 0; live < 2; live++) {
		check_freed(PTE_A, free_table, live);
		check_freed(PGD_A, free_root, live);
	}
}

/* A table in memory that was free when the memory map was read. */
static void test_made_meanwhile(void)
{
	struct run run;

	for (unsigned int live = 0; live < 2; live++) {
		make_machine();
		set_entry(PTE_A, 0, entry(1024, P | RW | USER));
		classes[PTE_A] = PA_CLASS_FREE;
		put_page(PTE_A, kernel.page_format.refcount, 1);
		kernel.source->info.live = live;
		run_init(&run, NULL);
		CHECK(maps_of(&run, 1024) == live);
		CHECK(run.walk.faults.length == 1);
		CHECK(run.walk.unreadable == 1 + !live);
		run_deinit(&run);
	}
	kernel.source->info.live = false;
}

int main(void)
{
	struct pa_source *source = start_kernel();

	test_entries();
	test_deposited();
	test_shared();
	test_raw_leaf();
	test_hostile();
	test_pieces();
	test_five_levels();
	test_ldt();
	test_ldt_is_named();
	test_freed_meanwhile();
	test_made_meanwhile();
	pa_source_destroy(source);
	return CHECK_DONE();
}
