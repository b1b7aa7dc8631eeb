// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/discrepancy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "census/excess.h"
#include "census/handled.h"
#include "census/holder.h"
#include "checks/coverage.h"
#include "checks/keeper.h"
#include "checks/task_stack.h"

int64_t pa_discrepancy_excess(const struct pa_discrepancy *d,
			      enum pa_count count)
{
	return d->counts[count].stored - d->counts[count].counted;
}

static bool is_unread(const struct pa_holder_result *result)
{
	return result->unreadable || result->err;
}

bool pa_discrepancy_mappings_unread(const struct pa_census *census)
{
	return is_unread(&census->holders[PA_HOLDER_PAGE_TABLE]);
}

/*
 * One that holds pages of all kinds at all times, and was not walked. What the
 * others have keeps its page's address: checks/keeper.c.
 */
static bool lacks_holder(const struct pa_census *census)
{
	static const enum pa_holder common[] = {
		PA_HOLDER_PAGE_CACHE,
		PA_HOLDER_SWAP_CACHE,
		PA_HOLDER_LRU_BATCH,
		PA_HOLDER_ISOLATED,
	};

	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		if (census->holders[common[i]].err)
			return true;
	return false;
}

bool pa_discrepancy_holders_unread(const struct pa_census *census)
{
	for (int i = 0; i < PA_NR_HOLDERS; i++)
		if (is_unread(&census->holders[i]))
			return true;
	return false;
}

static void add_counts(struct pa_finding *f, const struct pa_discrepancy *d)
{
	for (int i = 0; i < PA_NR_COUNTS; i++) {
		const struct pa_stored_counted *n = &d->counts[i];

		if (d->wrong & 1U << i || i == PA_COUNT_REFCOUNT)
			pa_finding_text(f, pa_count_names[i],
					"%" PRId64 " stored, %" PRId64
					" counted",
					n->stored, n->counted);
	}
	if (d->wrong & 1U << PA_COUNT_MAPCOUNT && d->order) {
		pa_finding_hex(f, "mapcount_pfn", d->mapcount_pfn);
		pa_finding_number(f, "pages_with_wrong_mapcount",
				  d->nr_mapcounts);
	}
}

static void add_folio(struct pa_check_context *c, struct pa_finding *f,
		      const struct pa_discrepancy *d)
{
	char *flags = pa_page_flags_string(&c->kernel->page_format, d->flags);

	pa_finding_text(f, "folio", "%s, order %" PRIu32,
			pa_folio_kind_names[d->kind], d->order);
	pa_finding_text(f, "flags", "%s", flags ? flags : "");
	free(flags);
	pa_finding_hex(f, "mapping", d->mapping);
	pa_finding_number(f, "page_table_entries", (int64_t)d->maps);
	if (d->order)
		pa_finding_number(f, "entire_mappings", (int64_t)d->entire);
	pa_finding_number(f, "other_references", (int64_t)d->refs);
	if (d->pins)
		pa_finding_number(f, "pins", (int64_t)d->pins);
	if (d->own)
		pa_finding_number(f, "own_references", (int64_t)d->own);
}

/* What is told of one folio's holders, and of what else names it. */
#define MAX_TOLD 6

/*
 * Who waits for a page's references to go has its address in hand and holds
 * none: dax_break_layout(), wait_page_idle().
 */
static bool waits_for_references(const struct pa_census *census,
				 const struct pa_discrepancy *d, uint64_t task)
{
	size_t nr;
	const struct pa_waiter *w =
		pa_waiters_find(&census->excess->waiting.waiters, d->pfn,
				d->pfn + PA_BIT(d->order), &nr);

	for (size_t i = 0; i < nr; i++)
		if (w[i].kind == PA_WAIT_REFERENCES && w[i].task == task)
			return true;
	return false;
}

/*
 * What a hit makes of the finding. A word that is in use holds the page, as
 * far as anybody can tell; a list's links and bare physical addresses hold
 * nothing.
 */
static enum pa_severity hit_severity(const struct pa_excess *excess,
				     const struct pa_search_hit *hit,
				     const struct pa_place *place,
				     uint64_t *task_ret)
{
	if (!pa_encoding_is_strong(hit->encoding) || place->dead)
		return PA_BUG;
	/* An array that somebody is filling with pages is in his hands. */
	*task_ret = place->task ? place->task :
				  pa_in_hand_place(&excess->in_hand, place);
	return *task_ret ? PA_INFO : PA_SUSPECT;
}

static enum pa_severity milder(enum pa_severity a, enum pa_severity b)
{
	return a < b ? a : b;
}

/* Goes through what else names @d's folio. */
static struct pa_error *find_named(struct pa_check_context *c,
				   const struct pa_discrepancy *d,
				   struct pa_kept *kept,
				   struct pa_judgement *ret)
{
	const struct pa_excess *excess = c->census->excess;
	size_t nr, told = 0, length = 0;
	size_t first =
		pa_excess_hits(excess, d->pfn, d->pfn + PA_BIT(d->order), &nr);
	FILE *out = open_memstream(&ret->named, &length);
	struct pa_error *err = out ? NULL : &pa_error_no_memory;

	ret->severity = PA_BUG;
	/* Pointers are told before numbers that may be anything. */
	for (size_t n = 0; !err && n < 2 * nr; n++) {
		const struct pa_search_hit *hit =
			&excess->search.hits.items[first + n % nr];
		enum pa_severity severity;
		struct pa_place place;
		uint64_t task = 0;

		if (pa_encoding_is_strong(hit->encoding) != (n < nr))
			continue;
		err = pa_search_place(excess->places, c->memmap->memory, hit,
				      &place);
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			err = NULL;
			continue;
		}
		if (err)
			break;
		if (n < nr)
			pa_kept_add(c, hit, &place, kept);
		severity = hit_severity(excess, hit, &place, &task);
		if (task && waits_for_references(c->census, d, task))
			continue;
		ret->severity = milder(ret->severity, severity);
		if (!ret->task)
			ret->task = task;
		if (told++ >= MAX_TOLD)
			continue;

		pa_auto_free char *where =
			pa_place_describe(excess->places, &place);

		fprintf(out, "%s%s: %s", told > 1 ? "\n" : "",
			pa_encoding_names[hit->encoding], where ? where : "?");
	}
	if (!err && told > MAX_TOLD)
		fprintf(out, "\n%zu more", told - MAX_TOLD);
	if (out && fclose(out) && !err)
		err = &pa_error_no_memory;
	return err;
}

void pa_finding_holders(struct pa_finding *f, const struct pa_reference *slots,
			size_t nr)
{
	size_t length = 0;
	pa_auto_free char *text = NULL;
	FILE *out = nr ? open_memstream(&text, &length) : NULL;

	if (!out)
		return;
	for (size_t i = 0; i < nr && i < MAX_TOLD; i++) {
		const struct pa_reference *r = &slots[i];
		const struct pa_holder_row *row = &pa_holders[r->holder];

		fprintf(out, "%s%s, %s 0x%" PRIx64 ", %s 0x%" PRIx64,
			i ? "\n" : "", row->name,
			row->owner ? row->owner : "owner", r->owner,
			row->index ? row->index : "index", r->index);
	}
	if (nr > MAX_TOLD)
		fprintf(out, "\n%zu more", nr - MAX_TOLD);
	if (!fclose(out))
		pa_finding_text(f, "holders", "%s", text);
}

static void add_slots(struct pa_check_context *c, struct pa_finding *f,
		      const struct pa_discrepancy *d)
{
	const struct pa_excess *excess = c->census->excess;
	size_t nr;
	size_t first =
		pa_excess_slots(excess, d->pfn, d->pfn + PA_BIT(d->order), &nr);

	if (nr)
		pa_finding_holders(f, &excess->slots.list.items[first], nr);
}

/* Somebody is in the middle of dropping references to the folio. */
static const struct pa_reference *find_unsure(const struct pa_census *census,
					      const struct pa_discrepancy *d)
{
	const struct pa_excess *excess = census->excess;
	size_t nr;
	size_t first =
		pa_excess_slots(excess, d->pfn, d->pfn + PA_BIT(d->order), &nr);

	for (size_t i = first; i < first + nr; i++)
		if (excess->slots.list.items[i].kind == PA_REF_UNSURE)
			return &excess->slots.list.items[i];
	return NULL;
}

/*
 * Who has @d's folio in hand. Folios that a THP was split into stay locked,
 * with a reference of the splitter each, until __folio_split() comes to them.
 */
static const struct pa_handled *find_hand(struct pa_check_context *c,
					  const struct pa_discrepancy *d)
{
	const struct pa_kernel *kernel = c->kernel;
	const struct pa_census *census = c->census;
	const struct pa_handled *behind =
		census->handled.items + census->handled.length;
	uint64_t end = d->pfn + PA_BIT(d->order);
	const struct pa_handled *hand = pa_handled_find(census, d->pfn, end);

	while (hand && waits_for_references(census, d, hand->task)) {
		hand++;
		if (hand >= behind || hand->pfn >= end)
			hand = NULL;
	}
	if (hand || !(d->flags & kernel->page_format.flag.locked))
		return hand;
	return pa_handled_find_splitter(census, d->pfn);
}

/*
 * Who maps @d's folio again, or takes it from rmap: collapse_huge_page() clears
 * the PMD first, and then takes the pages of its table, which it has locked and
 * isolated, from rmap one by one.
 */
static uint64_t find_mapper(const struct pa_check_context *c,
			    const struct pa_discrepancy *d)
{
	const struct pa_page_format *f = &c->kernel->page_format;
	const struct pa_excess *excess = c->census->excess;

	if (d->kind == PA_FOLIO_ANON && d->flags & f->flag.locked &&
	    !(d->flags & f->flag.lru))
		pa_array_for_each(walker, &excess->walkers.list)
			if (walker->walk == PA_WALK_KHUGEPAGED)
				return walker->task;
	return d->wrong & PA_WRONG_MAPCOUNTS ?
		       pa_entries_in_hand_find(&excess->entries, d->pfn,
					       d->pfn + PA_BIT(d->order)) :
		       0;
}

/*
 * Who is putting @d's folio, which was isolated, onto a list: list_add() sets
 * the folio's links first, so that no list leads to it yet. The address of the
 * lru of one that is on a task's list may be just that list's head.
 */
static uint64_t find_lister(const struct pa_check_context *c,
			    const struct pa_discrepancy *d)
{
	const struct pa_excess *excess = c->census->excess;
	size_t nr;
	size_t first =
		pa_excess_slots(excess, d->pfn, d->pfn + PA_BIT(d->order), &nr);

	if (d->flags & c->kernel->page_format.flag.lru ||
	    d->kind == PA_FOLIO_DEVICE)
		return 0;
	for (size_t i = first; i < first + nr; i++)
		if (excess->slots.list.items[i].holder == PA_HOLDER_ISOLATED)
			return 0;
	return pa_handled_find_lru(c->census, d->pfn);
}

struct pa_error *pa_discrepancy_judge(struct pa_check_context *c,
				      const struct pa_discrepancy *d,
				      struct pa_judgement *ret)
{
	const struct pa_search_result *search = &c->census->excess->search;
	const struct pa_handled *hand = find_hand(c, d);
	struct pa_error *err;
	struct pa_kept kept = { 0 };

	*ret = (struct pa_judgement){
		.task = hand ? hand->task : find_mapper(c, d),
	};
	if (!ret->task)
		ret->task = find_lister(c, d);
	err = find_named(c, d, &kept, ret);
	ret->keeper = pa_keeper_find(c, d, &kept);
	if (ret->task || ret->keeper || find_unsure(c->census, d))
		ret->severity = PA_INFO;
	if (c->census->stacks_unread || search->unread_stacks ||
	    search->unreadable_bytes ||
	    pa_discrepancy_holders_unread(c->census))
		ret->severity = milder(ret->severity, PA_SUSPECT);
	return err;
}

void pa_judgement_deinit(struct pa_judgement *judgement)
{
	free(judgement->named);
}

static void add_waiters(struct pa_check_context *c, struct pa_finding *f,
			const struct pa_discrepancy *d)
{
	const struct pa_waiters *waiters = &c->census->excess->waiting.waiters;
	size_t nr;
	const struct pa_waiter *w = pa_waiters_find(
		waiters, d->pfn, d->pfn + PA_BIT(d->order), &nr);

	/* Of device memory more is told: checks/device_wait.c. */
	if (!nr || d->kind == PA_FOLIO_DEVICE)
		return;

	uint32_t pid;
	char comm[16];

	pa_task_name(c->kernel, c->memmap->memory, w->task, &pid, comm);
	pa_finding_text(f, "waiting", "%s (pid %" PRIu32 ") waits for %s of it",
			comm, pid, pa_wait_kind_names[w->kind]);
	if (nr > 1)
		pa_finding_number(f, "waiters", (int64_t)nr);
}

struct pa_finding *pa_discrepancy_add(struct pa_check_context *c,
				      enum pa_check_id check,
				      const struct pa_discrepancy *d,
				      const struct pa_judgement *judgement,
				      const char *summary)
{
	struct pa_finding *f =
		pa_finding_add(c->findings, check, judgement->severity, d->pfn,
			       d->pfn + PA_BIT(d->order), "%s", summary);

	if (c->moved)
		pa_finding_number(f, "moved", 1);
	add_counts(f, d);
	add_folio(c, f, d);
	add_slots(c, f, d);
	if (judgement->named && *judgement->named)
		pa_finding_text(f, "also_named_by", "%s", judgement->named);
	if (judgement->keeper)
		pa_finding_text(f, "may_hold", "%s", judgement->keeper);
	if (judgement->task)
		pa_check_add_task(c, f, judgement->task);
	add_waiters(c, f, d);
	return f;
}

struct pa_error *pa_discrepancy_report(struct pa_check_context *c,
				       enum pa_check_id check,
				       const struct pa_discrepancy *d,
				       const char *summary)
{
	struct pa_judgement judgement;
	struct pa_error *err = pa_discrepancy_judge(c, d, &judgement);
	struct pa_finding *f = NULL;

	if (!err)
		f = pa_discrepancy_add(c, check, d, &judgement, summary);
	/* What a task is doing is told once, not of each folio that it has. */
	if (f && judgement.task && judgement.task != c->stack_told) {
		c->stack_told = judgement.task;
		err = pa_check_add_stack(c, c->census->excess->places, f,
					 judgement.task);
	}
	pa_judgement_deinit(&judgement);
	return err;
}

bool pa_discrepancy_leaks_unknown(struct pa_check_context *c)
{
	if (pa_discrepancy_mappings_unread(c->census) ||
	    lacks_holder(c->census))
		return true;
	pa_array_for_each(f, &c->findings->list)
		if (f->check == PA_CHECK_SECTION_STATE &&
		    f->severity != PA_INFO)
			return true;
	return false;
}

void pa_discrepancy_leak_coverage(struct pa_check_context *c,
				  struct pa_check_result *result)
{
	pa_discrepancy_coverage(c, result);
	if (result->status == PA_RAN && pa_discrepancy_leaks_unknown(c))
		pa_check_status(result, PA_PARTIAL,
				"what the memory of contradictory sections "
				"holds is unknown");
}

void pa_discrepancy_coverage(struct pa_check_context *c,
			     struct pa_check_result *result)
{
	const struct pa_census *census = c->census;

	pa_check_scan_coverage(c, result);
	pa_check_holder_coverage(c, result);
	if (census->counts->nr_discrepancies > census->excess->nr_folios)
		pa_check_status(result, PA_PARTIAL,
				"only %zu of %" PRIu64
				" folios that disagree are judged",
				census->excess->nr_folios,
				census->counts->nr_discrepancies);
	if (census->disturbed.more)
		pa_check_status(result, PA_PARTIAL,
				"more pages changed meanwhile than are kept");
	result->examined = 0;
	for (int i = 0; i < PA_NR_FOLIO_KINDS; i++)
		result->examined += census->counts->folios[i];
}

/* Whether slots that were looked for by name are what was counted before. */
static bool counts_again(const struct pa_census *census,
			 const struct pa_discrepancy *d)
{
	const struct pa_excess *excess = census->excess;
	uint64_t counted[PA_NR_REFERENCE_KINDS] = { 0 };
	size_t nr, first;

	first = pa_excess_slots(excess, d->pfn, d->pfn + PA_BIT(d->order), &nr);
	for (size_t i = first; i < first + nr; i++) {
		const struct pa_reference *slot = &excess->slots.list.items[i];

		counted[slot->kind] += slot->count;
	}
	return counted[PA_REF_MAP] == d->maps &&
	       counted[PA_REF_MAP_ENTIRE] == d->entire &&
	       counted[PA_REF_PIN] == d->pins &&
	       counted[PA_REF_GET] + counted[PA_REF_MAP_UNCOUNTED] == d->refs;
}

/* Whether the struct page at @pfn can't be read, or has another number now. */
static bool differs(struct pa_check_context *c, uint64_t pfn, uint32_t offset,
		    int64_t less, int64_t stored)
{
	const uint8_t *page;
	struct pa_error *err = pa_memmap_page(c->memmap, pfn, 1, &page);

	if (!err)
		return (int64_t)(int32_t)pa_load_u32(page + offset) + less !=
		       stored;
	pa_error_destroy(err);
	return true;
}

/*
 * Of a running kernel: maps and references that were others when they were
 * looked for by name, after the struct page was read; or it is another by now.
 * A page that is mapped and unmapped by turns, by one task after the other, may
 * else look the same in any number of reads.
 */
static bool has_moved(struct pa_check_context *c,
		      const struct pa_discrepancy *d)
{
	const struct pa_page_format *f = &c->kernel->page_format;

	if (!c->census->earlier)
		return false;
	return !counts_again(c->census, d) ||
	       differs(c, d->pfn, f->refcount, 0,
		       d->counts[PA_COUNT_REFCOUNT].stored) ||
	       (d->mapcount_pfn != PA_NO_PFN &&
		differs(c, d->mapcount_pfn, c->kernel->mapcount_format.page, 1,
			d->counts[PA_COUNT_MAPCOUNT].stored));
}

struct pa_error *pa_discrepancies_visit(
	struct pa_check_context *c,
	struct pa_error *(*visit)(struct pa_check_context *context,
				  const struct pa_discrepancy *d))
{
	struct pa_error *err = NULL;

	for (size_t i = 0; !err && i < c->census->excess->nr_folios; i++) {
		const struct pa_discrepancy *d =
			&c->census->counts->list.items[i];

		c->moved = has_moved(c, d);
		err = visit(c, d);
	}
	c->moved = false;
	return err;
}
