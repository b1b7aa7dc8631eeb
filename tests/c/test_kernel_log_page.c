// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which lines of the log speak of pages, and of which: v5.10 to v7.2. */
#include "kernel/log_page.h"
#include "ring.h"

#define NONE PA_NO_PFN

static const struct {
	const char *line;
	enum pa_log_kind kind;
	uint64_t pfn;
} lines[] = {
	/* All releases. */
	{ "Memory failure: 0x1a2b3: recovery action for dirty LRU page: Recovered",
	  PA_LOG_MEMORY_FAILURE, 0x1a2b3 },
	{ "Memory failure: 0x1a2b3: Sending SIGBUS to victim:77 due to hardware memory corruption",
	  PA_LOG_MEMORY_FAILURE, 0x1a2b3 },
	{ "Memory failure: 0x12 cannot catch tail", PA_LOG_MEMORY_FAILURE,
	  0x12 },
	{ "Memory failure: buffer overflow when queuing memory failure at 0x77f",
	  PA_LOG_MEMORY_FAILURE, 0x77f },
	{ "Memory failure: Unable to find user space address 7f00 in comm at 0x5 and",
	  PA_LOG_MEMORY_FAILURE, NONE },
	{ "Memory failure: Out of memory while machine check handling",
	  PA_LOG_MEMORY_FAILURE, NONE },
	{ "Injecting memory failure for pfn 0x2d40 at process virtual address 0x7f1234567000",
	  PA_LOG_MEMORY_FAILURE, 0x2d40 },
	{ "Soft offlining pfn 0x2d40 at process virtual address 0x7f1234567000",
	  PA_LOG_SOFT_OFFLINE, 0x2d40 },
	/* v5.10, v6.1 */
	{ "soft offline: 0x1f00: hugepage migration failed 1, type 17ffffc0000001 (locked)",
	  PA_LOG_SOFT_OFFLINE, 0x1f00 },
	{ "soft offline: 0x1f00: thp split failed", PA_LOG_SOFT_OFFLINE,
	  0x1f00 },
	{ "soft_offline: 0x1f00: invalidated", PA_LOG_SOFT_OFFLINE, 0x1f00 },
	{ "soft_offline_page: 0x1f00 page already poisoned",
	  PA_LOG_SOFT_OFFLINE, 0x1f00 },
	{ "Unpoison: Software-unpoisoned page 0x3c4d", PA_LOG_UNPOISON,
	  0x3c4d },
	{ "Unpoison: Software-unpoisoned free page 0x3c4d", PA_LOG_UNPOISON,
	  0x3c4d },
	{ "Unpoison: Page was already unpoisoned 0x3c4d", PA_LOG_UNPOISON,
	  0x3c4d },
	{ "page:00000000a1b2c3d4 refcount:1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x38c00",
	  PA_LOG_PAGE_DUMP, 0x38c00 },
	/* v5.10 has the true pointer of a page that was never initialised. */
	{ "page:ffffea0000040000 is uninitialized and poisoned",
	  PA_LOG_PAGE_DUMP, 0x1000 },
	{ "page:00000000deadbeef is uninitialized and poisoned",
	  PA_LOG_PAGE_DUMP, NONE },
	/* v6.12, v7 */
	{ "Soft offline: 0x1f00: hugepage isolation failed, page count 2, type 17ffffc0000001(locked|node=0|zone=1)",
	  PA_LOG_SOFT_OFFLINE, 0x1f00 },
	{ "Soft offline: disabled by /proc/sys/vm/enable_soft_offline",
	  PA_LOG_SOFT_OFFLINE, NONE },
	{ "Unpoison: 0x3c4d: software-unpoisoned page", PA_LOG_UNPOISON,
	  0x3c4d },
	{ "page: refcount:1 mapcount:0 mapping:0000000000000000 index:0x7f pfn:0x38c00",
	  PA_LOG_PAGE_DUMP, 0x38c00 },
	{ "RAS: Soft-offlining pfn: 0x44", PA_LOG_SOFT_OFFLINE, 0x44 },
	/* Bad pages. A comm may be anything of 15 characters. */
	{ "BUG: Bad page state in process kworker/0:1  pfn:0a1b2",
	  PA_LOG_BAD_PAGE, 0xa1b2 },
	{ "BUG: Bad page state in process   pfn:12345  pfn:0a1b2",
	  PA_LOG_BAD_PAGE, 0xa1b2 },
	{ "BUG: Bad page cache in process cat  pfn:1a1b2", PA_LOG_BAD_PAGE,
	  0x1a1b2 },
	{ "BUG: Bad page state: 3 messages suppressed", PA_LOG_BAD_PAGE, NONE },
	{ "BUG: Bad page map in process cat  pte:80000001a1b2025 pmd:0a000067",
	  PA_LOG_BAD_PAGE_MAP, 0x1a1b2 },
	/* Not present: the address is inverted, or no address. */
	{ "BUG: Bad page map in process cat  pte:80000001a1b2024 pmd:0a000067",
	  PA_LOG_BAD_PAGE_MAP, NONE },
	{ "BUG: Bad page map in process cat  pte:01a1b2067",
	  PA_LOG_BAD_PAGE_MAP, 0x1a1b2 },
	{ "BUG: Bad page map in process cat  pmd:80000001a1b2025",
	  PA_LOG_BAD_PAGE_MAP, NONE },
	{ "BUG: Bad page map: 12 messages suppressed", PA_LOG_BAD_PAGE_MAP,
	  NONE },
	{ "BUG: Bad rss-counter state mm:00000000abcdef01 type:MM_FILEPAGES val:-1",
	  PA_LOG_BAD_RSS, NONE },
	/* Hotplug. */
	{ "Offlined Pages 32768", PA_LOG_OFFLINE, NONE },
	{ "migrating pfn 3f9c1 failed ret:1", PA_LOG_HOTPLUG, 0x3f9c1 },
	{ "failed to isolate pfn 3f9c1", PA_LOG_HOTPLUG, 0x3f9c1 },
	{ "memory offlining [mem 0x38000000-0x3fffffff] failed due to unmovable page",
	  PA_LOG_HOTPLUG, 0x38000 },
	{ "failed to free all reserved pages", PA_LOG_HOTPLUG, NONE },
	/* Machine checks. */
	{ "mce: [Hardware Error]: TSC 0 ADDR 12345040 MISC 8c ",
	  PA_LOG_HARDWARE_ERROR, 0x12345 },
	{ "mce: [Hardware Error]: Machine check events logged",
	  PA_LOG_HARDWARE_ERROR, NONE },
	{ "mce: Uncorrected hardware memory error in user-access at 12345040",
	  PA_LOG_HARDWARE_ERROR, 0x12345 },
	{ "{17}[Hardware Error]:   physical_address: 0x0000000012345040",
	  PA_LOG_HARDWARE_ERROR, 0x12345 },
	{ "[Hardware Error]: Error Addr: 0x0000000012345040",
	  PA_LOG_HARDWARE_ERROR, 0x12345 },
	{ "EDAC MC0: 1 CE memory read error on CPU_SrcID#0 (channel:0 slot:1 page:0x12345 offset:0x40 grain:32 syndrome:0x0)",
	  PA_LOG_HARDWARE_ERROR, 0x12345 },
	/* Lists: an lru of a page, and an entry of something else. */
	{ "list_del corruption. prev->next should be ffffea0000040008, but was dead000000000100. (prev=ffffea0000041008)",
	  PA_LOG_LIST_CORRUPTION, 0x1000 },
	{ "list_del corruption, ffffea0000040008->next is LIST_POISON1 (dead000000000100)",
	  PA_LOG_LIST_CORRUPTION, 0x1000 },
	{ "list_add corruption. next->prev should be prev (ffff888000123450), but was ffffea0000040010. (next=ffff888000123458).",
	  PA_LOG_LIST_CORRUPTION, NONE },
	{ "list_add double add: new=ffff888000000008, prev=ffffea0000080008, next=ffff888000000008.",
	  PA_LOG_LIST_CORRUPTION, 0x2000 },
	/* The end. */
	{ "BUG: unable to handle page fault for address: ffffea0000040034",
	  PA_LOG_OOPS, 0x1000 },
	{ "BUG: unable to handle page fault for address: ffff888000040034",
	  PA_LOG_OOPS, NONE },
	{ "BUG: kernel NULL pointer dereference, address: 0000000000000008",
	  PA_LOG_OOPS, NONE },
	{ "general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] SMP PTI",
	  PA_LOG_OOPS, NONE },
	{ "Oops: general protection fault, maybe for address 0xffffea0000040034: 0000 [#2] SMP NOPTI",
	  PA_LOG_OOPS, 0x1000 },
	{ "kernel BUG at mm/page_alloc.c:1234!", PA_LOG_OOPS, NONE },
	{ "invalid opcode: 0000 [#1] SMP PTI", PA_LOG_OOPS, NONE },
	{ "Oops: 0002 [#1] PREEMPT SMP NOPTI", PA_LOG_OOPS, NONE },
	{ "Oops: Oops: 0002 [#1] SMP", PA_LOG_OOPS, NONE },
	{ "Kernel panic - not syncing: Fatal exception", PA_LOG_PANIC, NONE },
};

/* Nothing about pages, however near. */
static const char *const others[] = {
	"",
	" ",
	"foo: 0x123",
	"foo: Memory failure: 0x123: recovery action for free page: Recovered",
	"memory failure: 0x123: gone",
	"Memory failure",
	"systemd[1]: Soft offline: 0x123: invalidated",
	"my soft offline: 0x12: x",
	"page: 12 of 13",
	"page:ffffea0000040000",
	"pages: refcount:1 pfn:0x12",
	"head: order:9 mapcount:1",
	"raw: 0017ffffc0001000 ffffea0000000008 ffffea0000000008",
	"flags: 0x17ffffc0001000(reserved)",
	"page dumped because: nothing was",
	"Reserving 128MB of memory at 3000MB for crashkernel (System RAM: 4095MB)",
	"BUG: soft lockup - CPU#0 stuck for 22s!",
	"BUG: sleeping function called from invalid context at mm/slab.h:1",
	"BUG: Bad pages",
	"WARNING: CPU: 0 PID: 1 at mm/page_alloc.c:12 f+0x1/0x2",
	"RIP: 0010:isolate_migratepages_block+0x100/0x900",
	"CR2: ffffea0000040034 CR3: 0000000004a0a000 CR4: 00000000003506f0",
	"EDAC MC0: Giving out device to module skx_edac controller",
	"EDAC MC: Ver: 3.0.0",
	"tpm tpm0: [Hardware Error]: Adjusting reported timeouts",
	"mce: CPU supports 32 MCE banks",
	"list_lru: 12",
	"list_add: ffffea0000040008",
	"traps: cat[12] general protection fault ip:7f sp:7f error:0 in libc",
	"cat[77]: segfault at 7f00 ip 00007f sp 00007f error 4",
	"Code: 00 0000 [#x]",
	"x: 00000 [#1]",
	"migrating pfn",
	"Offlined Page",
	"Unpoisoned: 0x12",
	"Kernel command line: panic=-1 oops=panic",
};

static void test_lines(void)
{
	struct ring *ring = ring_create(4, 10);
	uint64_t pfn;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct pa_text line =
			pa_text(lines[i].line, strlen(lines[i].line));
		enum pa_log_kind kind =
			pa_log_classify(&ring->kernel, line, &pfn);

		if (kind != lines[i].kind || pfn != lines[i].pfn) {
			fprintf(stderr, "%s: %s %#lx\n", lines[i].line,
				pa_log_kind_names[kind], (unsigned long)pfn);
			pa_checks_failed++;
		}
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct pa_text line = pa_text(others[i], strlen(others[i]));

		if (pa_log_classify(&ring->kernel, line, &pfn) !=
		    PA_LOG_OTHER) {
			fprintf(stderr, "taken: %s\n", others[i]);
			pa_checks_failed++;
		}
	}
	ring_destroy(ring);
}

/* Lines cut anywhere: recognised or not, but nothing is read behind them. */
static void test_cut(void)
{
	struct ring *ring = ring_create(4, 10);

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		for (size_t n = 0; n <= strlen(lines[i].line); n++) {
			char *cut = malloc(n ? n : 1);
			uint64_t pfn, pfns[4];

			memcpy(cut, lines[i].line, n);
			pa_log_classify(&ring->kernel, pa_text(cut, n), &pfn);
			pa_log_list_pfns(&ring->kernel, pa_text(cut, n), pfns,
					 4);
			free(cut);
		}
	ring_destroy(ring);
}

/* No page can have such a number. */
static void test_beyond(void)
{
	struct ring *ring = ring_create(4, 10);
	const char *line = "Memory failure: 0xffffffffffffffff: x";
	uint64_t pfn;

	CHECK(pa_log_classify(&ring->kernel, pa_text(line, strlen(line)),
			      &pfn) == PA_LOG_MEMORY_FAILURE);
	CHECK(pfn == NONE);
	line = "Memory failure: 0x3ffffffff: x";
	pa_log_classify(&ring->kernel, pa_text(line, strlen(line)), &pfn);
	CHECK(pfn == 0x3ffffffff);
	line = "Memory failure: 0x400000000: x";
	pa_log_classify(&ring->kernel, pa_text(line, strlen(line)), &pfn);
	CHECK(pfn == NONE);
	/* More digits than a number has. */
	line = "Memory failure: 0x10000000000000001: x";
	pa_log_classify(&ring->kernel, pa_text(line, strlen(line)), &pfn);
	CHECK(pfn == NONE);
	ring_destroy(ring);
}

static void test_list_pfns(void)
{
	struct ring *ring = ring_create(4, 10);
	const char *line = "list_add corruption. prev->next should be next "
			   "(ffffea0000040008), but was ffffea0000080008. "
			   "(prev=ffffea0000040008).";
	uint64_t pfns[4];
	size_t nr = pa_log_list_pfns(&ring->kernel, pa_text(line, strlen(line)),
				     pfns, 4);

	CHECK_FATAL(nr == 2);
	CHECK(pfns[0] == 0x1000 && pfns[1] == 0x2000);
	nr = pa_log_list_pfns(&ring->kernel, pa_text(line, strlen(line)), pfns,
			      1);
	CHECK(nr == 1);
	CHECK(pa_log_list_pfns(&ring->kernel, pa_text(line + 1, 40), pfns, 4) ==
	      0);
	ring_destroy(ring);
}

/* Blocks of two callers that print at the same time, and userspace's text. */
static void test_blocks(void)
{
	struct ring *ring = ring_create(6, 13);
	struct pa_log log;
	struct pa_log_lines found;
	static const struct {
		uint32_t caller;
		uint8_t facility;
		const char *text;
		/* OTHER: not listed. */
		enum pa_log_kind kind;
		uint64_t pfn;
	} records[] = {
		{ 7, 1, "Memory failure: 0x1: a user's", PA_LOG_OTHER, 0 },
		{ 7, 3, "page: refcount:1 pfn:0x1", PA_LOG_OTHER, 0 },
		{ 7, 0, "flags: 0x12", PA_LOG_OTHER, 0 },
		{ 7, 0, "BUG: Bad page state in process x  pfn:0a1b2",
		  PA_LOG_BAD_PAGE, 0xa1b2 },
		{ 7, 0,
		  "page: refcount:0 mapcount:0 mapping:0 index:0x0 pfn:0xa1b2",
		  PA_LOG_PAGE_DUMP, 0xa1b2 },
		{ 8, 0,
		  "page: refcount:0 mapcount:0 mapping:0 index:0x0 pfn:0xb",
		  PA_LOG_PAGE_DUMP, 0xb },
		{ 8, 0, "flags: 0x20(lru|node=0)", PA_LOG_PAGE_DUMP, 0xb },
		{ 8, 0, "eth0: link is up", PA_LOG_OTHER, 0 },
		{ 8, 0, "raw: not of a page any more", PA_LOG_OTHER, 0 },
		/* One record of two lines. */
		{ 7, 0, "anything\nMemory failure: 0x9: x",
		  PA_LOG_MEMORY_FAILURE, 0x9 },
		{ 9, 0,
		  "BUG: unable to handle page fault for address: ffffea0000000040",
		  PA_LOG_OOPS, 1 },
		{ 8, 0, "RIP: 0010:another+0x1/0x2", PA_LOG_OTHER, 0 },
		{ 9, 0, "RIP: 0010:f+0x1/0x2", PA_LOG_OOPS, NONE },
		{ 9, 0, "CR2: ffffea0000000080 CR3: 0000000004a0a000",
		  PA_LOG_OOPS, 2 },
		{ 9, 0, "RIP: 0033:0x7f12", PA_LOG_OTHER, 0 },
		{ 9, 0, "CR2: ffffea0000000080", PA_LOG_OTHER, 0 },
		{ 9, 0, "---[ end trace 0000000000000000 ]---", PA_LOG_OTHER,
		  0 },
		{ 9, 0, "CR2: ffffea0000000080 CR3: 0000000004a0a000",
		  PA_LOG_OTHER, 0 },
	};
	size_t at = 0;

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
		ring_add_full(ring, i, records[i].caller, records[i].facility,
			      records[i].text, strlen(records[i].text));
	CHECK_OK(pa_log_read(ring->reader, &ring->layout, &log));
	CHECK_OK(pa_log_lines_init(&ring->kernel, &log, &found));
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		if (records[i].kind == PA_LOG_OTHER)
			continue;
		CHECK_FATAL(at < found.list.length);

		const struct pa_log_line *line = &found.list.items[at++];

		if (line->time_ns != i || line->kind != records[i].kind ||
		    line->pfn != records[i].pfn) {
			fprintf(stderr, "%s: %s %#lx at %lu\n", records[i].text,
				pa_log_kind_names[line->kind],
				(unsigned long)line->pfn,
				(unsigned long)line->time_ns);
			pa_checks_failed++;
		}
	}
	CHECK(at == found.list.length);
	pa_log_lines_deinit(&found);
	pa_log_deinit(&log);
	ring_destroy(ring);
}

int main(void)
{
	test_lines();
	test_cut();
	test_beyond();
	test_list_pfns();
	test_blocks();
	return CHECK_DONE();
}
