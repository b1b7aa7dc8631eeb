// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Words that name a page which must not be used. A word in memory that is in
 * use is a hint: that it is a pointer, and will be followed, nobody says.
 */
#include "checks/stale_word.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "census/excess.h"
#include "checks/coverage.h"

/* What is told of the words that name one page. */
#define MAX_TOLD 6

void pa_check_add_target(struct pa_check_context *c, struct pa_finding *f,
			 enum pa_target target, uint64_t pfn)
{
	const struct pa_section *section =
		pfn == PA_NO_PFN ? NULL :
				   pa_pfn_to_section(&c->kernel->sections, pfn);

	pa_finding_text(f, "target", "%s", pa_target_names[target]);
	if (section) {
		pa_finding_number(f, "section", (int64_t)section->nr);
		pa_finding_hex(f, "section_mem_map", section->word);
	}
}

/* A holder that was walked has told of this slot, as the bug that it is. */
static bool is_told(const struct pa_check_context *c,
		    const struct pa_place *place)
{
	uint64_t direct = c->kernel->space.direct_start + place->phys;

	pa_array_for_each(fault, &c->census->faults)
		if (fault->kind == PA_FAULT_STALE && fault->node &&
		    (fault->node == place->address || fault->node == direct))
			return true;
	return false;
}

/* What names one page. */
struct named {
	/* Owned: a line for each of the first words. */
	char *text;
	size_t nr;
	/* Of the first word that has one: the task. */
	uint64_t task;
};

/*
 * Between what pages vmemmap_populate_hugepages() goes on: bounds of a range,
 * which are no pages themselves.
 */
static bool is_bound(const struct pa_places *places,
		     const struct pa_place *place)
{
	struct pa_symbol_at at;

	return place->kind == PA_PLACE_IMAGE && places->kallsyms &&
	       pa_kallsyms_find_address(places->kallsyms, place->address,
					&at) &&
	       !at.offset &&
	       (!strcmp(at.name, "addr_start") || !strcmp(at.name, "addr_end"));
}

static struct pa_error *describe(struct pa_check_context *c, FILE *out,
				 const struct pa_search_hit *hit,
				 struct named *named)
{
	const struct pa_places *places = c->census->excess->places;
	struct pa_place place;
	struct pa_error *err =
		pa_search_place(places, c->memmap->memory, hit, &place);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (err || place.dead || place.kind == PA_PLACE_NOT_KERNEL ||
	    is_bound(places, &place) || is_told(c, &place))
		return err;
	if (!named->task)
		named->task = place.task;
	if (named->nr++ >= MAX_TOLD)
		return NULL;

	pa_auto_free char *where = pa_place_describe(places, &place);

	fprintf(out, "%s%s: %s", named->nr > 1 ? "\n" : "",
		pa_encoding_names[hit->encoding], where ? where : "?");
	return NULL;
}

static struct pa_error *describe_all(struct pa_check_context *c,
				     const struct pa_search_hit *hits,
				     size_t nr, struct named *ret)
{
	size_t length = 0;
	FILE *out = open_memstream(&ret->text, &length);
	struct pa_error *err = out ? NULL : &pa_error_no_memory;

	for (size_t i = 0; !err && i < nr; i++)
		err = describe(c, out, &hits[i], ret);
	if (!err && ret->nr > MAX_TOLD)
		fprintf(out, "\n%zu more", ret->nr - MAX_TOLD);
	if (out && fclose(out) && !err)
		err = &pa_error_no_memory;
	return err;
}

/* What this check has found about the page already. */
static struct pa_finding *find_finding(struct pa_check_context *c, uint64_t pfn)
{
	pa_array_for_each(f, &c->findings->list)
		if (f->check == PA_CHECK_STALE_PAGE_REFERENCE &&
		    f->pfn <= pfn && pfn < f->pfn_end)
			return f;
	return NULL;
}

static void report(struct pa_check_context *c, uint64_t pfn,
		   const struct named *named)
{
	struct pa_finding *f = find_finding(c, pfn);
	uint64_t ignored;
	enum pa_target target = pa_census_target(
		c->census, pa_pfn_to_page(c->kernel, pfn), &ignored);

	if (f) {
		pa_finding_text(f, "also_named_by", "%s", named->text);
		return;
	}
	f = pa_finding_add(c->findings, PA_CHECK_STALE_PAGE_REFERENCE, PA_INFO,
			   pfn, pfn + 1,
			   "%zu word%s of kernel memory in use name%s a page "
			   "that is %s",
			   named->nr, named->nr == 1 ? "" : "s",
			   named->nr == 1 ? "s" : "", pa_target_names[target]);
	pa_check_add_target(c, f, target, pfn);
	pa_finding_text(f, "named_by", "%s", named->text);
	if (named->task)
		pa_check_add_task(c, f, named->task);
}

struct pa_error *pa_check_stale_words(struct pa_check_context *c,
				      struct pa_check_result *result)
{
	const struct pa_excess *excess = c->census->excess;
	const struct pa_search_result *search;
	struct pa_error *err = NULL;

	if (!excess || !excess->places)
		return NULL;
	search = &excess->search;
	if (search->unreadable_bytes)
		pa_check_status(result, PA_PARTIAL,
				"%" PRIu64 " bytes of kernel memory could not "
				"be read",
				search->unreadable_bytes);
	if (search->nr_unusable > search->unusable.length)
		pa_check_status(result, PA_PARTIAL,
				"only %zu of %" PRIu64
				" words that name unusable pages are told",
				search->unusable.length, search->nr_unusable);
	result->examined += search->nr_unusable;
	for (size_t i = 0, nr; !err && i < search->unusable.length; i += nr) {
		const struct pa_search_hit *hits = &search->unusable.items[i];
		struct named named = { 0 };

		nr = 1;
		while (i + nr < search->unusable.length &&
		       hits[nr].pfn == hits->pfn)
			nr++;
		/* Whether it may be used nobody knows then. */
		if (pa_check_disputed(c, hits->pfn))
			continue;
		err = describe_all(c, hits, nr, &named);
		if (!err && named.nr)
			report(c, hits->pfn, &named);
		free(named.text);
	}
	return err;
}
