// SPDX-License-Identifier: LGPL-2.1-or-later
/* The rules for a page that is not plain: include/linux/page-flags.h. */
#include "census/scan.h"

struct pa_error *pa_scan_anomaly(struct pa_scanner *s,
				 enum pa_anomaly_kind kind, uint64_t pfn,
				 uint64_t a, uint64_t b, uint64_t c)
{
	struct pa_anomaly *last =
		s->anomalies.length ?
			&s->anomalies.items[s->anomalies.length - 1] :
			NULL;

	s->nr_anomalies[kind]++;
	if (last && last->kind == kind && last->pfn_end == pfn &&
	    last->a == a && last->b == b && last->c == c) {
		last->pfn_end++;
		return NULL;
	}
	if (s->nr_anomalies[kind] > PA_MAX_ANOMALIES)
		return NULL;

	struct pa_anomaly anomaly = {
		.kind = kind,
		.pfn = pfn,
		.pfn_end = pfn + 1,
		.a = a,
		.b = b,
		.c = c,
	};

	return pa_array_append(&s->anomalies, anomaly) ? NULL :
							 &pa_error_no_memory;
}

static bool is_zeroed(const uint8_t *page, uint32_t size)
{
	for (uint32_t i = 0; i < size; i += 8)
		if (pa_load_u64(page + i))
			return false;
	return true;
}

/* Makes the zone of @flags the current one; false if there is none. */
static bool enter_zone(struct pa_scanner *s, uint64_t flags)
{
	const struct pa_zones *zones = &s->kernel->zones;
	uint64_t links = flags & s->format->link_mask;

	if (s->zone && s->plain_flags == links)
		return true;

	const struct pa_zone *zone = pa_flags_zone(s->kernel, flags);

	if (!zone)
		return false;
	s->zone = zone;
	s->zone_count = &s->zones[zone - zones->list.items];
	s->plain_flags = links;
	return true;
}

/*
 * Starts a compound page at @pfn, as its first tails must look. @head holds
 * its first two struct pages.
 */
static void enter_compound(struct pa_scanner *s, uint64_t pfn, uint32_t order,
			   const uint8_t *head, bool hugetlb)
{
	const struct pa_page_format *f = s->format;
	bool optimised = hugetlb && f->hpg_vmemmap_optimized >= 0 &&
			 pa_page_private(f, head) >> f->hpg_vmemmap_optimized &
				 1;

	s->head_pfn = pfn;
	s->order = order;
	s->tail_end = pfn + PA_BIT(order);
	s->tail_word = f->tail_form == PA_TAIL_MASK ?
			       ~(((uint64_t)f->size << order) - 1) | 1 :
			       pa_pfn_to_page(s->kernel, pfn) | 1;
	/*
	 * Node and zone of a tail are the head's, but a gigantic folio may
	 * lie across a zone boundary that the memmap's holder moved later.
	 */
	s->tail_mask = f->link_mask | f->flag.hwpoison | f->flag.lru |
		       f->flag.reserved;
	s->tail_irregular = optimised;
	/* prep_compound_gigantic_page() left it alone, up to v6.1 at least. */
	s->tail_check_mapping = !optimised && order <= f->max_buddy_order;
}

static struct pa_error *note_poisoned(struct pa_scanner *s, uint64_t pfn,
				      const uint8_t *page, uint8_t class)
{
	const struct pa_page_format *f = s->format;
	bool in_free = pfn < s->free_end;
	bool in_compound = pfn < s->tail_end && class == PA_CLASS_TAIL;
	struct pa_poisoned poisoned = {
		.pfn = pfn,
		.state = PA_PFN_ONLINE,
		.page_class = class,
		.type = pa_page_type(f, pa_page_type_word(f, page)),
		.refcount = pa_page_refcount(f, page),
		.flags = pa_page_flags(f, page),
		.private_ = pa_page_private(f, page),
		.free_pfn = in_free ? s->free_pfn : PA_NO_PFN,
		.free_order = in_free ? s->free_order : 0,
		.head_pfn = in_compound ? s->head_pfn : pfn,
		.hugetlb = class == PA_CLASS_HUGETLB,
	};

	return pa_array_append(&s->poisoned, poisoned) ? NULL :
							 &pa_error_no_memory;
}

/*
 * Where tails have a mask, the first folio of a split keeps those of the order
 * that it had: __split_folio_to_order() gives only the others new ones. The
 * head is aligned to that order, too, so that they still give it. No folio that
 * can be split is larger than a PMD's (MAX_PAGECACHE_ORDER).
 */
static bool masks_to_head(const struct pa_scanner *s, uint64_t pfn,
			  uint64_t word)
{
	uint64_t mask = word & ~UINT64_C(1);
	uint64_t span = -mask;

	return s->format->tail_form == PA_TAIL_MASK && word & 1 &&
	       !(span & (span - 1)) &&
	       span > (uint64_t)s->format->size << s->order &&
	       span <= (uint64_t)s->format->size
			       << s->kernel->zones.pageblock_order &&
	       (pa_pfn_to_page(s->kernel, pfn) & mask) ==
		       pa_pfn_to_page(s->kernel, s->head_pfn);
}

/*
 * A page in the range of the compound page that the scan is in. Where it is no
 * tail at all, the compound page ends (tail_end = 0) and the page is left to
 * the rules for others.
 */
static struct pa_error *scan_tail(struct pa_scanner *s, uint64_t pfn,
				  const uint8_t *page, uint64_t nr,
				  uint8_t *class_ret)
{
	const struct pa_page_format *f = s->format;
	uint64_t word = pa_page_compound(f, page);
	uint64_t index = pfn - s->head_pfn;
	struct pa_error *err = NULL;

	/*
	 * Under HVO the vmemmap pages behind the first one (v7: a page shared
	 * by all folios of the zone and order) are images of it: what stands
	 * at 4 KiB boundaries there is an image of the head itself.
	 */
	if (word != s->tail_word && s->tail_irregular && f->fake_heads &&
	    nr > 1 && index &&
	    pa_page_is_fake_head(f, page, pa_pfn_to_page(s->kernel, pfn)) &&
	    pa_page_compound(f, page + f->size) == s->tail_word) {
		*class_ret = PA_CLASS_TAIL;
		return NULL;
	}
	if (word != s->tail_word && !masks_to_head(s, pfn, word)) {
		*class_ret = PA_CLASS_TAIL;
		if (!(word & 1))
			s->tail_end = 0;
		return pa_scan_anomaly(s, PA_ANOMALY_NOT_TAIL, pfn, s->head_pfn,
				       word, 0);
	}
	*class_ret = PA_CLASS_TAIL;
	/*
	 * v7: what all optimised folios share may have been made for boot
	 * memory, with a reference.
	 */
	bool shared = s->tail_irregular &&
		      index >= PA_BIT(s->kernel->space.page_shift) / f->size;

	if (pa_page_refcount(f, page) && !shared)
		err = pa_scan_anomaly(s, PA_ANOMALY_TAIL_REFCOUNT, pfn,
				      pa_page_refcount(f, page), s->head_pfn,
				      0);
	if (!err && s->tail_check_mapping && index >= 4 &&
	    pa_load_u64(page + f->mapping) != PA_TAIL_MAPPING)
		err = pa_scan_anomaly(s, PA_ANOMALY_TAIL_MAPPING, pfn,
				      pa_load_u64(page + f->mapping),
				      s->head_pfn, 0);
	/* HVO images repeat the head's flags; garbage has any. */
	if (!err && !s->tail_irregular && s->zone &&
	    pa_page_flags(f, page) & f->flag.hwpoison) {
		*class_ret |= PA_MARK_HWPOISON;
		err = note_poisoned(s, pfn, page, PA_CLASS_TAIL);
	}
	return err;
}

/*
 * Enters the compound page with its head at @address, which a page inside of
 * it names; *ret tells whether there is one that covers @pfn. A head that is
 * not in the dump may well be right: *class_ret is then unknown.
 */
static struct pa_error *enter_named(struct pa_scanner *s, uint64_t pfn,
				    uint64_t address, uint8_t *class_ret,
				    bool *ret)
{
	const struct pa_page_format *f = s->format;
	uint64_t head_pfn;
	const uint8_t *head;
	struct pa_error *err;

	*ret = false;
	if (!pa_page_to_pfn(s->kernel, address, &head_pfn) || head_pfn >= pfn ||
	    pa_pfn_state(s->kernel, head_pfn) != PA_PFN_ONLINE)
		return NULL;
	err = pa_memmap_page(s->memmap, head_pfn, 2, &head);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		*class_ret = PA_CLASS_UNKNOWN;
		return NULL;
	}
	if (err)
		return err;

	uint32_t order = pa_folio_order(f, head);

	if (!order || order > f->max_order || head_pfn & PA_MASK(order) ||
	    pfn - head_pfn >= PA_BIT(order))
		return NULL;
	enter_compound(s, head_pfn, order, head, pa_folio_is_hugetlb(f, head));
	*ret = true;
	return NULL;
}

/*
 * A tail whose head the scan has not passed: the run begins inside a compound
 * page (a gigantic one, or one whose head was not in the dump), or its word is
 * wrong.
 */
static struct pa_error *scan_orphan_tail(struct pa_scanner *s, uint64_t pfn,
					 const uint8_t *page, uint64_t nr,
					 uint8_t *class_ret)
{
	uint64_t head =
		pa_page_head(s->format, page, pa_pfn_to_page(s->kernel, pfn));
	bool entered;
	struct pa_error *err;

	*class_ret = PA_CLASS_TAIL;
	err = enter_named(s, pfn, head, class_ret, &entered);
	if (err || *class_ret == PA_CLASS_UNKNOWN)
		return err;
	if (!entered) {
		/* What it really is can't be told. */
		*class_ret = PA_CLASS_UNKNOWN;
		return pa_scan_anomaly(s, PA_ANOMALY_TAIL_HEAD, pfn,
				       pa_page_compound(s->format, page), 0, 0);
	}
	return scan_tail(s, pfn, page, nr, class_ret);
}

/*
 * The same where a run begins at an image of an optimised hugetlb folio's
 * head, as each section inside of a gigantic one does. *ret is false where it
 * is none.
 */
static struct pa_error *scan_fake_head(struct pa_scanner *s, uint64_t pfn,
				       const uint8_t *page, uint64_t nr,
				       uint8_t *class_ret, bool *ret)
{
	const struct pa_page_format *f = s->format;

	*ret = false;
	if (nr < 2 ||
	    !pa_page_is_fake_head(f, page, pa_pfn_to_page(s->kernel, pfn)))
		return NULL;

	uint8_t class = PA_CLASS_TAIL;
	struct pa_error *err = enter_named(
		s, pfn, pa_page_compound(f, page + f->size) - 1, &class, ret);

	if (err || !*ret)
		return err;
	return scan_tail(s, pfn, page, nr, class_ret);
}

/* The first page of a free block: PageBuddy(). */
static struct pa_error *scan_free(struct pa_scanner *s, uint64_t pfn,
				  const uint8_t *page, uint8_t *class_ret)
{
	const struct pa_page_format *f = s->format;
	uint64_t order = pa_page_private(f, page);

	if (order > f->max_buddy_order || pfn & PA_MASK(order)) {
		*class_ret = PA_CLASS_FREE;
		return pa_scan_anomaly(s, PA_ANOMALY_FREE_ORDER, pfn, order, 0,
				       0);
	}
	*class_ret = (uint8_t)(PA_CLASS_FREE + order);
	s->free_pfn = pfn;
	s->free_order = (uint32_t)order;
	s->free_end = pfn + PA_BIT(order);
	s->zone_count->nr_free[order]++;
	s->zone_count->free_pages += PA_BIT(order);
	if (pa_page_refcount(f, page))
		return pa_scan_anomaly(s, PA_ANOMALY_FREE_REFERENCED, pfn,
				       pa_page_refcount(f, page), 0, 0);
	return NULL;
}

/*
 * makedumpfile filters by what it takes pages for. One that is older than the
 * kernel takes some of the kernel's own for user data.
 */
static struct pa_error *note_filtered(struct pa_scanner *s, uint64_t pfn,
				      const uint8_t *page, uint32_t order)
{
	const struct pa_page_format *f = s->format;
	unsigned int shift = s->kernel->space.page_shift;
	uint64_t end = pfn + PA_BIT(order);

	if (!s->filtered)
		return NULL;
	if (!(pa_page_flags(f, page) & f->flag.slab))
		switch (pa_page_type(f, pa_page_type_word(f, page))) {
		case PA_PAGE_SLAB:
		case PA_PAGE_TABLE:
		case PA_PAGE_LARGE_KMALLOC:
			break;
		default:
			return NULL;
		}
	while (pfn < end) {
		struct pa_run run;
		struct pa_error *err = pa_reader_presence(
			s->memmap->memory->reader, pfn << shift,
			(end - pfn) << shift, &run);

		if (err)
			return err;

		uint64_t nr = pa_max(run.length >> shift, 1);

		if (run.presence == PA_EXCLUDED)
			s->kernel_pages_filtered += nr;
		pfn += nr;
	}
	return NULL;
}

static struct pa_error *scan_head(struct pa_scanner *s, uint64_t pfn,
				  const uint8_t *page, uint64_t nr,
				  uint8_t *class_ret)
{
	const struct pa_page_format *f = s->format;
	const uint8_t *head = page;
	uint64_t flags = pa_page_flags(f, page);
	uint32_t refcount = pa_page_refcount(f, page);
	struct pa_error *err = NULL;

	if (nr < 2) {
		err = pa_memmap_page(s->memmap, pfn, 2, &head);
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			*class_ret = PA_CLASS_UNKNOWN;
			return NULL;
		}
		if (err)
			return err;
	}

	uint32_t order = pa_folio_order(f, head);
	bool hugetlb = pa_folio_is_hugetlb(f, head);

	if (hugetlb)
		*class_ret = PA_CLASS_HUGETLB;
	else if (!refcount)
		*class_ret = PA_CLASS_FROZEN_HEAD;
	else if (flags & f->flag.lru)
		*class_ret = flags & f->flag.unevictable ?
				     PA_CLASS_LRU_UNEVICTABLE :
				     PA_CLASS_LRU;
	else
		*class_ret = PA_CLASS_USED_HEAD;
	bool possible = order && order <= f->max_order &&
			!(pfn & PA_MASK(order));

	if (hugetlb) {
		struct pa_hugetlb_folio folio = {
			.pfn = pfn,
			.order = possible ? order : 0,
			.refcount = refcount,
			.node = pa_page_node(f, flags),
			.flags = flags,
			.private_ = pa_page_private(f, page),
		};

		if (!pa_array_append(&s->hugetlb, folio))
			return &pa_error_no_memory;
	}
	if (!possible)
		return pa_scan_anomaly(s, PA_ANOMALY_COMPOUND_ORDER, pfn, order,
				       0, 0);
	if (f->nr_pages &&
	    pa_load_u32(head + f->nr_pages) != (uint32_t)PA_BIT(order))
		err = pa_scan_anomaly(s, PA_ANOMALY_COMPOUND_NR_PAGES, pfn,
				      pa_load_u32(head + f->nr_pages), order,
				      0);
	enter_compound(s, pfn, order, head, hugetlb);
	return err ? err : note_filtered(s, pfn, page, order);
}

/* Pages of order 0, and the first of non-compound allocations. */
static uint8_t classify(const struct pa_scanner *s, const uint8_t *page)
{
	const struct pa_page_format *f = s->format;
	uint64_t flags = pa_page_flags(f, page);
	/* Slab reuses the word where it has a flag of its own. */
	enum pa_page_type type =
		flags & f->flag.slab ?
			PA_PAGE_SLAB :
			pa_page_type(f, pa_page_type_word(f, page));

	if (flags & f->flag.reserved)
		return PA_CLASS_RESERVED;
	if (type == PA_PAGE_OFFLINE)
		s->zone_count->offline++;
	if (!pa_page_refcount(f, page))
		return type == PA_PAGE_UNTYPED ? PA_CLASS_ZERO :
						 PA_CLASS_FROZEN;
	if (flags & f->flag.lru)
		return flags & f->flag.unevictable ? PA_CLASS_LRU_UNEVICTABLE :
						     PA_CLASS_LRU;
	return PA_CLASS_USED;
}

/* Whether the page's zone is known, and whether the zone spans the page. */
static struct pa_error *scan_links(struct pa_scanner *s, uint64_t pfn,
				   const uint8_t *page, bool *known_ret,
				   bool *right_ret)
{
	const struct pa_page_format *f = s->format;
	uint64_t flags = pa_page_flags(f, page);
	bool device = f->zone_device >= 0 &&
		      pa_page_zone(f, flags) == (unsigned int)f->zone_device;

	if (device) {
		/* Valid, online by its section, and of no pgmap. */
		*known_ret = *right_ret = false;
		return pa_scan_anomaly(s, PA_ANOMALY_DEVICE_DANGLING, pfn, 0, 0,
				       0);
	}
	*known_ret = enter_zone(s, flags);
	/*
	 * The pages of a hole before or behind a zone's memory are reserved
	 * and linked to it, without the zone spanning them
	 * (init_unavailable_range() in mm/mm_init.c). Those that memblock has
	 * reserved where no zone is at boot (firmware tables) get the number
	 * behind the last zone's (init_reserved_page()).
	 */
	*right_ret = flags & f->flag.reserved ?
			     *known_ret ||
				     pa_page_zone(f, flags) == f->nr_zones :
			     *known_ret && pa_zone_spans(s->zone, pfn);
	if (*right_ret)
		return NULL;
	return pa_scan_anomaly(s, PA_ANOMALY_LINKS, pfn, flags & f->link_mask,
			       0, 0);
}

/*
 * A page whose flags name no zone of ordinary memory, which is told: its flags
 * are garbage, what its other words say may be right.
 */
static struct pa_error *scan_stray(struct pa_scanner *s, uint64_t pfn,
				   const uint8_t *page, uint8_t *class_ret)
{
	const struct pa_page_format *f = s->format;
	uint32_t type = pa_page_type_word(f, page);

	if (f->zone_device >= 0 && pa_page_zone(f, pa_page_flags(f, page)) ==
					   (unsigned int)f->zone_device)
		*class_ret = PA_CLASS_DEVICE;
	else if (pa_page_type(f, type) == PA_PAGE_BUDDY)
		return scan_free(s, pfn, page, class_ret);
	else if (pa_page_refcount(f, page) || type != UINT32_MAX ||
		 pa_page_is_tail(f, page))
		*class_ret = PA_CLASS_UNKNOWN;
	else
		*class_ret = pfn < s->free_end ? PA_CLASS_FREE_BODY :
						 PA_CLASS_ZERO;
	return NULL;
}

struct pa_error *pa_scan_page(struct pa_scanner *s, uint64_t pfn,
			      const uint8_t *page, uint64_t nr,
			      uint8_t *class_ret)
{
	const struct pa_page_format *f = s->format;
	uint64_t flags = pa_page_flags(f, page);
	bool zone_known, zone_right;
	struct pa_error *err;

	if (pa_page_is_uninitialised(flags) || is_zeroed(page, f->size)) {
		*class_ret = PA_CLASS_UNINITIALISED;
		return pa_scan_anomaly(s, PA_ANOMALY_UNINITIALISED, pfn, flags,
				       0, 0);
	}
	err = scan_links(s, pfn, page, &zone_known, &zone_right);
	if (err)
		return err;
	if (!zone_known) {
		s->zone = NULL;
		s->zone_count = &s->stray_count;
	}
	/* Of which zone a page with wrong links is can't be told. */
	s->zone_count->pages += zone_right;
	if (pfn < s->tail_end) {
		err = scan_tail(s, pfn, page, nr, class_ret);
		if (err || pfn < s->tail_end)
			return err;
	}
	if (!zone_known && !zone_right)
		return scan_stray(s, pfn, page, class_ret);
	if (flags & f->flag.reserved)
		s->zone_count->reserved++;

	uint8_t class;

	/* What stands in the word of tails is a link of the free list. */
	if (!(flags & f->flag.slab) &&
	    pa_page_type(f, pa_page_type_word(f, page)) == PA_PAGE_BUDDY)
		err = scan_free(s, pfn, page, &class);
	else if (pa_page_is_tail(f, page))
		err = scan_orphan_tail(s, pfn, page, nr, &class);
	else if (flags & f->flag.head) {
		bool fake;

		err = scan_fake_head(s, pfn, page, nr, &class, &fake);
		if (!err && !fake)
			err = scan_head(s, pfn, page, nr, &class);
	} else {
		class = classify(s, page);
		err = note_filtered(s, pfn, page, 0);
	}
	if (err)
		return err;
	if (pfn < s->free_end && pfn != s->free_pfn) {
		/* Free pages have neither references nor mappings. */
		if (class != PA_CLASS_ZERO ||
		    pa_page_type_word(f, page) != UINT32_MAX) {
			err = pa_scan_anomaly(s, PA_ANOMALY_FREE_BODY, pfn,
					      s->free_pfn, s->free_order,
					      pa_page_refcount(f, page));
			if (err)
				return err;
		}
		if (class == PA_CLASS_ZERO)
			class = PA_CLASS_FREE_BODY;
	}
	if (flags & f->flag.hwpoison && class != PA_CLASS_TAIL) {
		err = note_poisoned(s, pfn, page, class);
		class |= PA_MARK_HWPOISON;
	}
	*class_ret = class;
	return err;
}
