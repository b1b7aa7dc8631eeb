// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Page tables of all mms: which there are, and their tables handed out to all
 * cores. The walk itself is in page_table_walk.c.
 */
#include <stdlib.h>

#include "census/holders.h"
#include "census/page_table_walk.h"
#include "census/slabs.h"

/* An mm of more tables than this is walked in pieces, on all cores. */
#define BIG_BYTES (256 * PA_TABLE_BYTES)

/* The root, and of a big mm all that is above its PMD tables. */
static struct pa_error *prepare_mm(struct pa_holder_walk *holder,
				   struct pa_table_state *state, uint32_t index)
{
	struct pa_table_walk walk;
	struct pa_error *err;

	pa_table_walk_init(&walk, holder, state, index);
	walk.stop_level = walk.mm->pgtables_bytes > BIG_BYTES ?
				  PA_LEVEL_PMD :
				  (int)holder->kernel->space.levels - 1;
	err = pa_table_walk_root(&walk);
	pa_table_walk_deinit(&walk);
	return err ? err : holder->err;
}

struct finder {
	struct pa_holder_walk *holder;
	struct pa_mms *mms;
	struct pa_error *err;
};

static bool visit_object(void *arg, uint64_t object)
{
	struct finder *finder = arg;

	finder->err = pa_mms_add(finder->holder->kernel, finder->holder->memory,
				 finder->mms, object, 0);
	return !finder->err;
}

/*
 * Those that no task uses any more, or not yet: all of the slab cache. Of a free
 * one nobody has a reference (__mmdrop()): pa_mms_add() knows it by that.
 */
static struct pa_error *add_from_slabs(struct pa_holder_walk *holder,
				       struct pa_mms *mms)
{
	const struct pa_slabs *slabs = holder->census->slabs;
	struct finder finder = { .holder = holder, .mms = mms };
	bool live = holder->kernel->source->info.live;
	const struct pa_slab_cache *cache;
	struct pa_error *err;

	if (!slabs) {
		mms->unreadable++;
		return NULL;
	}
	err = pa_slabs_cache_symbol(holder->census, holder->memory,
				    PA_SYM_mm_cachep, &cache);
	if (err || !cache)
		return err;
	for (size_t i = 0; !err && !finder.err && i < cache->nr; i++) {
		uint32_t index = slabs->by_cache.items[cache->first + i];

		err = (live ? pa_slab_visit_all : pa_slab_visit)(
			holder->census, holder->memory,
			&slabs->list.items[index], visit_object, &finder);
		err = pa_holder_unread(holder, err);
	}
	return err ? err : finder.err;
}

static struct pa_error *find_mms(struct pa_holder_walk *holder,
				 struct pa_page_tables *tables)
{
	struct pa_error *err = pa_page_table_format_init(
		holder->kernel, holder->memory, &tables->format);

	if (err)
		return err;
	err = pa_holder_unread(holder,
			       pa_mms_from_tasks(holder->kernel, holder->memory,
						 &tables->mms));
	if (!err)
		err = pa_holder_unread(holder,
				       add_from_slabs(holder, &tables->mms));
	holder->unreadable += tables->mms.unreadable;
	if (err)
		return err;
	err = pa_mm_ids_init(holder->census, holder->memmap, &tables->mm_ids);
	if (err)
		return err;
	holder->unreadable += tables->mm_ids.unreadable;
	tables->of = calloc(tables->mms.list.length + 1, sizeof(*tables->of));
	return tables->of ? NULL : &pa_error_no_memory;
}

struct pa_error *pa_page_table_prepare(struct pa_holder_walk *holder,
				       void **state_ret, uint64_t *nr_ret)
{
	struct pa_census *census = holder->census;
	struct pa_table_state *state = calloc(1, sizeof(*state));
	struct pa_error *err = NULL;

	if (!state)
		return &pa_error_no_memory;
	*state_ret = state;
	for (int class = PA_CLASS_RESERVED; class < PA_CLASS_FREE; class ++)
		if (class != PA_CLASS_PCP && class != PA_CLASS_FREE_BODY)
			state->plain_classes |= PA_BIT(class);
	state->nr_sections = holder->kernel->sections.list.length;
	state->met = calloc(state->nr_sections + 1, sizeof(*state->met));
	if (!state->met)
		return &pa_error_no_memory;
	state->tables = census->page_tables;
	if (!state->tables || holder->kernel->source->info.live) {
		state->tables = calloc(1, sizeof(*state->tables));
		if (!state->tables)
			return &pa_error_no_memory;
		if (census->page_tables)
			state->own = state->tables;
		else
			census->page_tables = state->tables;
		err = find_mms(holder, state->tables);
	}
	for (size_t i = 0; !err && i < state->tables->mms.list.length; i++)
		err = prepare_mm(holder, state, (uint32_t)i);
	*nr_ret = state->items.length;
	return err;
}

struct pa_error *pa_page_table_item(struct pa_holder_walk *holder,
				    uint64_t index)
{
	struct pa_table_state *state = holder->state;
	const struct pa_table_item *item = &state->items.items[index];
	struct pa_table_walk walk;
	struct pa_error *err;

	pa_table_walk_init(&walk, holder, state, item->mm);
	err = pa_table_walk(&walk, item->level, item->pfn, item->va,
			    &item->link);
	pa_table_walk_deinit(&walk);
	return err;
}

void pa_page_table_destroy(void *arg)
{
	struct pa_table_state *state = arg;

	for (size_t i = 0; state->met && i < state->nr_sections; i++)
		free(state->met[i]);
	free(state->met);
	pa_page_tables_destroy(state->own);
	pa_array_deinit(&state->items);
	free(state);
}

void pa_page_tables_destroy(struct pa_page_tables *tables)
{
	if (!tables)
		return;
	pa_mms_deinit(&tables->mms);
	pa_mm_ids_deinit(&tables->mm_ids);
	free(tables->of);
	free(tables);
}
