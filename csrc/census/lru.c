// SPDX-License-Identifier: LGPL-2.1-or-later
/* The LRU lists of all memory cgroups and nodes: include/linux/mm_inline.h. */
#include "census/lru.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "census/lists.h"

/* Faults kept of one list; a list spliced to a wrong one has no end of them. */
#define MAX_FAULTS 64
#define MAX_PAGE_BYTES 256

struct entry {
	/* Address of its lru member. */
	uint64_t node;
	uint64_t next, prev;
	/* Its page's address and bytes, if it is a struct page. */
	bool is_page;
	uint64_t page;
	uint8_t bytes[MAX_PAGE_BYTES];
};

/* One list being walked. */
struct walk {
	struct pa_list_worker *worker;
	const struct pa_lru_census *lru;
	const struct pa_lru_list *list;
	const struct pa_lruvec *lruvec;
	struct pa_lru_walked *walked;
	struct pa_list_fault fault;
	/* Neighbours on a list mostly are in memory, too. */
	struct pa_memory_page near;
	/* The word of the last folio that named its memory cgroup, and which. */
	uint64_t memcg_word, memcg;
	bool memcg_known;
	/* Address of the memory cgroup that the list belongs to. */
	uint64_t own_memcg;
};

static bool keep_fault(struct walk *w, enum pa_list_fault_kind kind, uint64_t a,
		       uint64_t b)
{
	bool judged;

	w->fault.kind = kind;
	w->fault.a = a;
	w->fault.b = b;
	if (!pa_list_judges(w->worker, &w->fault, &judged))
		return false;
	if (!judged)
		return true;
	w->walked->faults++;
	if (w->walked->faults_kept >= MAX_FAULTS)
		return true;
	w->walked->faults_kept++;
	return pa_list_fault_keep(w->worker, &w->fault);
}

/* folio_memcg(), remembering the last answer: neighbours mostly agree. */
static struct pa_error *folio_memcg(struct walk *w, const uint8_t *page,
				    uint64_t *ret)
{
	const struct pa_lruvec_format *f = &w->lru->lruvecs.format;
	uint64_t word = pa_load_u64(page + f->memcg_data);
	struct pa_error *err = NULL;

	if (!w->memcg_known || w->memcg_word != word) {
		err = pa_lru_folio_memcg(w->worker->memory, f, page, &w->memcg);
		w->memcg_known = !err;
		w->memcg_word = word;
	}
	/* mem_cgroup_lruvec(): what is not charged is the root's. */
	if (!err)
		*ret = w->memcg ? w->memcg :
				  w->lru->memcgs.list.items[0].address;
	return err;
}

/*
 * What of the folio doesn't go with its list. Its generation need not be the
 * list's: folio_update_gen() raises it without a lock, and sort_folio() moves
 * the folio when reclaim comes to it.
 */
static uint64_t wrongs(const struct walk *w, uint64_t flags)
{
	const struct pa_page_format *f =
		&w->worker->census->kernel->page_format;
	const struct pa_lruvec_format *lf = &w->lru->lruvecs.format;
	const struct pa_lru_list *list = w->list;
	bool unevictable = flags & f->flag.unevictable;
	bool is_file = !(flags & f->flag.swapbacked);
	bool active = flags & f->flag.active;
	bool own_unevictable = !list->is_gen && list->lru == lf->unevictable;
	uint32_t gen = pa_lru_gen(f, flags);
	uint64_t wrong = 0;

	if (pa_page_node(f, flags) != w->lruvec->node)
		wrong |= PA_LRU_WRONG_NODE;
	if (unevictable != own_unevictable)
		wrong |= PA_LRU_WRONG_EVICTABLE;
	if (own_unevictable)
		return wrong;
	if (is_file != list->is_file)
		wrong |= PA_LRU_WRONG_TYPE;
	if (f->lru_gen_mask && (list->is_gen ? !gen || gen > lf->nr_gens : gen))
		wrong |= PA_LRU_WRONG_GENERATION;
	if (list->is_gen && pa_page_zone(f, flags) != list->zone)
		wrong |= PA_LRU_WRONG_ZONE;
	if (!list->is_gen && active != (list->lru % lf->file >= lf->active))
		wrong |= PA_LRU_WRONG_ACTIVITY;
	return wrong;
}

static struct pa_error *check_list_of(struct walk *w, const struct entry *e,
				      uint64_t flags)
{
	uint64_t wrong = wrongs(w, flags);
	uint64_t memcg = 0;
	struct pa_error *err = NULL;

	if (w->own_memcg) {
		err = folio_memcg(w, e->bytes, &memcg);
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			err = NULL;
			w->worker->unreadable++;
		} else if (!err && memcg != w->own_memcg) {
			wrong |= PA_LRU_WRONG_MEMCG;
		}
	}
	if (!err && wrong)
		keep_fault(w, PA_FAULT_WRONG_LIST, wrong, memcg);
	return err;
}

/* Pages of the folio whose head @e is; 1 if that can't be read. */
static uint64_t folio_pages(struct walk *w, const struct entry *e)
{
	const struct pa_page_format *f =
		&w->worker->census->kernel->page_format;
	uint8_t head[2 * MAX_PAGE_BYTES];
	struct pa_error *err = pa_memory_read_near(w->worker->memory, &w->near,
						   e->page + f->size, f->size,
						   head + f->size);

	if (err) {
		pa_error_destroy(err);
		return 1;
	}
	memcpy(head, e->bytes, f->size);

	uint32_t order = pa_folio_order(f, head);

	return order <= f->max_order ? PA_BIT(order) : 1;
}

/* Can a page of this class have PG_lru? Frozen while it is split or freed. */
static bool class_may_be_listed(uint8_t class)
{
	return class == PA_CLASS_LRU || class == PA_CLASS_LRU_UNEVICTABLE ||
	       class == PA_CLASS_ZERO || class == PA_CLASS_FROZEN_HEAD ||
	       class == PA_CLASS_USED || class == PA_CLASS_USED_HEAD;
}

static struct pa_error *visit_usable(struct walk *w, const struct entry *e,
				     bool *again)
{
	const struct pa_page_format *f =
		&w->worker->census->kernel->page_format;
	uint64_t flags = pa_page_flags(f, e->bytes);
	uint8_t *byte = pa_census_class(w->worker->census, w->fault.pfn);
	uint8_t class;

	if (!byte) {
		w->worker->unreadable++;
		return NULL;
	}
	class = __atomic_fetch_or(byte, PA_MARK_LISTED, __ATOMIC_RELAXED);
	*again = class & PA_MARK_LISTED;
	w->fault.page_class = class & PA_CLASS_MASK;
	if (*again) {
		keep_fault(w, PA_FAULT_TWICE, 0, 0);
		return NULL;
	}
	w->walked->pages += flags & f->flag.head ? folio_pages(w, e) : 1;
	if (class_may_be_listed(w->fault.page_class) && flags & f->flag.lru)
		return check_list_of(w, e, flags);
	if (class_may_be_listed(w->fault.page_class)) {
		const struct pa_lru_batched *batched =
			pa_lru_batched_find(w->lru, e->page);

		w->walked->detached++;
		if (batched && batched->kind == PA_LRU_BATCH_MOVE)
			return NULL;
	}
	keep_fault(w, PA_FAULT_CLASS, flags, pa_page_type_word(f, e->bytes));
	return NULL;
}

/* *@again: the entry was met before, by this walk or another. */
static struct pa_error *visit(struct walk *w, const struct entry *e,
			      bool *again)
{
	w->worker->references++;
	w->walked->entries++;
	w->fault.node = e->node;
	w->fault.target =
		pa_census_target(w->worker->census, e->page, &w->fault.pfn);
	*again = false;
	switch (w->fault.target) {
	case PA_TARGET_USABLE:
		return visit_usable(w, e, again);
	case PA_TARGET_UNKNOWN:
		w->worker->unreadable++;
		return NULL;
	default:
		keep_fault(w, PA_FAULT_STALE, 0, 0);
		return NULL;
	}
}

/*
 * Reads the entry at @node. Absent memory is an error; where no entry can be,
 * e->node is 0.
 */
static struct pa_error *read_entry(struct walk *w, uint64_t node,
				   struct entry *e)
{
	const struct pa_kernel *kernel = w->worker->census->kernel;
	const struct pa_page_format *f = &kernel->page_format;
	uint64_t pfn;
	struct pa_error *err;

	e->node = 0;
	if (!pa_is_kernel_address(node) || node & 7)
		return NULL;
	e->page = node - f->lru;
	e->is_page = pa_page_to_pfn(kernel, e->page, &pfn);
	if (e->is_page) {
		err = pa_memory_read_near(w->worker->memory, &w->near, e->page,
					  f->size, e->bytes);
	} else {
		err = pa_memory_read(w->worker->memory, node, 16,
				     e->bytes + f->lru);
		/* Nothing outside of the memmap belongs here. */
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			return NULL;
		}
	}
	if (pa_error_is_target(err) && pfn != PA_NO_PFN) {
		enum pa_pfn_state state = pa_pfn_state(kernel, pfn);

		/* The memmap of what is no memory is not missing. */
		if (state == PA_PFN_ABSENT || state == PA_PFN_HOLE) {
			pa_error_destroy(err);
			return NULL;
		}
	}
	if (err)
		return err;
	e->node = node;
	e->next = pa_load_u64(e->bytes + f->lru);
	e->prev = pa_load_u64(e->bytes + f->lru + 8);
	return NULL;
}

/* The two ends of a walk that met in the middle, or did not. */
struct ends {
	/* Last good entry from either end; the list's head at first. */
	uint64_t front, back;
	/* What they say comes next: a broken list's wrong links. */
	uint64_t front_next, back_prev;
};

/*
 * One direction. Every entry must answer for the one before it, which is also
 * what keeps the walk out of circles.
 */
static struct pa_error *walk_way(struct walk *w, bool forward,
				 struct ends *ends)
{
	const struct pa_sections *sections =
		&w->worker->census->kernel->sections;
	uint64_t limit = sections->list.length * sections->pages;
	uint64_t *last = forward ? &ends->front : &ends->back;
	uint64_t *link = forward ? &ends->front_next : &ends->back_prev;
	struct entry e;

	while (*link != w->list->head) {
		struct pa_error *err;
		bool again;

		if (w->walked->entries >= limit) {
			w->walked->end = PA_LIST_ENDLESS;
			return NULL;
		}
		err = pa_job_check(w->worker->job);
		if (!err)
			err = read_entry(w, *link, &e);
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			w->walked->end = PA_LIST_UNREADABLE;
			w->worker->unreadable++;
			return NULL;
		}
		if (err)
			return err;
		if (!e.node || (forward ? e.prev : e.next) != *last) {
			w->walked->end = PA_LIST_BROKEN;
			return NULL;
		}
		if (!forward)
			w->walked->backward++;
		err = visit(w, &e, &again);
		if (!err && w->worker->err)
			err = pa_take(w->worker->err);
		if (err)
			return err;
		*last = *link;
		*link = forward ? e.next : e.prev;
		/* What follows is another list's. */
		if (again) {
			w->walked->end = PA_LIST_STOPPED;
			return NULL;
		}
	}
	return NULL;
}

/* Keeps a break at @culprit, whose link says @link; or at the list's head. */
static void keep_break(struct walk *w, uint64_t culprit, enum pa_lru_link which,
		       uint64_t link)
{
	const struct pa_census *census = w->worker->census;
	const uint8_t *byte = NULL;

	w->fault.node = culprit;
	w->fault.link = link;
	w->fault.target = PA_TARGET_USABLE;
	w->fault.page_class = PA_CLASS_UNKNOWN;
	w->fault.pfn = PA_NO_PFN;
	if (culprit != w->list->head) {
		pa_page_to_pfn(census->kernel,
			       culprit - census->kernel->page_format.lru,
			       &w->fault.pfn);
		if (w->fault.pfn != PA_NO_PFN)
			byte = pa_census_class(census, w->fault.pfn);
	}
	if (byte)
		w->fault.page_class = *byte & PA_CLASS_MASK;
	keep_fault(w,
		   w->walked->end == PA_LIST_ENDLESS ? PA_FAULT_ENDLESS :
						       PA_FAULT_BROKEN,
		   which, 0);
}

/*
 * Both neighbours say that the entry at @node comes between them, and it does
 * not answer to either.
 */
static void keep_silent(struct walk *w, uint64_t node)
{
	const struct pa_census *census = w->worker->census;
	uint64_t prev = 0;
	uint64_t pfn;
	enum pa_target target = pa_census_target(
		census, node - census->kernel->page_format.lru, &pfn);

	if (target != PA_TARGET_USABLE && target != PA_TARGET_UNKNOWN) {
		w->fault.node = node;
		w->fault.pfn = pfn;
		w->fault.target = target;
		keep_fault(w, PA_FAULT_STALE, 0, 0);
		return;
	}
	pa_error_destroy(
		pa_memory_read_u64(w->worker->memory, node + 8, &prev));
	keep_break(w, node, PA_LRU_LINK_PREV, prev);
}

/* Says which entry's link is wrong, by how far both ways came. */
static void name_culprit(struct walk *w, const struct ends *ends)
{
	uint64_t head = w->list->head;

	if (ends->front_next == head)
		/* All were met; only the head's way back is wrong. */
		keep_break(w, head, PA_LRU_LINK_PREV, ends->back_prev);
	else if (ends->front_next == ends->back && ends->back != head)
		/* Its neighbours on both sides vouch for it. */
		keep_break(w, ends->back, PA_LRU_LINK_PREV, ends->back_prev);
	else if (ends->front_next == ends->back_prev)
		keep_silent(w, ends->front_next);
	else
		keep_break(w, ends->front, PA_LRU_LINK_NEXT, ends->front_next);
}

static struct pa_error *walk_both(struct walk *w)
{
	uint64_t links[2];
	struct ends ends = { .front = w->list->head, .back = w->list->head };
	struct pa_error *err = pa_memory_read(w->worker->memory, w->list->head,
					      sizeof(links), links);
	enum pa_list_end end;

	if (err)
		return err;
	ends.front_next = links[0];
	ends.back_prev = links[1];
	w->walked->end = PA_LIST_WHOLE;
	err = walk_way(w, true, &ends);
	if (err || w->walked->end == PA_LIST_STOPPED)
		return err;
	if (w->walked->end == PA_LIST_WHOLE) {
		if (ends.back_prev == ends.front)
			return NULL;
		w->walked->end = PA_LIST_BROKEN;
	}
	/* What stopped the first way tells what is wrong. */
	end = w->walked->end;
	if (ends.front_next != w->list->head)
		err = walk_way(w, false, &ends);
	w->walked->end = end;
	if (!err && end != PA_LIST_UNREADABLE)
		name_culprit(w, &ends);
	return err ? err : pa_take(w->worker->err);
}

static struct pa_error *walk_list(void *state, uint64_t index)
{
	struct pa_list_worker *worker = state;
	const struct pa_lru_census *lru = worker->census->lru;
	const struct pa_lru_list *list = &lru->lruvecs.lists.items[index];
	const struct pa_lruvec *lruvec = &lru->lruvecs.list.items[list->lruvec];
	const struct pa_layout *layout = worker->census->kernel->layout;
	struct walk w = {
		.worker = worker,
		.lru = lru,
		.list = list,
		.lruvec = lruvec,
		.walked = &lru->walked[index],
		.fault = {
			.holder = PA_HOLDER_LRU,
			.head = list->head,
			.zone = -1,
		},
	};
	char path[96] = "";
	struct pa_error *err;

	if (lruvec->memcg >= 0) {
		const struct pa_memcg *memcg =
			&lru->memcgs.list.items[lruvec->memcg];

		if (lru->lruvecs.format.memcg_word != PA_MEMCG_WORD_NONE)
			w.own_memcg = memcg->address;
		pa_memcg_path(worker->memory, layout, &lru->memcgs, memcg, path,
			      sizeof(path));
	}
	pa_lru_list_name(&lru->lruvecs, list, path, worker->name,
			 sizeof(worker->name));
	err = walk_both(&w);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		err = NULL;
		w.walked->end = PA_LIST_UNREADABLE;
		worker->unreadable++;
	}
	return err;
}

static struct pa_error *find_lists(struct pa_census *census,
				   struct pa_lru_census *lru)
{
	const struct pa_kernel *kernel = census->kernel;
	uint64_t *unreadable = &census->parts[PA_CENSUS_LRU].unreadable;
	struct pa_memory *memory;
	struct pa_error *err = pa_kernel_memory(kernel, &memory);

	if (err)
		return err;
	err = pa_memcgs_init(memory, kernel->layout, &lru->memcgs);
	if (!err)
		err = pa_lruvecs_init(memory, kernel->layout, &kernel->zones,
				      &lru->memcgs, &lru->lruvecs);
	if (!err)
		err = pa_lru_batches_read(kernel, memory, lru);
	pa_memory_destroy(memory);
	if (err)
		return err;
	*unreadable += lru->memcgs.unreadable + lru->memcgs.corrupt +
		       lru->lruvecs.unreadable + lru->batches_unreadable;
	lru->walked =
		calloc(lru->lruvecs.lists.length + 1, sizeof(*lru->walked));
	return lru->walked ? NULL : &pa_error_no_memory;
}

struct pa_error *pa_census_lru(struct pa_census *census, struct pa_job *job)
{
	struct pa_lru_census *lru;
	struct pa_error *err;

	if (census->kernel->parts[PA_PART_ZONES])
		return pa_error_create(PA_ERROR_MISSING,
				       "the zones are not known");
	lru = calloc(1, sizeof(*lru));
	if (!lru)
		return &pa_error_no_memory;
	err = find_lists(census, lru);
	if (err) {
		pa_lru_census_destroy(lru);
		return err;
	}
	census->lru = lru;
	return pa_lists_run(census, job, PA_CENSUS_LRU, "LRU lists", walk_list,
			    lru->lruvecs.lists.length);
}

void pa_lru_census_destroy(struct pa_lru_census *lru)
{
	if (!lru)
		return;
	pa_memcgs_deinit(&lru->memcgs);
	pa_lruvecs_deinit(&lru->lruvecs);
	pa_array_deinit(&lru->batched);
	pa_array_deinit(&lru->unused);
	free(lru->walked);
	free(lru);
}
