// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/wait.h"

#include <stdlib.h>

#include "kernel/list.h"

/* PAGE_WAIT_TABLE_SIZE and WAIT_TABLE_SIZE are macros. */
#define NR_QUEUES 256
#define MAX_QUEUE_BYTES 256
#define MAX_ENTRY_BYTES 256
/* A bound on tasks: PID_MAX_LIMIT. */
#define MAX_WAITERS PA_BIT(22)
/* THREAD_SIZE of x86_64. */
#define STACK_BYTES UINT64_C(16384)
#define WQ_FLAG_EXCLUSIVE 1

const char *const pa_wait_kind_names[PA_NR_WAIT_KINDS] = {
	[PA_WAIT_LOCK] = "the lock",
	[PA_WAIT_WRITEBACK] = "the end of writeback",
	[PA_WAIT_PRIVATE_2] = "PG_private_2",
	[PA_WAIT_FLAG] = "a flag",
	[PA_WAIT_REFERENCES] = "the references",
	[PA_WAIT_BIT] = "a bit",
	[PA_WAIT_VAR] = "a variable",
};

struct walk {
	const struct pa_kernel *kernel;
	struct pa_memory *memory;
	struct pa_waiters *waiters;
	/* Of the table in hand. */
	bool pages;
	struct pa_error *err;
};

static bool knows(const struct pa_layout *layout)
{
	return (PA_HAS_SYM(layout, folio_wait_table) ||
		PA_HAS_SYM(layout, page_wait_table)) &&
	       PA_HAS_SYM(layout, bit_wait_table) &&
	       PA_HAS_SYM(layout, wake_page_function) &&
	       PA_HAS_SYM(layout, wake_bit_function) &&
	       PA_HAS_SYM(layout, var_wake_function) &&
	       PA_HAS(layout, wait_queue_head, head) &&
	       PA_HAS(layout, wait_queue_entry, flags) &&
	       PA_HAS(layout, wait_queue_entry, private) &&
	       PA_HAS(layout, wait_queue_entry, func) &&
	       PA_HAS(layout, wait_queue_entry, entry) &&
	       (PA_HAS(layout, wait_page_queue, folio) ||
		PA_HAS(layout, wait_page_queue, page)) &&
	       PA_HAS(layout, wait_page_queue, bit_nr) &&
	       PA_HAS(layout, wait_page_queue, wait) &&
	       PA_HAS(layout, wait_bit_queue_entry, key__flags) &&
	       PA_HAS(layout, wait_bit_queue_entry, key__bit_nr) &&
	       PA_HAS(layout, wait_bit_queue_entry, wq_entry) &&
	       PA_SIZEOF(layout, wait_queue_head) &&
	       PA_SIZEOF(layout, wait_queue_head) <= MAX_QUEUE_BYTES &&
	       PA_SIZEOF(layout, wait_queue_entry) <= MAX_ENTRY_BYTES &&
	       PA_SIZEOF(layout, wait_page_queue) <= MAX_ENTRY_BYTES &&
	       PA_SIZEOF(layout, wait_bit_queue_entry) <= MAX_ENTRY_BYTES;
}

static bool is_function(const struct pa_layout *layout, enum pa_symbol_id id,
			uint64_t address)
{
	return layout->symbols[id].known &&
	       layout->symbols[id].address == address;
}

/* struct wait_page_queue: folio_wait_bit_common(). */
static struct pa_error *read_page_wait(struct walk *walk,
				       struct pa_waiter *waiter)
{
	const struct pa_layout *layout = walk->kernel->layout;
	const struct pa_page_flags *flag = &walk->kernel->page_format.flag;
	uint8_t bytes[MAX_ENTRY_BYTES];
	uint64_t mask;
	struct pa_error *err = pa_memory_read(
		walk->memory,
		waiter->entry - PA_OFFSETOF(layout, wait_page_queue, wait),
		PA_SIZEOF(layout, wait_page_queue), bytes);

	if (err)
		return err;
	waiter->what = PA_HAS(layout, wait_page_queue, folio) ?
			       PA_GET(layout, bytes, wait_page_queue, folio) :
			       PA_GET(layout, bytes, wait_page_queue, page);
	waiter->bit = (int32_t)PA_GET(layout, bytes, wait_page_queue, bit_nr);
	mask = waiter->bit >= 0 && waiter->bit < 64 ?
		       PA_BIT((unsigned int)waiter->bit) :
		       0;
	if (mask == flag->locked)
		waiter->kind = PA_WAIT_LOCK;
	else if (mask == flag->writeback)
		waiter->kind = PA_WAIT_WRITEBACK;
	else if (mask && mask == flag->private_2)
		waiter->kind = PA_WAIT_PRIVATE_2;
	else
		waiter->kind = PA_WAIT_FLAG;
	if (!pa_page_to_pfn(walk->kernel, waiter->what, &waiter->pfn))
		waiter->pfn = PA_NO_PFN;
	return NULL;
}

/* struct wait_bit_queue_entry: __wait_on_bit(), init_wait_var_entry(). */
static struct pa_error *read_bit_wait(struct walk *walk,
				      struct pa_waiter *waiter, bool variable)
{
	const struct pa_kernel *kernel = walk->kernel;
	const struct pa_layout *layout = kernel->layout;
	uint8_t bytes[MAX_ENTRY_BYTES];
	uint64_t pfn;
	struct pa_error *err = pa_memory_read(
		walk->memory,
		waiter->entry -
			PA_OFFSETOF(layout, wait_bit_queue_entry, wq_entry),
		PA_SIZEOF(layout, wait_bit_queue_entry), bytes);

	if (err)
		return err;
	waiter->what = PA_GET(layout, bytes, wait_bit_queue_entry, key__flags);
	waiter->bit = (int32_t)PA_GET(layout, bytes, wait_bit_queue_entry,
				      key__bit_nr);
	waiter->kind = variable ? PA_WAIT_VAR : PA_WAIT_BIT;
	/* &page->_refcount, or the page: dax_layout_busy_page()'s. */
	if (variable &&
	    (pa_page_to_pfn(kernel, waiter->what, &pfn) ||
	     pa_page_to_pfn(kernel, waiter->what - kernel->page_format.refcount,
			    &pfn))) {
		waiter->kind = PA_WAIT_REFERENCES;
		waiter->pfn = pfn;
	}
	return NULL;
}

/* Whether the entry is on the stack of the task that it names. */
static struct pa_error *is_on_stack(struct walk *walk,
				    const struct pa_waiter *waiter, bool *ret)
{
	uint64_t stack;
	struct pa_error *err = pa_memory_read_u64(
		walk->memory,
		waiter->task +
			PA_OFFSETOF(walk->kernel->layout, task_struct, stack),
		&stack);

	if (!err)
		*ret = waiter->entry >= stack &&
		       waiter->entry - stack < STACK_BYTES;
	return err;
}

static struct pa_error *read_entry(struct walk *walk, uint64_t address)
{
	const struct pa_layout *layout = walk->kernel->layout;
	struct pa_waiter waiter = { .entry = address, .pfn = PA_NO_PFN };
	uint8_t bytes[MAX_ENTRY_BYTES];
	bool request, believed = true;
	uint64_t func;
	struct pa_error *err =
		pa_memory_read(walk->memory, address,
			       PA_SIZEOF(layout, wait_queue_entry), bytes);

	if (err)
		return err;
	func = PA_GET(layout, bytes, wait_queue_entry, func);
	waiter.exclusive = PA_GET(layout, bytes, wait_queue_entry, flags) &
			   WQ_FLAG_EXCLUSIVE;
	waiter.task = PA_GET(layout, bytes, wait_queue_entry, private);
	/* Its private is the request, and the entry is in that. */
	request = is_function(layout, PA_SYM_io_async_buf_func, func);
	if (walk->pages &&
	    (request || is_function(layout, PA_SYM_wake_page_function, func))) {
		err = read_page_wait(walk, &waiter);
	} else if (!walk->pages &&
		   (is_function(layout, PA_SYM_wake_bit_function, func) ||
		    is_function(layout, PA_SYM_var_wake_function, func))) {
		err = read_bit_wait(
			walk, &waiter,
			is_function(layout, PA_SYM_var_wake_function, func));
	} else {
		/* __wake_up_common()'s bookmark, fs/cachefiles of v5.10 ... */
		walk->waiters->others++;
		return NULL;
	}
	if (request)
		waiter.task = 0;
	else if (!err)
		err = is_on_stack(walk, &waiter, &believed);
	if (err)
		return err;
	if (!believed)
		walk->waiters->unreadable++;
	else if (!pa_array_append(&walk->waiters->list, waiter))
		return &pa_error_no_memory;
	return NULL;
}

/* What the target lacks is counted, what we lack comes back. */
static struct pa_error *forgive(struct walk *walk, struct pa_error *err)
{
	if (!pa_error_is_target(err))
		return err;
	pa_error_destroy(err);
	walk->waiters->unreadable++;
	return NULL;
}

static bool visit(void *arg, uint64_t node)
{
	struct walk *walk = arg;
	uint64_t entry = node - PA_OFFSETOF(walk->kernel->layout,
					    wait_queue_entry, entry);

	walk->err = forgive(walk, read_entry(walk, entry));
	return !walk->err;
}

static struct pa_error *walk_table(struct walk *walk, uint64_t table)
{
	const struct pa_layout *layout = walk->kernel->layout;
	uint32_t size = PA_SIZEOF(layout, wait_queue_head);
	struct pa_error *err = NULL;

	for (uint64_t i = 0; !err && i < NR_QUEUES; i++) {
		struct pa_list_result result;

		err = pa_list_walk(walk->memory,
				   table + i * size +
					   PA_OFFSETOF(layout, wait_queue_head,
						       head),
				   MAX_WAITERS, visit, walk, &result);
		if (!err)
			err = walk->err;
		if (!err && result.end != PA_LIST_WHOLE)
			walk->waiters->unreadable++;
	}
	return err;
}

static int compare(const void *a, const void *b)
{
	const struct pa_waiter *x = a, *y = b;

	if (x->pfn != y->pfn)
		return x->pfn < y->pfn ? -1 : 1;
	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

struct pa_error *pa_waiters_init(const struct pa_kernel *kernel,
				 struct pa_memory *memory,
				 struct pa_waiters *ret)
{
	const struct pa_layout *layout = kernel->layout;
	struct pa_waiters waiters = { 0 };
	struct walk walk = {
		.kernel = kernel,
		.memory = memory,
		.waiters = &waiters,
		.pages = true,
	};
	struct pa_error *err;

	if (!knows(layout))
		return pa_error_create(PA_ERROR_MISSING,
				       "no types or symbols of wait queues");
	err = walk_table(&walk, PA_HAS_SYM(layout, folio_wait_table) ?
					PA_SYM(layout, folio_wait_table) :
					PA_SYM(layout, page_wait_table));
	walk.pages = false;
	if (!err)
		err = walk_table(&walk, PA_SYM(layout, bit_wait_table));
	if (err) {
		pa_waiters_deinit(&waiters);
		return err;
	}
	if (waiters.list.length)
		qsort(waiters.list.items, waiters.list.length,
		      sizeof(*waiters.list.items), compare);
	*ret = waiters;
	return NULL;
}

void pa_waiters_deinit(struct pa_waiters *waiters)
{
	pa_array_deinit(&waiters->list);
}

/* The first waiter for @pfn or a page behind it. */
static size_t lower_bound(const struct pa_waiters *waiters, uint64_t pfn)
{
	return pa_bisect(waiters->list.items, waiters->list.length, it,
			 it->pfn < pfn);
}

const struct pa_waiter *pa_waiters_find(const struct pa_waiters *waiters,
					uint64_t pfn, uint64_t end,
					size_t *nr_ret)
{
	size_t first = lower_bound(waiters, pfn);

	*nr_ret = lower_bound(waiters, end) - first;
	return *nr_ret ? &waiters->list.items[first] : NULL;
}
