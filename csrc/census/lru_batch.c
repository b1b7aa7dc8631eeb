// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Per-cpu batches of folios on their way to an LRU list, or from one to
 * another (mm/swap.c), or to be mlocked (mm/mlock.c). Every slot holds a
 * reference; a folio may be in several.
 *
 * A folio to be moved stays on its list until folio_batch_move_lru() takes
 * the lock. PG_lru says so, but v6.11 to v6.17 cleared it when the folio was
 * put in the batch (commit 33dfe9204f29, taken back since by stable kernels).
 * Folios in lru_add are on no list yet, those to be mlocked keep PG_lru.
 */
#include <stdlib.h>

#include "base/map.h"
#include "census/dropping.h"
#include "census/holders.h"
#include "census/lru.h"
#include "types/layout.h"

/* PAGEVEC_SIZE is 31; nr is a byte. */
#define MAX_SLOTS 255
/* What mlock_lru() and mlock_new() add to the pointer. */
#define MLOCK_TAGS UINT64_C(3)

static const struct {
	enum pa_symbol_id symbol;
	enum pa_member_id member;
	/* A struct pagevec, else a struct folio_batch. */
	bool pagevec;
	enum pa_lru_batch_kind kind;
} batches[] = {
	{ PA_SYM_lru_pvecs, PA_MEMBER_lru_pvecs__lru_add, true,
	  PA_LRU_BATCH_ADD },
	{ PA_SYM_lru_pvecs, PA_MEMBER_lru_pvecs__lru_deactivate_file, true,
	  PA_LRU_BATCH_MOVE },
	{ PA_SYM_lru_pvecs, PA_MEMBER_lru_pvecs__lru_deactivate, true,
	  PA_LRU_BATCH_MOVE },
	{ PA_SYM_lru_pvecs, PA_MEMBER_lru_pvecs__lru_lazyfree, true,
	  PA_LRU_BATCH_MOVE },
	{ PA_SYM_lru_pvecs, PA_MEMBER_lru_pvecs__activate_page, true,
	  PA_LRU_BATCH_MOVE },
	{ PA_SYM_lru_rotate, PA_MEMBER_lru_rotate__pvec, true,
	  PA_LRU_BATCH_MOVE },
	{ PA_SYM_lru_rotate, PA_MEMBER_lru_rotate__fbatch, false,
	  PA_LRU_BATCH_MOVE },
	{ PA_SYM_cpu_fbatches, PA_MEMBER_cpu_fbatches__lru_add, false,
	  PA_LRU_BATCH_ADD },
	{ PA_SYM_cpu_fbatches, PA_MEMBER_cpu_fbatches__lru_deactivate_file,
	  false, PA_LRU_BATCH_MOVE },
	{ PA_SYM_cpu_fbatches, PA_MEMBER_cpu_fbatches__lru_deactivate, false,
	  PA_LRU_BATCH_MOVE },
	{ PA_SYM_cpu_fbatches, PA_MEMBER_cpu_fbatches__lru_lazyfree, false,
	  PA_LRU_BATCH_MOVE },
	{ PA_SYM_cpu_fbatches, PA_MEMBER_cpu_fbatches__activate, false,
	  PA_LRU_BATCH_MOVE },
	{ PA_SYM_cpu_fbatches, PA_MEMBER_cpu_fbatches__lru_activate, false,
	  PA_LRU_BATCH_MOVE },
	{ PA_SYM_cpu_fbatches, PA_MEMBER_cpu_fbatches__lru_move_tail, false,
	  PA_LRU_BATCH_MOVE },
	{ PA_SYM_mlock_pvec, PA_MEMBER_mlock_pvec__vec, true,
	  PA_LRU_BATCH_MLOCK },
	{ PA_SYM_mlock_fbatch, PA_MEMBER_mlock_fbatch__fbatch, false,
	  PA_LRU_BATCH_MLOCK },
};

#define NR_BATCHES (sizeof(batches) / sizeof(batches[0]))

static struct pa_error *read_batch(struct pa_memory *memory,
				   const struct pa_member *nr,
				   const struct pa_member *slots,
				   const struct pa_lru_batched *first,
				   struct pa_lru_census *lru)
{
	uint64_t pages[MAX_SLOTS];
	uint8_t n = 0;
	struct pa_error *err =
		pa_memory_read(memory, first->batch + nr->offset, 1, &n);

	if (!err && n > slots->length)
		n = (uint8_t)slots->length;
	if (!err && n)
		err = pa_memory_read(memory, first->batch + slots->offset,
				     (uint64_t)n * 8, pages);
	for (uint8_t i = 0; !err && i < n; i++) {
		struct pa_lru_batched batched = *first;

		batched.slot = first->batch + slots->offset + i * 8;
		batched.page = pages[i];
		if (batched.kind == PA_LRU_BATCH_MLOCK)
			batched.page &= ~MLOCK_TAGS;
		/* One that folio_batch_move_lru() found dead, and frees itself. */
		if (!batched.page)
			continue;
		if (!pa_array_append(&lru->batched, batched))
			err = &pa_error_no_memory;
	}

	struct pa_lru_unused unused = {
		.start = first->batch + slots->offset + n * UINT64_C(8),
		.end = first->batch + slots->offset +
		       pa_min(slots->length, MAX_SLOTS) * 8,
	};

	if (!err && unused.start < unused.end &&
	    !pa_array_append(&lru->unused, unused))
		err = &pa_error_no_memory;
	return err;
}

static int compare_unused(const void *a, const void *b)
{
	const struct pa_lru_unused *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

bool pa_lru_is_unused(const struct pa_lru_census *lru, uint64_t address)
{
	/* The first that starts above. */
	size_t low = pa_bisect(lru->unused.items, lru->unused.length, it,
			       it->start <= address);

	return low && address < lru->unused.items[low - 1].end;
}

/* By page, and of those of one page, those that stay on a list first. */
static int compare_batched(const void *a, const void *b)
{
	const struct pa_lru_batched *x = a, *y = b;

	if (x->page != y->page)
		return x->page < y->page ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

struct pa_error *pa_lru_batches_read(const struct pa_kernel *kernel,
				     struct pa_memory *memory,
				     struct pa_lru_census *lru)
{
	const struct pa_layout *layout = kernel->layout;

	for (size_t i = 0; i < kernel->cpus.list.length * NR_BATCHES; i++) {
		const struct pa_cpu *cpu =
			&kernel->cpus.list.items[i / NR_BATCHES];
		const struct pa_symbol *symbol =
			&layout->symbols[batches[i % NR_BATCHES].symbol];
		const struct pa_member *member =
			&layout->members[batches[i % NR_BATCHES].member];
		bool pagevec = batches[i % NR_BATCHES].pagevec;
		const struct pa_member *nr =
			pagevec ? PA_M(layout, pagevec, nr) :
				  PA_M(layout, folio_batch, nr);
		const struct pa_member *slots =
			pagevec ? PA_M(layout, pagevec, pages) :
				  PA_M(layout, folio_batch, folios);
		struct pa_lru_batched first = {
			.kind = batches[i % NR_BATCHES].kind,
			.cpu = cpu->nr,
			.batch = symbol->address + cpu->offset + member->offset,
		};
		struct pa_error *err;

		if (!symbol->known || !member->known || !nr->known ||
		    !slots->known)
			continue;
		err = read_batch(memory, nr, slots, &first, lru);
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			lru->batches_unreadable++;
			continue;
		}
		if (err)
			return err;
	}
	if (lru->batched.length)
		qsort(lru->batched.items, lru->batched.length,
		      sizeof(*lru->batched.items), compare_batched);
	if (lru->unused.length)
		qsort(lru->unused.items, lru->unused.length,
		      sizeof(*lru->unused.items), compare_unused);
	return NULL;
}

const struct pa_lru_batched *
pa_lru_batched_find(const struct pa_lru_census *lru, uint64_t page)
{
	size_t low = pa_bisect(lru->batched.items, lru->batched.length, it,
			       it->page < page);

	if (low == lru->batched.length || lru->batched.items[low].page != page)
		return NULL;
	return &lru->batched.items[low];
}

/* CPUs whose task is dropping references: maybe those of a batch. */
static struct pa_error *find_unsure(struct pa_holder_walk *walk,
				    struct pa_map *unsure)
{
	const struct pa_census *census = walk->census;
	struct pa_dropping dropping = { 0 };
	struct pa_error *err = pa_dropping_find(census, &dropping);

	pa_array_for_each(task, &census->cpu_tasks.list)
		if (!err && pa_dropping_has(&dropping, task->task) &&
		    !pa_map_set(unsure, task->cpu, 0))
			err = &pa_error_no_memory;
	pa_dropping_deinit(&dropping);
	return err;
}

/* One item; the state is a map of the CPUs whose slots are not certain. */
struct pa_error *pa_lru_batch_prepare(struct pa_holder_walk *walk,
				      void **state_ret, uint64_t *nr_ret)
{
	const struct pa_lru_census *lru = walk->census->lru;
	struct pa_map *unsure;

	if (!lru)
		return pa_error_create(PA_ERROR_MISSING,
				       "the LRU's batches were not read");
	unsure = calloc(1, sizeof(*unsure));
	if (!unsure)
		return &pa_error_no_memory;
	*state_ret = unsure;
	*nr_ret = 1;
	walk->unreadable += lru->batches_unreadable;
	return lru->batched.length ? find_unsure(walk, unsure) : NULL;
}

static struct pa_error *walk_batches(struct pa_holder_walk *walk, bool mlock)
{
	const struct pa_map *unsure = walk->state;

	pa_array_for_each(batched, &walk->census->lru->batched) {
		struct pa_reference ref = {
			.holder = walk->holder,
			.kind = pa_map_has(unsure, batched->cpu) ?
					PA_REF_UNSURE :
					PA_REF_GET,
			.count = 1,
			.slot = batched->slot,
			.owner = batched->batch,
			.index = batched->cpu,
		};

		if ((batched->kind == PA_LRU_BATCH_MLOCK) == mlock &&
		    !pa_refer_page(walk, batched->page, &ref))
			break;
	}
	return NULL;
}

struct pa_error *pa_lru_batch_item(struct pa_holder_walk *walk, uint64_t index)
{
	(void)index;
	return walk_batches(walk, false);
}

struct pa_error *pa_mlock_batch_item(struct pa_holder_walk *walk,
				     uint64_t index)
{
	(void)index;
	return walk_batches(walk, true);
}

void pa_lru_batch_destroy(void *state)
{
	pa_map_deinit(state);
	free(state);
}
