// SPDX-License-Identifier: LGPL-2.1-or-later
/* Crashes of v5.10 to v7.2, as their logs tell them, and what is none. */
#include "kernel/crash.h"

#include "ring.h"

/* In the ring's memory: what a crashed task's stack is. */
#define STACK_PHYS 0x80000
#define STACK (RING_DIRECT + STACK_PHYS)

/* A log of one caller's records, given as lines. */
static struct ring *log_of(const char *lines)
{
	struct ring *ring = ring_create(8, 17);

	while (*lines) {
		const char *end = strchr(lines, '\n');

		ring_add_full(ring, UINT64_C(5000000000) + ring->seq * 1000, 77,
			      0, lines, (size_t)(end - lines));
		lines = end + 1;
	}
	return ring;
}

static struct pa_crash crash_of(struct ring *ring)
{
	struct pa_log log;
	struct pa_crash crash;

	CHECK_OK(pa_log_read(ring->reader, &ring->layout, &log));
	CHECK_OK(pa_crash_read(&ring->kernel, ring->reader, &log, &crash));
	pa_log_deinit(&log);
	return crash;
}

static struct pa_crash crash_in(const char *lines)
{
	struct ring *ring = log_of(lines);
	struct pa_crash crash = crash_of(ring);

	ring_destroy(ring);
	return crash;
}

#define REGISTERS                                                                        \
	"RSP: 0018:ffff888000080100 EFLAGS: 00000297\n"                                  \
	"RAX: ffffea0000000000 RBX: ffffea00012048c0 RCX: 0000000000000008\n"            \
	"RDX: 0000000000000000 RSI: 00000000012048c0 RDI: 0000000000048223\n"            \
	"RBP: 0000000000000000 R08: 0000000000000000 R09: 0000000000000001\n"            \
	"R10: 0000000000000000 R11: ffffcfed00013c20 R12: 0000000000000000\n"            \
	"R13: ffffea0000040034 R14: ffffcfed00013b70 R15: 0000000000048123\n"            \
	"FS:  000000003d8003c0(0000) GS:ffff8eea7eb00000(0000) knlGS:0000000000000000\n" \
	"CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033\n"                            \
	"CR2: ffffea00012048c8 CR3: 00000000019e0000 CR4: 00000000001506f0\n"

#define USER_REGISTERS                                                             \
	"RIP: 0033:0x47b7a0\n"                                                     \
	"Code: 40 00 48 c7\n"                                                      \
	"RSP: 002b:00007fffbc3f0328 EFLAGS: 00000202 ORIG_RAX: 0000000000000001\n" \
	"RAX: ffffffffffffffda RBX: ffffea0000001000 RCX: 000000000047b7a0\n"

#define FAULT                                                              \
	"BUG: unable to handle page fault for address: ffffea00012048c8\n" \
	"#PF: supervisor read access in kernel mode\n"                     \
	"#PF: error_code(0x0000) - not-present page\n"                     \
	"PGD 3ffd0067 P4D 3ffd0067 PUD 3fcb3067 PMD 0 \n"

#define TRACE                                                        \
	"Call Trace:\n"                                              \
	" <TASK>\n"                                                  \
	" compact_zone+0x3b9/0x1020\n"                               \
	" entry_SYSCALL_64_after_hwframe+0x76/0x7e\n" USER_REGISTERS \
	" </TASK>\n"                                                 \
	"Modules linked in: qemu_fw_cfg\n"                           \
	"CR2: ffffea00012048c8\n"                                    \
	"---[ end trace 0000000000000000 ]---\n"

static const char fault_v6_12[] = FAULT
	"Oops: Oops: 0000 [#1] PREEMPT SMP PTI\n"
	"CPU: 1 UID: 0 PID: 4242 Comm: my Comm: x Not tainted 6.12.117+deb13-cloud-amd64 #1  Debian 6.12.117-1\n"
	"Hardware name: QEMU Standard PC (Q35 + ICH9, 2009)\n"
	"RIP: 0010:isolate_migratepages_block+0x269/0x13d0 [mod]\n"
	"Code: e8 48 8b 1d 41 6e 20 01\n" REGISTERS TRACE
	"RIP: 0010:isolate_migratepages_block+0x269/0x13d0\n"
	"Kernel panic - not syncing: Fatal exception\n";

static void test_page_fault(void)
{
	struct pa_crash crash = crash_in(fault_v6_12);

	CHECK_FATAL(crash.crashed);
	CHECK(!strcmp(crash.panic, "BUG: unable to handle page fault for "
				   "address: ffffea00012048c8"));
	CHECK(crash.time_ns == 5000000000);
	CHECK(!strcmp(crash.task, "my Comm: x"));
	CHECK(crash.pid == 4242 && crash.cpu == 1);
	CHECK(!strcmp(crash.rip_symbol,
		      "isolate_migratepages_block+0x269/0x13d0 [mod]"));
	CHECK(!crash.has_rip);
	CHECK(crash.has_cr2 && crash.cr2 == 0xffffea00012048c8);
	CHECK(crash.known_regs == 0xffff);
	CHECK(crash.regs[PA_REG_RSP] == STACK + 0x100);
	CHECK(crash.regs[PA_REG_R15] == 0x48123);
	CHECK(crash.eflags == 0x297);
	/* The memmap's start in RAX is no page; R13 is inside of one. */
	CHECK_FATAL(crash.nr_pages == 3);
	CHECK(!strcmp(crash.pages[0].where, "CR2"));
	CHECK(crash.pages[0].pfn == 0x48123);
	CHECK(crash.pages[0].link == PA_CRASH_STRUCT_PAGE);
	CHECK(crash.pages[0].state == PA_PFN_ABSENT);
	CHECK(crash.pages[0].section_nr == 9);
	CHECK(!crash.pages[0].block && !crash.pages[0].pgmap);
	CHECK(!strcmp(crash.pages[1].where, "RBX"));
	CHECK(crash.pages[1].pfn == 0x48123);
	CHECK(!strcmp(crash.pages[2].where, "R13"));
	CHECK(crash.pages[2].pfn == 0x1000);
	CHECK(crash.pages[2].address == 0xffffea0000040034);
}

/* v5.10's forms; what came before was written over. */
static void test_first_line_lost(void)
{
	struct pa_crash crash = crash_in(
		"Oops: 0000 [#1] SMP PTI\n"
		"CPU: 0 PID: 12 Comm: kcompactd0 Tainted: G        W   E     5.10.0-43-cloud-amd64 #1 Debian 5.10.0-1\n"
		"RIP: 0010:PageHuge+0x5/0x60\n" REGISTERS TRACE);

	CHECK(crash.crashed);
	CHECK(!strcmp(crash.panic, "Oops: 0000 [#1] SMP PTI"));
	CHECK(!strcmp(crash.task, "kcompactd0"));
	CHECK(crash.has_cr2 && crash.cr2 == 0xffffea00012048c8);
	CHECK(crash.nr_pages == 3);
}

/* CR2 is what it happened to be; the address is in the first line. */
static void test_general_protection(void)
{
	struct pa_crash crash = crash_in(
		"general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] SMP PTI\n"
		"CPU: 0 PID: 0 Comm: swapper/0 Kdump: loaded Not tainted 5.10\n"
		"RIP: 0010:f+0x5/0x60\n" REGISTERS TRACE);

	CHECK(crash.crashed);
	CHECK(!strcmp(crash.task, "swapper/0") && crash.pid == 0);
	CHECK(!crash.has_cr2);
	CHECK_FATAL(crash.nr_pages == 2);
	CHECK(!strcmp(crash.pages[0].where, "RBX"));

	crash = crash_in("Oops: general protection fault, maybe for address "
			 "0xffffea0000040034: 0000 [#1] SMP PTI\n");
	CHECK(crash.crashed && !crash.has_cr2);
	CHECK_FATAL(crash.nr_pages == 1);
	CHECK(!strcmp(crash.pages[0].where, "address"));
	CHECK(crash.pages[0].pfn == 0x1000);
}

static void test_null_pointer(void)
{
	struct pa_crash crash = crash_in(
		"BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
		"Oops: 0000 [#1] SMP PTI\n"
		"RIP: 0010:f+0x5/0x60\n"
		"RAX: 0000000000000000 RBX: 0000000000000000 RCX: 0000000000000000\n"
		"CR2: 0000000000000008 CR3: 0 CR4: 0\n");

	CHECK(crash.crashed && crash.has_cr2 && crash.cr2 == 8);
	CHECK(crash.nr_pages == 0);
	CHECK(crash.task[0] == '\0');
}

/* Memory that was taken away, touched through the direct map. */
static void test_contents(void)
{
	struct pa_crash crash = crash_in(
		"BUG: unable to handle page fault for address: ffff888000041234\n"
		"Oops: 0002 [#1] SMP PTI\n"
		"RIP: 0010:clear_page_erms+0x5/0x60\n"
		"RAX: ffff888000042000 RBX: 0000000000000000 RCX: 0000000000000000\n");

	CHECK_FATAL(crash.nr_pages == 1);
	CHECK(crash.pages[0].link == PA_CRASH_CONTENTS);
	CHECK(crash.pages[0].pfn == 0x41);
}

static void test_bug_about_a_list(void)
{
	struct pa_crash crash = crash_in(
		"list_del corruption. prev->next should be ffffea0000040008, but was ffffea0000080008. (prev=ffff888000000008)\n"
		"------------[ cut here ]------------\n"
		"kernel BUG at lib/list_debug.c:62!\n"
		"Oops: invalid opcode: 0000 [#1] PREEMPT SMP PTI\n"
		"CPU: 3 UID: 0 PID: 55 Comm: kswapd0 Not tainted 6.12\n"
		"RIP: 0010:__list_del_entry_valid_or_report+0xbb/0x110\n"
		"RSP: 0018:ffffcfed00013a20 EFLAGS: 00000297\n"
		"RAX: 000000000000006d RBX: ffffea0000040000 RCX: 0000000000000000\n");

	CHECK(crash.crashed);
	CHECK(!strcmp(crash.panic, "kernel BUG at lib/list_debug.c:62!"));
	CHECK(crash.pid == 55 && crash.cpu == 3);
	CHECK_FATAL(crash.nr_pages == 3);
	CHECK(crash.pages[0].link == PA_CRASH_LIST);
	CHECK(crash.pages[0].pfn == 0x1000);
	CHECK(crash.pages[0].address == 0xffffea0000040000);
	CHECK(crash.pages[1].pfn == 0x2000);
	CHECK(!strcmp(crash.pages[2].where, "RBX"));
}

static void test_bug_about_a_page(void)
{
	struct pa_crash crash = crash_in(
		"page:00000000a1b2c3d4 refcount:0 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x77\n"
		"flags: 0x17ffffc0000000()\n"
		"page dumped because: bad page\n"
		"page:00000000a1b2c3d4 refcount:0 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x38c00\n"
		"flags: 0x17ffffc0000000()\n"
		"raw: 0017ffffc0000000 dead000000000100 dead000000000122 0000000000000000\n"
		"page dumped because: VM_BUG_ON_PAGE(page_ref_count(page) == 0)\n"
		"------------[ cut here ]------------\n"
		"kernel BUG at include/linux/mm.h:1234!\n"
		"invalid opcode: 0000 [#1] SMP PTI\n");

	CHECK_FATAL(crash.nr_pages == 1);
	CHECK(crash.pages[0].link == PA_CRASH_DUMPED);
	CHECK(crash.pages[0].pfn == 0x38c00);
}

static void test_panics(void)
{
	struct pa_crash crash =
		crash_in("Kernel panic - not syncing: sysrq triggered crash\n"
			 "CPU: 1 PID: 95 Comm: sh Not tainted 5.10\n"
			 "Call Trace:\n"
			 " panic+0x1/0x2\n" USER_REGISTERS);

	CHECK(crash.crashed);
	CHECK(!strcmp(crash.task, "sh") && crash.pid == 95);
	CHECK(!crash.rip_symbol[0] && !crash.known_regs && !crash.nr_pages);

	/* From an interrupt: whose registers follow has nothing to do with it. */
	crash = crash_in("Kernel panic - not syncing: hung_task\n"
			 "CPU: 1 PID: 95 Comm: sh Not tainted 5.10\n"
			 "Call Trace:\n"
			 " <IRQ>\n"
			 " </IRQ>\n"
			 "RIP: 0010:default_idle+0xb/0x20\n" REGISTERS);
	CHECK(!crash.rip_symbol[0] && !crash.known_regs && !crash.nr_pages);

	/* Of what the kernel panicked for, the registers are what counts. */
	crash = crash_in(
		"watchdog: BUG: soft lockup - CPU#1 stuck for 23s! [kcompactd0:33]\n"
		"CPU: 1 PID: 33 Comm: kcompactd0 Not tainted 6.1\n"
		"RIP: 0010:isolate_freepages_block+0x1/0x2\n" REGISTERS
		"Call Trace:\n"
		"Kernel panic - not syncing: softlockup: hung tasks\n"
		"CPU: 1 PID: 33 Comm: kcompactd0 Not tainted 6.1\n");
	CHECK(!strcmp(crash.panic,
		      "Kernel panic - not syncing: softlockup: hung tasks"));
	CHECK(!strcmp(crash.rip_symbol, "isolate_freepages_block+0x1/0x2"));
	CHECK(!crash.has_cr2);
	CHECK(crash.nr_pages == 2);

	crash = crash_in(
		"WARNING: mm/page_alloc.c:77 at f+0x1/0x2, CPU#1: sh/9\n"
		"CPU: 1 UID: 0 PID: 9 Comm: sh Not tainted 7.2\n"
		"RIP: 0010:f+0x1/0x2\n" REGISTERS "Call Trace:\n"
		"Kernel panic - not syncing: kernel: panic_on_warn set ...\n");
	CHECK(!strcmp(crash.rip_symbol, "f+0x1/0x2"));
	CHECK(crash.nr_pages == 2);
}

static void test_none(void)
{
	static const char *const logs[] = {
		"",
		"Linux version 7.2\n",
		/* A kernel that complained and went on. */
		"WARNING: CPU: 0 PID: 1 at mm/page_alloc.c:77 f+0x1/0x2\n"
		"CPU: 0 PID: 1 Comm: sh Not tainted 5.10\n"
		"RIP: 0010:f+0x1/0x2\n" REGISTERS TRACE,
		"BUG: Bad page state in process x  pfn:0a1b2\n"
		"page:0 refcount:0 mapcount:0 mapping:0 index:0x0 pfn:0xa1b2\n"
		"CPU: 0 PID: 1 Comm: sh Not tainted 5.10\n"
		"Call Trace:\n",
		"BUG: sleeping function called from invalid context at a.c:1\n",
		"list_del corruption, ffffea0000040008->next is NULL\n",
		"traps: cat[1] general protection fault ip:1 sp:2 error:0\n",
		"watchdog: BUG: soft lockup - CPU#1 stuck for 23s! [x:1]\n",
	};

	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
		struct pa_crash crash = crash_in(logs[i]);

		CHECK(!crash.crashed && crash.nr_pages == 0);
	}

	/* What a user wrote to /dev/kmsg. */
	struct ring *ring = ring_create(8, 17);
	const char *text = "BUG: unable to handle page fault for address: "
			   "ffffea00012048c8";

	ring_add_full(ring, 1, 77, 1, text, strlen(text));
	CHECK(!crash_of(ring).crashed);
	ring_destroy(ring);
}

/* Two CPUs print at the same time; a third dies later. */
static void test_interleaved(void)
{
	struct ring *ring = ring_create(8, 17);
	static const struct {
		uint32_t caller;
		const char *text;
	} records[] = {
		{ 1,
		  "BUG: unable to handle page fault for address: ffffea0000040000" },
		{ 2, "CPU: 5 PID: 2 Comm: other Not tainted 6.1" },
		{ 2, "RIP: 0010:other+0x1/0x2" },
		{ 2,
		  "RAX: ffffea0000080000 RBX: 0000000000000000 RCX: 0000000000000000" },
		{ 1, "CPU: 1 PID: 1 Comm: first Not tainted 6.1" },
		{ 1, "RIP: 0010:first+0x1/0x2" },
		{ 1,
		  "RAX: 0000000000000001 RBX: 0000000000000000 RCX: 0000000000000000" },
		{ 3,
		  "BUG: unable to handle page fault for address: ffffea0000090000" },
		{ 3, "CPU: 3 PID: 3 Comm: third Not tainted 6.1" },
		{ 1, "Kernel panic - not syncing: Fatal exception" },
	};

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
		ring_add_full(ring, i, records[i].caller, 0, records[i].text,
			      strlen(records[i].text));

	struct pa_crash crash = crash_of(ring);

	CHECK(!strcmp(crash.task, "first") && crash.pid == 1);
	CHECK(!strcmp(crash.rip_symbol, "first+0x1/0x2"));
	CHECK(crash.regs[PA_REG_RAX] == 1);
	CHECK(crash.nr_pages == 1 && crash.pages[0].pfn == 0x1000);
	ring_destroy(ring);
}

/* What the exception pushed below RSP, aligned to 16, or to 64 by FRED. */
static void test_frame(void)
{
	static const struct {
		/* From RSP to the end of the frame. */
		uint64_t gap;
		uint64_t cs, ss, flags, sp;
		bool found;
	} frames[] = {
		{ 0, 0x10, 0x18, 0x297, STACK + 0x100, true },
		{ 8, 0x10, 0, 0x297, STACK + 0x100, true },
		{ 32, 0x100010, 0x18, 0x297, STACK + 0x100, true },
		/* Another context's. */
		{ 0, 0x10, 0x18, 0x297, STACK + 0x108, false },
		{ 0, 0x10, 0x18, 0x246, STACK + 0x100, false },
		{ 0, 0x33, 0x2b, 0x297, STACK + 0x100, false },
	};

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		struct ring *ring = log_of(fault_v6_12);
		uint64_t end = STACK_PHYS + 0x100 - frames[i].gap;
		struct pa_crash crash;

		ring_put64(ring, end - 8, frames[i].ss);
		ring_put64(ring, end - 16, frames[i].sp);
		ring_put64(ring, end - 24, frames[i].flags);
		ring_put64(ring, end - 32, frames[i].cs);
		ring_put64(ring, end - 40, 0xffffffffab15d779);
		crash = crash_of(ring);
		CHECK(crash.has_rip == frames[i].found);
		CHECK(!crash.has_rip || crash.rip == 0xffffffffab15d779);
		/* A stack that is not in the dump is no error. */
		ring->absent = STACK_PHYS;
		ring->absent_end = STACK_PHYS + 0x1000;
		crash = crash_of(ring);
		CHECK(crash.crashed && !crash.has_rip);
		ring_destroy(ring);
	}
}

/* kdump's notes, and a hypervisor's of the time of the dump. */
static void test_notes(void)
{
	struct ring *ring = log_of(fault_v6_12);
	struct pa_source_info *info = &ring->kernel.source->info;
	struct pa_cpu_note note = { .pid = 1 };
	struct pa_crash crash;

	CHECK_FATAL(pa_array_append(&info->cpus, note));
	note.pid = 4242;
	note.regs[19] = STACK + 0x100;
	note.regs[16] = 0xffffffff81234567;
	CHECK_FATAL(pa_array_append(&info->cpus, note));
	crash = crash_of(ring);
	CHECK(crash.has_rip && crash.rip == 0xffffffff81234567);
	CHECK(crash.regs[PA_REG_R15] == 0x48123);

	/* Later, elsewhere. */
	info->cpus.items[1].regs[19] = STACK + 0x200;
	CHECK(!crash_of(ring).has_rip);
	info->cpus.items[1].regs[19] = STACK + 0x100;
	info->from_hypervisor = true;
	CHECK(!crash_of(ring).has_rip);
	ring_destroy(ring);

	/* An oops whose registers are not in the log. */
	ring = log_of("kernel BUG at mm/x.c:1!\n"
		      "CPU: 1 PID: 4242 Comm: sh Not tainted 5.10\n");
	info = &ring->kernel.source->info;
	note.regs[0] = 0xffffea0000040000;
	CHECK_FATAL(pa_array_append(&info->cpus, note));
	crash = crash_of(ring);
	CHECK(crash.has_rip && crash.known_regs == 0xffff);
	CHECK_FATAL(crash.nr_pages == 1);
	CHECK(!strcmp(crash.pages[0].where, "R15"));
	/* Two that it may be: which is not known. */
	CHECK_FATAL(pa_array_append(&info->cpus, note));
	CHECK(!crash_of(ring).has_rip);
	ring_destroy(ring);

	/* panic()'s own registers are about nothing. */
	ring = log_of("Kernel panic - not syncing: x\n"
		      "CPU: 1 PID: 4242 Comm: sh Not tainted 5.10\n");
	info = &ring->kernel.source->info;
	CHECK_FATAL(pa_array_append(&info->cpus, note));
	crash = crash_of(ring);
	CHECK(crash.crashed && !crash.has_rip && !crash.nr_pages);
	ring_destroy(ring);
}

/* More pages than there is room for, and any garbage for a log. */
static void test_garbage(void)
{
	uint64_t random = 88172645463325252;
	char text[sizeof(fault_v6_12)];

	for (int round = 0; round < 400; round++) {
		struct ring *ring;

		memcpy(text, fault_v6_12, sizeof(text));
		for (int i = 0; i < 1 << (round % 9); i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			text[random % (sizeof(text) - 2)] =
				"0f:x +\n-[#1] R"[(random >> 32) % 14];
		}
		ring = log_of(text);
		crash_of(ring);
		ring_destroy(ring);
	}

	struct ring *ring = ring_create(8, 17);

	for (int i = 0; i < 20; i++)
		ring_add(
			ring,
			"list_add double add: new=ffffea0000040008, prev=ffffea0000080008, next=ffffea00000c0008.");
	ring_add(ring, "kernel BUG at lib/list_debug.c:1!");
	CHECK(crash_of(ring).nr_pages == PA_CRASH_MAX_PAGES);
	ring_destroy(ring);
}

int main(void)
{
	test_page_fault();
	test_first_line_lost();
	test_general_protection();
	test_null_pointer();
	test_contents();
	test_bug_about_a_list();
	test_bug_about_a_page();
	test_panics();
	test_none();
	test_interleaved();
	test_frame();
	test_notes();
	test_garbage();
	return CHECK_DONE();
}
