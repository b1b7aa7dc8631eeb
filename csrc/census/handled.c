// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/handled.h"

#include <stdlib.h>

#include "census/dropping.h"
#include "census/lru.h"
#include "census/page_reporting.h"
#include "kernel/stack.h"

/* No machine has so many tasks that each works on some pages. */
#define MAX_HANDLED PA_BIT(22)

/*
 * Zones that somebody has in hand who runs: a zone's lock, with which lists and
 * counts change one after the other, is not slept with.
 */
static void collect_zones(struct pa_census *census,
			  const struct pa_stack *stack)
{
	const struct pa_kernel *kernel = census->kernel;
	uint64_t size = PA_SIZEOF(kernel->layout, zone);

	for (size_t z = 0; z < kernel->zones.list.length; z++) {
		const struct pa_zone *zone = &kernel->zones.list.items[z];

		for (size_t i = 0; zone->locked && i < stack->nr; i++)
			if (stack->words[i] - zone->address < size)
				census->zones[z].task = stack->task;
	}
}

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static const enum pa_symbol_id splits[] = {
	PA_SYM_split_huge_page_to_list,
	PA_SYM_split_huge_page_to_list_to_order,
	PA_SYM___folio_split,
	PA_SYM_folio_split_unmapped,
};

static const enum pa_symbol_id frees[] = {
	PA_SYM___free_contig_range,
	PA_SYM_free_contig_range,
	PA_SYM_free_contig_frozen_range,
	PA_SYM_free_pages_bulk,
};

/* What a task that is in one of @functions does. */
static const struct {
	enum pa_handled_act act;
	const enum pa_symbol_id *functions;
	size_t nr;
} acts[] = {
	{ PA_HANDLED_SPLITS, splits, NR(splits) },
	{ PA_HANDLED_FREES, frees, NR(frees) },
};

struct actor {
	uint64_t task;
	unsigned int acts;
};

struct collect {
	struct pa_census *census;
	/* Tasks that do something of @acts. */
	PA_ARRAY(struct actor) actors;
	/* The CPU whose task made the kernel panic: all that it does is stuck. */
	uint64_t panic_cpu;
	/* Out of memory. */
	bool failed;
};

static bool is_running(const struct collect *collect, uint64_t task)
{
	pa_array_for_each(cpu, &collect->census->cpu_tasks.list)
		if (cpu->task == task)
			return cpu->cpu != collect->panic_cpu;
	return false;
}

/*
 * The page that @word names: its struct page, or, of one that is on no list, its
 * lru. compaction_alloc() has nothing else of a block that it splits.
 */
static bool find_page(const struct pa_census *census, uint64_t word,
		      uint64_t *pfn)
{
	const struct pa_kernel *kernel = census->kernel;
	const uint8_t *class;

	if (!pa_is_kernel_address(word))
		return false;
	if (pa_page_to_pfn(kernel, word, pfn))
		return true;
	if (!pa_page_to_pfn(kernel, word - kernel->page_format.lru, pfn))
		return false;
	class = pa_census_class(census, *pfn);
	return class && (*class & PA_CLASS_MASK) == PA_CLASS_ZERO;
}

static bool add_actor(struct collect *collect, const struct pa_stack *stack)
{
	const struct pa_layout *layout = collect->census->kernel->layout;
	struct actor actor = { .task = stack->task };

	for (size_t i = 0; i < NR(acts); i++)
		if (pa_stack_is_in(layout, stack, acts[i].functions,
				   acts[i].nr))
			actor.acts |= acts[i].act;
	return !actor.acts || pa_array_append(&collect->actors, actor);
}

static bool collect_words(struct collect *collect, const struct pa_stack *stack)
{
	struct pa_census *census = collect->census;

	if (is_running(collect, stack->task))
		collect_zones(census, stack);
	collect->failed = !add_actor(collect, stack);
	for (size_t i = 0; i < stack->nr && !collect->failed; i++) {
		struct pa_handled handled = { .task = stack->task };

		if (!find_page(census, stack->words[i], &handled.pfn))
			continue;
		if (census->handled.length >= MAX_HANDLED)
			return false;
		collect->failed = !pa_array_append(&census->handled, handled);
	}
	return !collect->failed;
}

/* The address may be in a register, and who called what in a frame. */
static void mark_actors(const struct collect *collect)
{
	pa_array_for_each(actor, &collect->actors)
		pa_array_for_each(handled, &collect->census->handled)
			if (handled->task == actor->task)
				handled->acts |= actor->acts;
}

static int compare(const void *a, const void *b)
{
	const struct pa_handled *x = a, *y = b;

	if (x->pfn != y->pfn)
		return x->pfn < y->pfn ? -1 : 1;
	return x->task < y->task ? -1 : x->task > y->task;
}

/* An atomic_t; PANIC_CPU_INVALID, which is -1, while all is well. */
static struct pa_error *read_panic_cpu(const struct pa_kernel *kernel,
				       struct pa_memory *memory, uint64_t *ret)
{
	uint8_t bytes[4];

	*ret = UINT32_MAX;
	if (!PA_HAS_SYM(kernel->layout, panic_cpu))
		return NULL;

	struct pa_error *err = pa_memory_read(memory,
					      PA_SYM(kernel->layout, panic_cpu),
					      sizeof(bytes), bytes);

	if (!err)
		*ret = pa_load_u32(bytes);
	return err;
}

static bool add_batches_of(struct pa_census *census,
			   const struct pa_cpu_task *task)
{
	pa_array_for_each(batched, &census->lru->batched) {
		struct pa_handled handled = { .task = task->task };

		if (batched->cpu != task->cpu ||
		    !pa_page_to_pfn(census->kernel, batched->page,
				    &handled.pfn))
			continue;
		if (census->handled.length >= MAX_HANDLED)
			return true;
		if (!pa_array_append(&census->handled, handled))
			return false;
	}
	return true;
}

/*
 * What folios_put_refs() has of a per-cpu batch is nowhere else while it is
 * freed: mlock_folio_batch(), folio_batch_move_lru().
 */
static struct pa_error *add_batches(struct pa_census *census)
{
	struct pa_dropping dropping = { 0 };
	struct pa_error *err = NULL;

	if (!census->lru || !census->lru->batched.length)
		return NULL;
	err = pa_dropping_find(census, &dropping);
	pa_array_for_each(task, &census->cpu_tasks.list)
		if (!err && pa_dropping_has(&dropping, task->task) &&
		    !add_batches_of(census, task))
			err = &pa_error_no_memory;
	pa_dropping_deinit(&dropping);
	return err;
}

struct pa_error *pa_handled_build(struct pa_census *census,
				  struct pa_memory *memory)
{
	static const enum pa_symbol_id hotplug[] = {
		PA_SYM_device_offline,
		PA_SYM_offline_pages,
		PA_SYM_online_pages,
	};
	struct collect collect = { .census = census };
	struct pa_error *err = pa_stacks_init(
		census->kernel, memory, &census->cpu_tasks, &census->stacks);

	if (err)
		return err;
	err = read_panic_cpu(census->kernel, memory, &collect.panic_cpu);
	pa_array_for_each(stack, &census->stacks.list)
		if (err || !collect_words(&collect, stack))
			break;
	census->stacks_unread = census->stacks.unread;
	mark_actors(&collect);
	pa_array_deinit(&collect.actors);
	if (!err && collect.failed)
		return &pa_error_no_memory;
	if (!err)
		err = add_batches(census);
	if (!err)
		err = pa_page_reporting_add(census, memory);
	if (!err)
		pa_stacks_find(&census->stacks, census->kernel, memory, hotplug,
			       NR(hotplug), &census->hotplug);
	if (pa_error_is_target(err)) {
		/* Some may be missing: nothing is certain then. */
		pa_error_destroy(err);
		err = NULL;
		census->stacks_unread++;
	}
	if (census->handled.length)
		qsort(census->handled.items, census->handled.length,
		      sizeof(*census->handled.items), compare);
	return err;
}

static size_t first_from(const struct pa_census *census, uint64_t pfn)
{
	return pa_bisect(census->handled.items, census->handled.length, it,
			 it->pfn < pfn);
}

const struct pa_handled *pa_handled_find(const struct pa_census *census,
					 uint64_t pfn, uint64_t end)
{
	size_t i = first_from(census, pfn);

	return i < census->handled.length &&
			       census->handled.items[i].pfn < end ?
		       &census->handled.items[i] :
		       NULL;
}

/* The first page from @pfn to @last in the hands of who does @act. */
static const struct pa_handled *find_act(const struct pa_census *census,
					 enum pa_handled_act act, uint64_t pfn,
					 uint64_t last)
{
	for (size_t i = first_from(census, pfn);
	     i < census->handled.length && census->handled.items[i].pfn <= last;
	     i++)
		if (census->handled.items[i].acts & act)
			return &census->handled.items[i];
	return NULL;
}

const struct pa_handled *
pa_handled_find_splitter(const struct pa_census *census, uint64_t pfn)
{
	uint64_t span = PA_BIT(census->kernel->zones.pageblock_order);
	uint64_t start = pa_align_down(pfn, span);

	return find_act(census, PA_HANDLED_SPLITS, start, start + span);
}

const struct pa_handled *pa_handled_find_freer(const struct pa_census *census,
					       uint64_t pfn, uint64_t end)
{
	return find_act(census, PA_HANDLED_FREES, pfn ? pfn - 1 : 0, end);
}

uint64_t pa_handled_find_lru(const struct pa_census *census, uint64_t pfn)
{
	uint64_t lru = pa_pfn_to_page(census->kernel, pfn) +
		       census->kernel->page_format.lru;

	pa_array_for_each(stack, &census->stacks.list)
		for (size_t i = 0; i < stack->nr; i++)
			if (stack->words[i] == lru)
				return stack->task;
	return 0;
}
