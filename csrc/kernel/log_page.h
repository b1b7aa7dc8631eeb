/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines of the kernel log that speak of pages: which page, and what happened.
 *
 * Each is recognised by the whole of its fixed text at the line's start, as
 * the kernel's format strings of v5.10 to v7 have it. A line proves an event,
 * not the present state.
 */
#ifndef PA_KERNEL_LOG_PAGE_H
#define PA_KERNEL_LOG_PAGE_H

#include "base/array.h"
#include "kernel/kernel.h"
#include "kernel/log.h"

enum pa_log_kind {
	/* Nothing about pages. */
	PA_LOG_OTHER,
	/* mm/memory-failure.c */
	PA_LOG_MEMORY_FAILURE,
	PA_LOG_SOFT_OFFLINE,
	PA_LOG_UNPOISON,
	/* bad_page(), unaccount_page_cache_page(): state or page cache. */
	PA_LOG_BAD_PAGE,
	/* print_bad_pte(), and its successor for all levels. */
	PA_LOG_BAD_PAGE_MAP,
	/* check_mm() */
	PA_LOG_BAD_RSS,
	/* dump_page(): all lines of it carry the page's pfn. */
	PA_LOG_PAGE_DUMP,
	/* offline_pages() did it. */
	PA_LOG_OFFLINE,
	/* Offlining, removing or device memory that gave trouble. */
	PA_LOG_HOTPLUG,
	/* Machine checks, as the CPU, the firmware or EDAC reported them. */
	PA_LOG_HARDWARE_ERROR,
	/* lib/list_debug.c: the pfn of the entry that is a page's lru. */
	PA_LOG_LIST_CORRUPTION,
	/* A BUG or an exception in the kernel, its RIP and CR2. */
	PA_LOG_OOPS,
	PA_LOG_PANIC,
	PA_NR_LOG_KINDS,
};

/* "memory-failure", "page-dump": stable, they are in reports. */
extern const char *const pa_log_kind_names[PA_NR_LOG_KINDS];

struct pa_log_line {
	enum pa_log_kind kind;
	/* PA_NO_PFN where it names none. */
	uint64_t pfn;
	uint64_t time_ns;
	uint32_t caller_id;
	/* One line, borrowed from the log. */
	struct pa_text text;
};

struct pa_log_lines {
	PA_ARRAY(struct pa_log_line) list;
};

/* What one line says by itself; *pfn_ret is PA_NO_PFN where it names none. */
enum pa_log_kind pa_log_classify(const struct pa_kernel *kernel,
				 struct pa_text line, uint64_t *pfn_ret);

/* The lines of @log that speak of pages, in its order; they borrow from it. */
struct pa_error *pa_log_lines_init(const struct pa_kernel *kernel,
				   const struct pa_log *log,
				   struct pa_log_lines *ret);
void pa_log_lines_deinit(struct pa_log_lines *lines);

/*
 * The pfns of the list entries that a line about list corruption names and
 * that lie where struct page.lru does: at most @max, each once. Returns how
 * many; 0 for any other line.
 */
size_t pa_log_list_pfns(const struct pa_kernel *kernel, struct pa_text line,
			uint64_t *pfns, size_t max);

/*
 * What die() prints, after any title: ": 0000 [#1] SMP", see __die_header() of
 * arch/x86/kernel/dumpstack.c.
 */
bool pa_log_is_die(struct pa_text line);

#endif
