/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two processes with page tables in hand-made memory, and a walk over what they
 * map. The kernel has what the walk asks for, and nothing else.
 */
#ifndef PA_TESTS_TABLES_H
#define PA_TESTS_TABLES_H

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
	P4D_A,
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
	MM_PMD_HUGE_PTE = 40,
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

static inline uint64_t va_of(unsigned int pfn)
{
	return DIRECT + ((uint64_t)pfn << 12);
}

static inline void put(unsigned int pfn, uint64_t offset, uint64_t value)
{
	uint64_t at = ((uint64_t)pfn << 12) + offset;

	CHECK_FATAL(at <= MEMORY_BYTES - 8);
	memcpy(memory_bytes + at, &value, 8);
}

static inline void set_entry(unsigned int table, unsigned int index,
			     uint64_t value)
{
	put(table, (uint64_t)index * 8, value);
}

static inline uint64_t entry(uint64_t pfn, uint64_t flags)
{
	return pfn << 12 | flags;
}

static inline uint64_t swap_entry(uint64_t type, uint64_t offset)
{
	return (~offset << 14 >> 5) | type << 59;
}

static inline uint64_t page_va(uint64_t pfn)
{
	return DIRECT + MEMMAP_PHYS + pfn * PAGE_BYTES;
}

static inline void put_page(uint64_t pfn, uint64_t offset, uint64_t value)
{
	memcpy(memory_bytes + MEMMAP_PHYS + pfn * PAGE_BYTES + offset, &value,
	       8);
}

/* A running kernel: when the table @phys has been read, @run is. */
static struct {
	uint64_t phys;
	void (*run)(void);
} meanwhile;

static inline struct pa_error *read_phys(void *arg, uint64_t phys,
					 uint64_t length, uint8_t *buffer,
					 enum pa_presence *presence)
{
	(void)arg;
	*presence = phys < MEMORY_BYTES && length <= MEMORY_BYTES - phys ?
			    PA_PRESENT :
			    PA_UNREADABLE;
	if (*presence == PA_PRESENT)
		memcpy(buffer, memory_bytes + phys, length);
	if (meanwhile.run && phys == meanwhile.phys && length == 4096) {
		void (*run)(void) = meanwhile.run;

		meanwhile.run = NULL;
		run();
	}
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

static inline void make_layout(void)
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

static inline void make_kernel(struct pa_source *source)
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

/* The kernel above, read from memory_bytes; owned by the caller. */
static inline struct pa_source *start_kernel(void)
{
	struct pa_source *source;

	CHECK_OK(pa_source_callback(read_phys, NULL, NULL, false, EM_X86_64,
				    &source));
	make_kernel(source);
	return source;
}

static inline void make_task(unsigned int task, unsigned int mm,
			     unsigned int pgd)
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
static inline void make_machine(void)
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

static inline void run_init(struct run *run, const struct pa_watch *watch)
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

static inline void run_deinit(struct run *run)
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

static inline uint32_t maps_of(const struct run *run, uint64_t pfn)
{
	const uint32_t *maps = run->census->accounts->sections[0].maps;

	return maps ? maps[pfn] : 0;
}

static inline uint32_t refs_of(const struct run *run, uint64_t pfn)
{
	const uint32_t *refs = run->census->accounts->sections[0].refs;

	return refs ? refs[pfn] : 0;
}

static inline uint32_t entire_of(const struct run *run, uint64_t pfn)
{
	const uint32_t *entire = run->census->accounts->sections[0].entire;

	return entire ? entire[pfn >> 9] : 0;
}

static inline const struct pa_mm_tables *tables_of(const struct run *run,
						   unsigned int mm)
{
	const struct pa_page_tables *tables = run->census->page_tables;
	const struct pa_mm *found = pa_mms_find(&tables->mms, va_of(mm));

	CHECK_FATAL(found);
	return &tables->of[found - tables->mms.list.items];
}

#endif
