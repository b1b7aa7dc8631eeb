// SPDX-License-Identifier: LGPL-2.1-or-later
/* Private lists: pages linked to a head that is no page, and what is none. */
#include "bytes.h"
#include "census/private_list.h"

#define LRU 8
#define HEAD (BASE + 256)
#define OTHER (BASE + 320)

/* Of all pages; unknown but where a test says otherwise. */
static uint8_t classes[NR_PAGES];

static uint64_t lru(uint64_t pfn)
{
	return page_at(pfn) + LRU;
}

/* A list with that head, of pages [pfn, pfn + nr). */
static void make_list(uint64_t head, uint64_t pfn, uint64_t nr)
{
	uint64_t last = head;

	for (uint64_t i = pfn; i < pfn + nr; last = lru(i++)) {
		put(last, lru(i));
		put(lru(i) + 8, last);
	}
	put(last, head);
	put(head + 8, last);
}

static uint64_t head_of(struct pa_private_lists *lists, uint64_t pfn)
{
	uint64_t head = 1;
	struct pa_error *err = pa_private_list_head(lists, pfn, &head);

	/* Poison leads nowhere. */
	CHECK_FATAL(!err || pa_error_is_target(err));
	if (err)
		head = 0;
	pa_error_destroy(err);
	return head;
}

static void forget(struct pa_private_lists *lists)
{
	pa_private_lists_deinit(lists);
	memset(&lists->met, 0, sizeof(lists->met));
	lists->near.va = lists->near_next.va = 0;
}

static void test_sound(struct pa_private_lists *lists)
{
	make_list(HEAD, 10, 5);
	make_list(OTHER, 20, 1);
	/* From the middle, the front, the end; known by now or not. */
	CHECK(head_of(lists, 12) == HEAD);
	CHECK(head_of(lists, 14) == HEAD);
	CHECK(head_of(lists, 10) == HEAD);
	CHECK(head_of(lists, 11) == HEAD);
	CHECK(head_of(lists, 20) == OTHER);
	CHECK(pa_private_list_pfn(lists, lru(12)) == 12);
	CHECK(pa_private_list_pfn(lists, HEAD) == PA_NO_PFN);
	forget(lists);
}

static void test_none(struct pa_private_lists *lists)
{
	uint64_t head;

	/* A page that was never linked, and one that was taken off a list. */
	CHECK(head_of(lists, 30) == 0);
	put(lru(31), UINT64_C(0xdead000000000100));
	put(lru(31) + 8, UINT64_C(0xdead000000000122));
	forget(lists);
	CHECK(head_of(lists, 31) == 0);
	/* A list that goes on without it. */
	make_list(HEAD, 10, 5);
	forget(lists);
	put(lru(32), lru(12));
	put(lru(32) + 8, lru(11));
	CHECK(head_of(lists, 32) == 0);
	CHECK(head_of(lists, 12) == HEAD);
	/* Those before it need not answer, those behind it must. */
	put(lru(13) + 8, HEAD);
	forget(lists);
	CHECK(head_of(lists, 13) == HEAD);
	CHECK(head_of(lists, 12) == 0);
	CHECK(head_of(lists, 11) == 0);
	CHECK(head_of(lists, 14) == HEAD);
	forget(lists);
	/* A circle of pages. */
	put(lru(40), lru(41));
	put(lru(40) + 8, lru(41));
	put(lru(41), lru(40));
	put(lru(41) + 8, lru(40));
	CHECK(head_of(lists, 40) == 0);
	CHECK(head_of(lists, 41) == 0);
	forget(lists);
	put(lru(42), NOWHERE);
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_private_list_head(lists, 42, &head));
	/* Not at the start of a word, and no kernel address. */
	put(lru(43), HEAD + 4);
	put(lru(44), 4096);
	forget(lists);
	CHECK(head_of(lists, 43) == 0);
	CHECK(head_of(lists, 44) == 0);
	forget(lists);
}

/* A running kernel has put a page, and what was behind it, on a list of its own. */
static void test_put_back(struct pa_private_lists *lists)
{
	make_list(HEAD, 10, 5);
	classes[13] = PA_CLASS_LRU;
	CHECK(head_of(lists, 10) == 0);
	CHECK(head_of(lists, 12) == 0);
	CHECK(head_of(lists, 14) == HEAD);
	forget(lists);
	classes[13] = PA_CLASS_FREE + 3;
	CHECK(head_of(lists, 11) == 0);
	forget(lists);
	classes[13] = PA_CLASS_PCP;
	CHECK(head_of(lists, 11) == 0);
	forget(lists);
	/* What somebody took off the allocator's lists is on such a list. */
	classes[13] = PA_CLASS_TAKEN;
	CHECK(head_of(lists, 11) == HEAD);
	forget(lists);
}

int main(void)
{
	uint8_t *section = classes;
	struct pa_census census = { .kernel = &kernel, .classes = &section };
	struct pa_memory *memory = bytes_start();
	struct pa_private_lists lists = {
		.census = &census,
		.kernel = &kernel,
		.memory = memory,
	};
	uint32_t index = 1;

	kernel.page_format.lru = LRU;
	kernel.sections.pages = NR_PAGES;
	kernel.sections.pages_shift = 9;
	kernel.sections.index = &index;
	kernel.sections.index_length = 1;
	test_sound(&lists);
	test_none(&lists);
	test_put_back(&lists);
	pa_private_lists_deinit(&lists);
	bytes_end(memory);
	return CHECK_DONE();
}
