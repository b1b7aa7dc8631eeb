// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The rules: folio_expected_ref_count() and its ancestors (expected_page_refs()
 * in v5.10), page_add_*_rmap() and __folio_add_rmap().
 */
#include "census/folio_count.h"

#include "census/account.h"
#include "census/folio_kind.h"
#include "census/page_table.h"

/* PAGE_MAPPING_ANON: folio_test_anon(). */
#define MAPPING_ANON 1

const char *const pa_count_names[PA_NR_COUNTS] = {
	[PA_COUNT_MAPCOUNT] = "_mapcount",
	[PA_COUNT_ENTIRE] = "entire mapcount",
	[PA_COUNT_LARGE] = "_large_mapcount",
	[PA_COUNT_NR_PAGES_MAPPED] = "_nr_pages_mapped",
	[PA_COUNT_MM_ID] = "_mm_id_mapcount",
	[PA_COUNT_PINCOUNT] = "pincount",
	[PA_COUNT_REFCOUNT] = "_refcount",
};

static uint32_t column_u32(const uint32_t *column, uint64_t index)
{
	return column ? column[index] : 0;
}

struct totals {
	uint64_t maps, refs, pins, entire;
};

/* The columns of [pfn, pfn + nr), which may go on in other sections. */
static struct totals sum_columns(const struct pa_folio_counter *c, uint64_t pfn,
				 uint64_t nr)
{
	const struct pa_accounts *accounts = c->census->accounts;
	struct totals t = { 0 };

	while (nr) {
		const struct pa_account *a = pa_account_find(accounts, pfn);
		uint64_t i = pfn & c->section_mask;
		uint64_t n = pa_min(nr, c->section_mask + 1 - i);

		for (uint64_t j = i; a && a->maps && j < i + n; j++)
			t.maps += a->maps[j];
		for (uint64_t j = i; a && a->refs && j < i + n; j++)
			t.refs += a->refs[j];
		for (uint64_t j = i; a && a->pins && j < i + n; j++)
			t.pins += a->pins[j];
		for (uint64_t j = i >> PA_ENTIRE_SHIFT;
		     a && a->entire && j < (i + n) >> PA_ENTIRE_SHIFT; j++)
			t.entire += a->entire[j];
		pfn += n;
		nr -= n;
	}
	return t;
}

static struct pa_node_count *node_of(struct pa_folio_counter *c, uint64_t flags)
{
	const struct pa_zones *zones = &c->kernel->zones;
	uint32_t id = pa_page_node(&c->kernel->page_format, flags);

	for (size_t i = 0; i < zones->nodes.length; i++)
		if (zones->nodes.items[i].id == id)
			return &c->counts.nodes[i];
	/* One more for what says to be of none. */
	return &c->counts.nodes[zones->nodes.length];
}

static void compare(struct pa_discrepancy *d, enum pa_count count,
		    int64_t stored, int64_t counted)
{
	d->counts[count] = (struct pa_stored_counted){ stored, counted };
	d->compared |= UINT32_C(1) << count;
	if (stored != counted)
		d->wrong |= UINT32_C(1) << count;
}

static struct pa_error *keep(struct pa_folio_counter *c,
			     const struct pa_discrepancy *d)
{
	bool judged;

	if (!d->wrong && !c->all)
		return NULL;
	if (!pa_census_judges(c->census, &c->disturbed, d->pfn, &judged))
		return &pa_error_no_memory;
	if (!judged)
		return NULL;
	if (c->counts.nr_discrepancies++ >= PA_MAX_DISCREPANCIES)
		return NULL;
	return pa_array_append(&c->counts.list, *d) ? NULL :
						      &pa_error_no_memory;
}

/* The refcount, once all that it is made of is in @d. */
static void count_refs(struct pa_folio_counter *c, struct pa_discrepancy *d)
{
	const struct pa_mapcount_format *m = &c->kernel->mapcount_format;
	uint64_t per_pin = pa_has_pincount(m, d->order) ? 1 : PA_PIN_BIAS;
	int64_t counted = (int64_t)(d->maps + d->entire + d->refs +
				    d->pins * per_pin + d->own);
	int64_t stored = d->counts[PA_COUNT_REFCOUNT].stored;

	d->counts[PA_COUNT_REFCOUNT].counted = counted;
	if (!pa_folio_holders_known(c->kernel, d)) {
		c->counts.unjudged += stored != counted && !c->typed;
		return;
	}
	c->counts.folios[d->kind]++;
	if (stored > 0) {
		c->counts.stored[d->kind] += (uint64_t)stored;
		c->counts.explained[d->kind] +=
			pa_min((uint64_t)stored, (uint64_t)counted);
	}
	compare(d, PA_COUNT_REFCOUNT, stored, counted);
}

/* What the folio's maps are counted as: HMM's device memory is anonymous. */
static enum pa_folio_kind mapped_as(const struct pa_discrepancy *d)
{
	return d->kind == PA_FOLIO_DEVICE && d->mapping & MAPPING_ANON ?
		       PA_FOLIO_ANON :
		       d->kind;
}

/* Mapped pages of a folio, by its stored and its counted maps. */
static void count_mapped(struct pa_node_count *node,
			 const struct pa_discrepancy *d, int64_t stored,
			 int64_t counted)
{
	switch (mapped_as(d)) {
	case PA_FOLIO_HUGETLB:
		break;
	case PA_FOLIO_ANON:
	case PA_FOLIO_KSM:
		node->anon_mapped += stored;
		node->anon_mapped_counted += counted;
		break;
	default:
		node->file_mapped += stored;
		node->file_mapped_counted += counted;
	}
}

/*
 * What counts is the list (update_lru_size()): PG_lru is cleared before a folio
 * leaves it, and while it is in a batch. Unevictable ones are on no list.
 */
static void count_lru(const struct pa_folio_counter *c,
		      struct pa_node_count *node, uint64_t flags, int64_t nr)
{
	const struct pa_page_format *f = &c->kernel->page_format;

	if (!(flags & f->flag.lru) && !c->listed)
		return;
	if (flags & f->flag.unevictable)
		node->unevictable += nr;
	else if (flags & f->flag.swapbacked)
		node->lru_anon += nr;
	else
		node->lru_file += nr;
}

static void begin(struct pa_folio_counter *c, struct pa_discrepancy *d,
		  uint64_t pfn, const uint8_t *page, uint8_t class)
{
	const struct pa_page_format *f = &c->kernel->page_format;

	*d = (struct pa_discrepancy){
		.pfn = pfn,
		.mapcount_pfn = PA_NO_PFN,
		.kind = pa_folio_kind(f, page, class),
		.page_class = class,
		.flags = pa_page_flags(f, page),
		.mapping = pa_load_u64(page + f->mapping),
	};
	d->counts[PA_COUNT_REFCOUNT].stored =
		(int32_t)pa_page_refcount(f, page);
	d->own = pa_folio_own_refs(c->kernel, d);
	c->typed = d->flags & (f->flag.slab | f->flag.reserved) ||
		   pa_page_type(f, pa_page_type_word(f, page)) !=
			   PA_PAGE_UNTYPED;
	c->node = node_of(c, d->flags);
}

/* Whether the page's type word is a mapcount, and somebody looks after it. */
static bool judge_mapcount(const struct pa_page_format *f,
			   const struct pa_discrepancy *d, const uint8_t *page,
			   uint64_t maps)
{
	if (d->kind != PA_FOLIO_UNKNOWN)
		return true;
	/* What is mapped (vm_insert_page()) is counted, whosever it is. */
	return maps && !(d->flags & f->flag.slab) &&
	       pa_page_type(f, pa_page_type_word(f, page)) == PA_PAGE_UNTYPED;
}

/*
 * shmem_add_to_page_cache() gives a folio its mapping, may sleep for its memory
 * cgroup (v5.10) or a node of the tree, and counts it when it is in there: the
 * references of the page cache were not found.
 */
static bool is_being_added(const struct pa_discrepancy *d)
{
	return !d->maps && d->refs < PA_BIT(d->order);
}

static struct pa_error *count_single(struct pa_folio_counter *c, uint64_t pfn,
				     const uint8_t *page, uint8_t class)
{
	const struct pa_page_format *f = &c->kernel->page_format;
	const struct pa_account *a = c->account;
	uint64_t i = pfn & c->section_mask;
	struct pa_discrepancy d;

	begin(c, &d, pfn, page, class);
	d.maps = column_u32(a->maps, i);
	d.refs = column_u32(a->refs, i);
	d.pins = a->pins ? a->pins[i] : 0;
	c->counts.maps += d.maps;
	c->counts.pins += d.pins;
	if (pa_page_type(f, pa_page_type_word(f, page)) == PA_PAGE_TABLE)
		c->node->page_tables++;
	/* Free, or nearly: nobody may have it. */
	if (class == PA_CLASS_ZERO && !d.maps && !d.refs && !d.pins)
		return NULL;
	if (judge_mapcount(f, &d, page, d.maps)) {
		int64_t stored =
			pa_mapcount(page, c->kernel->mapcount_format.page);

		compare(&d, PA_COUNT_MAPCOUNT, stored, (int64_t)d.maps);
		if (d.wrong) {
			d.mapcount_pfn = pfn;
			d.nr_mapcounts = 1;
		}
		count_mapped(c->node, &d, stored > 0, d.maps > 0);
	}
	if (d.kind == PA_FOLIO_SHMEM) {
		c->node->shmem++;
		c->node->shmem_added += is_being_added(&d);
	}
	count_lru(c, c->node, d.flags, 1);
	count_refs(c, &d);
	return keep(c, &d);
}

/* The head's first struct pages, which @page may not have all of. */
static struct pa_error *read_head(struct pa_folio_counter *c, uint64_t pfn,
				  const uint8_t *page, uint64_t nr,
				  uint32_t order)
{
	uint32_t size = c->kernel->page_format.size;
	uint64_t wanted = pa_min(PA_FOLIO_HEAD_PAGES, PA_BIT(order));
	struct pa_error *err = NULL;

	memset(c->head, 0, sizeof(c->head));
	if (size * PA_FOLIO_HEAD_PAGES > sizeof(c->head))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct page is larger than any");
	if (nr < wanted)
		err = pa_memmap_page(c->memmap, pfn, wanted, &page);
	if (!err)
		memcpy(c->head, page, wanted * size);
	return err;
}

static bool is_file(enum pa_folio_kind kind)
{
	return kind == PA_FOLIO_FILE || kind == PA_FOLIO_SHMEM ||
	       kind == PA_FOLIO_TRUNCATED;
}

/* A hugetlb folio: its tails may be images of others (HVO). */
static struct pa_error *count_hugetlb(struct pa_folio_counter *c)
{
	const struct pa_mapcount_format *m = &c->kernel->mapcount_format;
	struct pa_discrepancy *d = &c->folio;
	int64_t maps = (int64_t)(d->maps + d->entire);

	if (m->entire)
		compare(d, PA_COUNT_ENTIRE, pa_mapcount(c->head, m->entire),
			maps);
	if (m->large)
		compare(d, PA_COUNT_LARGE, pa_mapcount(c->head, m->large),
			maps);
	if (m->nr_pages_mapped)
		compare(d, PA_COUNT_NR_PAGES_MAPPED,
			(int32_t)pa_load_u32(c->head + m->nr_pages_mapped), 0);
	if (pa_has_pincount(m, d->order))
		compare(d, PA_COUNT_PINCOUNT,
			(int32_t)pa_load_u32(c->head + m->pincount),
			(int64_t)d->pins);
	count_refs(c, d);
	c->quiet = true;
	return keep(c, d);
}

static struct pa_error *enter(struct pa_folio_counter *c, uint64_t pfn,
			      const uint8_t *page, uint64_t nr, uint8_t class)
{
	const struct pa_kernel *kernel = c->kernel;
	const struct pa_page_format *f = &kernel->page_format;
	const struct pa_mapcount_format *m = &kernel->mapcount_format;
	struct pa_discrepancy *d = &c->folio;
	uint8_t two[2 * 128];
	struct pa_error *err = NULL;

	/* The order is in the second struct page. */
	if (nr < 2 && 2 * f->size <= sizeof(two)) {
		err = pa_memmap_page(c->memmap, pfn, 2, &page);
		nr = 2;
	}
	if (err)
		return err;

	uint32_t order = pa_folio_order(f, page);

	if (!order || order > f->max_order || pfn & PA_MASK(order))
		return NULL;
	err = read_head(c, pfn, page, nr, order);
	if (err)
		return err;
	begin(c, d, pfn, c->head, class);
	d->order = order;

	struct totals t = sum_columns(c, pfn, PA_BIT(order));

	d->maps = t.maps;
	d->refs = t.refs;
	d->pins = t.pins;
	d->entire = t.entire;
	c->counts.maps += t.maps;
	c->counts.entire += t.entire;
	c->counts.pins += t.pins;
	c->next = pfn;
	c->end = pfn + PA_BIT(order);
	c->mapcounts = c->nr_mapped_stored = c->nr_mapped_counted = 0;
	if (d->kind == PA_FOLIO_HUGETLB)
		return count_hugetlb(c);
	if (pa_page_type(f, pa_page_type_word(f, c->head)) == PA_PAGE_TABLE)
		c->node->page_tables += (int64_t)PA_BIT(order);
	c->entire_stored = m->entire ? pa_mapcount(c->head, m->entire) : 0;
	c->judge_maps = judge_mapcount(f, d, c->head, d->maps + d->entire);
	/* Of device memory most tails may be one and the same (altmap). */
	c->quiet = !c->judge_maps || !c->page_mapcounts ||
		   mapped_as(d) == PA_FOLIO_DEVICE;
	c->raised = 0;
	if (m->entire_raises_file_pages && is_file(d->kind))
		c->raised = (int64_t)d->entire;
	else if (m->double_map && d->kind == PA_FOLIO_ANON &&
		 pa_page_flags(f, c->head + f->size) & m->double_map)
		c->raised = 1;
	return NULL;
}

/* One page of the folio, its head too. */
static void member(struct pa_folio_counter *c, uint64_t pfn,
		   const uint8_t *page)
{
	struct pa_discrepancy *d = &c->folio;
	int64_t stored = pa_mapcount(page, c->kernel->mapcount_format.page);
	int64_t maps = column_u32(c->account->maps, pfn & c->section_mask);

	c->next = pfn + 1;
	c->mapcounts += (uint64_t)(stored > 0 ? stored : 0);
	c->nr_mapped_stored += stored > 0;
	c->nr_mapped_counted += maps > 0;
	if (stored == maps + c->raised)
		return;
	if (!d->nr_mapcounts++) {
		d->mapcount_pfn = pfn;
		compare(d, PA_COUNT_MAPCOUNT, stored, maps + c->raised);
	}
}

/* What is kept for the folio as a whole. */
static void count_totals(struct pa_folio_counter *c)
{
	const struct pa_mapcount_format *m = &c->kernel->mapcount_format;
	const struct pa_page_tables *tables = c->census->page_tables;
	struct pa_discrepancy *d = &c->folio;
	const struct pa_mm_id_folio *ids =
		tables ? pa_mm_ids_find(c->kernel, &tables->mm_ids, d->pfn) :
			 NULL;
	int64_t stored, counted;

	if (ids && pa_mm_id_differs(ids, &stored, &counted))
		compare(d, PA_COUNT_MM_ID, stored, counted);

	if (m->entire)
		compare(d, PA_COUNT_ENTIRE, c->entire_stored,
			(int64_t)d->entire);
	if (m->large)
		compare(d, PA_COUNT_LARGE, pa_mapcount(c->head, m->large),
			(int64_t)(d->maps + d->entire));
	if (m->nr_pages_mapped && !c->quiet)
		compare(d, PA_COUNT_NR_PAGES_MAPPED,
			(int32_t)pa_load_u32(c->head + m->nr_pages_mapped),
			(int64_t)(c->nr_mapped_counted +
				  (d->entire ? PA_ENTIRELY_MAPPED : 0)));
}

static void count_pmd_mapped(struct pa_folio_counter *c, bool shmem)
{
	int64_t nr = (int64_t)PA_BIT(c->folio.order);
	int64_t stored = c->entire_stored > 0 ? nr : 0;
	int64_t counted = c->folio.entire ? nr : 0;

	if (shmem) {
		c->node->shmem_pmd_mapped += stored;
		c->node->shmem_pmd_mapped_counted += counted;
	} else {
		c->node->file_pmd_mapped += stored;
		c->node->file_pmd_mapped_counted += counted;
	}
}

/*
 * The page cache has as many references as pages. collapse_file() gives a new
 * folio its mapping long before; it may sleep until the page cache gets it, and
 * only then do the counters. Frozen ones have none for an instant.
 */
static bool is_cached(const struct pa_discrepancy *d)
{
	int64_t refcount = d->counts[PA_COUNT_REFCOUNT].stored;

	return refcount <= 0 || refcount >= (int64_t)PA_BIT(d->order);
}

/*
 * Pages that NR_*_MAPPED has of a folio that is mapped entirely, or not, and of
 * which so many pages are mapped by themselves. While PG_double_map told of
 * both (until v6.2) an anonymous page that had both without it was counted for
 * each: so they are after migration, which does not move the flag.
 */
static int64_t mapped_pages(const struct pa_folio_counter *c, bool entire,
			    uint64_t pages)
{
	const struct pa_discrepancy *d = &c->folio;
	int64_t nr = (int64_t)PA_BIT(d->order);

	if (!entire)
		return (int64_t)pages;
	if (c->kernel->mapcount_format.double_map &&
	    mapped_as(d) == PA_FOLIO_ANON && !c->raised)
		nr += (int64_t)pages;
	return nr;
}

static void count_node(struct pa_folio_counter *c)
{
	const struct pa_kernel *kernel = c->kernel;
	const struct pa_discrepancy *d = &c->folio;
	int64_t nr = (int64_t)PA_BIT(d->order);
	bool pmd = d->order == kernel->zones.pageblock_order;
	int64_t cached = is_cached(d) ? nr : 0;
	bool whole = c->entire_stored > 0;
	uint32_t large = kernel->mapcount_format.large;

	if (c->page_mapcounts)
		count_mapped(c->node, d,
			     mapped_pages(c, whole, c->nr_mapped_stored),
			     mapped_pages(c, d->entire, c->nr_mapped_counted));
	else
		count_mapped(c->node, d,
			     pa_mapcount(c->head, large) > 0 ? nr : 0,
			     d->maps + d->entire ? nr : 0);
	switch (mapped_as(d)) {
	case PA_FOLIO_ANON:
	case PA_FOLIO_KSM:
		c->node->anon_thps += whole ? nr : 0;
		c->node->anon_thps_counted += d->entire ? nr : 0;
		break;
	case PA_FOLIO_SHMEM:
		c->node->shmem += cached;
		c->node->shmem_thps += pmd ? cached : 0;
		if (is_being_added(d)) {
			c->node->shmem_added += cached;
			c->node->shmem_thps_added += pmd ? cached : 0;
		}
		count_pmd_mapped(c, true);
		break;
	case PA_FOLIO_FILE:
		c->node->file_thps += pmd ? cached : 0;
		count_pmd_mapped(c, false);
		break;
	case PA_FOLIO_TRUNCATED:
		count_pmd_mapped(
			c, d->flags & kernel->page_format.flag.swapbacked);
		break;
	case PA_FOLIO_DEVICE:
		if (pmd)
			count_pmd_mapped(c, false);
		break;
	default:
		break;
	}
	count_lru(c, c->node, d->flags, nr);
}

struct pa_error *pa_folio_count_end(struct pa_folio_counter *c)
{
	const struct pa_mapcount_format *m = &c->kernel->mapcount_format;
	struct pa_discrepancy *d = &c->folio;
	bool complete = c->next == c->end || c->quiet;

	if (!c->end)
		return NULL;
	c->end = 0;
	if (d->kind == PA_FOLIO_HUGETLB)
		return NULL;
	if (!complete) {
		c->counts.unjudged++;
		return NULL;
	}
	if (c->judge_maps) {
		count_totals(c);
		count_node(c);
	}
	if (d->kind != PA_FOLIO_UNKNOWN && pa_has_pincount(m, d->order))
		compare(d, PA_COUNT_PINCOUNT,
			(int32_t)pa_load_u32(c->head + m->pincount),
			(int64_t)d->pins);
	count_refs(c, d);
	return keep(c, d);
}

struct pa_error *pa_folio_count_page(struct pa_folio_counter *c, uint64_t pfn,
				     const uint8_t *page, uint64_t nr,
				     uint8_t byte)
{
	uint8_t class = byte & PA_CLASS_MASK;
	const struct pa_page_format *f = &c->kernel->page_format;
	struct pa_error *err = NULL;

	if (class == PA_CLASS_DEVICE && pa_page_is_tail(f, page))
		class = PA_CLASS_TAIL;
	if (c->end && (pfn >= c->end || class != PA_CLASS_TAIL))
		err = pa_folio_count_end(c);
	if (err)
		return err;
	if (class == PA_CLASS_TAIL) {
		/* Of none that we know, or one that began elsewhere. */
		if (c->end && !c->quiet && pfn == c->next)
			member(c, pfn, page);
		return NULL;
	}
	c->listed = byte & PA_MARK_LISTED;
	switch (class) {
	case PA_CLASS_HUGETLB:
	case PA_CLASS_USED_HEAD:
	case PA_CLASS_FROZEN_HEAD:
		break;
	case PA_CLASS_DEVICE:
	case PA_CLASS_LRU:
	case PA_CLASS_LRU_UNEVICTABLE:
		if (pa_page_flags(f, page) & f->flag.head)
			break;
		return count_single(c, pfn, page, class);
	default:
		return count_single(c, pfn, page, class);
	}
	err = enter(c, pfn, page, nr, class);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		c->counts.unjudged++;
		return NULL;
	}
	if (!err && c->end && !c->quiet)
		member(c, pfn, c->head);
	return err;
}
