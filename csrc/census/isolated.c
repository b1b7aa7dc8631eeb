// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Folios on private lists: folio_isolate_lru(), isolate_lru_folios() and
 * isolate_migratepages_block() take a reference, clear PG_lru, and link the
 * folio to a list whose head is on the stack of the task (struct
 * compact_control is, too). hugetlb folios are isolated to such a list from
 * their pool's (isolate_hugetlb()).
 *
 * What is on a list with another head is not told: drivers link pages that
 * only look like folios of the LRU (fb_deferred_io_mkwrite()).
 */
#include "census/isolated.h"

#include <stdlib.h>

#include "census/holders.h"
#include "census/lru.h"
#include "census/mapped.h"
#include "census/private_list.h"
#include "kernel/list.h"

/* PAGE_MAPPING_MOVABLE, up to v6.16. */
#define MAPPING_MOVABLE 2

/*
 * Who isolates, and for a while has fewer folios on its lists than it counted
 * (shrink_inactive_list() takes back what it counted at the end), or more
 * (reclaim_pages() and the generations' evict_folios() count none).
 */
static const enum pa_symbol_id movers[] = {
	PA_SYM_shrink_node,
	PA_SYM_shrink_lruvec,
	PA_SYM_shrink_inactive_list,
	PA_SYM_shrink_one,
	PA_SYM_evict_folios,
	PA_SYM_reclaim_pages,
	PA_SYM_isolate_migratepages_block,
	PA_SYM_compact_zone,
	PA_SYM_migrate_pages,
	PA_SYM_putback_movable_pages,
	PA_SYM_migrate_misplaced_page,
	PA_SYM_migrate_misplaced_folio,
	PA_SYM_collapse_huge_page,
	/* These count none of what they isolate. */
	PA_SYM_collapse_file,
	PA_SYM_damon_pa_pageout,
	PA_SYM_damon_pa_apply_scheme,
};

/* What lies behind these and is where their threads sleep. */
static const enum pa_symbol_id sleepers[] = {
	PA_SYM_balance_pgdat,
	PA_SYM_kswapd,
	PA_SYM_kcompactd,
	PA_SYM_khugepaged,
};

/* No function of these is longer. */
#define FUNCTION_BYTES 8192

/* A live part of a task's stack. */
struct extent {
	uint64_t start, end;
	uint64_t task;
};

struct finding {
	struct pa_holder_walk *walk;
	struct pa_isolated_census *isolated;
	PA_ARRAY(struct extent) stacks;
	struct pa_private_lists lists;
	/* Heads of lists on some task's stack, to the task; pfns that are in. */
	struct pa_map heads, seen;
	/* Tasks in collapse_file(). */
	struct pa_map collapsers;
	struct list {
		uint64_t head, task;
	} list;
	struct pa_error *err;
};

static void look_behind(const struct pa_layout *layout,
			const enum pa_symbol_id *functions, size_t nr,
			uint64_t word, uint64_t *distance)
{
	for (size_t i = 0; i < nr; i++) {
		const struct pa_symbol *symbol = &layout->symbols[functions[i]];

		if (symbol->known && word - symbol->address < *distance)
			*distance = word - symbol->address;
	}
}

static bool is_moving(const struct pa_layout *layout, uint64_t word)
{
	uint64_t mover = FUNCTION_BYTES, sleeper = FUNCTION_BYTES;

	look_behind(layout, movers, sizeof(movers) / sizeof(movers[0]), word,
		    &mover);
	look_behind(layout, sleepers, sizeof(sleepers) / sizeof(sleepers[0]),
		    word, &sleeper);
	return mover < sleeper;
}

static bool keep_stack(struct finding *f, const struct pa_stack *stack)
{
	static const enum pa_symbol_id collapse[] = { PA_SYM_collapse_file };
	struct extent extent = {
		.start = stack->address,
		.end = stack->address + stack->nr * 8,
		.task = stack->task,
	};

	for (size_t i = 0; !f->isolated->mover && i < stack->nr; i++)
		if (is_moving(f->walk->layout, stack->words[i]))
			f->isolated->mover = stack->task;
	if (stack->address && !pa_array_append(&f->stacks, extent))
		return false;
	return !pa_stack_is_in(f->walk->layout, stack, collapse, 1) ||
	       pa_map_set(&f->collapsers, stack->task, 0);
}

static int compare_extents(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static struct pa_error *find_stacks(struct finding *f)
{
	const struct pa_stacks *stacks = &f->walk->census->stacks;

	pa_array_for_each(stack, &stacks->list)
		if (!keep_stack(f, stack))
			return &pa_error_no_memory;
	if (f->stacks.length)
		qsort(f->stacks.items, f->stacks.length,
		      sizeof(*f->stacks.items), compare_extents);
	f->walk->unreadable += stacks->unread;
	return NULL;
}

/* The task whose stack @address is on; 0: none's. */
static uint64_t task_at(const struct finding *f, uint64_t address)
{
	/* The last one that starts at or before @address. */
	size_t low = pa_bisect(f->stacks.items, f->stacks.length, it,
			       it->start <= address);

	if (!low || address >= f->stacks.items[low - 1].end)
		return 0;
	return f->stacks.items[low - 1].task;
}

static struct pa_isolated_count *count_of(const struct finding *f,
					  uint32_t node)
{
	const struct pa_zones *zones = &f->walk->kernel->zones;
	size_t i = 0;

	while (i < zones->nodes.length && zones->nodes.items[i].id != node)
		i++;
	return &f->isolated->nodes[i];
}

/* As NR_ISOLATED_ANON and NR_ISOLATED_FILE have it: folio_is_file_lru(). */
static struct pa_error *count(struct finding *f, uint64_t pfn, uint8_t class)
{
	const struct pa_page_format *format = &f->walk->kernel->page_format;
	const uint8_t *page;
	struct pa_error *err =
		pa_memmap_page(f->walk->memmap, pfn,
			       class == PA_CLASS_USED_HEAD ? 2 : 1, &page);

	if (err)
		return err;

	uint64_t flags = pa_page_flags(format, page);
	struct pa_isolated_count *of = count_of(f, pa_page_node(format, flags));
	uint32_t order =
		class == PA_CLASS_USED_HEAD ? pa_folio_order(format, page) : 0;

	/* Movable pages of drivers are migrated, too, and not counted. */
	if (pa_load_u64(page + format->mapping) % 4 == MAPPING_MOVABLE ||
	    (class == PA_CLASS_USED &&
	     pa_page_type(format, pa_page_type_word(format, page)) !=
		     PA_PAGE_UNTYPED))
		return NULL;
	*(flags & format->flag.swapbacked ? &of->anon : &of->file) +=
		PA_BIT(order <= format->max_order ? order : 0);
	return NULL;
}

/* The folio at @pfn, on the list f->list. */
static struct pa_error *add(struct finding *f, uint64_t pfn)
{
	struct pa_isolated isolated = {
		.pfn = pfn,
		.head = f->list.head,
		.task = f->list.task,
		.collapsing = pa_map_has(&f->collapsers, f->list.task),
	};
	const uint8_t *byte = pa_census_class(f->walk->census, pfn);
	uint8_t class = byte ? *byte & PA_CLASS_MASK : PA_CLASS_UNKNOWN;
	struct pa_error *err = NULL;

	switch (class) {
	case PA_CLASS_USED:
	case PA_CLASS_USED_HEAD:
	case PA_CLASS_HUGETLB:
		break;
	default:
		/* About to be freed, or not what belongs here. */
		return NULL;
	}
	if (pa_map_has(&f->seen, pfn))
		return NULL;
	if (!pa_map_set(&f->seen, pfn, 0) ||
	    !pa_array_append(&f->isolated->list, isolated))
		return &pa_error_no_memory;
	if (class != PA_CLASS_HUGETLB)
		err = count(f, pfn, class);
	return pa_holder_unread(f->walk, err);
}

/* *ret: the folio at @pfn is on a list of some task's. */
static struct pa_error *look_at(struct finding *f, uint64_t pfn, bool *ret)
{
	struct pa_error *err =
		pa_private_list_head(&f->lists, pfn, &f->list.head);

	*ret = false;
	/* Links to memory that is not there are no list. */
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (err || !f->list.head)
		return err;
	f->list.task = task_at(f, f->list.head);
	if (!f->list.task)
		return NULL;
	*ret = true;
	if (!pa_map_set(&f->heads, f->list.head, f->list.task))
		return &pa_error_no_memory;
	return add(f, pfn);
}

static bool visit_member(void *arg, uint64_t node)
{
	struct finding *f = arg;
	uint64_t pfn = pa_private_list_pfn(&f->lists, node);

	if (pfn != PA_NO_PFN)
		f->err = add(f, pfn);
	return pfn != PA_NO_PFN && !f->err;
}

/*
 * What else is on the lists: folios that were truncated since name no mapping,
 * so that only their list tells that they are isolated.
 */
static struct pa_error *add_members(struct finding *f)
{
	for (size_t i = 0; i < f->heads.capacity; i++) {
		const struct pa_map_slot *slot = &f->heads.slots[i];
		struct pa_list_result result;
		struct pa_error *err;

		if (!slot->used)
			continue;
		f->list = (struct list){ slot->key, slot->value };
		err = pa_list_walk(f->walk->memory, f->list.head,
				   PA_PRIVATE_LIST_MAX, visit_member, f,
				   &result);
		if (!err && !f->err && result.end != PA_LIST_WHOLE)
			err = pa_list_walk_back(f->walk->memory, f->list.head,
						PA_PRIVATE_LIST_MAX,
						visit_member, f, &result);
		if (err || f->err)
			return err ? err : f->err;
	}
	return NULL;
}

static struct pa_error *look_at_folio(struct finding *f,
				      const struct pa_off_lru *off)
{
	const struct pa_lru_census *lru = f->walk->census->lru;
	struct pa_isolated_count *of = count_of(f, off->node);
	bool listed;
	struct pa_error *err = look_at(f, off->pfn, &listed);

	if (!err && !listed &&
	    (!lru || !pa_lru_batched_find(lru, pa_pfn_to_page(f->walk->kernel,
							      off->pfn))))
		*(off->is_file ? &of->other_file : &of->other_anon) +=
			PA_BIT(off->order);
	return err;
}

static int compare_isolated(const void *a, const void *b)
{
	const struct pa_isolated *x = a, *y = b;

	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

static struct pa_error *find_isolated(struct finding *f)
{
	const struct pa_census *census = f->walk->census;
	struct pa_isolated_census *isolated = f->isolated;
	struct pa_error *err = find_stacks(f);

	for (size_t i = 0; !err && i < census->mapped->off_lru.length; i++)
		err = look_at_folio(f, &census->mapped->off_lru.items[i]);
	for (size_t i = 0; !err && i < census->hugetlb.length; i++) {
		const struct pa_hugetlb_folio *folio =
			&census->hugetlb.items[i];
		bool listed;

		if (folio->refcount && !folio->on_free_list &&
		    !folio->on_active_list)
			err = look_at(f, folio->pfn, &listed);
	}
	if (!err)
		err = add_members(f);
	if (isolated->list.length)
		qsort(isolated->list.items, isolated->list.length,
		      sizeof(*isolated->list.items), compare_isolated);
	return err;
}

struct pa_error *pa_isolated_prepare(struct pa_holder_walk *walk,
				     void **state_ret, uint64_t *nr_ret)
{
	struct pa_census *census = walk->census;
	struct finding f = {
		.walk = walk,
		.lists = {
			.census = census,
			.kernel = walk->kernel,
			.memory = walk->memory,
		},
	};
	struct pa_error *err;

	*state_ret = NULL;
	*nr_ret = 1;
	if (census->isolated)
		return NULL;
	if (!census->mapped)
		return pa_error_create(PA_ERROR_MISSING,
				       "the memory map was not read");
	f.isolated = calloc(1, sizeof(*f.isolated));
	if (!f.isolated)
		return &pa_error_no_memory;
	f.isolated->nodes = calloc(walk->kernel->zones.nodes.length + 1,
				   sizeof(*f.isolated->nodes));
	err = f.isolated->nodes ? find_isolated(&f) : &pa_error_no_memory;
	pa_array_deinit(&f.stacks);
	pa_map_deinit(&f.heads);
	pa_map_deinit(&f.seen);
	pa_map_deinit(&f.collapsers);
	pa_private_lists_deinit(&f.lists);
	if (err)
		pa_isolated_census_destroy(f.isolated);
	else
		census->isolated = f.isolated;
	return err;
}

struct pa_error *pa_isolated_item(struct pa_holder_walk *walk, uint64_t index)
{
	const struct pa_kernel *kernel = walk->kernel;

	(void)index;
	pa_array_for_each(isolated, &walk->census->isolated->list) {
		struct pa_reference ref = {
			.holder = walk->holder,
			.kind = PA_REF_GET,
			.count = 1,
			.pfn = isolated->pfn,
			.slot = pa_pfn_to_page(kernel, isolated->pfn) +
				kernel->page_format.lru,
			.owner = isolated->task,
			.index = isolated->head,
		};

		if (!pa_refer(walk, &ref))
			break;
		ref.kind = PA_REF_UNSURE;
		if (isolated->collapsing && !pa_refer(walk, &ref))
			break;
	}
	return NULL;
}

void pa_isolated_census_destroy(struct pa_isolated_census *isolated)
{
	if (!isolated)
		return;
	pa_array_deinit(&isolated->list);
	free(isolated->nodes);
	free(isolated);
}

const struct pa_isolated *
pa_isolated_find(const struct pa_isolated_census *isolated, uint64_t pfn)
{
	const struct pa_isolated key = { .pfn = pfn };

	return isolated->list.length ? bsearch(&key, isolated->list.items,
					       isolated->list.length,
					       sizeof(*isolated->list.items),
					       compare_isolated) :
				       NULL;
}
