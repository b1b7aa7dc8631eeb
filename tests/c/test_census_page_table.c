// SPDX-License-Identifier: LGPL-2.1-or-later
/* Page tables of a made machine, sound and hostile: what is counted of them. */
#include <elf.h>
#include <string.h>

#include "census/holders.h"
#include "census/page_table.h"
#include "check.h"

#define DIRECT UINT64_C(0xffff888000000000)
#define PAGES UINT64_C(32768)
/* Of these there are bytes; struct pages lie in the second half. */
#define MEMORY_BYTES (UINT64_C(8) << 20)
#define MEMMAP_PHYS (UINT64_C(4) << 20)
#define PAGE_BYTES 64

#define P PA_BIT(0)
#define RW PA_BIT(1)
#define USER PA_BIT(2)
#define PSE PA_BIT(7)
#define PROTNONE PA_BIT(8)
#define SPECIAL PA_BIT(9)
#define TABLE (P | RW | USER)
#define FRAME (PA_MASK(52) & ~PA_MASK(12))

/* Where things are: pfns of what is in use for something else than data. */
enum {
	INIT_TASK = 1,
	TASK_A,
	TASK_B,
	MM_A,
	MM_B,
	VARIABLES,
	ROOT,
	PGD_A = 16,
	PUD_A,
	PMD_A,
	PTE_A,
	DEPOSIT_1,
	DEPOSIT_2,
	PGD_B,
	PUD_B,
	PTE_B,
	PMD_B,
	SHARED_PMD,
	NR_FIXED,
};

/* Offsets of members. */
enum {
	TASK_TASKS = 0,
	TASK_NODE = 16,
	TASK_SIGNAL = 32,
	TASK_MM = 40,
	TASK_PID = 48,
	TASK_COMM = 52,
	SIGNAL_HEAD = 128,
	MM_PGD = 0,
	MM_USERS = 8,
	MM_COUNT = 12,
	MM_BYTES = 16,
	MM_MMAP = 24,
	MM_ID = 32,
	PAGE_LRU = 8,
	PAGE_PMD_HUGE_PTE = 16,
	PAGE_MM_IDS = 104,
	VMA_FLAGS = 24,
};

static uint8_t memory_bytes[MEMORY_BYTES];
static uint8_t classes[PAGES];
static struct pa_layout layout;
static struct pa_kernel kernel;
static struct pa_section section = { .has_mem_map = true, .early = true };
static uint32_t section_index = 1;

static uint64_t va_of(unsigned int pfn)
{
	return DIRECT + ((uint64_t)pfn << 12);
}

static void put(unsigned int pfn, uint64_t offset, uint64_t value)
{
	uint64_t at = ((uint64_t)pfn << 12) + offset;

	CHECK_FATAL(at <= MEMORY_BYTES - 8);
	memcpy(memory_bytes + at, &value, 8);
}

static void set_entry(unsigned int table, unsigned int index, uint64_t value)
{
	put(table, (uint64_t)index * 8, value);
}

static uint64_t entry(uint64_t pfn, uint64_t flags)
{
	return pfn << 12 | flags;
}

static uint64_t swap_entry(uint64_t type, uint64_t offset)
{
	return (~offset << 14 >> 5) | type << 59;
}

static uint64_t page_va(uint64_t pfn)
{
	return DIRECT + MEMMAP_PHYS + pfn * PAGE_BYTES;
}

static void put_page(uint64_t pfn, uint64_t offset, uint64_t value)
{
	memcpy(memory_bytes + MEMMAP_PHYS + pfn * PAGE_BYTES + offset, &value,
	       8);
}

static struct pa_error *read_phys(void *arg, uint64_t phys, uint64_t length,
				  uint8_t *buffer, enum pa_presence *presence)
{
	(void)arg;
	*presence = phys < MEMORY_BYTES && length <= MEMORY_BYTES - phys ?
			    PA_PRESENT :
			    PA_UNREADABLE;
	if (*presence == PA_PRESENT)
		memcpy(buffer, memory_bytes + phys, length);
	return NULL;
}

#define MEMBER(type, name, at, bytes)                                       \
	layout.members[PA_MEMBER_##type##__##name] = (struct pa_member)     \
	{                                                                   \
		.known = true, .offset = (at), .size = (bytes), .length = 2 \
	}
#define SYMBOL(name, at)                                   \
	layout.symbols[PA_SYM_##name] = (struct pa_symbol) \
	{                                                  \
		true, at                                   \
	}

static void make_layout(void)
{
	memset(&layout, 0, sizeof(layout));
	SYMBOL(init_task, va_of(INIT_TASK));
	SYMBOL(huge_zero_pfn, va_of(VARIABLES));
	SYMBOL(migrate_pages, va_of(VARIABLES));
	layout.types[PA_TYPE_vm_area_struct] = (struct pa_type){ true, 64 };
	MEMBER(task_struct, tasks, TASK_TASKS, 16);
	MEMBER(task_struct, thread_node, TASK_NODE, 16);
	MEMBER(task_struct, signal, TASK_SIGNAL, 8);
	MEMBER(task_struct, mm, TASK_MM, 8);
	MEMBER(task_struct, pid, TASK_PID, 4);
	MEMBER(task_struct, comm, TASK_COMM, 16);
	MEMBER(signal_struct, thread_head, 0, 16);
	MEMBER(mm_struct, pgd, MM_PGD, 8);
	MEMBER(mm_struct, mm_users, MM_USERS, 4);
	MEMBER(mm_struct, mm_count, MM_COUNT, 4);
	MEMBER(mm_struct, pgtables_bytes, MM_BYTES, 8);
	MEMBER(mm_struct, mmap, MM_MMAP, 8);
	MEMBER(vm_area_struct, vm_start, 0, 8);
	MEMBER(vm_area_struct, vm_end, 8, 8);
	MEMBER(vm_area_struct, vm_next, 16, 8);
	MEMBER(vm_area_struct, vm_flags, VMA_FLAGS, 8);
	MEMBER(vm_area_struct, vm_pgoff, 32, 8);
	MEMBER(vm_area_struct, vm_file, 40, 8);
	MEMBER(vm_area_struct, anon_vma, 48, 8);
	MEMBER(page, pmd_huge_pte, PAGE_PMD_HUGE_PTE, 8);
	MEMBER(page, pt_share_count, 32, 4);
}

static void make_kernel(struct pa_source *source)
{
	kernel = (struct pa_kernel){
		.source = source,
		.layout = &layout,
		.arch = &pa_arch_x86_64,
		.space = {
			.page_shift = 12,
			.max_physmem_bits = 46,
			.direct_start = DIRECT,
			.direct_end = DIRECT + PA_BIT(46),
			.vmemmap_start = DIRECT + MEMMAP_PHYS,
			.root_phys = ROOT << 12,
			.levels = 4,
			.entry_phys_mask = FRAME,
		},
		.page_format = { .size = PAGE_BYTES, .lru = PAGE_LRU,
				 .max_order = 18 },
		.sections = {
			.pages_shift = 15,
			.pages = PAGES,
			.subsection_pages = 512,
			.subsection_words = 1,
			.list = { .items = &section, .length = 1 },
			.index = &section_index,
			.index_length = 1,
		},
	};
}

static void make_task(unsigned int task, unsigned int mm, unsigned int pgd)
{
	unsigned int before = task - 1;

	/* Each is a process of one thread, whose signal_struct is behind it. */
	put(before, TASK_TASKS, va_of(task));
	put(task, TASK_TASKS + 8, va_of(before));
	put(task, TASK_TASKS, va_of(INIT_TASK));
	put(INIT_TASK, TASK_TASKS + 8, va_of(task));
	put(task, TASK_SIGNAL, va_of(task) + SIGNAL_HEAD);
	put(task, SIGNAL_HEAD, va_of(task) + TASK_NODE);
	put(task, SIGNAL_HEAD + 8, va_of(task) + TASK_NODE);
	put(task, TASK_NODE, va_of(task) + SIGNAL_HEAD);
	put(task, TASK_NODE + 8, va_of(task) + SIGNAL_HEAD);
	put(task, TASK_MM, va_of(mm));
	put(task, TASK_PID, task | UINT64_C(0x61) << 32);
	put(mm, MM_PGD, va_of(pgd));
	put(mm, MM_USERS, 1 | UINT64_C(1) << 32);
}

/* Two processes with tables, and data pages from 1024 on. */
static void make_machine(void)
{
	static uint64_t subsections = ~UINT64_C(0);

	memset(memory_bytes, 0, sizeof(memory_bytes));
	memset(classes, PA_CLASS_LRU, sizeof(classes));
	memset(classes, PA_CLASS_USED, 64);
	section.usage = 1;
	section.usage_read = true;
	section.online = true;
	section.subsections = &subsections;
	make_layout();
	put(VARIABLES, 0, 0x6200);
	make_task(TASK_A, MM_A, PGD_A);
	make_task(TASK_B, MM_B, PGD_B);
	set_entry(PGD_A, 0, entry(PUD_A, TABLE));
	set_entry(PUD_A, 0, entry(PMD_A, TABLE));
	set_entry(PMD_A, 0, entry(PTE_A, TABLE));
	set_entry(PGD_B, 255, entry(PUD_B, TABLE));
	set_entry(PUD_B, 511, entry(PMD_B, TABLE));
	set_entry(PMD_B, 511, entry(PTE_B, TABLE));
}

struct run {
	struct pa_census *census;
	struct pa_holder_walk walk;
};

static void run_init(struct run *run, const struct pa_watch *watch)
{
	static uint8_t *section_classes[] = { classes };
	void *state = NULL;
	uint64_t nr;

	memset(run, 0, sizeof(*run));
	run->census = calloc(1, sizeof(*run->census));
	CHECK_FATAL(run->census);
	run->census->kernel = &kernel;
	run->census->classes = section_classes;
	run->census->accounts = calloc(1, sizeof(struct pa_accounts));
	CHECK_FATAL(run->census->accounts);
	CHECK_OK(pa_accounts_init(&kernel, run->census->accounts));
	run->walk = (struct pa_holder_walk){
		.census = run->census,
		.kernel = &kernel,
		.layout = &layout,
		.watch = watch,
		.holder = PA_HOLDER_PAGE_TABLE,
	};
	CHECK_OK(pa_kernel_memory(&kernel, &run->walk.memory));
	CHECK_OK(pa_memmap_create(&kernel, &run->walk.memmap));
	CHECK_OK(pa_page_table_prepare(&run->walk, &state, &nr));
	run->walk.state = state;
	for (uint64_t i = 0; i < nr; i++)
		CHECK_OK(pa_page_table_item(&run->walk, i));
	CHECK(!run->walk.err);
	pa_page_table_destroy(state);
}

static void run_deinit(struct run *run)
{
	pa_array_for_each(fault, &run->walk.faults)
		free(fault->list);
	pa_array_deinit(&run->walk.faults);
	pa_array_deinit(&run->walk.seen);
	pa_memmap_destroy(run->walk.memmap);
	pa_memory_destroy(run->walk.memory);
	pa_accounts_deinit(run->census->accounts);
	free(run->census->accounts);
	pa_page_tables_destroy(run->census->page_tables);
	free(run->census);
}

static uint32_t maps_of(const struct run *run, uint64_t pfn)
{
	const uint32_t *maps = run->census->accounts->sections[0].maps;

	return maps ? maps[pfn] : 0;
}

static uint32_t refs_of(const struct run *run, uint64_t pfn)
{
	const uint32_t *refs = run->census->accounts->sections[0].refs;

	return refs ? refs[pfn] : 0;
}

static uint32_t entire_of(const struct run *run, uint64_t pfn)
{
	const uint32_t *entire = run->census->accounts->sections[0].entire;

	return entire ? entire[pfn >> 9] : 0;
}

static const struct pa_mm_tables *tables_of(const struct run *run,
					    unsigned int mm)
{
	const struct pa_page_tables *tables = run->census->page_tables;
	const struct pa_mm *found = pa_mms_find(&tables->mms, va_of(mm));

	CHECK_FATAL(found);
	return &tables->of[found - tables->mms.list.items];
}

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
	CHECK(tables_of(&run, MM_A)->tables[2] == 256);
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

/* Large folios' maps by mm (v6.15). */
static void test_mm_ids(void)
{
	struct run run;

	make_machine();
	MEMBER(mm_struct, mm_id, MM_ID, 4);
	MEMBER(folio, _mm_id, PAGE_MM_IDS, 8);
	MEMBER(folio, _mm_id_mapcount, 96, 8);
	layout.members[PA_MEMBER_folio___mm_id_mapcount].element_size = 4;
	kernel.page_format.order = 64;
	kernel.page_format.flag.head = PA_BIT(6);
	for (unsigned int i = 0; i < 16; i++) {
		if (i % 8)
			classes[1024 + i] = PA_CLASS_TAIL;
		else {
			put_page(1024 + i, 0, PA_BIT(6));
			put_page(1024 + i + 1, 0, 3);
		}
	}
	/* Free slots, and one of B; a flag in each. */
	put_page(1024, 96, ~UINT64_C(0));
	put_page(1032, 96, UINT64_C(0xffffffff00000001));
	put_page(1032, PAGE_MM_IDS, UINT64_C(0x8000000080000009));
	put(MM_A, MM_ID, 7);
	put(MM_B, MM_ID, 9);
	for (unsigned int i = 0; i < 16; i++)
		set_entry(PTE_A, i, entry(1024 + i, P | USER));
	set_entry(PTE_B, 4, entry(1033, P | USER));
	set_entry(PTE_B, 5, entry(1032, P | USER));
	run_init(&run, NULL);

	const struct pa_mm_ids *ids = &run.census->page_tables->mm_ids;

	CHECK_FATAL(ids->list.length == 2);
	CHECK(ids->list.items[0].pfn == 1024 && ids->list.items[0].order == 3);
	CHECK(ids->list.items[0].others == 8);
	CHECK(!ids->list.items[0].shared && !ids->list.items[0].locked);
	CHECK(!ids->list.items[0].stored[0] && !ids->list.items[0].stored[1]);
	CHECK(ids->list.items[1].id[0] == 9 && !ids->list.items[1].id[1]);
	CHECK(ids->list.items[1].stored[0] == 2);
	CHECK(ids->list.items[1].shared && ids->list.items[1].locked);
	CHECK(ids->list.items[1].counted[0] == 2);
	CHECK(ids->list.items[1].counted[1] == 0);
	CHECK(ids->list.items[1].others == 8);
	CHECK(pa_mm_ids_find(&kernel, ids, 1039) == &ids->list.items[1]);
	CHECK(!pa_mm_ids_find(&kernel, ids, 1040));
	CHECK(!pa_mm_ids_find(&kernel, ids, 1023));
	run_deinit(&run);
}

int main(void)
{
	struct pa_source *source;

	CHECK_OK(pa_source_callback(read_phys, NULL, NULL, false, EM_X86_64,
				    &source));
	make_kernel(source);
	test_entries();
	test_deposited();
	test_shared();
	test_raw_leaf();
	test_hostile();
	test_pieces();
	test_mm_ids();
	pa_source_destroy(source);
	return CHECK_DONE();
}
