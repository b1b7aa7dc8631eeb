/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The search: every word of kernel memory in the target that names one of a
 * set of pages, and where it lies.
 *
 * Searched is what the kernel keeps its own things in: slabs, the data of its
 * image and of modules, per-cpu areas, vmalloc, stacks, boot memory, pages of
 * drivers, and the registers of CPUs. Left out are user data, page tables, the
 * memory map, text and free memory; of what is left, words that nobody uses
 * are dropped: of free objects, below a stack pointer.
 */
#ifndef PA_CENSUS_SEARCH_H
#define PA_CENSUS_SEARCH_H

#include "census/needles.h"
#include "census/place.h"

/* How a word can name a page. */
enum pa_encoding {
	/* The address of its struct page, without or with tag bits (1 to 3). */
	PA_ENCODING_PAGE,
	PA_ENCODING_PAGE_TAGGED,
	/* An address inside of its struct page: of its list_head, a lock. */
	PA_ENCODING_PAGE_INSIDE,
	/* A direct map address of its memory. */
	PA_ENCODING_DIRECT,
	/* Its physical address, of the first byte. */
	PA_ENCODING_PHYS,
	/* Its pfn: a word, or either half of one. Only where asked for. */
	PA_ENCODING_PFN,
	PA_ENCODING_PFN_HALF,
	PA_NR_ENCODINGS,
};

extern const char *const pa_encoding_names[PA_NR_ENCODINGS];

/* A pointer to the page or its memory, not a number that may be anything. */
static inline bool pa_encoding_is_strong(enum pa_encoding encoding)
{
	return encoding == PA_ENCODING_PAGE ||
	       encoding == PA_ENCODING_PAGE_TAGGED ||
	       encoding == PA_ENCODING_DIRECT;
}

/* Those that hardly any other word looks like. */
#define PA_ENCODINGS_USUAL                                              \
	(PA_BIT(PA_ENCODING_PAGE) | PA_BIT(PA_ENCODING_PAGE_TAGGED) |   \
	 PA_BIT(PA_ENCODING_PAGE_INSIDE) | PA_BIT(PA_ENCODING_DIRECT) | \
	 PA_BIT(PA_ENCODING_PHYS))

/* Why a word that names a page is not told. */
enum pa_search_drop {
	PA_DROP_FREE_OBJECT,
	PA_DROP_DEAD_STACK,
	/* Left behind in a per-cpu batch that has been emptied. */
	PA_DROP_UNUSED_SLOT,
	/* The caller knows of this slot. */
	PA_DROP_KNOWN,
	PA_NR_SEARCH_DROPS,
};

struct pa_search_query {
	/* Settled; borrowed. */
	const struct pa_needles *needles;
	/* PA_BIT()s of enum pa_encoding. */
	uint32_t encodings;
	/*
	 * Hits to keep of each page, at most 255, of strong encodings and of
	 * others each; all are counted.
	 */
	uint8_t max_hits;
	/* Virtual addresses of slots that are accounted for; sorted. */
	const uint64_t *known;
	size_t nr_known;
	/* A slab cache whose objects name pages and hold none; NULL: none. */
	const struct pa_slab_cache *links;
	/*
	 * Also words that are the address of a struct page, tag bits apart,
	 * which pfn_to_online_page() refuses and that is no pgmap's data: of
	 * offline memory, a hole, none at all, or altmap metadata. Below this
	 * pfn; 0: none.
	 */
	uint64_t unusable_end;
	/* Plain C only, where a test compares it with vector instructions. */
	bool plain;
};

/* More words that name unusable pages than this are only counted. */
#define PA_MAX_UNUSABLE_HITS 65536

struct pa_search_hit {
	/* The page, and its number among the needles; 0 of an unusable one. */
	uint64_t pfn;
	uint32_t needle;
	enum pa_encoding encoding;
	/* PA_PLACE_REGISTER: the index in census->cpu_tasks; else -1. */
	int cpu;
	/* The word, and where: physical; of a register 8 times its number. */
	uint64_t word;
	uint64_t phys;
};

struct pa_search_result {
	/* By pfn, then registers, then address: the first of each page. */
	PA_ARRAY(struct pa_search_hit) hits;
	/* By needle: how many hits there were. Owned. */
	uint32_t *totals;
	uint64_t nr_hits;
	/* Words that name unusable pages; in the same order. */
	PA_ARRAY(struct pa_search_hit) unusable;
	uint64_t nr_unusable;
	uint64_t dropped[PA_NR_SEARCH_DROPS];
	/* Kernel memory: searched; filtered out of the dump, or not in it. */
	uint64_t bytes, excluded_bytes, unreadable_bytes;
	/* Pages whose struct page is not known, so that they were left out. */
	uint64_t unknown_pages;
	/* Stacks that could not be read: all of their words count. */
	uint64_t unread_stacks;
	double seconds;
};

/*
 * One pass over all kernel memory, on all of the job's threads. @ret is zeroed
 * before; pa_search_result_deinit() in any case.
 */
struct pa_error *pa_search(const struct pa_places *places, struct pa_job *job,
			   const struct pa_search_query *query,
			   struct pa_search_result *ret);
void pa_search_result_deinit(struct pa_search_result *result);

/* Where a hit is: pa_place_find(), and for registers whose they are. */
struct pa_error *pa_search_place(const struct pa_places *places,
				 struct pa_memory *memory,
				 const struct pa_search_hit *hit,
				 struct pa_place *ret);

#endif
