// SPDX-License-Identifier: LGPL-2.1-or-later
/* One item of work is one section; struct pages of no use are not read. */
#include "census/mapped.h"

#include <stdlib.h>

#include "base/map.h"

/* Low bits of mapping: FOLIO_MAPPING_ANON, and another for KSM or movable. */
#define MAPPING_FLAGS 3
#define MAPPING_ANON 1
/* No machine has more files open; garbage may name any number. */
#define MAX_NAMED PA_BIT(23)

struct worker {
	struct pa_census *census;
	const struct pa_kernel *kernel;
	struct pa_memmap *memmap;
	/* Of address_spaces, to a pfn. */
	struct pa_map named;
	/* What the last folio named. */
	uint64_t last;
	struct pa_mapped mapped;
};

static bool is_interesting(uint8_t class)
{
	switch (class & PA_CLASS_MASK) {
	case PA_CLASS_USED:
	case PA_CLASS_USED_HEAD:
	case PA_CLASS_LRU:
	case PA_CLASS_LRU_UNEVICTABLE:
	case PA_CLASS_HUGETLB:
		return true;
	default:
		return false;
	}
}

static struct pa_error *keep_named(struct worker *w, uint64_t mapping,
				   uint64_t pfn)
{
	if (mapping == w->last)
		return NULL;
	w->last = mapping;
	if (!pa_is_kernel_address(mapping) || pa_map_has(&w->named, mapping))
		return NULL;
	if (w->named.length >= MAX_NAMED) {
		w->mapped.overflow++;
		return NULL;
	}
	return pa_map_set(&w->named, mapping, pfn) ? NULL : &pa_error_no_memory;
}

static struct pa_error *keep_off_lru(struct worker *w, uint64_t pfn,
				     const uint8_t *page, uint8_t class)
{
	const struct pa_page_format *f = &w->kernel->page_format;
	uint64_t flags = pa_page_flags(f, page);
	struct pa_off_lru off = {
		.pfn = pfn,
		.node = pa_page_node(f, flags),
		.is_file = !(flags & f->flag.swapbacked),
	};

	if (class == PA_CLASS_USED_HEAD) {
		const uint8_t *head;
		struct pa_error *err = pa_memmap_page(w->memmap, pfn, 2, &head);

		if (err)
			return err;
		off.order = pa_folio_order(f, head);
		/* The scan tells of it. */
		if (off.order > f->max_order)
			off.order = 0;
	}
	return pa_array_append(&w->mapped.off_lru, off) ? NULL :
							  &pa_error_no_memory;
}

static struct pa_error *look_at(struct worker *w, uint64_t pfn,
				const uint8_t *page, uint8_t class)
{
	const struct pa_page_format *f = &w->kernel->page_format;
	uint64_t mapping = pa_load_u64(page + f->mapping);
	uint64_t low = mapping & MAPPING_FLAGS;
	struct pa_error *err = NULL;

	class &= PA_CLASS_MASK;
	if (!mapping || (low && !(low & MAPPING_ANON)))
		return NULL;
	if (class == PA_CLASS_USED || class == PA_CLASS_USED_HEAD) {
		/* What is typed has something else in the word. */
		if (pa_page_flags(f, page) & f->flag.slab ||
		    (class == PA_CLASS_USED &&
		     pa_page_type(f, pa_page_type_word(f, page)) !=
			     PA_PAGE_UNTYPED))
			return NULL;
		/*
		 * try_to_merge_one_page() makes a page KSM's before it has a
		 * node of the stable tree.
		 */
		if (pa_is_kernel_address(mapping) || mapping == MAPPING_FLAGS)
			err = keep_off_lru(w, pfn, page, class);
	}
	if (!err && !low)
		err = keep_named(w, mapping, pfn);
	return err;
}

static struct pa_error *visit_run(struct worker *w, const uint8_t *classes,
				  const struct pa_memmap_run *run)
{
	for (uint64_t i = 0; i < run->nr; i++) {
		struct pa_error *err =
			look_at(w, run->pfn + i,
				run->pages + i * w->kernel->page_format.size,
				classes[i]);

		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			continue;
		}
		if (err)
			return err;
	}
	return NULL;
}

static struct pa_error *visit_section(void *worker, uint64_t index)
{
	struct worker *w = worker;
	const struct pa_sections *sections = &w->kernel->sections;
	const uint8_t *classes = w->census->classes[index];
	uint64_t start = sections->list.items[index].nr
			 << sections->pages_shift;
	uint64_t nr = sections->pages;

	for (uint64_t i = 0, end; classes && i < nr; i = end) {
		struct pa_memmap_run run;
		struct pa_error *err;

		end = i + 1;
		if (!is_interesting(classes[i]))
			continue;
		while (end < nr && is_interesting(classes[end]))
			end++;
		err = pa_memmap_run(w->memmap, start + i, end - i, &run);
		if (err)
			return err;
		end = i + pa_min(run.nr, end - i);
		run.nr = end - i;
		if (run.presence == PA_PRESENT)
			err = visit_run(w, classes + i, &run);
		if (err)
			return err;
	}
	return NULL;
}

static struct pa_error *start(void *arg, void **ret)
{
	struct pa_census *census = arg;
	struct worker *w = calloc(1, sizeof(*w));
	struct pa_error *err;

	if (!w)
		return &pa_error_no_memory;
	w->census = census;
	w->kernel = census->kernel;
	err = pa_memmap_create(w->kernel, &w->memmap);
	if (err) {
		free(w);
		return err;
	}
	*ret = w;
	return NULL;
}

static struct pa_error *finish(void *arg, void *worker, bool failed)
{
	struct pa_census *census = arg;
	struct pa_mapped *mapped = census->mapped;
	struct worker *w = worker;
	struct pa_error *err = NULL;

	mapped->overflow += w->mapped.overflow;
	if (!failed && !pa_array_extend(&mapped->off_lru, &w->mapped.off_lru))
		err = &pa_error_no_memory;
	for (size_t i = 0; !failed && !err && i < w->named.capacity; i++) {
		const struct pa_map_slot *slot = &w->named.slots[i];
		struct pa_named_mapping named = {
			.address = slot->key,
			.pfn = slot->value,
		};

		if (slot->used && !pa_array_append(&mapped->named, named))
			err = &pa_error_no_memory;
	}
	pa_map_deinit(&w->named);
	pa_array_deinit(&w->mapped.off_lru);
	pa_memmap_destroy(w->memmap);
	free(w);
	return err;
}

static int compare_named(const void *a, const void *b)
{
	const struct pa_named_mapping *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

static int compare_off_lru(const void *a, const void *b)
{
	const struct pa_off_lru *x = a, *y = b;

	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

/* Several threads may have met the same one. */
static void sort(struct pa_mapped *mapped)
{
	size_t kept = 0;

	if (mapped->named.length)
		qsort(mapped->named.items, mapped->named.length,
		      sizeof(*mapped->named.items), compare_named);
	if (mapped->off_lru.length)
		qsort(mapped->off_lru.items, mapped->off_lru.length,
		      sizeof(*mapped->off_lru.items), compare_off_lru);
	pa_array_for_each(named, &mapped->named)
		if (!kept ||
		    mapped->named.items[kept - 1].address != named->address)
			mapped->named.items[kept++] = *named;
	mapped->named.length = kept;
}

struct pa_error *pa_census_mapped(struct pa_census *census, struct pa_job *job)
{
	static const struct pa_work work = {
		.start = start,
		.item = visit_section,
		.finish = finish,
	};
	uint64_t nr = census->kernel->sections.list.length;
	struct pa_error *err;

	census->mapped = calloc(1, sizeof(*census->mapped));
	if (!census->mapped)
		return &pa_error_no_memory;
	pa_job_phase(job, "mappings of folios", nr);
	err = pa_job_run(job, &work, census, nr);
	if (err)
		return err;
	sort(census->mapped);
	census->parts[PA_CENSUS_MAPPED].unreadable += census->mapped->overflow;
	return NULL;
}

void pa_mapped_destroy(struct pa_mapped *mapped)
{
	if (!mapped)
		return;
	pa_array_deinit(&mapped->named);
	pa_array_deinit(&mapped->off_lru);
	free(mapped);
}

const struct pa_off_lru *pa_mapped_off_lru(const struct pa_mapped *mapped,
					   uint64_t pfn)
{
	const struct pa_off_lru key = { .pfn = pfn };

	return mapped->off_lru.length ? bsearch(&key, mapped->off_lru.items,
						mapped->off_lru.length,
						sizeof(*mapped->off_lru.items),
						compare_off_lru) :
					NULL;
}
