// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One item of work is one section. The census has a class for each page, and
 * the head's struct page says what a folio in use is; others are not read.
 */
#include "census/picture.h"

#include <stdlib.h>
#include <string.h>

#include "census/folio_kind.h"
#include "census/place.h"

const char *const pa_picture_kind_names[PA_NR_PICTURE_KINDS] = {
	[PA_PICTURE_UNKNOWN] = "unknown",
	[PA_PICTURE_NOT_MEMORY] = "not-memory",
	[PA_PICTURE_DEVICE] = "device",
	[PA_PICTURE_ALTMAP] = "altmap",
	[PA_PICTURE_RESERVED] = "reserved",
	[PA_PICTURE_UNINITIALISED] = "uninitialised",
	[PA_PICTURE_FREE] = "free",
	[PA_PICTURE_PCP] = "pcp",
	[PA_PICTURE_TRANSIT] = "in-transit",
	[PA_PICTURE_UNREFERENCED] = "unreferenced",
	[PA_PICTURE_ANON] = "anonymous",
	[PA_PICTURE_FILE] = "file",
	[PA_PICTURE_SHMEM] = "shmem",
	[PA_PICTURE_HUGETLB] = "hugetlb",
	[PA_PICTURE_SLAB] = "slab",
	[PA_PICTURE_PAGE_TABLE] = "page-table",
	[PA_PICTURE_BALLOON] = "balloon",
	[PA_PICTURE_KERNEL] = "kernel",
	[PA_PICTURE_TAIL] = "stray-tail",
};

/* A gap of struct pages that cost nothing to read along: 4 KiB of memmap. */
#define GAP 64

struct painter {
	struct pa_picture *picture;
	const struct pa_kernel *kernel;
	struct pa_memmap *memmap;
	/* Struct pages at hand; nr is 0 if there are none. */
	struct pa_memmap_run run;
	/* A section's pages: kind, and order of the folio or block. */
	uint8_t *kinds, *orders;
	uint64_t pages[PA_NR_PICTURE_KINDS];
	uint64_t poisoned;
};

/* What a folio whose head has this class says of itself is worth reading. */
static bool is_in_use(uint8_t class)
{
	switch (class & PA_CLASS_MASK) {
	case PA_CLASS_USED:
	case PA_CLASS_USED_HEAD:
	case PA_CLASS_LRU:
	case PA_CLASS_LRU_UNEVICTABLE:
	case PA_CLASS_HUGETLB:
	case PA_CLASS_FROZEN:
	case PA_CLASS_FROZEN_HEAD:
		return true;
	default:
		return false;
	}
}

static enum pa_picture_kind kind_of_class(uint8_t class)
{
	if (class >= PA_CLASS_FREE)
		return PA_PICTURE_FREE;
	switch (class) {
	case PA_CLASS_NOT_MEMORY:
		return PA_PICTURE_NOT_MEMORY;
	case PA_CLASS_DEVICE:
		return PA_PICTURE_DEVICE;
	case PA_CLASS_ALTMAP:
		return PA_PICTURE_ALTMAP;
	case PA_CLASS_RESERVED:
		return PA_PICTURE_RESERVED;
	case PA_CLASS_UNINITIALISED:
		return PA_PICTURE_UNINITIALISED;
	case PA_CLASS_ZERO:
		return PA_PICTURE_UNREFERENCED;
	case PA_CLASS_PCP:
		return PA_PICTURE_PCP;
	case PA_CLASS_TAKEN:
		return PA_PICTURE_TRANSIT;
	case PA_CLASS_FREE_BODY:
		return PA_PICTURE_FREE;
	case PA_CLASS_TAIL:
		return PA_PICTURE_TAIL;
	default:
		return PA_PICTURE_UNKNOWN;
	}
}

static enum pa_picture_kind kind_of_page(const struct pa_page_format *f,
					 const uint8_t *page, uint8_t class)
{
	if (pa_page_flags(f, page) & f->flag.slab)
		return PA_PICTURE_SLAB;
	switch (pa_page_type(f, pa_page_type_word(f, page))) {
	case PA_PAGE_SLAB:
		return PA_PICTURE_SLAB;
	case PA_PAGE_TABLE:
		return PA_PICTURE_PAGE_TABLE;
	case PA_PAGE_OFFLINE:
		return PA_PICTURE_BALLOON;
	default:
		break;
	}
	switch (pa_folio_kind(f, page, class)) {
	case PA_FOLIO_ANON:
	case PA_FOLIO_KSM:
		return PA_PICTURE_ANON;
	case PA_FOLIO_FILE:
	case PA_FOLIO_TRUNCATED:
		return PA_PICTURE_FILE;
	case PA_FOLIO_SHMEM:
		return PA_PICTURE_SHMEM;
	case PA_FOLIO_HUGETLB:
		return PA_PICTURE_HUGETLB;
	default:
		return PA_PICTURE_KERNEL;
	}
}

/* How many struct pages from @i on are worth reading in one go. */
static uint64_t stretch(const uint8_t *classes, uint64_t i, uint64_t nr)
{
	uint64_t end = i + 1;

	for (uint64_t j = end; j < nr && j - end < GAP; j++)
		if (is_in_use(classes[j]))
			end = j + 1;
	return end - i;
}

/*
 * The struct page of page @i of the section that starts at @start; NULL if it
 * is not in the target.
 */
static struct pa_error *page_at(struct painter *p, const uint8_t *classes,
				uint64_t start, uint64_t i, const uint8_t **ret)
{
	struct pa_memmap_run *run = &p->run;
	uint64_t pfn = start + i;
	struct pa_error *err;

	if (pfn - run->pfn >= run->nr) {
		uint64_t nr = stretch(classes, i, p->kernel->sections.pages);

		run->nr = 0;
		err = pa_memmap_run(p->memmap, pfn, nr, run);
		if (err)
			return err;
	}
	*ret = run->presence != PA_PRESENT ?
		       NULL :
		       run->pages +
			       (pfn - run->pfn) * p->kernel->page_format.size;
	return NULL;
}

/* Order of the folio at @pfn; 0 where that is impossible, or can't be read. */
static struct pa_error *read_order(struct painter *p, uint64_t pfn,
				   uint8_t *ret)
{
	const struct pa_page_format *f = &p->kernel->page_format;
	const uint8_t *head;
	struct pa_error *err = pa_memmap_page(p->memmap, pfn, 2, &head);
	uint32_t order = err ? 0 : pa_folio_order(f, head);

	*ret = order <= f->max_order && !(pfn & PA_MASK(order)) ?
		       (uint8_t)order :
		       0;
	if (!pa_error_is_target(err))
		return err;
	pa_error_destroy(err);
	return NULL;
}

static bool is_class(uint8_t byte, uint8_t class)
{
	return (byte & PA_CLASS_MASK) == class;
}

/* Paints pages [i, i + nr), of which @class are the ones behind the first. */
static uint64_t paint(struct painter *p, const uint8_t *classes, uint64_t i,
		      uint64_t nr, uint8_t class, enum pa_picture_kind kind,
		      uint8_t order)
{
	uint64_t end = i + 1, limit = pa_min(i + nr, p->kernel->sections.pages);

	while (end < limit && is_class(classes[end], class))
		end++;
	memset(p->kinds + i, (int)kind, end - i);
	memset(p->orders + i, order, end - i);
	return end;
}

/*
 * A section that begins inside of a folio (a gigantic one) is painted as its
 * head says. *ret is where that folio ends.
 */
static struct pa_error *paint_continued(struct painter *p,
					const uint8_t *classes, uint64_t start,
					uint64_t *ret)
{
	uint64_t head = pa_place_head(p->picture->census, start);
	const uint8_t *byte = pa_census_class(p->picture->census, head);
	enum pa_picture_kind kind = PA_PICTURE_TAIL;
	struct pa_error *err = NULL;
	uint8_t order = 0;
	uint64_t nr = 1;

	if (byte && is_in_use(*byte))
		err = read_order(p, head, &order);
	if (!err && head + PA_BIT(order) > start) {
		const uint8_t *page;

		nr = head + PA_BIT(order) - start;
		err = pa_memmap_page(p->memmap, head, 1, &page);
		if (!err)
			kind = kind_of_page(&p->kernel->page_format, page,
					    *byte & PA_CLASS_MASK);
	} else {
		order = 0;
	}
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		err = NULL;
	}
	*ret = paint(p, classes, 0, nr, PA_CLASS_TAIL, kind, order);
	return err;
}

static struct pa_error *paint_in_use(struct painter *p, const uint8_t *classes,
				     uint64_t start, uint64_t i, uint64_t *ret)
{
	enum pa_picture_kind kind = PA_PICTURE_UNKNOWN;
	uint8_t class = classes[i] & PA_CLASS_MASK, order = 0;
	const uint8_t *page;
	struct pa_error *err = page_at(p, classes, start, i, &page);

	if (err)
		return err;
	if (page)
		kind = kind_of_page(&p->kernel->page_format, page, class);
	if (i + 1 < p->kernel->sections.pages &&
	    is_class(classes[i + 1], PA_CLASS_TAIL))
		err = read_order(p, start + i, &order);
	*ret = paint(p, classes, i, PA_BIT(order), PA_CLASS_TAIL, kind, order);
	return err;
}

static struct pa_error *paint_section(struct painter *p, const uint8_t *classes,
				      uint64_t start)
{
	struct pa_error *err = NULL;
	uint64_t i = 0;

	p->run.nr = 0;
	if (is_class(classes[0], PA_CLASS_TAIL))
		err = paint_continued(p, classes, start, &i);
	while (!err && i < p->kernel->sections.pages) {
		uint8_t class = classes[i] & PA_CLASS_MASK, order = 0;

		if (is_in_use(class)) {
			err = paint_in_use(p, classes, start, i, &i);
			continue;
		}
		if (class >= PA_CLASS_FREE)
			order = class - PA_CLASS_FREE;
		i = paint(p, classes, i, PA_BIT(order), PA_CLASS_FREE_BODY,
			  kind_of_class(class), order);
	}
	return err;
}

static bool put_run(struct pa_picture_section *section, uint8_t kind,
		    uint8_t order, uint64_t nr)
{
	if (!pa_array_append(&section->runs, kind) ||
	    !pa_array_append(&section->runs, order))
		return false;
	for (; nr > 0x7f; nr >>= 7)
		if (!pa_array_append(&section->runs, (uint8_t)(nr | 0x80)))
			return false;
	return pa_array_append(&section->runs, (uint8_t)nr);
}

static bool put_runs(const struct painter *p,
		     struct pa_picture_section *section)
{
	uint64_t nr = p->kernel->sections.pages;

	for (uint64_t i = 0, end; i < nr; i = end) {
		for (end = i + 1; end < nr && p->kinds[end] == p->kinds[i] &&
				  p->orders[end] == p->orders[i];
		     end++)
			;
		if (!put_run(section, p->kinds[i], p->orders[i], end - i))
			return false;
	}
	return true;
}

static bool is_huge(uint8_t kind, uint8_t order)
{
	switch (kind & PA_PICTURE_KIND_MASK) {
	case PA_PICTURE_ANON:
	case PA_PICTURE_FILE:
	case PA_PICTURE_SHMEM:
		return order >= PA_PICTURE_CELL_SHIFT;
	default:
		return false;
	}
}

static bool put_cells(struct painter *p, struct pa_picture_section *section)
{
	uint64_t nr = p->kernel->sections.pages;

	for (uint64_t i = 0; i < nr; i += PA_BIT(PA_PICTURE_CELL_SHIFT)) {
		uint32_t pages[PA_NR_PICTURE_KINDS] = { 0 };
		uint8_t marks = 0, most = 0;

		for (uint64_t j = i;
		     j < nr && j < i + PA_BIT(PA_PICTURE_CELL_SHIFT); j++) {
			pages[p->kinds[j] & PA_PICTURE_KIND_MASK]++;
			marks |= p->kinds[j] & PA_PICTURE_HWPOISON;
			p->poisoned += p->kinds[j] >> 7;
			if (is_huge(p->kinds[j], p->orders[j]))
				marks |= PA_PICTURE_HUGE;
		}
		for (uint8_t kind = 0; kind < PA_NR_PICTURE_KINDS; kind++) {
			p->pages[kind] += pages[kind];
			if (pages[kind] > pages[most])
				most = kind;
		}
		if (!pa_array_append(&section->cells, (uint8_t)(most | marks)))
			return false;
	}
	return true;
}

static struct pa_error *visit_section(void *worker, uint64_t index)
{
	struct painter *p = worker;
	const struct pa_sections *sections = &p->kernel->sections;
	const uint8_t *classes = p->picture->census->classes[index];
	struct pa_picture_section *section = &p->picture->sections[index];
	struct pa_error *err;

	if (!classes)
		return NULL;
	err = paint_section(p, classes,
			    sections->list.items[index].nr
				    << sections->pages_shift);
	if (err)
		return err;
	for (uint64_t i = 0; i < sections->pages; i++)
		p->kinds[i] |= classes[i] & PA_MARK_HWPOISON;
	return put_runs(p, section) && put_cells(p, section) ?
		       NULL :
		       &pa_error_no_memory;
}

static void painter_destroy(struct painter *p)
{
	pa_memmap_destroy(p->memmap);
	free(p->kinds);
	free(p->orders);
	free(p);
}

static struct pa_error *start(void *arg, void **ret)
{
	struct pa_picture *picture = arg;
	const struct pa_kernel *kernel = picture->census->kernel;
	struct painter *p = calloc(1, sizeof(*p));
	struct pa_error *err;

	if (!p)
		return &pa_error_no_memory;
	p->picture = picture;
	p->kernel = kernel;
	p->kinds = calloc(kernel->sections.pages, 1);
	p->orders = calloc(kernel->sections.pages, 1);
	err = p->kinds && p->orders ? pa_memmap_create(kernel, &p->memmap) :
				      &pa_error_no_memory;
	if (err) {
		painter_destroy(p);
		return err;
	}
	*ret = p;
	return NULL;
}

static struct pa_error *finish(void *arg, void *worker, bool failed)
{
	struct pa_picture *picture = arg;
	struct painter *p = worker;

	(void)failed;
	for (int i = 0; i < PA_NR_PICTURE_KINDS; i++)
		picture->pages[i] += p->pages[i];
	picture->poisoned += p->poisoned;
	painter_destroy(p);
	return NULL;
}

struct pa_error *pa_picture_create(const struct pa_census *census,
				   struct pa_job *job, struct pa_picture **ret)
{
	static const struct pa_work work = {
		.start = start,
		.item = visit_section,
		.finish = finish,
	};
	uint64_t nr = census->kernel->sections.list.length;
	struct pa_picture *picture = calloc(1, sizeof(*picture));
	struct pa_error *err = NULL;

	if (!picture)
		return &pa_error_no_memory;
	picture->census = census;
	picture->sections = calloc(nr + 1, sizeof(*picture->sections));
	if (!picture->sections)
		err = &pa_error_no_memory;
	pa_job_phase(job, "picture", nr);
	if (!err)
		err = pa_job_run(job, &work, picture, nr);
	if (err) {
		pa_picture_destroy(picture);
		return err;
	}
	*ret = picture;
	return NULL;
}

void pa_picture_destroy(struct pa_picture *picture)
{
	if (!picture)
		return;
	for (size_t i = 0; picture->sections &&
			   i < picture->census->kernel->sections.list.length;
	     i++) {
		pa_array_deinit(&picture->sections[i].cells);
		pa_array_deinit(&picture->sections[i].runs);
	}
	free(picture->sections);
	free(picture);
}
