/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the kernel crashed, if it did, and which pages that was about: from the
 * oops in its log, and from the registers in the dump's notes.
 */
#ifndef PA_KERNEL_CRASH_H
#define PA_KERNEL_CRASH_H

#include "kernel/kernel.h"
#include "kernel/log.h"

/* General registers, in the order of struct user_regs_struct. */
enum pa_crash_register {
	PA_REG_R15,
	PA_REG_R14,
	PA_REG_R13,
	PA_REG_R12,
	PA_REG_RBP,
	PA_REG_RBX,
	PA_REG_R11,
	PA_REG_R10,
	PA_REG_R9,
	PA_REG_R8,
	PA_REG_RAX,
	PA_REG_RCX,
	PA_REG_RDX,
	PA_REG_RSI,
	PA_REG_RDI,
	PA_REG_RSP,
	PA_NR_CRASH_REGISTERS,
};

/* How a crash has to do with a page. */
enum pa_crash_link {
	/* The address is in its struct page. */
	PA_CRASH_STRUCT_PAGE,
	/* The address that faulted is in its memory, in the direct map. */
	PA_CRASH_CONTENTS,
	/* dump_page() described it right before the BUG. */
	PA_CRASH_DUMPED,
	/* A list whose corruption was the BUG runs through its lru. */
	PA_CRASH_LIST,
};

struct pa_crash_page {
	enum pa_crash_link link;
	/* "CR2", "RDI", ...; "address" of a fault that has none; "log". */
	const char *where;
	uint64_t address;
	uint64_t pfn;
	enum pa_pfn_state state;
	uint64_t section_nr;
	/* Borrowed from the kernel; NULL where there is none. */
	const struct pa_block *block;
	const struct pa_pgmap *pgmap;
};

/* Registers, CR2, and what a line about lists can name. */
#define PA_CRASH_MAX_PAGES 32

struct pa_crash {
	/* False: it did not crash; nothing else is set. */
	bool crashed;
	/* The first line of the oops, or of the panic where there is none. */
	char panic[256];
	uint64_t time_ns;
	/* The task that ran, "" where the log does not say. */
	char task[32];
	uint64_t pid, cpu;
	/* "symbol+0x10/0x20 [module]", "" where unknown. */
	char rip_symbol[192];
	bool has_rip;
	uint64_t rip;
	/* Only of page faults. */
	bool has_cr2;
	uint64_t cr2;
	/* Bit n: regs[n] is known. */
	uint32_t known_regs;
	uint64_t regs[PA_NR_CRASH_REGISTERS];
	uint64_t eflags;
	size_t nr_pages;
	struct pa_crash_page pages[PA_CRASH_MAX_PAGES];
};

extern const char *const pa_crash_register_names[PA_NR_CRASH_REGISTERS];

/* @log is borrowed for the call. */
struct pa_error *pa_crash_read(const struct pa_kernel *kernel,
			       struct pa_memory *memory,
			       const struct pa_log *log, struct pa_crash *ret);

#endif
