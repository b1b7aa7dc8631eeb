// SPDX-License-Identifier: LGPL-2.1-or-later
/* Wait queues of hand-made memory: who waits for which page. */
#include "bytes.h"
#include "kernel/wait.h"

#define PAGE_TABLE (BASE + 0)
#define BIT_TABLE (BASE + 8192)
#define QUEUE_BYTES 24
#define TASK (BASE + 16384)
#define STACK (BASE + 16384 + 256)
#define REFCOUNT 52
#define WAKE_PAGE UINT64_C(0xffffffff81000100)
#define WAKE_BIT UINT64_C(0xffffffff81000200)
#define WAKE_VAR UINT64_C(0xffffffff81000300)
#define ASYNC_BUF UINT64_C(0xffffffff81000400)

/* struct wait_queue_entry, behind the head of either kind. */
#define ENTRY_PRIVATE 8
#define ENTRY_FUNC 16
#define ENTRY_LINKS 24
#define IN_PAGE_QUEUE 16
#define IN_BIT_QUEUE 24

static void make_layout(void)
{
	SYMBOL(folio_wait_table, PAGE_TABLE);
	SYMBOL(bit_wait_table, BIT_TABLE);
	SYMBOL(wake_page_function, WAKE_PAGE);
	SYMBOL(wake_bit_function, WAKE_BIT);
	SYMBOL(var_wake_function, WAKE_VAR);
	SYMBOL(io_async_buf_func, ASYNC_BUF);
	TYPE(wait_queue_head, QUEUE_BYTES);
	MEMBER(wait_queue_head, head, 8, 16);
	TYPE(wait_queue_entry, 40);
	MEMBER(wait_queue_entry, flags, 0, 4);
	MEMBER(wait_queue_entry, private, ENTRY_PRIVATE, 8);
	MEMBER(wait_queue_entry, func, ENTRY_FUNC, 8);
	MEMBER(wait_queue_entry, entry, ENTRY_LINKS, 16);
	TYPE(wait_page_queue, 56);
	MEMBER(wait_page_queue, folio, 0, 8);
	MEMBER(wait_page_queue, bit_nr, 8, 4);
	MEMBER(wait_page_queue, wait, IN_PAGE_QUEUE, 40);
	TYPE(wait_bit_queue_entry, 64);
	MEMBER(wait_bit_queue_entry, key__flags, 0, 8);
	MEMBER(wait_bit_queue_entry, key__bit_nr, 8, 4);
	MEMBER(wait_bit_queue_entry, wq_entry, IN_BIT_QUEUE, 40);
	MEMBER(task_struct, stack, 24, 8);
	put(TASK + 24, STACK);
	kernel.page_format.refcount = REFCOUNT;
	kernel.page_format.flag.locked = 1 << 0;
	kernel.page_format.flag.writeback = 1 << 1;
	kernel.page_format.flag.private_2 = 1 << 9;
}

static uint64_t queue(uint64_t table, unsigned int nr)
{
	return table + nr * QUEUE_BYTES + 8;
}

static void make_tables(void)
{
	for (unsigned int i = 0; i < 256; i++) {
		put(queue(PAGE_TABLE, i), queue(PAGE_TABLE, i));
		put(queue(PAGE_TABLE, i) + 8, queue(PAGE_TABLE, i));
		put(queue(BIT_TABLE, i), queue(BIT_TABLE, i));
		put(queue(BIT_TABLE, i) + 8, queue(BIT_TABLE, i));
	}
}

/* Links the wait_queue_entry at @entry in; its address is given back. */
static uint64_t enqueue(uint64_t head, uint64_t entry, uint64_t task,
			uint64_t func, uint32_t flags)
{
	uint64_t node = entry + ENTRY_LINKS;
	uint64_t last = pa_load_u64(memory_bytes + (head + 8 - BASE));

	put_bytes(entry, flags, 4);
	put(entry + ENTRY_PRIVATE, task);
	put(entry + ENTRY_FUNC, func);
	put(node, head);
	put(node + 8, last);
	put(last, node);
	put(head + 8, node);
	return entry;
}

/* A struct wait_page_queue at @at. */
static uint64_t wait_page(unsigned int nr, uint64_t at, uint64_t page,
			  uint32_t bit, uint64_t func)
{
	put(at, page);
	put_bytes(at + 8, bit, 4);
	return enqueue(queue(PAGE_TABLE, nr), at + IN_PAGE_QUEUE, TASK, func,
		       bit == 0);
}

static uint64_t wait_bit(unsigned int nr, uint64_t at, uint64_t word,
			 uint32_t bit, uint64_t func)
{
	put(at, word);
	put_bytes(at + 8, bit, 4);
	return enqueue(queue(BIT_TABLE, nr), at + IN_BIT_QUEUE, TASK, func, 0);
}

static const struct pa_waiter *find(const struct pa_waiters *waiters,
				    uint64_t entry)
{
	pa_array_for_each(waiter, &waiters->list)
		if (waiter->entry == entry)
			return waiter;
	return NULL;
}

static void test_waiters(struct pa_memory *memory)
{
	struct pa_waiters waiters;
	const struct pa_waiter *waiter;
	uint64_t lock, writeback, fscache, flag, bit, var, idle, count, async;
	size_t nr;

	make_tables();
	lock = wait_page(3, STACK + 512, page_at(9), 0, WAKE_PAGE);
	writeback = wait_page(3, STACK + 1024, page_at(7), 1, WAKE_PAGE);
	fscache = wait_page(255, STACK + 1536, page_at(7), 9, WAKE_PAGE);
	flag = wait_page(0, STACK + 2048, page_at(7), 5, WAKE_PAGE);
	/* In the request, which is not on the stack. */
	async = wait_page(8, BASE + 15000, page_at(9), 0, ASYNC_BUF);
	bit = wait_bit(0, STACK + 2560, BASE + 64, 3, WAKE_BIT);
	var = wait_bit(255, STACK + 3072, BASE + 64, UINT32_MAX, WAKE_VAR);
	idle = wait_bit(7, STACK + 3584, page_at(11), UINT32_MAX, WAKE_VAR);
	count = wait_bit(7, STACK + 4096, page_at(12) + REFCOUNT, UINT32_MAX,
			 WAKE_VAR);
	CHECK_OK(pa_waiters_init(&kernel, memory, &waiters));
	CHECK(waiters.list.length == 9);
	CHECK(!waiters.unreadable && !waiters.others);

	waiter = find(&waiters, lock);
	CHECK_FATAL(waiter);
	CHECK(waiter->kind == PA_WAIT_LOCK && waiter->exclusive);
	CHECK(waiter->pfn == 9 && waiter->task == TASK);
	CHECK(waiter->what == page_at(9));
	waiter = find(&waiters, writeback);
	CHECK_FATAL(waiter);
	CHECK(waiter->kind == PA_WAIT_WRITEBACK && !waiter->exclusive);
	CHECK(waiter->pfn == 7);
	waiter = find(&waiters, fscache);
	CHECK(waiter && waiter->kind == PA_WAIT_PRIVATE_2);
	waiter = find(&waiters, flag);
	CHECK(waiter && waiter->kind == PA_WAIT_FLAG && waiter->bit == 5);
	waiter = find(&waiters, async);
	CHECK(waiter && waiter->kind == PA_WAIT_LOCK && !waiter->task);
	waiter = find(&waiters, bit);
	CHECK(waiter && waiter->kind == PA_WAIT_BIT && waiter->bit == 3);
	CHECK(waiter && waiter->pfn == PA_NO_PFN && waiter->what == BASE + 64);
	waiter = find(&waiters, var);
	CHECK(waiter && waiter->kind == PA_WAIT_VAR);
	CHECK(waiter && waiter->pfn == PA_NO_PFN);
	waiter = find(&waiters, idle);
	CHECK(waiter && waiter->kind == PA_WAIT_REFERENCES);
	CHECK(waiter && waiter->pfn == 11);
	waiter = find(&waiters, count);
	CHECK(waiter && waiter->kind == PA_WAIT_REFERENCES);
	CHECK(waiter && waiter->pfn == 12);

	/* By pfn. */
	CHECK(!pa_waiters_find(&waiters, 0, 7, &nr) && !nr);
	waiter = pa_waiters_find(&waiters, 7, 8, &nr);
	CHECK(waiter && nr == 3 && waiter->pfn == 7);
	CHECK(pa_waiters_find(&waiters, 9, 13, &nr) && nr == 4);
	CHECK(!pa_waiters_find(&waiters, 13, 512, &nr) && !nr);
	pa_waiters_deinit(&waiters);
}

static void test_hostile(struct pa_memory *memory)
{
	struct pa_waiters waiters;
	uint64_t good;

	/* A bookmark, or whatever wakes otherwise. */
	make_tables();
	good = wait_page(3, STACK + 512, page_at(9), 0, WAKE_PAGE);
	enqueue(queue(PAGE_TABLE, 3), STACK + 1024, 0, 0, 4);
	enqueue(queue(BIT_TABLE, 3), STACK + 1536, TASK, WAKE_PAGE, 0);
	/* Below the stack, behind it, and of a task that is not there. */
	enqueue(queue(PAGE_TABLE, 4), STACK - 64, TASK, WAKE_PAGE, 0);
	enqueue(queue(PAGE_TABLE, 4), STACK + 16384, TASK, WAKE_PAGE, 0);
	enqueue(queue(PAGE_TABLE, 5), STACK + 2048, NOWHERE, WAKE_PAGE, 0);
	/* A list that goes to where nothing is, and one without an end. */
	put(queue(PAGE_TABLE, 6), NOWHERE);
	wait_page(7, STACK + 2560, page_at(9), 0, WAKE_PAGE);
	put(STACK + 2560 + IN_PAGE_QUEUE + ENTRY_LINKS,
	    STACK + 2560 + IN_PAGE_QUEUE + ENTRY_LINKS);
	CHECK_OK(pa_waiters_init(&kernel, memory, &waiters));
	CHECK(waiters.list.length == 2 && find(&waiters, good));
	CHECK(waiters.others == 2 && waiters.unreadable == 5);
	pa_waiters_deinit(&waiters);

	/* What they wait for is no page. */
	make_tables();
	wait_page(3, STACK + 512, page_at(9) + 8, 0, WAKE_PAGE);
	wait_page(3, STACK + 1024, NOWHERE, UINT32_MAX, WAKE_PAGE);
	CHECK_OK(pa_waiters_init(&kernel, memory, &waiters));
	CHECK_FATAL(waiters.list.length == 2);
	CHECK(waiters.list.items[0].pfn == PA_NO_PFN);
	CHECK(waiters.list.items[1].pfn == PA_NO_PFN);
	CHECK(find(&waiters, STACK + 1024 + IN_PAGE_QUEUE)->kind ==
	      PA_WAIT_FLAG);
	pa_waiters_deinit(&waiters);

	layout.symbols[PA_SYM_bit_wait_table].known = false;
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_waiters_init(&kernel, memory, &waiters));
	SYMBOL(bit_wait_table, NOWHERE);
	CHECK_OK(pa_waiters_init(&kernel, memory, &waiters));
	CHECK(waiters.list.length == 2 && waiters.unreadable == 256);
	pa_waiters_deinit(&waiters);
	layout.types[PA_TYPE_wait_page_queue].size = 4096;
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_waiters_init(&kernel, memory, &waiters));
}

int main(void)
{
	struct pa_memory *memory = bytes_start();

	make_layout();
	test_waiters(memory);
	test_hostile(memory);
	bytes_end(memory);
	return CHECK_DONE();
}
