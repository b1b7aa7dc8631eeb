// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What of memory is searched, and the work on all cores: one item is a piece of
 * a section, whose class bytes say what to skip.
 */
#include "census/search.h"

#include <stdlib.h>

#include "census/search_hit.h"

/* Pages of an item of work: 16 MiB. */
#define PIECE_PAGES 4096
/*
 * What is read at once where the source has to copy or to decompress: less than
 * libkdumpfile keeps, so that a slab that is looked at again is still there.
 */
#define BUFFER_BYTES (UINT64_C(64) << 10)
/* PAGE_MAPPING_FLAGS: what page->mapping is besides an address_space. */
#define MAPPING_MASK UINT64_C(3)
/* Place of the code segment in the x86_64 user_regs_struct. */
#define REG_CS 17

struct pa_error *pa_search_place(const struct pa_places *places,
				 struct pa_memory *memory,
				 const struct pa_search_hit *hit,
				 struct pa_place *ret)
{
	const struct pa_census *census = places->census;

	if (hit->cpu < 0)
		return pa_place_find(places, memory, hit->phys, ret);
	*ret = (struct pa_place){
		.kind = PA_PLACE_REGISTER,
		.phys = hit->phys / 8,
		.cpu = (uint32_t)hit->cpu,
	};
	if ((size_t)hit->cpu < census->cpu_tasks.list.length) {
		const struct pa_cpu_task *task =
			&census->cpu_tasks.list.items[hit->cpu];

		ret->cpu = task->cpu;
		ret->task = task->task;
		ret->pid = task->pid;
		memcpy(ret->comm, task->comm, sizeof(ret->comm));
	}
	return NULL;
}

static void searcher_destroy(struct pa_searcher *s)
{
	pa_memmap_destroy(s->memmap);
	pa_memory_destroy(s->memory);
	pa_array_deinit(&s->hits);
	pa_array_deinit(&s->unusable);
	free(s->kept);
	free(s->buffer);
	free(s);
}

static struct pa_error *searcher_create(void *arg, void **ret)
{
	const struct pa_search *search = arg;
	struct pa_searcher *s = calloc(1, sizeof(*s));
	struct pa_error *err = NULL;

	if (!s)
		return &pa_error_no_memory;
	s->search = search;
	s->page = PA_NO_PFN;
	s->cpu = -1;
	s->buffer = malloc(BUFFER_BYTES);
	s->kept = calloc(search->query->needles->nr + 1, 2);
	if (!s->buffer || !s->kept)
		err = &pa_error_no_memory;
	if (!err)
		err = pa_kernel_memory(search->kernel, &s->memory);
	if (!err)
		err = pa_memmap_create(search->kernel, &s->memmap);
	if (err) {
		searcher_destroy(s);
		return err;
	}
	*ret = s;
	return NULL;
}

static struct pa_error *searcher_finish(void *arg, void *worker, bool failed)
{
	const struct pa_search *search = arg;
	struct pa_search_result *result = search->result;
	struct pa_searcher *s = worker;
	struct pa_error *err = NULL;

	result->nr_hits += s->nr_hits;
	result->nr_unusable += s->nr_unusable;
	for (int i = 0; i < PA_NR_SEARCH_DROPS; i++)
		result->dropped[i] += s->dropped[i];
	result->bytes += s->bytes;
	result->excluded_bytes += s->excluded_bytes;
	result->unreadable_bytes += s->unreadable_bytes;
	result->unknown_pages += s->unknown_pages;
	if (!failed && (!pa_array_extend(&result->hits, &s->hits) ||
			!pa_array_extend(&result->unusable, &s->unusable)))
		err = &pa_error_no_memory;
	searcher_destroy(s);
	return err;
}

/*
 * How much of [phys, phys + length) is memory that the target speaks of: what
 * the firmware keeps for itself has struct pages, too.
 */
static uint64_t ram_bytes(const struct pa_searcher *s, uint64_t phys,
			  uint64_t length)
{
	uint64_t bytes = 0;

	pa_array_for_each(range, &s->search->kernel->source->info.ranges) {
		uint64_t start = pa_max(phys, range->start);
		uint64_t end = pa_min(phys + length, range->end);

		if (start < end)
			bytes += end - start;
	}
	return bytes;
}

/* Bytes [phys, end), all of them to be searched. */
static struct pa_error *search_memory(struct pa_searcher *s, uint64_t phys,
				      uint64_t end)
{
	while (phys < end) {
		struct pa_run run;
		struct pa_error *err = pa_reader_run(
			s->memory->reader, phys,
			pa_min(end - phys, BUFFER_BYTES), s->buffer, &run);

		if (err)
			return err;
		if (run.presence == PA_EXCLUDED)
			s->excluded_bytes += run.length;
		else if (run.presence != PA_PRESENT)
			s->unreadable_bytes += ram_bytes(s, phys, run.length);
		else
			s->bytes += run.length;

		/* A file may be cut off in the middle of a word. */
		uint64_t skew = -phys & 7;
		uint64_t left = run.presence == PA_PRESENT &&
						run.length > skew ?
					(run.length - skew) / 8 :
					0;
		uint64_t at = skew;

		for (; !err && left;
		     left -= pa_min(left, PA_WORDS_MAX), at += 8 * PA_WORDS_MAX)
			err = pa_search_words(
				s, phys + at, run.data + at,
				(unsigned int)pa_min(left, PA_WORDS_MAX));
		if (err)
			return err;
		phys += run.length;
	}
	return NULL;
}

/* Pages [pfn, end), less what is never searched. */
static struct pa_error *search_pages(struct pa_searcher *s, uint64_t pfn,
				     uint64_t end_pfn)
{
	const struct pa_search *search = s->search;
	const struct pa_phys_range *skipped = search->skipped.items;
	unsigned int shift = search->kernel->space.page_shift;
	uint64_t phys = pfn << shift, end = end_pfn << shift;
	struct pa_error *err = NULL;
	/* The first that ends above. */
	size_t low =
		pa_bisect(skipped, search->skipped.length, it, it->end <= phys);

	while (!err && phys < end) {
		bool cut = low < search->skipped.length &&
			   skipped[low].start < end;
		uint64_t stop = cut ? skipped[low].start : end;

		if (phys < stop)
			err = search_memory(s, phys, stop);
		phys = cut ? pa_max(phys, skipped[low++].end) : end;
	}
	return err;
}

/*
 * Whether the page in use, no LRU page, whose struct page is at @page holds the
 * kernel's own data. What page->mapping says belongs to an address_space, or
 * is anonymous, is user data that somebody has isolated; with the movable bit
 * alone it is a zspage, or a balloon's.
 */
static bool is_kernel_page(const struct pa_page_format *f, const uint8_t *page)
{
	uint64_t mapping;

	/* Since v5.17 in struct slab, and something else in all of it. */
	if (pa_page_flags(f, page) & f->flag.slab)
		return true;
	switch (pa_page_type(f, pa_page_type_word(f, page))) {
	case PA_PAGE_SLAB:
	case PA_PAGE_LARGE_KMALLOC:
	case PA_PAGE_KMEMCG:
	case PA_PAGE_OTHER_TYPE:
		return true;
	case PA_PAGE_UNTYPED:
		break;
	default:
		return false;
	}
	mapping = pa_load_u64(page + f->mapping);
	return !(mapping & MAPPING_MASK) && !pa_is_kernel_address(mapping);
}

/* Pages that go on, to be searched at once. */
struct stretch {
	struct pa_searcher *s;
	uint64_t pfn, end;
	/* Whether tails that follow belong to kernel memory. */
	bool tails;
};

static struct pa_error *stretch_add(struct stretch *stretch, uint64_t pfn,
				    uint64_t nr)
{
	struct pa_error *err = NULL;

	if (pfn != stretch->end) {
		if (stretch->pfn < stretch->end)
			err = search_pages(stretch->s, stretch->pfn,
					   stretch->end);
		stretch->pfn = pfn;
	}
	stretch->end = pfn + nr;
	return err;
}

/* Pages [pfn, pfn + nr) in use: asks each struct page. */
static struct pa_error *search_used(struct stretch *stretch, uint64_t pfn,
				    uint64_t nr)
{
	struct pa_searcher *s = stretch->s;
	const struct pa_page_format *f = &s->search->kernel->page_format;
	struct pa_error *err = NULL;

	while (!err && nr) {
		struct pa_memmap_run run;

		err = pa_memmap_run(s->memmap, pfn, nr, &run);
		if (err)
			return err;
		run.nr = pa_min(run.nr, nr);
		stretch->tails = false;
		if (run.presence != PA_PRESENT)
			s->unknown_pages += run.nr;
		for (uint64_t i = 0;
		     !err && run.presence == PA_PRESENT && i < run.nr; i++) {
			stretch->tails =
				is_kernel_page(f, run.pages + i * f->size);
			if (stretch->tails)
				err = stretch_add(stretch, pfn + i, 1);
		}
		pfn += run.nr;
		nr -= run.nr;
	}
	return err;
}

/* Pages [pfn, pfn + nr) of one class. */
static struct pa_error *search_class(struct stretch *stretch, uint8_t class,
				     uint64_t pfn, uint64_t nr)
{
	switch (class) {
	case PA_CLASS_USED:
	case PA_CLASS_USED_HEAD:
	case PA_CLASS_FROZEN:
	case PA_CLASS_FROZEN_HEAD:
		return search_used(stretch, pfn, nr);
	/* The rest of allocations that are not compound, too. */
	case PA_CLASS_ZERO:
	case PA_CLASS_RESERVED:
		return stretch_add(stretch, pfn, nr);
	case PA_CLASS_TAIL:
		return stretch->tails ? stretch_add(stretch, pfn, nr) : NULL;
	case PA_CLASS_UNKNOWN:
		stretch->s->unknown_pages += nr;
		break;
	}
	stretch->tails = false;
	return NULL;
}

/* How many of the @nr bytes at @classes are of the first one's class. */
static uint64_t class_run(const uint8_t *classes, uint64_t nr)
{
	const uint64_t each = UINT64_C(0x0101010101010101);
	uint8_t class = *classes & PA_CLASS_MASK;
	uint64_t i = 0;

	while (i + 8 <= nr && (pa_load_u64(classes + i) &
			       each * PA_CLASS_MASK) == each * class)
		i += 8;
	while (i < nr && (classes[i] & PA_CLASS_MASK) == class)
		i++;
	return i;
}

/* A compound page that goes on from the piece before. */
static struct pa_error *start_tails(struct stretch *stretch, uint64_t pfn)
{
	const struct pa_census *census = stretch->s->search->census;
	uint64_t head = pa_place_head(census, pfn);
	const uint8_t *byte = pa_census_class(census, head);
	uint8_t class = byte ? *byte & PA_CLASS_MASK : PA_CLASS_UNKNOWN;
	struct pa_memmap_run run;
	struct pa_error *err;

	if (class != PA_CLASS_USED_HEAD && class != PA_CLASS_FROZEN_HEAD)
		return NULL;
	err = pa_memmap_run(stretch->s->memmap, head, 1, &run);
	if (!err && run.presence == PA_PRESENT)
		stretch->tails = is_kernel_page(
			&stretch->s->search->kernel->page_format, run.pages);
	return err;
}

static struct pa_error *search_piece(struct pa_searcher *s, uint64_t index)
{
	const struct pa_search *search = s->search;
	const struct pa_sections *sections = &search->kernel->sections;
	size_t nr = index / search->pieces_per_section;
	uint64_t inside =
		index % search->pieces_per_section * search->piece_pages;
	uint64_t pfn =
		(sections->list.items[nr].nr << sections->pages_shift) + inside;
	const uint8_t *classes = search->census->classes[nr];
	struct stretch stretch = { .s = s };
	struct pa_error *err = NULL;

	if (!classes) {
		if (sections->list.items[nr].online)
			s->unknown_pages += search->piece_pages;
		return NULL;
	}
	classes += inside;
	if ((*classes & PA_CLASS_MASK) == PA_CLASS_TAIL)
		err = start_tails(&stretch, pfn);
	for (uint64_t i = 0, run; !err && i < search->piece_pages; i += run) {
		run = class_run(classes + i, search->piece_pages - i);
		err = search_class(&stretch, classes[i] & PA_CLASS_MASK,
				   pfn + i, run);
	}
	/* One that is nowhere: what was collected is searched. */
	return err ? err : stretch_add(&stretch, PA_NO_PFN, 0);
}

static struct pa_error *search_registers(struct pa_searcher *s)
{
	const struct pa_search *search = s->search;
	const struct pa_source_info *info = &search->kernel->source->info;
	const struct pa_cpu_tasks *tasks = &search->census->cpu_tasks;
	/* Notes that are not one a CPU: nobody knows whose they are. */
	bool matched = tasks->list.length == info->cpus.length;
	struct pa_error *err = NULL;

	for (size_t i = 0; !err && i < info->cpus.length; i++) {
		const uint64_t *regs = info->cpus.items[i].regs;

		if ((regs[REG_CS] & 3) == 3 ||
		    (matched && tasks->list.items[i].mode == PA_CPU_USER))
			continue;
		s->cpu = (int)i;
		err = pa_search_words(s, 0, (const uint8_t *)regs, PA_NR_REGS);
	}
	s->cpu = -1;
	return err;
}

/* Item 0 is the registers. */
static struct pa_error *search_item(void *worker, uint64_t index)
{
	return index ? search_piece(worker, index - 1) :
		       search_registers(worker);
}

static const struct pa_work search_work = {
	.start = searcher_create,
	.item = search_item,
	.finish = searcher_finish,
};

static bool skip_image(struct pa_search *search, uint64_t start, uint64_t end)
{
	const struct pa_address_space *space = &search->kernel->space;
	uint64_t shift = space->image_phys - space->image_start;

	return start >= end ||
	       pa_array_append(&search->skipped,
			       (struct pa_phys_range){ start + shift,
						       end + shift });
}

/* Constants: of these only what is so since boot can name a page. */
static bool skip_constants(struct pa_search *search)
{
	const struct pa_layout *layout = search->kernel->layout;
	uint64_t start, end;

	if (!PA_HAS_SYM(layout, __start_rodata) ||
	    !PA_HAS_SYM(layout, __end_rodata) ||
	    !PA_HAS_SYM(layout, __start_ro_after_init) ||
	    !PA_HAS_SYM(layout, __end_ro_after_init))
		return true;
	start = PA_SYM(layout, __start_ro_after_init) & ~UINT64_C(7);
	end = pa_align_up(PA_SYM(layout, __end_ro_after_init), 8);
	return skip_image(search, PA_SYM(layout, __start_rodata), start) &&
	       skip_image(search, end, PA_SYM(layout, __end_rodata));
}

static struct pa_error *collect_skipped(struct pa_search *search)
{
	const struct pa_places *places = search->places;
	uint64_t text_end = pa_align_down(
		places->text_end, PA_BIT(search->kernel->space.page_shift));

	if (!pa_array_extend(&search->skipped, &places->tables.tables) ||
	    !pa_array_extend(&search->skipped, &places->tables.memmap) ||
	    !skip_image(search, places->text_start, text_end) ||
	    !skip_constants(search))
		return &pa_error_no_memory;
	search->skipped.length = pa_phys_ranges_settle(search->skipped.items,
						       search->skipped.length);
	return NULL;
}

static bool is_strong(const struct pa_search_hit *hit)
{
	return pa_encoding_is_strong(hit->encoding);
}

/* By page, strong ones first. */
static int compare_hits(const void *a, const void *b)
{
	const struct pa_search_hit *x = a, *y = b;

	if (x->pfn != y->pfn)
		return x->pfn < y->pfn ? -1 : 1;
	if (is_strong(x) != is_strong(y))
		return is_strong(x) ? -1 : 1;
	if (x->cpu != y->cpu)
		return x->cpu > y->cpu ? -1 : 1;
	return x->phys < y->phys ? -1 : x->phys > y->phys;
}

/* Threads kept the first of each page each: the same, however many there are. */
static void settle_hits(struct pa_search_result *result, uint8_t max_hits)
{
	struct pa_search_hit *hits = result->hits.items;
	size_t n = 0, of_page = 0;

	if (result->hits.length)
		qsort(hits, result->hits.length, sizeof(*hits), compare_hits);
	for (size_t i = 0; i < result->hits.length; i++) {
		bool more = i && hits[i].pfn == hits[i - 1].pfn &&
			    is_strong(&hits[i]) == is_strong(&hits[i - 1]);

		of_page = more ? of_page + 1 : 0;
		if (of_page < max_hits)
			hits[n++] = hits[i];
	}
	result->hits.length = n;
	if (result->unusable.length)
		qsort(result->unusable.items, result->unusable.length,
		      sizeof(*result->unusable.items), compare_hits);
	result->unusable.length =
		pa_min(result->unusable.length, PA_MAX_UNUSABLE_HITS);
}

struct pa_error *pa_search(const struct pa_places *places, struct pa_job *job,
			   const struct pa_search_query *query,
			   struct pa_search_result *ret)
{
	const struct pa_kernel *kernel = places->census->kernel;
	struct pa_search search = {
		.places = places,
		.census = places->census,
		.kernel = kernel,
		.query = query,
		.piece_pages = pa_min(PIECE_PAGES, kernel->sections.pages),
		.result = ret,
	};
	double start = pa_job_clock();

	if (!query->needles->nr && !query->unusable_end)
		return NULL;
	search.pieces_per_section = kernel->sections.pages / search.piece_pages;
	ret->unread_stacks = places->stacks.unread;
	ret->totals = calloc(query->needles->nr + 1, sizeof(*ret->totals));
	if (!ret->totals)
		return &pa_error_no_memory;
	pa_search_ranges(&search);

	struct pa_error *err = collect_skipped(&search);
	uint64_t nr =
		1 + kernel->sections.list.length * search.pieces_per_section;

	pa_job_phase(job, "kernel memory", nr);
	if (!err)
		err = pa_job_run(job, &search_work, &search, nr);
	pa_array_deinit(&search.skipped);
	if (!err)
		settle_hits(ret, query->max_hits);
	ret->seconds = pa_job_clock() - start;
	return err;
}

void pa_search_result_deinit(struct pa_search_result *result)
{
	pa_array_deinit(&result->hits);
	pa_array_deinit(&result->unusable);
	free(result->totals);
	result->totals = NULL;
}
