// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/stack_pages.h"

/* THREAD_SIZE and IRQ_STACK_SIZE of x86_64 without KASAN. */
#define STACK_BYTES UINT64_C(16384)
#define PAGE_BYTES UINT64_C(4096)
/* include/uapi/linux/magic.h: the lowest word of a stack. */
#define STACK_END_MAGIC UINT64_C(0x57ac6e9d)
/* kernel/fork.c: how many a CPU keeps. */
#define NR_CACHED_STACKS 2

struct builder {
	const struct pa_census *census;
	const struct pa_layout *layout;
	struct pa_memory *memory;
	/* What is added to. */
	struct pa_stack_pages *stacks;
	/* Our own failure inside of a visitor. */
	struct pa_error *err;
};

/* Stack [base, end), of which [live, live_end) is in use. */
static struct pa_error *add_stack(struct builder *b, uint64_t task,
				  uint64_t base, uint64_t end, uint64_t live,
				  uint64_t live_end)
{
	for (uint64_t va = pa_align_down(base, PAGE_BYTES); va < end;
	     va += PAGE_BYTES) {
		struct pa_translation at;
		struct pa_error *err = pa_memory_translate(b->memory, va, &at);

		if (err)
			return err;
		if (!at.mapped)
			continue;
		if (!pa_array_append(&b->stacks->list,
				     (struct pa_stack_page){
					     .pfn = at.phys / PAGE_BYTES,
					     .va = va,
					     .task = task,
					     .base = base,
					     .end = end,
					     .live = live,
					     .live_end = live_end,
				     }))
			return &pa_error_no_memory;
	}
	return NULL;
}

/* What the target does not have is counted; false: our own failure. */
static bool note(struct builder *b, struct pa_error *err)
{
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		b->stacks->unread++;
		return true;
	}
	b->err = err;
	return !err;
}

static bool add_live(struct builder *b, const struct pa_stack *stack)
{
	uint64_t live_end = stack->address + stack->nr * 8;
	uint64_t base, end;

	if (!stack->address)
		return true;

	struct pa_error *err = pa_memory_read_u64(
		b->memory,
		stack->task + PA_OFFSETOF(b->layout, task_struct, stack),
		&base);

	if (err)
		return note(b, err);
	end = base + STACK_BYTES;
	/* Else an interrupt's, whose lower end is not known. */
	if (stack->address - base >= STACK_BYTES) {
		base = stack->address;
		end = pa_max(live_end, base + PAGE_BYTES);
	}
	return note(b, add_stack(b, stack->task, base, end, stack->address,
				 live_end));
}

/* Per-cpu stacks that a CPU is on for moments only. */
static bool add_per_cpu(struct builder *b, enum pa_symbol_id id, uint64_t bytes)
{
	const struct pa_symbol *symbol = &b->layout->symbols[id];
	const struct pa_cpus *cpus = &b->census->kernel->cpus;

	for (size_t i = 0; symbol->known && i < cpus->list.length; i++) {
		uint64_t base = symbol->address + cpus->list.items[i].offset;

		if (!note(b, add_stack(b, 0, base, base + bytes, base + bytes,
				       base + bytes)))
			return false;
	}
	return true;
}

const struct pa_stack_page *
pa_stack_pages_find(const struct pa_stack_pages *stacks, uint64_t pfn)
{
	size_t low = pa_bisect(stacks->list.items, stacks->list.length, it,
			       it->pfn < pfn);

	return low < stacks->list.length && stacks->list.items[low].pfn == pfn ?
		       &stacks->list.items[low] :
		       NULL;
}

static int compare(const void *a, const void *b)
{
	const struct pa_stack_page *x = a, *y = b;

	if (x->pfn != y->pfn)
		return x->pfn < y->pfn ? -1 : 1;
	return x->live_end - x->live > y->live_end - y->live ?
		       -1 :
		       x->live_end - x->live < y->live_end - y->live;
}

/* The first CPU's idle task, which is on no list, while it does not run. */
static void add_init(struct builder *b)
{
	const struct pa_layout *layout = b->layout;
	uint64_t task = PA_SYM(layout, init_task), base, sp;
	struct pa_error *err = pa_memory_read_u64(
		b->memory, task + PA_OFFSETOF(layout, task_struct, stack),
		&base);

	if (!err)
		err = pa_memory_read_u64(b->memory,
					 task + PA_OFFSETOF(layout, task_struct,
							    thread__sp),
					 &sp);
	if (!err && pa_is_kernel_address(base) && sp - base < STACK_BYTES)
		err = add_stack(b, task, base, base + STACK_BYTES, sp,
				base + STACK_BYTES);
	note(b, err);
}

/* Sorts, and of each page keeps what has most live words. */
static void settle(struct pa_stack_pages *stacks)
{
	size_t n = 0;

	if (stacks->list.length)
		qsort(stacks->list.items, stacks->list.length,
		      sizeof(*stacks->list.items), compare);
	for (size_t i = 0; i < stacks->list.length; i++)
		if (!n ||
		    stacks->list.items[n - 1].pfn != stacks->list.items[i].pfn)
			stacks->list.items[n++] = stacks->list.items[i];
	stacks->list.length = n;
}

/* A whole stack of a task that is gone, unless one of @known has it by now. */
static struct pa_error *
add_dead(struct builder *b, const struct pa_stack_pages *known, uint64_t base)
{
	struct pa_translation at;
	struct pa_error *err = pa_memory_translate(b->memory, base, &at);
	uint64_t end = base + STACK_BYTES;

	if (err || !at.mapped ||
	    pa_stack_pages_find(known, at.phys / PAGE_BYTES))
		return err;
	return add_stack(b, 0, base, end, end, end);
}

/*
 * One of cached_stacks of kernel/fork.c. What thread_stack_free_rcu() has put
 * there does not begin as a stack any more: its rcu_head lay where it began.
 */
static struct pa_error *
add_cached(struct builder *b, const struct pa_stack_pages *known, uint64_t slot)
{
	uint64_t area, base;
	struct pa_error *err = pa_memory_read_u64(b->memory, slot, &area);

	if (err || !area)
		return err;
	err = pa_memory_read_u64(b->memory,
				 area + PA_OFFSETOF(b->layout, vm_struct, addr),
				 &base);
	return err || !pa_is_kernel_address(base) || base % PAGE_BYTES ?
		       err :
		       add_dead(b, known, base);
}

static bool add_all_cached(struct builder *b,
			   const struct pa_stack_pages *known)
{
	const struct pa_symbol *symbol =
		&b->layout->symbols[PA_SYM_cached_stacks];
	const struct pa_cpus *cpus = &b->census->kernel->cpus;

	for (size_t i = 0; symbol->known && i < cpus->list.length; i++) {
		uint64_t slots = symbol->address + cpus->list.items[i].offset;

		for (uint64_t nr = 0; nr < NR_CACHED_STACKS; nr++)
			if (!note(b, add_cached(b, known, slots + nr * 8)))
				return false;
	}
	return true;
}

/*
 * Stacks of tasks that are gone: in cached_stacks as they were, or waiting for
 * thread_stack_free_rcu(), whose callback lies where the stack began. Both are
 * vmalloc areas of a stack's size that no task has.
 */
static struct pa_error *add_orphan(struct builder *b,
				   const struct pa_stack_pages *known,
				   const struct pa_kernel_mapping *first,
				   uint64_t bytes)
{
	const struct pa_symbol *callback =
		&b->layout->symbols[PA_SYM_thread_stack_free_rcu];
	uint64_t words[2];

	if (bytes != STACK_BYTES)
		return NULL;

	struct pa_error *err =
		pa_memory_read(b->memory, first->va, sizeof(words), words);

	if (err)
		return err;
	return words[0] == STACK_END_MAGIC || (callback->known &&
					       words[1] == callback->address) ?
		       add_dead(b, known, first->va) :
		       NULL;
}

static void add_orphans(struct builder *b,
			const struct pa_kernel_tables *tables)
{
	const struct pa_kernel_mapping *items = tables->mappings.items;
	struct pa_stack_pages orphans = {}, *known = b->stacks;
	size_t nr = tables->mappings.length;
	bool ok;

	b->stacks = &orphans;
	ok = add_all_cached(b, known);
	for (size_t i = 0, next; ok && i < nr; i = next) {
		uint64_t end = items[i].va + items[i].bytes;

		/* A guard page ends each area. */
		for (next = i + 1; next < nr && items[next].va == end; next++)
			end += items[next].bytes;
		ok = note(b,
			  add_orphan(b, known, &items[i], end - items[i].va));
	}
	b->stacks = known;
	if (ok && !pa_array_extend(&known->list, &orphans.list))
		b->err = &pa_error_no_memory;
	known->unread += orphans.unread;
	pa_stack_pages_deinit(&orphans);
}

struct pa_error *pa_stack_pages_init(const struct pa_census *census,
				     const struct pa_kernel_tables *tables,
				     struct pa_memory *memory,
				     struct pa_stack_pages *ret)
{
	const struct pa_kernel *kernel = census->kernel;
	struct pa_stack_pages stacks = {};
	struct builder b = {
		.census = census,
		.layout = kernel->layout,
		.memory = memory,
		.stacks = &stacks,
	};
	const struct pa_type *exception =
		&kernel->layout->types[PA_TYPE_exception_stacks];

	stacks.unread += census->stacks.unread;
	pa_array_for_each(stack, &census->stacks.list)
		if (!add_live(&b, stack))
			break;
	if (!b.err &&
	    add_per_cpu(&b, PA_SYM_irq_stack_backing_store, STACK_BYTES) &&
	    exception->known)
		add_per_cpu(&b, PA_SYM_exception_stacks, exception->size);
	if (!b.err)
		add_init(&b);
	settle(&stacks);
	/* Where a task may be missing, no stack is said to be nobody's. */
	if (!b.err && !stacks.unread)
		add_orphans(&b, tables);
	if (b.err) {
		pa_stack_pages_deinit(&stacks);
		return b.err;
	}
	settle(&stacks);
	*ret = stacks;
	return NULL;
}

void pa_stack_pages_deinit(struct pa_stack_pages *stacks)
{
	pa_array_deinit(&stacks->list);
}
