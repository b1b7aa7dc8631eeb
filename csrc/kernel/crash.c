// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/crash.h"

#include <string.h>

#include "kernel/log_page.h"

const char *const pa_crash_register_names[PA_NR_CRASH_REGISTERS] = {
	[PA_REG_R15] = "R15", [PA_REG_R14] = "R14", [PA_REG_R13] = "R13",
	[PA_REG_R12] = "R12", [PA_REG_RBP] = "RBP", [PA_REG_RBX] = "RBX",
	[PA_REG_R11] = "R11", [PA_REG_R10] = "R10", [PA_REG_R9] = "R09",
	[PA_REG_R8] = "R08",  [PA_REG_RAX] = "RAX", [PA_REG_RCX] = "RCX",
	[PA_REG_RDX] = "RDX", [PA_REG_RSI] = "RSI", [PA_REG_RDI] = "RDI",
	[PA_REG_RSP] = "RSP",
};

/* user_regs_struct goes on with these. */
#define NOTE_RIP 16
#define NOTE_RSP 19

/*
 * How far apart the lines of one report may be, in records: a stack trace and
 * a list of modules, and the lines of other CPUs in between.
 */
#define REPORT_RECORDS 512
/* The lines right before a BUG that say what it was about. */
#define PRELUDE_RECORDS 24
#define PRELUDE_NS UINT64_C(1000000000)
/* The CPU pushes its frame right below RSP; FRED aligns to 64 and adds. */
#define FRAME_BYTES 256

struct reader {
	const struct pa_kernel *kernel;
	const struct pa_log *log;
	struct pa_crash *crash;
	/* The address that could not be accessed. */
	bool has_fault;
	uint64_t fault;
	/* It was in CR2: any other exception leaves what was there before. */
	bool page_fault;
};

/* The first line of a kernel's last words. */
static bool is_oops(struct pa_text line)
{
	static const char *const prefixes[] = {
		"BUG: unable to handle ",
		"BUG: kernel NULL pointer dereference",
		"BUG: stack guard page was hit",
		"BUG: TASK stack guard page was hit",
		"BUG: IRQ stack guard page was hit",
		"traps: PANIC: double fault",
		"PANIC: double fault",
		"kernel BUG at ",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		struct pa_text at = line;

		if (pa_text_skip(&at, prefixes[i]))
			return true;
	}
	return pa_log_is_die(line);
}

static bool is_panic(struct pa_text line)
{
	return pa_text_skip(&line, "Kernel panic - not syncing");
}

/* What only some kernels panic for; the registers then follow this line. */
static bool is_complaint(struct pa_text line)
{
	struct pa_text at = line;

	if (pa_text_skip(&at, "WARNING: "))
		return pa_text_after(at, "at ", &at);
	at = line;
	if (pa_text_skip(&at, "watchdog: BUG: soft lockup - CPU#"))
		return true;
	/* The lines' prefixes changed; the words are the same since v4. */
	return pa_text_after(line, "Watchdog detected hard LOCKUP on cpu ",
			     &at);
}

static const struct pa_log_record *record_at(const struct reader *r, size_t i)
{
	return &r->log->records.items[i];
}

static struct pa_text first_line(const struct pa_log_record *record)
{
	struct pa_text text = pa_log_record_text(record);
	struct pa_text line = text;

	pa_text_line(&text, &line);
	return line;
}

/*
 * The record that starts the first report of a crash; false if there is none.
 * A panic's own line comes after the registers of what it is about.
 */
static bool find_start(const struct reader *r, size_t *ret)
{
	for (size_t i = 0; i < r->log->records.length; i++) {
		const struct pa_log_record *record = record_at(r, i);

		if (record->facility)
			continue;
		if (is_oops(first_line(record)) ||
		    is_panic(first_line(record))) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* The complaint that made the kernel panic at @panic, or @panic itself. */
static size_t find_complaint(const struct reader *r, size_t panic)
{
	uint32_t caller = record_at(r, panic)->caller_id;
	uint64_t time = record_at(r, panic)->time_ns;

	for (size_t i = panic; i-- > 0 && panic - i <= REPORT_RECORDS;) {
		const struct pa_log_record *record = record_at(r, i);

		if (time - record->time_ns > PRELUDE_NS)
			break;
		if (!record->facility && record->caller_id == caller &&
		    is_complaint(first_line(record)))
			return i;
	}
	return panic;
}

/* "CPU: 0 [UID: 0 ]PID: 95 Comm: sh Not tainted ...": dump_stack_print_info() */
static void parse_task(struct reader *r, struct pa_text line)
{
	static const char *const ends[] = { " Kdump: loaded ", " Not tainted",
					    " Tainted: " };
	struct pa_crash *crash = r->crash;
	struct pa_text comm, end;
	uint64_t cpu, pid, uid;

	if (crash->task[0] || !pa_text_skip(&line, "CPU: ") ||
	    !pa_text_decimal(&line, &cpu))
		return;
	if (pa_text_skip(&line, " UID: ") && !pa_text_decimal(&line, &uid))
		return;
	if (!pa_text_skip(&line, " PID: ") || !pa_text_decimal(&line, &pid) ||
	    !pa_text_skip(&line, " Comm: "))
		return;
	comm = line;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (pa_text_after(line, ends[i], &end) &&
		    end.at - strlen(ends[i]) < comm.end)
			comm.end = end.at - strlen(ends[i]);
	pa_text_copy(comm, crash->task, sizeof(crash->task));
	crash->cpu = cpu;
	crash->pid = pid;
}

/* "RIP: 0010:sym+0x10/0x20 [module]", or a bare address. */
static void parse_rip(struct reader *r, struct pa_text line)
{
	struct pa_text at = line;
	uint64_t address;

	pa_text_copy(line, r->crash->rip_symbol, sizeof(r->crash->rip_symbol));
	if (pa_text_0x(&at, &address) && at.at == at.end) {
		r->crash->has_rip = true;
		r->crash->rip = address;
	}
}

/* "RSP: 0018:%016lx EFLAGS: %08lx" */
static void parse_rsp(struct reader *r, struct pa_text line)
{
	uint64_t segment, rsp, flags;

	if (!pa_text_hex(&line, &segment) || !pa_text_skip(&line, ":") ||
	    !pa_text_hex(&line, &rsp))
		return;
	r->crash->regs[PA_REG_RSP] = rsp;
	r->crash->known_regs |= 1u << PA_REG_RSP;
	if (pa_text_skip(&line, " EFLAGS: ") && pa_text_hex(&line, &flags))
		r->crash->eflags = flags;
}

/* "RAX: %016lx RBX: %016lx RCX: %016lx", in any order; false if it is not. */
static bool parse_registers(struct reader *r, struct pa_text line)
{
	while (line.at < line.end) {
		int reg = 0;
		uint64_t value;

		while (reg < PA_NR_CRASH_REGISTERS &&
		       !pa_text_skip(&line, pa_crash_register_names[reg]))
			reg++;
		if (reg == PA_NR_CRASH_REGISTERS ||
		    !pa_text_skip(&line, ": ") || !pa_text_hex(&line, &value))
			return false;
		r->crash->regs[reg] = value;
		r->crash->known_regs |= 1u << reg;
		pa_text_skip_spaces(&line);
	}
	return true;
}

/* "... address: ffff...", "... for non-canonical address 0x..." */
static void parse_fault(struct reader *r, struct pa_text line)
{
	struct pa_text at;

	if (r->has_fault || !pa_text_after_last(line, "address", &at))
		return;
	pa_text_skip(&at, ":");
	pa_text_skip(&at, " ");
	r->has_fault = pa_text_0x(&at, &r->fault) ||
		       pa_text_hex(&at, &r->fault);
}

/* CR2 tells something only of page faults. */
static bool is_page_fault(struct pa_text line)
{
	uint64_t error;

	return pa_text_skip(&line, "BUG: unable to handle ") ||
	       pa_text_skip(&line, "BUG: kernel NULL pointer dereference") ||
	       (pa_text_skip(&line, "Oops: ") &&
		(pa_text_skip(&line, "Oops: ") || pa_text_hex(&line, &error)));
}

/* A line behind RIP; registers come in any order. */
static void parse_context(struct reader *r, struct pa_text line)
{
	struct pa_text at = line;
	uint64_t cr2;

	if (pa_text_skip(&at, "RSP: ")) {
		parse_rsp(r, at);
	} else if (!pa_text_skip(&at, "CR2: ")) {
		parse_registers(r, line);
	} else if (r->page_fault && !r->has_fault && pa_text_hex(&at, &cr2)) {
		r->has_fault = true;
		r->fault = cr2;
	}
}

/* What one line of the report says; false at the end of its registers. */
static bool parse_line(struct reader *r, struct pa_text line)
{
	struct pa_text at = line;
	uint64_t segment;

	parse_task(r, line);
	if (is_oops(line)) {
		r->page_fault |= is_page_fault(line);
		parse_fault(r, line);
	}
	/* Behind it are contexts that this one interrupted, and the user's. */
	if (pa_text_skip(&at, "Call Trace:"))
		return false;
	if (r->crash->rip_symbol[0])
		parse_context(r, line);
	else if (pa_text_skip(&at, "RIP: ") && pa_text_hex(&at, &segment) &&
		 pa_text_skip(&at, ":"))
		parse_rip(r, at);
	return true;
}

static void parse_report(struct reader *r, size_t start)
{
	const struct pa_log *log = r->log;
	uint32_t caller = record_at(r, start)->caller_id;
	size_t end =
		start + pa_min(REPORT_RECORDS, log->records.length - start);

	for (size_t i = start; i < end; i++) {
		const struct pa_log_record *record = record_at(r, i);
		struct pa_text text = pa_log_record_text(record), line;

		if (record->facility || record->caller_id != caller)
			continue;
		while (pa_text_line(&text, &line))
			if (!parse_line(r, line))
				return;
	}
}

static void add_page(struct reader *r, enum pa_crash_link link,
		     const char *where, uint64_t address, uint64_t pfn)
{
	const struct pa_kernel *kernel = r->kernel;
	struct pa_crash *crash = r->crash;
	const struct pa_pgmap_range *range =
		pa_pgmap_range_at(&kernel->pgmaps, pfn);
	uint64_t section_nr = pfn >> kernel->sections.pages_shift;

	if (crash->nr_pages == PA_CRASH_MAX_PAGES)
		return;
	crash->pages[crash->nr_pages++] = (struct pa_crash_page){
		.link = link,
		.where = where,
		.address = address,
		.pfn = pfn,
		.state = pa_pfn_state(kernel, pfn),
		.section_nr = section_nr,
		.block = kernel->blocks.list.length ?
				 pa_block_find(&kernel->blocks, section_nr) :
				 NULL,
		.pgmap = range && range->pfn <= pfn ?
				 &kernel->pgmaps.maps.items[range->map] :
				 NULL,
	};
}

static void add_address(struct reader *r, const char *where, uint64_t address,
			bool faulted)
{
	const struct pa_address_space *space = &r->kernel->space;
	uint64_t pfn;

	/* pfn_to_page() keeps the memmap's start in a register. */
	if (!faulted && address == space->vmemmap_start)
		return;
	pa_page_to_pfn(r->kernel, address, &pfn);
	if (pfn != PA_NO_PFN)
		add_page(r, PA_CRASH_STRUCT_PAGE, where, address, pfn);
	else if (faulted && address >= space->direct_start &&
		 address < space->direct_end)
		add_page(r, PA_CRASH_CONTENTS, where, address,
			 (address - space->direct_start) >> space->page_shift);
}

/* What the kernel said right before it gave up: lists, and dumped pages. */
static void add_prelude(struct reader *r, size_t start)
{
	const struct pa_log_record *first = record_at(r, start);
	uint64_t pfns[4], dumped = PA_NO_PFN, pfn;
	size_t from = start - pa_min(start, PRELUDE_RECORDS);

	for (size_t i = from; i < start; i++) {
		const struct pa_log_record *record = record_at(r, i);
		struct pa_text line = first_line(record), at = line;
		size_t nr = 0;

		if (record->facility || record->caller_id != first->caller_id ||
		    first->time_ns - record->time_ns > PRELUDE_NS)
			continue;
		nr = pa_log_list_pfns(r->kernel, line, pfns, 4);
		for (size_t n = 0; n < nr; n++)
			add_page(r, PA_CRASH_LIST, "log",
				 pa_pfn_to_page(r->kernel, pfns[n]), pfns[n]);
		if (pa_log_classify(r->kernel, line, &pfn) == PA_LOG_PAGE_DUMP)
			dumped = pfn;
		/* VM_BUG_ON_PAGE(): bad_page() dumps too, and goes on. */
		if (pa_text_skip(&at, "page dumped because: VM_BUG_ON") &&
		    dumped != PA_NO_PFN)
			add_page(r, PA_CRASH_DUMPED, "log",
				 pa_pfn_to_page(r->kernel, dumped), dumped);
	}
}

static void add_pages(struct reader *r, size_t start)
{
	static const uint8_t order[] = {
		PA_REG_RDI, PA_REG_RAX, PA_REG_RBX, PA_REG_RCX, PA_REG_RDX,
		PA_REG_RSI, PA_REG_RBP, PA_REG_R8,  PA_REG_R9,	PA_REG_R10,
		PA_REG_R11, PA_REG_R12, PA_REG_R13, PA_REG_R14, PA_REG_R15,
	};
	struct pa_crash *crash = r->crash;

	if (r->has_fault)
		add_address(r, r->page_fault ? "CR2" : "address", r->fault,
			    true);
	add_prelude(r, start);
	for (size_t i = 0; i < sizeof(order); i++)
		if (crash->known_regs & 1u << order[i])
			add_address(r, pa_crash_register_names[order[i]],
				    crash->regs[order[i]], false);
}

/*
 * kdump's note of the CPU that crashed: crash_save_cpu() puts there what
 * die() had. A hypervisor's notes are of the time of the dump instead.
 */
static const struct pa_cpu_note *find_note(const struct reader *r)
{
	const struct pa_source_info *info = &r->kernel->source->info;
	const struct pa_cpu_note *found = NULL;

	if (info->from_hypervisor || !r->crash->task[0])
		return NULL;
	pa_array_for_each(note, &info->cpus) {
		/* Idle tasks all have pid 0: which is not known. */
		if (note->pid != r->crash->pid || !note->regs[NOTE_RSP])
			continue;
		if (found)
			return NULL;
		found = note;
	}
	return found;
}

static void read_note(struct reader *r, bool panicked)
{
	struct pa_crash *crash = r->crash;
	const struct pa_cpu_note *note = find_note(r);

	if (!note)
		return;
	/* The note tells the address of RIP, of which the log has a name. */
	if (crash->known_regs & 1u << PA_REG_RSP) {
		if (note->regs[NOTE_RSP] != crash->regs[PA_REG_RSP])
			return;
	} else if (panicked) {
		/* panic() has no registers but its own. */
		return;
	} else {
		for (int reg = 0; reg < PA_REG_RSP; reg++)
			crash->regs[reg] = note->regs[reg];
		crash->regs[PA_REG_RSP] = note->regs[NOTE_RSP];
		crash->known_regs = PA_MASK(PA_NR_CRASH_REGISTERS);
	}
	crash->has_rip = true;
	crash->rip = note->regs[NOTE_RIP];
}

/*
 * The exception pushed ip, cs, flags, sp and ss on the stack that it met, and
 * they stay there: the address that the log has only a name of. Not found if
 * the exception has a stack of its own, or the task lived on.
 */
static struct pa_error *read_frame(struct reader *r, struct pa_memory *memory)
{
	struct pa_crash *crash = r->crash;
	uint64_t rsp = crash->regs[PA_REG_RSP];
	uint64_t words[FRAME_BYTES / 8];
	struct pa_error *err;

	if (crash->has_rip || !(crash->known_regs & 1u << PA_REG_RSP) ||
	    !pa_is_kernel_address(rsp) || rsp & 7)
		return NULL;
	err = pa_memory_read(memory, rsp - FRAME_BYTES, FRAME_BYTES, words);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (err)
		return err;
	for (size_t i = FRAME_BYTES / 8 - 1; i-- > 3;)
		/* FRED uses the upper bits of cs and ss. */
		if (words[i] == rsp && words[i - 1] == crash->eflags &&
		    (words[i - 2] & 0xffff) == 0x10 &&
		    (words[i + 1] & 0xffff) <= 0x18 &&
		    pa_is_kernel_address(words[i - 3])) {
			crash->has_rip = true;
			crash->rip = words[i - 3];
			break;
		}
	return NULL;
}

struct pa_error *pa_crash_read(const struct pa_kernel *kernel,
			       struct pa_memory *memory,
			       const struct pa_log *log, struct pa_crash *ret)
{
	struct pa_crash crash = { 0 };
	struct reader r = { .kernel = kernel, .log = log, .crash = &crash };
	struct pa_error *err;
	size_t start, report;

	if (!find_start(&r, &start)) {
		*ret = crash;
		return NULL;
	}

	bool panicked = is_panic(first_line(record_at(&r, start)));

	crash.crashed = true;
	crash.time_ns = record_at(&r, start)->time_ns;
	pa_text_copy(first_line(record_at(&r, start)), crash.panic,
		     sizeof(crash.panic));
	report = panicked ? find_complaint(&r, start) : start;
	parse_report(&r, report);
	crash.has_cr2 = r.has_fault && r.page_fault;
	crash.cr2 = crash.has_cr2 ? r.fault : 0;
	read_note(&r, panicked);
	err = read_frame(&r, memory);
	if (err)
		return err;
	add_pages(&r, report);
	*ret = crash;
	return NULL;
}
