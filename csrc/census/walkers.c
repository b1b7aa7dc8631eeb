// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Walkers, found by what lies on their stacks: return addresses into functions
 * that go by pfn, and the struct compact_control that compaction and range
 * allocations keep there. Nothing is unwound: a slot of a live frame that was
 * never written may still hold what an earlier call left.
 */
#include "census/walkers.h"

#include <stdlib.h>
#include <string.h>

#include "census/poisoned.h"
#include "kernel/list.h"
#include "kernel/stack.h"

const char *const pa_walk_names[PA_NR_WALKS] = {
	[PA_WALK_COMPACTION] = "compaction",
	[PA_WALK_CONTIG] = "range allocation",
	[PA_WALK_ISOLATION] = "isolation of pageblocks",
	[PA_WALK_MEMORY_ERROR] = "memory error handling",
	[PA_WALK_KHUGEPAGED] = "collapse to huge pages",
	[PA_WALK_DAMON] = "DAMON",
	[PA_WALK_PROC] = "page monitor",
};

const char *const pa_walker_position_names[PA_NR_POSITIONS] = {
	[PA_POSITION_MIGRATE] = "migrate_pfn",
	[PA_POSITION_FREE] = "free_pfn",
	[PA_POSITION_FAST_START] = "fast_start_pfn",
};

/* A function that goes by pfn, and in whose course. */
struct function {
	enum pa_symbol_id symbol;
	const char *name;
	enum pa_walk walk;
};

#define FUNCTION(name, walk)                         \
	{                                            \
		PA_SYM_##name, #name, PA_WALK_##walk \
	}

static const struct function functions[] = {
	FUNCTION(compact_zone, COMPACTION),
	FUNCTION(compaction_alloc, COMPACTION),
	FUNCTION(isolate_migratepages_block, COMPACTION),
	FUNCTION(isolate_freepages_block, COMPACTION),
	FUNCTION(__reset_isolation_pfn, COMPACTION),
	FUNCTION(__reset_isolation_suitable, COMPACTION),
	FUNCTION(isolate_migratepages_range, CONTIG),
	FUNCTION(isolate_freepages_range, CONTIG),
	FUNCTION(alloc_contig_range, CONTIG),
	FUNCTION(alloc_contig_range_noprof, CONTIG),
	FUNCTION(alloc_contig_frozen_range_noprof, CONTIG),
	FUNCTION(alloc_contig_pages, CONTIG),
	FUNCTION(alloc_contig_pages_noprof, CONTIG),
	FUNCTION(__alloc_contig_migrate_range, CONTIG),
	FUNCTION(start_isolate_page_range, ISOLATION),
	FUNCTION(undo_isolate_page_range, ISOLATION),
	FUNCTION(isolate_single_pageblock, ISOLATION),
	FUNCTION(test_pages_isolated, ISOLATION),
	FUNCTION(memory_failure, MEMORY_ERROR),
	FUNCTION(soft_offline_page, MEMORY_ERROR),
	FUNCTION(unpoison_memory, MEMORY_ERROR),
	FUNCTION(get_hwpoison_page, MEMORY_ERROR),
	FUNCTION(page_handle_poison, MEMORY_ERROR),
	FUNCTION(action_result, MEMORY_ERROR),
	FUNCTION(collapse_huge_page, KHUGEPAGED),
	FUNCTION(hpage_collapse_scan_pmd, KHUGEPAGED),
	FUNCTION(hpage_collapse_scan_file, KHUGEPAGED),
	FUNCTION(collapse_single_pmd, KHUGEPAGED),
	FUNCTION(damon_get_folio, DAMON),
	FUNCTION(damon_pa_check_accesses, DAMON),
	FUNCTION(kpagecount_read, PROC),
	FUNCTION(kpageflags_read, PROC),
	FUNCTION(kpagecgroup_read, PROC),
	FUNCTION(page_idle_bitmap_read, PROC),
	FUNCTION(page_idle_bitmap_write, PROC),
};

/* These know that the memory goes. */
static const struct function hotplug[] = {
	FUNCTION(offline_pages, ISOLATION),
	FUNCTION(online_pages, ISOLATION),
};

#define NR(array) (sizeof(array) / sizeof((array)[0]))
/* Lists that one pass of compaction fills have far fewer pages. */
#define MAX_ISOLATED PA_BIT(20)
/* Words below are on every stack: no evidence of a pfn. */
#define SMALL_NUMBERS 4096
/* Live words of a task: its registers, an interrupt's stack, its own. */
#define MAX_WORDS 8192

struct finding {
	const struct pa_census *census;
	const struct pa_kernel *kernel;
	struct pa_memory *memory;
	struct pa_walkers *walkers;
	/* The task whose words are being collected. */
	uint64_t task;
	const struct function *function;
	const struct function *memory_error;
	bool in_hotplug;
	uint64_t control;
	const struct pa_zone *zone;
	uint64_t positions[PA_NR_POSITIONS];
	size_t nr_words;
	uint64_t words[MAX_WORDS];
	bool failed;
};

static void look_at_code(struct finding *f, uint64_t word)
{
	const struct pa_layout *layout = f->kernel->layout;

	for (size_t i = 0; !f->function && i < NR(functions); i++)
		if (pa_is_in_function(layout, functions[i].symbol, word))
			f->function = &functions[i];
	for (size_t i = 0; !f->memory_error && i < NR(functions); i++)
		if (functions[i].walk == PA_WALK_MEMORY_ERROR &&
		    pa_is_in_function(layout, functions[i].symbol, word))
			f->memory_error = &functions[i];
	for (size_t i = 0; !f->in_hotplug && i < NR(hotplug); i++)
		f->in_hotplug =
			pa_is_in_function(layout, hotplug[i].symbol, word);
}

/* Whether @words, which lie at @address, are a compact_control. */
static bool is_control(const struct finding *f, const uint64_t *words,
		       uint64_t address)
{
	const struct pa_layout *layout = f->kernel->layout;
	const struct pa_address_space *space = &f->kernel->space;
	const struct pa_member *members[PA_NR_POSITIONS] = {
		PA_M(layout, compact_control, migrate_pfn),
		PA_M(layout, compact_control, free_pfn),
		PA_M(layout, compact_control, fast_start_pfn),
	};
	uint64_t end = PA_BIT(space->max_physmem_bits - space->page_shift);
	size_t free_at = PA_OFFSETOF(layout, compact_control, freepages);
	size_t migrate_at = PA_OFFSETOF(layout, compact_control, migratepages);
	const uint64_t *free_list = words + free_at / 8;
	const uint64_t *migrate_list = words + migrate_at / 8;
	const uint8_t *bytes = (const uint8_t *)words;

	/* alloc_contig_range() leaves the lists of free pages at 0. */
	if (!pa_is_list_head(free_list[0], free_list[1], address + free_at) &&
	    (free_list[0] || free_list[1]))
		return false;
	if (!pa_is_list_head(migrate_list[0], migrate_list[1],
			     address + migrate_at) ||
	    pa_load_u32(bytes + PA_OFFSETOF(layout, compact_control,
					    nr_freepages)) > MAX_ISOLATED ||
	    pa_load_u32(bytes + PA_OFFSETOF(layout, compact_control,
					    nr_migratepages)) > MAX_ISOLATED)
		return false;
	/* Not always in the zone: that may be what went wrong. */
	for (int i = 0; i < PA_NR_POSITIONS; i++)
		if (members[i]->known && words[members[i]->offset / 8] >= end)
			return false;
	return true;
}

static void keep_control(struct finding *f, const struct pa_zone *zone,
			 const uint64_t *words, uint64_t address)
{
	const struct pa_layout *layout = f->kernel->layout;
	const struct pa_member *members[PA_NR_POSITIONS] = {
		PA_M(layout, compact_control, migrate_pfn),
		PA_M(layout, compact_control, free_pfn),
		PA_M(layout, compact_control, fast_start_pfn),
	};

	f->control = address;
	f->zone = zone;
	for (int i = 0; i < PA_NR_POSITIONS; i++)
		f->positions[i] = members[i]->known ?
					  words[members[i]->offset / 8] :
					  PA_NO_PFN;
}

/* All that is asked of a compact_control, within @size bytes of it. */
static bool knows_control(const struct pa_layout *layout, size_t size)
{
	const struct pa_member *members[] = {
		PA_M(layout, compact_control, freepages),
		PA_M(layout, compact_control, migratepages),
		PA_M(layout, compact_control, nr_freepages),
		PA_M(layout, compact_control, nr_migratepages),
		PA_M(layout, compact_control, zone),
	};
	const struct pa_member *positions[] = {
		PA_M(layout, compact_control, migrate_pfn),
		PA_M(layout, compact_control, free_pfn),
		PA_M(layout, compact_control, fast_start_pfn),
	};

	for (size_t i = 0; i < NR(members); i++)
		if (!members[i]->known || members[i]->offset + 16 > size)
			return false;
	for (size_t i = 0; i < NR(positions); i++)
		if (positions[i]->known && positions[i]->offset + 8 > size)
			return false;
	return true;
}

/* The first compact_control in a piece of a stack, by its zone. */
static void look_for_control(struct finding *f, const struct pa_stack *stack)
{
	const struct pa_layout *layout = f->kernel->layout;
	size_t size = PA_SIZEOF(layout, compact_control) / 8;
	size_t zone_at_word;

	if (f->control || !stack->address || !knows_control(layout, size * 8))
		return;
	zone_at_word = PA_OFFSETOF(layout, compact_control, zone) / 8;
	for (size_t i = zone_at_word;
	     i < stack->nr && i - zone_at_word + size <= stack->nr; i++) {
		size_t start = i - zone_at_word;
		uint64_t address = stack->address + start * 8;
		const struct pa_zone *zone =
			pa_zone_at(&f->kernel->zones, stack->words[i]);

		if (!zone || !is_control(f, &stack->words[start], address))
			continue;
		keep_control(f, zone, &stack->words[start], address);
		return;
	}
}

static bool has_word(const struct finding *f, uint64_t word)
{
	return bsearch(&word, f->words, f->nr_words, sizeof(word),
		       pa_compare_u64);
}

/* Pages of which the task has the pfn and the struct page. */
static void find_pages(struct finding *f, struct pa_walker *walker)
{
	qsort(f->words, f->nr_words, sizeof(*f->words), pa_compare_u64);
	for (size_t i = 0; i < f->nr_words; i++) {
		uint64_t pfn;

		if (walker->nr_pfns == PA_WALKER_MAX_PFNS)
			break;
		if ((i && f->words[i] == f->words[i - 1]) ||
		    !pa_is_kernel_address(f->words[i]) ||
		    !pa_page_to_pfn(f->kernel, f->words[i], &pfn) ||
		    pfn < SMALL_NUMBERS || !has_word(f, pfn))
			continue;
		walker->pfns[walker->nr_pfns++] = pfn;
	}
}

/* Poisoned pages of which the task has the one or the other. */
static void find_poisoned(const struct finding *f, struct pa_walker *walker)
{
	for (size_t i = 0; i < f->nr_words; i++) {
		uint64_t pfn = f->words[i];
		bool known = false;

		if (pa_is_kernel_address(pfn) &&
		    !pa_page_to_pfn(f->kernel, f->words[i], &pfn))
			continue;
		for (size_t j = 0; j < walker->nr_poisoned; j++)
			known |= walker->poisoned[j] == pfn;
		if (known || pfn < SMALL_NUMBERS ||
		    !pa_poisoned_in(f->census, pfn, pfn + 1))
			continue;
		if (walker->nr_poisoned == PA_WALKER_MAX_PFNS)
			break;
		walker->poisoned[walker->nr_poisoned++] = pfn;
	}
}

/* All words of a task were seen. */
static void finish_task(struct finding *f)
{
	struct pa_walker walker = {
		.task = f->task,
		.hotplug = f->in_hotplug,
		.memory_error = f->memory_error,
		.control = f->control,
		.zone = f->zone,
	};
	/* Compaction without its control is the trace of an earlier one. */
	if (f->function && f->function->walk == PA_WALK_COMPACTION &&
	    !f->control && f->memory_error)
		f->function = f->memory_error;

	bool is_walker =
		f->function && !f->failed &&
		(f->function->walk != PA_WALK_COMPACTION || f->control);

	if (is_walker) {
		walker.walk = f->function->walk;
		walker.function = f->function->name;
		memcpy(walker.positions, f->positions,
		       sizeof(walker.positions));
		pa_task_name(f->kernel, f->memory, f->task, &walker.pid,
			     walker.comm);
		find_pages(f, &walker);
		if (walker.memory_error)
			find_poisoned(f, &walker);
		f->failed = !pa_array_append(&f->walkers->list, walker);
	}
	f->task = 0;
	f->function = NULL;
	f->memory_error = NULL;
	f->in_hotplug = false;
	f->control = 0;
	f->zone = NULL;
	f->nr_words = 0;
}

static void look_at_stack(struct finding *f, const struct pa_stack *stack)
{
	size_t room;

	if (f->task != stack->task)
		finish_task(f);
	f->task = stack->task;
	/* Nothing has returned to where it is itself. */
	if (!stack->address)
		look_at_code(f, stack->words[PA_REG_IP] + 1);
	for (size_t i = 0; stack->address && i < stack->nr; i++)
		look_at_code(f, stack->words[i]);
	look_for_control(f, stack);
	room = pa_min(stack->nr, MAX_WORDS - f->nr_words);
	memcpy(&f->words[f->nr_words], stack->words, room * 8);
	f->nr_words += room;
}

struct pa_error *pa_walkers_init(const struct pa_census *census,
				 struct pa_memory *memory,
				 struct pa_walkers *ret)
{
	struct finding *f = calloc(1, sizeof(*f));
	bool failed;

	if (!f)
		return &pa_error_no_memory;
	f->census = census;
	f->kernel = census->kernel;
	f->memory = memory;
	f->walkers = ret;
	pa_array_for_each(stack, &census->stacks.list)
		look_at_stack(f, stack);
	finish_task(f);
	ret->unread = census->stacks.unread;
	failed = f->failed;
	free(f);
	return failed ? &pa_error_no_memory : NULL;
}

void pa_walkers_deinit(struct pa_walkers *walkers)
{
	pa_array_deinit(&walkers->list);
}

const char *pa_walker_target(const struct pa_census *census, uint64_t pfn)
{
	const struct pa_kernel *kernel = census->kernel;
	uint64_t ignored;
	enum pa_target target =
		pa_census_target(census, pa_pfn_to_page(kernel, pfn), &ignored);
	const struct pa_block *block =
		kernel->parts[PA_PART_BLOCKS] ?
			NULL :
			pa_block_find(&kernel->blocks,
				      pfn >> kernel->sections.pages_shift);

	if ((target == PA_TARGET_USABLE || target == PA_TARGET_FREE) && block &&
	    block->state == PA_BLOCK_GOING_OFFLINE)
		return "in a memory block that is going offline";
	return pa_target_names[target];
}
