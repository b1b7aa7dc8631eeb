// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/entry_in_hand.h"

#include <stdlib.h>

#include "census/account.h"
#include "census/page_table.h"
#include "kernel/arch.h"
#include "kernel/stack.h"

/* Tables that tasks have in hand; a machine has a word that looks so or two. */
#define MAX_TABLES 4096

struct search {
	const struct pa_census *census;
	struct pa_memory *memory;
	const struct pa_page_table_format *format;
	struct pa_entries_in_hand *found;
	unsigned int nr_tables;
};

static void decode(const struct search *search, unsigned int level,
		   uint64_t word, struct pa_entry *ret)
{
	search->census->kernel->arch->decode_entry(search->format, level, word,
						   ret);
}

static bool is_memory(const struct search *search, uint64_t pfn)
{
	return pa_census_class(search->census, pfn) != NULL;
}

/*
 * Whether the page may be a table that no other names: those that are linked were
 * walked, and have a reference by that.
 */
static bool is_unlinked_table(const struct search *search, uint64_t pfn)
{
	const struct pa_census *census = search->census;
	const struct pa_account *account =
		pa_account_find(census->accounts, pfn);
	const uint8_t *byte = pa_census_class(census, pfn);
	uint64_t mask = census->kernel->sections.pages - 1;
	uint8_t class = byte ? *byte & PA_CLASS_MASK : PA_CLASS_UNKNOWN;

	return (class == PA_CLASS_USED || class == PA_CLASS_FROZEN) &&
	       account && !(account->refs && account->refs[pfn & mask]);
}

/* @loose: @word is no table's, and may be anything that looks so. */
static bool add_page(struct search *search, uint64_t word, uint64_t task,
		     bool loose)
{
	struct pa_entry_in_hand found = { .task = task };
	struct pa_entry entry;

	decode(search, PA_LEVEL_PTE, word, &entry);
	if (entry.kind != PA_ENTRY_PAGE || !is_memory(search, entry.pfn) ||
	    (loose && !entry.readable))
		return true;
	found.pfn = entry.pfn;
	return pa_array_append(&search->found->list, found);
}

/* A word that names a table of pages. */
static struct pa_error *add_table(struct search *search, uint64_t word,
				  uint64_t task)
{
	const struct pa_address_space *space = &search->census->kernel->space;
	uint64_t entries[PA_TABLE_ENTRIES];
	struct pa_entry entry;
	struct pa_error *err;

	decode(search, PA_LEVEL_PMD, word, &entry);
	if (entry.kind != PA_ENTRY_TABLE ||
	    !is_unlinked_table(search, entry.pfn) ||
	    search->nr_tables++ >= MAX_TABLES)
		return NULL;
	err = pa_memory_read(search->memory,
			     space->direct_start +
				     (entry.pfn << space->page_shift),
			     sizeof(entries), entries);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	for (int i = 0; !err && i < PA_TABLE_ENTRIES; i++)
		if (!add_page(search, entries[i], task, false))
			err = &pa_error_no_memory;
	return err;
}

static bool runs(const struct pa_census *census, uint64_t task)
{
	pa_array_for_each(cpu, &census->cpu_tasks.list)
		if (cpu->task == task)
			return true;
	return false;
}

/*
 * Whether the task unlinks tables: collapse_huge_page(), or move_normal_pmd(),
 * which links them elsewhere. Of one that @running the registers are a stack of
 * their own.
 */
static bool unlinks(const struct pa_census *census,
		    const struct pa_stack *stack, bool running)
{
	static const enum pa_symbol_id functions[] = {
		PA_SYM_collapse_huge_page,	PA_SYM_collapse_single_pmd,
		PA_SYM_hpage_collapse_scan_pmd, PA_SYM_khugepaged,
		PA_SYM_move_page_tables,
	};
	size_t nr = sizeof(functions) / sizeof(functions[0]);

	if (!running)
		return pa_stack_is_in(census->kernel->layout, stack, functions,
				      nr);
	pa_array_for_each(other, &census->stacks.list)
		if (other->task == stack->task &&
		    pa_stack_is_in(census->kernel->layout, other, functions,
				   nr))
			return true;
	return false;
}

static struct pa_error *visit(struct search *search,
			      const struct pa_stack *stack)
{
	/* The lock of a table is not slept with. */
	bool running = runs(search->census, stack->task);
	bool has_tables = unlinks(search->census, stack, running);
	struct pa_error *err = NULL;

	for (size_t i = 0; !err && i < stack->nr; i++) {
		if (running &&
		    !add_page(search, stack->words[i], stack->task, true))
			err = &pa_error_no_memory;
		if (!err && has_tables)
			err = add_table(search, stack->words[i], stack->task);
	}
	return err;
}

static int compare(const void *a, const void *b)
{
	const struct pa_entry_in_hand *x = a, *y = b;

	if (x->pfn != y->pfn)
		return x->pfn < y->pfn ? -1 : 1;
	return x->task < y->task ? -1 : x->task > y->task;
}

struct pa_error *pa_entries_in_hand_init(const struct pa_census *census,
					 struct pa_memory *memory,
					 struct pa_entries_in_hand *ret)
{
	struct search search = {
		.census = census,
		.memory = memory,
		.found = ret,
	};
	struct pa_error *err = NULL;

	if (!census->page_tables || !census->accounts)
		return NULL;
	search.format = &census->page_tables->format;
	pa_array_for_each(stack, &census->stacks.list) {
		err = visit(&search, stack);
		if (err)
			break;
	}
	if (ret->list.length)
		qsort(ret->list.items, ret->list.length,
		      sizeof(*ret->list.items), compare);
	return err;
}

void pa_entries_in_hand_deinit(struct pa_entries_in_hand *entries)
{
	pa_array_deinit(&entries->list);
}

uint64_t pa_entries_in_hand_find(const struct pa_entries_in_hand *entries,
				 uint64_t pfn, uint64_t end)
{
	size_t low = pa_bisect(entries->list.items, entries->list.length, it,
			       it->pfn < pfn);

	return low < entries->list.length &&
			       entries->list.items[low].pfn < end ?
		       entries->list.items[low].task :
		       0;
}
