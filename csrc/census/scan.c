// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The scan: every struct page of the machine, once, on all cores.
 *
 * One item of work is one section. Most pages of most machines are plain free
 * or tail pages, which the inner loop settles with three loads and as many
 * compares; the rest goes to census/scan_page.c.
 */
#include "census/scan.h"

#include <stdlib.h>

#include "base/cleanup.h"

static struct pa_error *scanner_create(void *arg, void **ret)
{
	struct pa_census *census = arg;
	struct pa_scanner *s = calloc(1, sizeof(*s));

	if (!s)
		return &pa_error_no_memory;
	s->census = census;
	s->kernel = census->kernel;
	s->format = &census->kernel->page_format;
	s->zones = calloc(s->kernel->zones.list.length + 1, sizeof(*s->zones));

	struct pa_error *err = s->zones ?
				       pa_memmap_create(s->kernel, &s->memmap) :
				       &pa_error_no_memory;

	if (err) {
		free(s->zones);
		free(s);
		return err;
	}
	/* Loaded as one word in the inner loop. */
	s->counts_adjacent = s->format->refcount == s->format->type + 4;
	const struct pa_source_info *info = &s->kernel->source->info;

	s->filtered = (info->format == PA_SOURCE_ELF ||
		       info->format == PA_SOURCE_KDUMP) &&
		      info->dump_level;
	s->plain_mask = s->format->link_mask | s->format->flag.all;
	*ret = s;
	return NULL;
}

/*
 * Processors fetch ahead of a loop by themselves, but not into the next 4 KiB.
 * Nothing is read where there is nothing.
 */
#define AHEAD_BYTES 4096

/* pa_page_type() == PA_PAGE_UNTYPED, for loops. */
static inline bool is_untyped(enum pa_type_encoding encoding, uint32_t word)
{
	/* Ranges that wrap: [0xff000000, 0x80000000), [-128, 0xf0000000). */
	return encoding == PA_TYPE_TOP_BYTE ? word + 0x1000000 < 0x81000000 :
					      word + 0x80 < 0xf0000080;
}

/* Tails: each has the very word that the first one had. */
static uint64_t scan_tails(struct pa_scanner *s, const uint8_t *page,
			   uint64_t pfn, uint64_t nr)
{
	const struct pa_page_format *f = s->format;
	uint32_t size = f->size, flags_at = f->flags, type_at = f->type,
		 compound_at = f->compound, mapping_at = f->mapping;
	uint64_t word = s->tail_word, mask = s->tail_mask;
	uint64_t flags = s->plain_flags;
	bool check_mapping = s->tail_check_mapping;
	uint64_t i = 0;

	/* Pages 1 to 3 hold fields of the folio instead. */
	if (check_mapping && pfn < s->head_pfn + 4) {
		nr = pa_min(nr, s->head_pfn + 4 - pfn);
		check_mapping = false;
	}
	for (; i < nr; i++, page += size) {
		__builtin_prefetch(page + AHEAD_BYTES);
		if (pa_load_u64(page + compound_at) != word ||
		    pa_load_u64(page + type_at) >> 32 ||
		    (pa_load_u64(page + flags_at) ^ flags) & mask ||
		    (check_mapping &&
		     pa_load_u64(page + mapping_at) != PA_TAIL_MAPPING))
			break;
	}
	return i;
}

/* Pages inside of a free block, but its first. */
static uint64_t scan_free_body(const struct pa_scanner *s, const uint8_t *page,
			       uint64_t nr)
{
	const struct pa_page_format *f = s->format;
	/* Refcount 0 and no type or mapcount: -1 in the lower word. */
	const uint64_t plain_counts = 0xffffffff;
	uint32_t size = f->size, flags_at = f->flags, type_at = f->type,
		 compound_at = f->compound;
	uint64_t mask = s->plain_mask, flags = s->plain_flags;
	uint64_t i = 0;

	for (; i < nr; i++, page += size) {
		__builtin_prefetch(page + AHEAD_BYTES);
		if ((pa_load_u64(page + flags_at) & mask) != flags ||
		    pa_load_u64(page + type_at) != plain_counts ||
		    page[compound_at] & 1)
			break;
	}
	return i;
}

/* Pages of order 0 in use, and those of refcount 0 that are nothing special. */
static uint64_t scan_single(const struct pa_scanner *s, uint8_t *classes,
			    const uint8_t *page, uint64_t nr)
{
	const struct pa_page_format *f = s->format;
	enum pa_type_encoding encoding = f->type_encoding;
	uint32_t size = f->size, flags_at = f->flags, type_at = f->type,
		 compound_at = f->compound;
	uint64_t lru = f->flag.lru, unevictable = f->flag.unevictable;
	uint64_t plain_flags = s->plain_flags;
	uint64_t mask = f->link_mask | f->flag.head | f->flag.reserved |
			f->flag.slab | f->flag.hwpoison;
	uint64_t i = 0;

	for (; i < nr; i++, page += size) {
		uint64_t flags = pa_load_u64(page + flags_at);
		uint64_t counts = pa_load_u64(page + type_at);

		__builtin_prefetch(page + AHEAD_BYTES);
		/* Counts that are all 0 may be of a page never written. */
		if ((flags & mask) != plain_flags || !counts ||
		    !is_untyped(encoding, (uint32_t)counts) ||
		    page[compound_at] & 1)
			break;

		uint8_t class = flags & lru ? flags & unevictable ?
					      PA_CLASS_LRU_UNEVICTABLE :
					      PA_CLASS_LRU :
					      PA_CLASS_USED;

		classes[i] = counts >> 32 ? class : PA_CLASS_ZERO;
	}
	return i;
}

/*
 * One run of struct pages in online memory. Returns the index of the first
 * page that the quick rules don't settle.
 */
static uint64_t scan_plain(struct pa_scanner *s, uint8_t *classes,
			   const uint8_t *page, uint64_t pfn, uint64_t nr)
{
	uint64_t i;

	if (!s->counts_adjacent || !s->zone || !pa_zone_spans(s->zone, pfn))
		return 0;
	nr = pa_min(nr, s->zone->start_pfn + s->zone->spanned - pfn);
	if (pfn < s->tail_end) {
		i = scan_tails(s, page, pfn, pa_min(nr, s->tail_end - pfn));
		memset(classes, PA_CLASS_TAIL, i);
	} else if (pfn < s->free_end) {
		i = scan_free_body(s, page, pa_min(nr, s->free_end - pfn));
		memset(classes, PA_CLASS_FREE_BODY, i);
	} else {
		i = scan_single(s, classes, page, nr);
	}
	s->zone_count->pages += i;
	return i;
}

static struct pa_error *scan_online(struct pa_scanner *s, uint8_t *classes,
				    const struct pa_memmap_run *run)
{
	uint32_t size = s->format->size;

	for (uint64_t i = 0; i < run->nr;) {
		const uint8_t *page = run->pages + i * size;
		uint64_t pfn = run->pfn + i;

		i += scan_plain(s, classes + i, page, pfn, run->nr - i);
		if (i >= run->nr)
			break;

		struct pa_error *err = pa_scan_page(s, run->pfn + i,
						    run->pages + i * size,
						    run->nr - i, &classes[i]);

		if (err)
			return err;
		i++;
	}
	return NULL;
}

/* Memmap that is not in the target: nothing is known of these pages. */
static void scan_absent(struct pa_scanner *s, const struct pa_memmap_run *run)
{
	/* What began before cannot be followed across. */
	s->tail_end = 0;
	s->free_end = 0;
	if (run->presence == PA_EXCLUDED)
		s->pages_excluded += run->nr;
	else
		s->pages_unreadable += run->nr;
	/* By their pfn alone, zones may overlap: the first that spans it. */
	for (size_t i = 0; i < s->kernel->zones.list.length; i++)
		if (pa_zone_spans(&s->kernel->zones.list.items[i], run->pfn)) {
			s->zones[i].unread += run->nr;
			break;
		}
}

/* Pages [pfn, end) of one state. */
static struct pa_error *scan_state(struct pa_scanner *s, uint8_t *classes,
				   enum pa_pfn_state state, uint64_t pfn,
				   uint64_t end)
{
	s->tail_end = 0;
	s->free_end = 0;
	while (pfn < end) {
		struct pa_memmap_run run;
		struct pa_error *err =
			pa_memmap_run(s->memmap, pfn, end - pfn, &run);

		if (err)
			return err;
		run.nr = pa_min(run.nr, end - pfn);
		if (run.presence != PA_PRESENT) {
			scan_absent(s, &run);
		} else {
			s->pages_read += run.nr;
			err = state == PA_PFN_ONLINE ?
				      scan_online(s, classes, &run) :
				      pa_scan_device(s, classes, &run);
			if (err)
				return err;
		}
		pfn += run.nr;
		classes += run.nr;
	}
	return NULL;
}

static struct pa_error *scan_section(void *worker, uint64_t index)
{
	struct pa_scanner *s = worker;
	const struct pa_sections *sections = &s->kernel->sections;
	const struct pa_section *section = &sections->list.items[index];
	uint64_t start = section->nr << sections->pages_shift;
	uint64_t end = start + sections->pages;
	uint64_t known = s->pages_read;
	uint8_t *classes = NULL;

	for (uint64_t pfn = start, next; pfn < end; pfn = next) {
		enum pa_pfn_state state =
			pa_pfn_state_run(s->kernel, pfn, end, &next);
		uint8_t fill = PA_CLASS_NOT_MEMORY;
		bool read = state == PA_PFN_ONLINE || state == PA_PFN_DEVICE;

		if (state == PA_PFN_UNKNOWN) {
			fill = PA_CLASS_UNKNOWN;
			s->pages_unreadable += next - pfn;
		}
		if (state == PA_PFN_ALTMAP) {
			fill = PA_CLASS_ALTMAP;
			known = PA_NO_PFN;
		}
		if (!classes && (read || fill != PA_CLASS_NOT_MEMORY)) {
			classes = calloc(sections->pages, 1);
			if (!classes)
				return &pa_error_no_memory;
			memset(classes, PA_CLASS_NOT_MEMORY, pfn - start);
			/* Owned by the census from here on. */
			s->census->classes[index] = classes;
		}
		if (state == PA_PFN_OFFLINE || state == PA_PFN_ALTMAP) {
			struct pa_error *err =
				pa_scan_unused(s, state, pfn, next);

			if (err)
				return err;
		}
		if (!classes)
			continue;
		if (!read) {
			memset(classes + (pfn - start), fill, next - pfn);
			continue;
		}

		struct pa_error *err = scan_state(s, classes + (pfn - start),
						  state, pfn, next);

		if (err)
			return err;
	}
	/* A damaged table of sections has far more than there is memory. */
	if (known == s->pages_read) {
		free(classes);
		s->census->classes[index] = NULL;
	}
	return NULL;
}

static int compare_anomalies(const void *a, const void *b)
{
	const struct pa_anomaly *x = a, *y = b;

	if (x->pfn != y->pfn)
		return x->pfn < y->pfn ? -1 : 1;
	return (int)x->kind - (int)y->kind;
}

static int compare_poisoned(const void *a, const void *b)
{
	const struct pa_poisoned *x = a, *y = b;

	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

static int compare_hugetlb(const void *a, const void *b)
{
	const struct pa_hugetlb_folio *x = a, *y = b;

	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

static void add_zone(struct pa_zone_count *to, const struct pa_zone_count *from)
{
	to->pages += from->pages;
	to->reserved += from->reserved;
	to->offline += from->offline;
	to->free_pages += from->free_pages;
	to->unread += from->unread;
	for (int i = 0; i < PA_MAX_ORDERS; i++)
		to->nr_free[i] += from->nr_free[i];
}

static struct pa_error *scanner_finish(void *arg, void *worker, bool failed)
{
	struct pa_census *census = arg;
	struct pa_scanner *s = worker;
	struct pa_error *err = NULL;

	census->pages_read += s->pages_read;
	census->pages_excluded += s->pages_excluded;
	census->pages_unreadable += s->pages_unreadable;
	census->kernel_pages_filtered += s->kernel_pages_filtered;
	for (size_t i = 0; i < s->kernel->zones.list.length; i++)
		add_zone(&census->zones[i], &s->zones[i]);
	for (int i = 0; i < PA_NR_ANOMALIES; i++)
		census->nr_anomalies[i] += s->nr_anomalies[i];
	if (!failed && (!pa_array_extend(&census->anomalies, &s->anomalies) ||
			!pa_array_extend(&census->poisoned, &s->poisoned) ||
			!pa_array_extend(&census->hugetlb, &s->hugetlb)))
		err = &pa_error_no_memory;
	pa_array_deinit(&s->anomalies);
	pa_array_deinit(&s->poisoned);
	pa_array_deinit(&s->hugetlb);
	pa_memmap_destroy(s->memmap);
	free(s->zones);
	free(s);
	return err;
}

/* Stretches of the memmap worth a hint, and how many of them at most. */
#define EXPECT_BYTES PA_BIT(21)
#define MAX_EXPECTED 1024

/* Physical memory that goes on, page by page of page tables. */
struct stretch {
	struct pa_source *source;
	uint64_t phys, end;
	unsigned int nr_expected;
};

static void stretch_add(struct stretch *stretch, uint64_t phys, uint64_t length)
{
	if (length && phys == stretch->end) {
		stretch->end += length;
		return;
	}
	if (stretch->end - stretch->phys >= EXPECT_BYTES &&
	    stretch->nr_expected++ < MAX_EXPECTED)
		pa_source_expect(stretch->source, stretch->phys,
				 stretch->end - stretch->phys);
	stretch->phys = phys;
	stretch->end = phys + length;
}

/* Tells the source where the memmap lies that the scan will read. */
static struct pa_error *expect_memmap(const struct pa_kernel *kernel,
				      const struct pa_job *job)
{
	const struct pa_sections *sections = &kernel->sections;
	struct stretch stretch = { .source = kernel->source };
	struct pa_memory *memory;
	struct pa_error *err = pa_kernel_memory(kernel, &memory);

	if (err)
		return err;
	for (size_t i = 0; !err && i < sections->list.length; i++) {
		const struct pa_section *section = &sections->list.items[i];
		uint64_t pfn = section->nr << sections->pages_shift;
		uint64_t va = pa_pfn_to_page(kernel, pfn);
		uint64_t end = pa_pfn_to_page(kernel, pfn + sections->pages);

		err = pa_job_check(job);
		while (!err && section->has_mem_map && va < end) {
			struct pa_translation at;

			err = pa_memory_translate(memory, va, &at);
			if (err)
				break;
			at.length = pa_min(at.length, end - va);
			if (at.mapped)
				stretch_add(&stretch, at.phys, at.length);
			va += at.length;
		}
		/* An absent page table is the scan's to tell. */
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			err = NULL;
		}
	}
	stretch_add(&stretch, 0, 0);
	pa_memory_destroy(memory);
	return err;
}

struct pa_error *pa_census_scan(struct pa_census *census, struct pa_job *job)
{
	static const struct pa_work work = {
		.start = scanner_create,
		.item = scan_section,
		.finish = scanner_finish,
	};
	uint64_t nr = census->kernel->sections.list.length;

	pa_job_phase(job, "memory map", nr);

	struct pa_error *err = expect_memmap(census->kernel, job);

	if (!err)
		err = pa_job_run(job, &work, census, nr);
	if (err)
		return err;
	if (census->anomalies.length)
		qsort(census->anomalies.items, census->anomalies.length,
		      sizeof(*census->anomalies.items), compare_anomalies);
	if (census->poisoned.length)
		qsort(census->poisoned.items, census->poisoned.length,
		      sizeof(*census->poisoned.items), compare_poisoned);
	if (census->hugetlb.length)
		qsort(census->hugetlb.items, census->hugetlb.length,
		      sizeof(*census->hugetlb.items), compare_hugetlb);
	census->parts[PA_CENSUS_SCAN].unreadable =
		census->pages_excluded + census->pages_unreadable;
	return NULL;
}
