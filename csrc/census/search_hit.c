// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/search_hit.h"

#include "census/lru.h"

const char *const pa_encoding_names[PA_NR_ENCODINGS] = {
	[PA_ENCODING_PAGE] = "struct page",
	[PA_ENCODING_PAGE_TAGGED] = "struct page, tagged",
	[PA_ENCODING_PAGE_INSIDE] = "inside of struct page",
	[PA_ENCODING_DIRECT] = "direct map address",
	[PA_ENCODING_PHYS] = "physical address",
	[PA_ENCODING_PFN] = "pfn",
	[PA_ENCODING_PFN_HALF] = "pfn in half a word",
};

#define PAGE_ENCODINGS                                                \
	(PA_BIT(PA_ENCODING_PAGE) | PA_BIT(PA_ENCODING_PAGE_TAGGED) | \
	 PA_BIT(PA_ENCODING_PAGE_INSIDE))
/* Tag bits of a pointer: of an sg list, a batch, an xarray. */
#define TAG_MASK UINT64_C(3)

/* Ranges of words that name one of the needles. */
static void add_needles(struct pa_search *search)
{
	const struct pa_search_query *query = search->query;
	const struct pa_address_space *space = &search->kernel->space;
	unsigned int shift = space->page_shift;
	uint64_t first = query->needles->first, last = query->needles->last;
	/* A word of 0 names no page. */
	uint64_t lowest = pa_max(first, 1);

	if (query->encodings & PAGE_ENCODINGS && !query->unusable_end)
		pa_word_ranges_add(&search->ranges,
				   pa_pfn_to_page(search->kernel, first),
				   pa_pfn_to_page(search->kernel, last + 1) - 1,
				   1);
	if (query->encodings & PA_BIT(PA_ENCODING_DIRECT))
		pa_word_ranges_add(
			&search->ranges, space->direct_start + (first << shift),
			space->direct_start + ((last + 1) << shift) - 1, 1);
	if (query->encodings & PA_BIT(PA_ENCODING_PHYS) && lowest <= last)
		pa_word_ranges_add(&search->ranges, lowest << shift,
				   last << shift, PA_BIT(shift));
	if (query->encodings & PA_BIT(PA_ENCODING_PFN) && lowest <= last)
		pa_word_ranges_add(&search->ranges, lowest, last, 1);
}

void pa_search_ranges(struct pa_search *search)
{
	const struct pa_search_query *query = search->query;
	uint64_t end = query->unusable_end;

	/* One range for both: needles are at the memmap's addresses, too. */
	if (query->needles->nr)
		end = pa_max(end, query->needles->last + 1);
	pa_word_ranges_init(&search->ranges, !query->plain);
	/* What is unusable lies everywhere in between. */
	if (query->unusable_end)
		pa_word_ranges_add(&search->ranges,
				   search->kernel->space.vmemmap_start,
				   pa_pfn_to_page(search->kernel, end) - 1, 1);
	if (query->needles->nr)
		add_needles(search);
}

struct object_visit {
	struct pa_searcher *s;
	uint64_t start;
	uint32_t size;
};

static bool visit_object(void *arg, uint64_t object)
{
	const struct object_visit *visit = arg;
	uint64_t index = (object - visit->start) / visit->size;

	if (index < PA_MAX_SLAB_OBJECTS)
		pa_set_bit(visit->s->allocated, index);
	return true;
}

/* Whether the object at @phys of s->slab is free. */
static struct pa_error *is_free_object(struct pa_searcher *s, uint64_t phys,
				       bool *ret)
{
	const struct pa_census *census = s->search->census;
	const struct pa_address_space *space = &s->search->kernel->space;
	const struct pa_slab *slab = s->slab;
	const struct pa_slab_cache *cache =
		&census->slabs->caches.items[slab->cache];
	/* Objects' padding is before the first, and behind each. */
	struct object_visit visit = {
		.s = s,
		.start = space->direct_start +
			 (slab->pfn << space->page_shift) + cache->red_left_pad,
		.size = cache->size,
	};
	uint64_t va = space->direct_start + phys;
	struct pa_error *err = NULL;

	*ret = false;
	if (!cache->size || va < visit.start)
		return NULL;
	if (s->objects_of != slab) {
		memset(s->allocated, 0, sizeof(s->allocated));
		err = pa_slab_visit(census, s->memory, slab, visit_object,
				    &visit);
		/* What is not known to be free is not dropped. */
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			memset(s->allocated, 0xff, sizeof(s->allocated));
			err = NULL;
		}
		s->objects_of = err ? NULL : slab;
	}

	uint64_t index = (va - visit.start) / cache->size;

	if (!err && index < PA_MAX_SLAB_OBJECTS)
		*ret = !pa_test_bit(s->allocated, index);
	return err;
}

static bool is_known(const struct pa_search_query *query, uint64_t va)
{
	size_t low = pa_bisect(query->known, query->nr_known, it, *it < va);

	return low < query->nr_known && query->known[low] == va;
}

/* A holder tells a slot by the address that it had, of two that there may be. */
static bool is_known_slot(const struct pa_searcher *s, uint64_t phys)
{
	const struct pa_search *search = s->search;

	if (!search->query->nr_known)
		return false;
	return is_known(search->query,
			search->kernel->space.direct_start + phys) ||
	       is_known(search->query, pa_place_address(search->places, phys));
}

static bool is_link(const struct pa_searcher *s)
{
	const struct pa_slab_cache *links = s->search->query->links;

	return links && s->slab &&
	       links == &s->search->census->slabs->caches.items[s->slab->cache];
}

/* Why the word at @phys counts for nothing; PA_NR_SEARCH_DROPS: it counts. */
static struct pa_error *why_dropped(struct pa_searcher *s, uint64_t phys,
				    enum pa_search_drop *ret)
{
	const struct pa_search *search = s->search;
	unsigned int shift = search->kernel->space.page_shift;
	struct pa_error *err = NULL;
	bool is_free = false;

	*ret = PA_NR_SEARCH_DROPS;
	if (s->cpu >= 0)
		return NULL;
	/* Hits come in flocks. */
	if (s->page != phys >> shift) {
		s->page = phys >> shift;
		s->stack =
			pa_stack_pages_find(&search->places->stacks, s->page);
		s->slab =
			search->census->slabs ?
				pa_slabs_find(search->census->slabs, s->page) :
				NULL;
	}
	if (s->stack &&
	    !pa_stack_page_is_live(s->stack,
				   s->stack->va + (phys & PA_MASK(shift)))) {
		*ret = PA_DROP_DEAD_STACK;
		return NULL;
	}
	if (search->census->lru &&
	    pa_lru_is_unused(search->census->lru,
			     search->kernel->space.direct_start + phys)) {
		*ret = PA_DROP_UNUSED_SLOT;
		return NULL;
	}
	if (s->slab)
		err = is_free_object(s, phys, &is_free);
	if (is_free)
		*ret = PA_DROP_FREE_OBJECT;
	else if (!err && (is_link(s) || is_known_slot(s, phys)))
		*ret = PA_DROP_KNOWN;
	return err;
}

static struct pa_error *add_hit(struct pa_searcher *s, uint64_t phys,
				uint64_t word, uint64_t pfn, uint32_t needle,
				enum pa_encoding encoding)
{
	uint8_t *kept = &s->kept[2 * needle + !pa_encoding_is_strong(encoding)];
	enum pa_search_drop drop;
	struct pa_error *err = why_dropped(s, phys, &drop);

	if (err)
		return err;
	if (drop != PA_NR_SEARCH_DROPS) {
		s->dropped[drop]++;
		return NULL;
	}
	s->nr_hits++;
	__atomic_fetch_add(&s->search->result->totals[needle], 1,
			   __ATOMIC_RELAXED);
	if (*kept >= s->search->query->max_hits)
		return NULL;
	++*kept;
	if (!pa_array_append(&s->hits, (struct pa_search_hit){
					       .pfn = pfn,
					       .needle = needle,
					       .encoding = encoding,
					       .cpu = s->cpu,
					       .word = word,
					       .phys = phys,
				       }))
		return &pa_error_no_memory;
	return NULL;
}

/* The pfn that @word names in one of the encodings that are asked for. */
static bool decode(const struct pa_search *search, uint64_t word,
		   uint64_t *pfn_ret, uint32_t *needle_ret,
		   enum pa_encoding *encoding_ret)
{
	const struct pa_search_query *query = search->query;
	const struct pa_address_space *space = &search->kernel->space;
	uint32_t size = search->kernel->page_format.size;
	uint64_t end = query->needles->last + 1;
	uint64_t inside;

	if (!query->needles->nr)
		return false;
	/* Ranges of numbers that do not overlap, but the last two. */
	if (word - space->direct_start < end << space->page_shift) {
		*encoding_ret = PA_ENCODING_DIRECT;
		*pfn_ret = (word - space->direct_start) >> space->page_shift;
	} else if (word - space->vmemmap_start < end * size) {
		*pfn_ret = (word - space->vmemmap_start) / size;
		inside = (word - space->vmemmap_start) % size;
		*encoding_ret = !inside		   ? PA_ENCODING_PAGE :
				inside <= TAG_MASK ? PA_ENCODING_PAGE_TAGGED :
						     PA_ENCODING_PAGE_INSIDE;
	} else if (!(word & PA_MASK(space->page_shift)) &&
		   query->encodings & PA_BIT(PA_ENCODING_PHYS) &&
		   pa_needles_find(query->needles, word >> space->page_shift,
				   needle_ret)) {
		*encoding_ret = PA_ENCODING_PHYS;
		*pfn_ret = word >> space->page_shift;
		return true;
	} else {
		*encoding_ret = PA_ENCODING_PFN;
		*pfn_ret = word;
	}
	return query->encodings & PA_BIT(*encoding_ret) &&
	       pa_needles_find(query->needles, *pfn_ret, needle_ret);
}

/* Whether @word is the address of a struct page that must not be used. */
static bool names_unusable(const struct pa_search *search, uint64_t word,
			   uint64_t *pfn_ret)
{
	const struct pa_kernel *kernel = search->kernel;
	const uint8_t *byte;

	if (!pa_page_to_pfn(kernel, word & ~TAG_MASK, pfn_ret) ||
	    *pfn_ret >= search->query->unusable_end)
		return false;
	/* Most name memory in use: its class says so without a lookup. */
	byte = pa_census_class(search->census, *pfn_ret);
	if (byte && (*byte & PA_CLASS_MASK) >= PA_CLASS_RESERVED)
		return false;
	switch (pa_pfn_state(kernel, *pfn_ret)) {
	case PA_PFN_ABSENT:
	case PA_PFN_HOLE:
	case PA_PFN_OFFLINE:
	case PA_PFN_ALTMAP:
		return true;
	default:
		return false;
	}
}

static struct pa_error *add_unusable(struct pa_searcher *s, uint64_t phys,
				     uint64_t word, uint64_t pfn)
{
	enum pa_search_drop drop;
	struct pa_error *err = why_dropped(s, phys, &drop);

	if (err)
		return err;
	if (drop != PA_NR_SEARCH_DROPS) {
		s->dropped[drop]++;
		return NULL;
	}
	s->nr_unusable++;
	if (s->unusable.length >= PA_MAX_UNUSABLE_HITS)
		return NULL;
	if (!pa_array_append(&s->unusable,
			     (struct pa_search_hit){
				     .pfn = pfn,
				     .encoding =
					     word & TAG_MASK ?
						     PA_ENCODING_PAGE_TAGGED :
						     PA_ENCODING_PAGE,
				     .cpu = s->cpu,
				     .word = word,
				     .phys = phys,
			     }))
		return &pa_error_no_memory;
	return NULL;
}

/* Both halves of each word; of a word that is a pfn the lower one is told. */
static struct pa_error *search_halves(struct pa_searcher *s, uint64_t phys,
				      const uint8_t *words, unsigned int nr)
{
	const struct pa_search_query *query = s->search->query;
	struct pa_error *err = NULL;
	uint32_t needle;

	for (unsigned int i = 0; !err && i < 2 * nr; i++) {
		uint64_t pfn = pa_load_u32(words + 4 * i);

		if (!pfn || pfn < query->needles->first ||
		    !pa_needles_find(query->needles, pfn, &needle))
			continue;
		/* The pfn as a word was told as such. */
		if (i % 2 == 0 && query->encodings & PA_BIT(PA_ENCODING_PFN) &&
		    !pa_load_u32(words + 4 * (i + 1)))
			continue;
		err = add_hit(s, phys + 4 * i, pfn, pfn, needle,
			      PA_ENCODING_PFN_HALF);
	}
	return err;
}

struct pa_error *pa_search_words(struct pa_searcher *s, uint64_t phys,
				 const uint8_t *words, unsigned int nr)
{
	const struct pa_search *search = s->search;
	uint16_t picked[PA_WORDS_MAX];
	unsigned int n = pa_words_pick(&search->ranges, words, nr, picked);
	struct pa_error *err = NULL;

	for (unsigned int i = 0; !err && i < n; i++) {
		uint64_t word = pa_load_u64(words + 8 * picked[i]), pfn;
		enum pa_encoding encoding;
		uint32_t needle;

		if (decode(search, word, &pfn, &needle, &encoding))
			err = add_hit(s, phys + 8 * picked[i], word, pfn,
				      needle, encoding);
		else if (names_unusable(search, word, &pfn))
			err = add_unusable(s, phys + 8 * picked[i], word, pfn);
	}
	if (!err && search->query->encodings & PA_BIT(PA_ENCODING_PFN_HALF))
		err = search_halves(s, phys, words, nr);
	return err;
}
