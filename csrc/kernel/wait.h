/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who waits for a page, or for a bit: mm/filemap.c, kernel/sched/wait_bit.c. */
#ifndef PA_KERNEL_WAIT_H
#define PA_KERNEL_WAIT_H

#include "kernel/kernel.h"

enum pa_wait_kind {
	/* A folio's PG_locked, PG_writeback, PG_private_2, or another flag. */
	PA_WAIT_LOCK,
	PA_WAIT_WRITEBACK,
	PA_WAIT_PRIVATE_2,
	PA_WAIT_FLAG,
	/* A page's references to go (wait_page_idle() and those before it). */
	PA_WAIT_REFERENCES,
	/* wait_on_bit(): a bit of some word. wait_var_event(): an address. */
	PA_WAIT_BIT,
	PA_WAIT_VAR,
	PA_NR_WAIT_KINDS,
};

/* For people: "the lock". */
extern const char *const pa_wait_kind_names[PA_NR_WAIT_KINDS];

struct pa_waiter {
	enum pa_wait_kind kind;
	/*
	 * __folio_lock(), which gets the lock: the waiter has a reference of
	 * its own. Others may have dropped it before they wait.
	 */
	bool exclusive;
	/* Of PA_WAIT_FLAG and PA_WAIT_BIT. */
	int32_t bit;
	/* Virtual address of the task_struct; 0: a request of io_uring. */
	uint64_t task;
	/* Address of the folio, page, word or variable. */
	uint64_t what;
	/* If @what is a page, or in one's struct page; else PA_NO_PFN. */
	uint64_t pfn;
	/* Address of the wait_queue_entry: on the task's stack. */
	uint64_t entry;
};

struct pa_waiters {
	/* By pfn, then entry: those that wait for no page come last. */
	PA_ARRAY(struct pa_waiter) list;
	/* Waits of other kinds in the same tables: nothing known of them. */
	uint64_t others;
	/* Queues and entries that could not be read or are none. */
	uint64_t unreadable;
};

/* All waiters of all queues. PA_ERROR_MISSING if types or symbols lack. */
struct pa_error *pa_waiters_init(const struct pa_kernel *kernel,
				 struct pa_memory *memory,
				 struct pa_waiters *ret);
void pa_waiters_deinit(struct pa_waiters *waiters);

/* Waiters for pages of [pfn, end): the first of *nr_ret. */
const struct pa_waiter *pa_waiters_find(const struct pa_waiters *waiters,
					uint64_t pfn, uint64_t end,
					size_t *nr_ret);

#endif
