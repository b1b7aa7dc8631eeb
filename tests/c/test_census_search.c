// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The search in a machine whose every page is known: each encoding in each kind
 * of kernel memory is found, and the same words elsewhere are not.
 */
#include "census/search.h"
#include "census/words.h"
#include "check.h"
#include "machine.h"

#define PAGE 4096
#define DIRECT UINT64_C(0xffff888000000000)
#define VMALLOC UINT64_C(0xffffc90000000000)
/* Pages of the second tile, by what they are. */
#define TILE MACHINE_TILE_PAGES
#define FREE (TILE + 2)
#define THP_TAIL (TILE + 1024 + 300)
#define LRU (TILE + 1536)
#define SLAB_TAIL (TILE + 1792 + 3)
#define USED (TILE + 1920)
/* What the test makes of pages in use. */
#define DATA USED
#define TABLES (USED + 2)
#define STACK (USED + 8)
#define OLD_STACK (USED + 12)
#define VMALLOCED (USED + 20)
#define TEXT (USED + 32)
#define IMAGE_END (USED + 40)
#define NEEDLE 20000

/* Where in the vmalloc area. */
#define STACK_VA (VMALLOC + 16 * PAGE)
#define OLD_STACK_VA (VMALLOC + 32 * PAGE)
#define VMALLOCED_VA (VMALLOC + 64 * PAGE)

/* Offsets in the task_struct and the signal_struct. */
enum {
	TASK_TASKS = 0,
	TASK_STACK = 16,
	TASK_SP = 24,
	TASK_SIGNAL = 32,
	TASK_NODE = 40,
	TASK_PID = 56,
	TASK_COMM = 64,
	TASK_FLAGS = 80,
	SIGNAL_HEAD = 0,
};

static void put(struct machine *m, uint64_t pfn, uint64_t offset, uint64_t word)
{
	machine_put(m->fixed + pfn * PAGE + offset, word);
}

static void task_layout(struct pa_layout *l)
{
#define MEMBER(type, member, at, bytes)                                \
	l->members[PA_MEMBER_##type##__##member] = (struct pa_member){ \
		.known = true, .offset = (at), .size = (bytes)         \
	}
	MEMBER(list_head, next, 0, 8);
	MEMBER(list_head, prev, 8, 8);
	MEMBER(task_struct, tasks, TASK_TASKS, 16);
	MEMBER(task_struct, stack, TASK_STACK, 8);
	MEMBER(task_struct, thread__sp, TASK_SP, 8);
	MEMBER(task_struct, signal, TASK_SIGNAL, 8);
	MEMBER(task_struct, thread_node, TASK_NODE, 16);
	MEMBER(task_struct, pid, TASK_PID, 4);
	MEMBER(task_struct, comm, TASK_COMM, 16);
	MEMBER(task_struct, flags, TASK_FLAGS, 4);
	MEMBER(signal_struct, thread_head, SIGNAL_HEAD, 16);
#undef MEMBER
}

/* One task, asleep with the upper quarter of its stack in use. */
static void make_task(struct machine *m)
{
	uint64_t init = machine_place(m, 128), task = machine_place(m, 128);
	uint64_t signal = machine_place(m, 64);
	uint64_t head = MACHINE_IMAGE + init + TASK_TASKS;
	uint64_t node = MACHINE_IMAGE + task + TASK_TASKS;
	uint64_t thread = MACHINE_IMAGE + task + TASK_NODE;

	task_layout(&m->layout);
	machine_symbol(m, PA_SYM_init_task, init);
	machine_put(m->fixed + init + TASK_TASKS, node);
	machine_put(m->fixed + init + TASK_TASKS + 8, node);
	machine_put(m->fixed + task + TASK_TASKS, head);
	machine_put(m->fixed + task + TASK_TASKS + 8, head);
	machine_put(m->fixed + task + TASK_STACK, STACK_VA);
	machine_put(m->fixed + task + TASK_SP, STACK_VA + 3 * PAGE);
	machine_put(m->fixed + task + TASK_SIGNAL, MACHINE_IMAGE + signal);
	machine_put(m->fixed + task + TASK_NODE,
		    MACHINE_IMAGE + signal + SIGNAL_HEAD);
	machine_put(m->fixed + task + TASK_NODE + 8,
		    MACHINE_IMAGE + signal + SIGNAL_HEAD);
	machine_put(m->fixed + signal + SIGNAL_HEAD, thread);
	machine_put(m->fixed + signal + SIGNAL_HEAD + 8, thread);
	m->fixed[task + TASK_PID] = 77;
	memcpy(m->fixed + task + TASK_COMM, "holder", 7);
}

/* The vmalloc area: [va, va + nr pages) at @pfn. */
static void map(struct machine *m, uint64_t va, uint64_t pfn, uint64_t nr)
{
	for (uint64_t i = 0; i < nr; i++)
		put(m, TABLES + 2, ((va >> 12 & 511) + i) * 8,
		    (pfn + i) * PAGE | UINT64_C(0x8000000000000003));
}

static struct machine *make_machine(void)
{
	struct machine *m = machine_create(1);
	uint64_t pgd =
		m->layout.symbols[PA_SYM_init_top_pgt].address - MACHINE_IMAGE;

	/* Memory, not only the map of it, up to the third tile. */
	m->fixed = realloc(m->fixed, 2 * (size_t)TILE * PAGE);
	if (!m->fixed)
		abort();
	memset(m->fixed + m->fixed_bytes, 0,
	       2 * (size_t)TILE * PAGE - m->fixed_bytes);
	m->fixed_bytes = 2 * (size_t)TILE * PAGE;
	machine_symbol(m, PA_SYM__text, TEXT * PAGE);
	machine_symbol(m, PA_SYM__etext, (TEXT + 4) * PAGE);
	machine_symbol(m, PA_SYM__end, IMAGE_END * PAGE);
	machine_put(m->fixed + pgd + (VMALLOC >> 39 & 511) * 8,
		    TABLES * PAGE | 3);
	put(m, TABLES, (VMALLOC >> 30 & 511) * 8, (TABLES + 1) * PAGE | 3);
	put(m, TABLES + 1, (VMALLOC >> 21 & 511) * 8, (TABLES + 2) * PAGE | 3);
	map(m, STACK_VA, STACK, 4);
	map(m, OLD_STACK_VA, OLD_STACK, 4);
	map(m, VMALLOCED_VA, VMALLOCED, 2);
	/* STACK_END_MAGIC. */
	put(m, STACK, 0, 0x57ac6e9d);
	put(m, OLD_STACK, 0, 0x57ac6e9d);
	make_task(m);
	return m;
}

struct found {
	struct pa_kernel *kernel;
	struct pa_census *census;
	struct pa_memory *memory;
	struct pa_places *places;
	struct pa_needles needles;
	struct pa_search_result result;
};

static void search(struct machine *m, struct pa_search_query query,
		   unsigned int threads, const uint64_t *pfns, size_t nr,
		   struct found *f)
{
	struct pa_job job;

	*f = (struct found){};
	pa_job_init(&job, threads);
	CHECK_OK(pa_needles_init(&f->needles));
	for (size_t i = 0; i < nr; i++)
		CHECK_OK(pa_needles_add(&f->needles, pfns[i], 1));
	CHECK_OK(pa_needles_settle(&f->needles));
	CHECK_OK(pa_kernel_create(&m->base, &m->layout, &f->kernel));
	CHECK_OK(pa_census_create(f->kernel, true, NULL, &job, &f->census));
	CHECK_OK(pa_kernel_memory(f->kernel, &f->memory));
	CHECK_OK(pa_places_create(f->census, f->memory, &f->places));
	query.needles = &f->needles;
	CHECK_OK(pa_search(f->places, &job, &query, &f->result));
}

static void found_deinit(struct found *f)
{
	pa_search_result_deinit(&f->result);
	pa_places_destroy(f->places);
	pa_memory_destroy(f->memory);
	pa_census_destroy(f->census);
	pa_kernel_destroy(f->kernel);
	pa_needles_deinit(&f->needles);
}

static const struct pa_search_hit *hit_at(const struct found *f, uint64_t pfn,
					  uint64_t offset)
{
	pa_array_for_each(hit, &f->result.hits)
		if (hit->cpu < 0 && hit->phys == pfn * PAGE + offset)
			return hit;
	return NULL;
}

static bool is_hit(const struct found *f, uint64_t pfn, uint64_t offset,
		   enum pa_encoding encoding)
{
	const struct pa_search_hit *hit = hit_at(f, pfn, offset);

	return hit && hit->encoding == encoding && hit->pfn == NEEDLE;
}

/* The place of the hit at @pfn, which must be one; described in @text. */
static struct pa_place place_at(const struct found *f, uint64_t pfn,
				uint64_t offset, char **text)
{
	const struct pa_search_hit *hit = hit_at(f, pfn, offset);
	struct pa_place place;

	CHECK_FATAL(hit);
	CHECK_OK(pa_search_place(f->places, f->memory, hit, &place));
	*text = pa_place_describe(f->places, &place);
	CHECK_FATAL(*text);
	return place;
}

static const struct pa_search_query usual = {
	.encodings = PA_ENCODINGS_USUAL,
	.max_hits = 100,
};

/* Words of one page of data: each encoding, and what lies next to each. */
static void plant_encodings(struct machine *m)
{
	put(m, DATA, 0, machine_page(NEEDLE));
	put(m, DATA, 8, machine_page(NEEDLE) | 1);
	put(m, DATA, 16, machine_page(NEEDLE) | 3);
	put(m, DATA, 24, machine_page(NEEDLE) + 8);
	put(m, DATA, 32, DIRECT + NEEDLE * PAGE);
	put(m, DATA, 40, DIRECT + NEEDLE * PAGE + 0xfff);
	put(m, DATA, 48, NEEDLE * PAGE);
	put(m, DATA, 56, NEEDLE);
	put(m, DATA, 64, (uint64_t)NEEDLE << 32);
	put(m, DATA, 72, (uint64_t)7 << 32 | NEEDLE);
	/* Not this page's. */
	put(m, DATA, 128, machine_page(NEEDLE) - 1);
	put(m, DATA, 136, machine_page(NEEDLE + 1));
	put(m, DATA, 144, DIRECT + NEEDLE * PAGE - 1);
	put(m, DATA, 152, DIRECT + (NEEDLE + 1) * PAGE);
	put(m, DATA, 160, NEEDLE * PAGE | 0x63);
	put(m, DATA, 168, (NEEDLE + 1) * PAGE);
	put(m, DATA, 176, machine_page(NEEDLE) ^ PA_BIT(63));
	/* Not aligned. */
	put(m, DATA, 196, machine_page(NEEDLE));
}

static void check_encodings(void)
{
	struct machine *m = make_machine();
	const uint64_t pfn = NEEDLE;
	struct pa_search_query query = usual;
	struct found f;

	plant_encodings(m);
	search(m, query, 1, &pfn, 1, &f);
	CHECK(is_hit(&f, DATA, 0, PA_ENCODING_PAGE));
	CHECK(is_hit(&f, DATA, 8, PA_ENCODING_PAGE_TAGGED));
	CHECK(is_hit(&f, DATA, 16, PA_ENCODING_PAGE_TAGGED));
	CHECK(is_hit(&f, DATA, 24, PA_ENCODING_PAGE_INSIDE));
	CHECK(is_hit(&f, DATA, 32, PA_ENCODING_DIRECT));
	CHECK(is_hit(&f, DATA, 40, PA_ENCODING_DIRECT));
	CHECK(is_hit(&f, DATA, 48, PA_ENCODING_PHYS));
	CHECK(f.result.hits.length == 7);
	CHECK(f.result.nr_hits == 7 && f.result.totals[0] == 7);
	CHECK(f.result.hits.items[0].word == machine_page(NEEDLE));
	found_deinit(&f);

	/* In plain C the very same. */
	query.plain = true;
	search(m, query, 2, &pfn, 1, &f);
	CHECK(f.result.hits.length == 7);
	found_deinit(&f);

	/* Numbers of pages where they are asked for. */
	query.encodings = PA_BIT(PA_ENCODING_PFN) |
			  PA_BIT(PA_ENCODING_PFN_HALF);
	search(m, query, 1, &pfn, 1, &f);
	CHECK(is_hit(&f, DATA, 56, PA_ENCODING_PFN));
	CHECK(is_hit(&f, DATA, 68, PA_ENCODING_PFN_HALF));
	CHECK(is_hit(&f, DATA, 72, PA_ENCODING_PFN_HALF));
	CHECK(f.result.hits.length == 3);
	found_deinit(&f);

	/* One encoding alone; fewer kept than there are. */
	query.encodings = PA_BIT(PA_ENCODING_PAGE_TAGGED);
	query.max_hits = 1;
	search(m, query, 2, &pfn, 1, &f);
	CHECK(is_hit(&f, DATA, 8, PA_ENCODING_PAGE_TAGGED));
	CHECK(f.result.hits.length == 1 && f.result.totals[0] == 2);
	found_deinit(&f);
	pa_source_destroy(&m->base);
}

/* Struct pages of memory that there is none of, besides those looked for. */
static void check_unusable(void)
{
	struct machine *m = make_machine();
	const uint64_t pfn = NEEDLE, absent = PA_BIT(30);
	struct pa_search_query query = usual;
	struct found f;

	put(m, DATA, 0, machine_page(NEEDLE));
	put(m, DATA, 8, machine_page(absent) | 1);
	put(m, DATA, 16, machine_page(absent - 1));
	/* In use; inside of a struct page; behind where there may be memory. */
	put(m, DATA, 24, machine_page(NEEDLE + 1));
	put(m, DATA, 32, machine_page(absent) + 8);
	put(m, DATA, 40, machine_page(absent + 1));
	put(m, LRU, 0, machine_page(absent));
	put(m, OLD_STACK + 3, 4000, machine_page(absent));
	for (int plain = 0; plain < 2; plain++) {
		query.plain = plain;
		query.unusable_end = absent + 1;
		search(m, query, 2, &pfn, 1, &f);
		CHECK(f.result.hits.length == 1 &&
		      is_hit(&f, DATA, 0, PA_ENCODING_PAGE));
		CHECK(f.result.unusable.length == 2 &&
		      f.result.nr_unusable == 2);
		CHECK(f.result.unusable.items[0].pfn == absent - 1 &&
		      f.result.unusable.items[0].phys == DATA * PAGE + 16);
		CHECK(f.result.unusable.items[1].pfn == absent &&
		      f.result.unusable.items[1].encoding ==
			      PA_ENCODING_PAGE_TAGGED);
		CHECK(f.result.dropped[PA_DROP_DEAD_STACK] == 1);
		found_deinit(&f);

		/* Not asked for. */
		query.unusable_end = 0;
		search(m, query, 1, &pfn, 1, &f);
		CHECK(f.result.hits.length == 1 && !f.result.nr_unusable);
		found_deinit(&f);
	}
	pa_source_destroy(&m->base);
}

/* The same word in every kind of memory. */
static void check_places(void)
{
	static const uint64_t elsewhere[] = {
		FREE, THP_TAIL, LRU, TABLES + 2, TEXT, TEXT + 3,
	};
	struct machine *m = make_machine();
	const uint64_t pfn = NEEDLE, word = machine_page(NEEDLE);
	struct pa_place place;
	struct found f;
	char *text;

	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		put(m, elsewhere[i], 2048, word);
	put(m, STACK + 2, 4088, word);
	put(m, OLD_STACK + 3, 4000, word);
	/* Return addresses of a frame, and one that nobody will return to. */
	put(m, STACK + 2, 4000, MACHINE_IMAGE + TEXT * PAGE + 1);
	put(m, STACK + 3, 0x10, MACHINE_IMAGE + TEXT * PAGE + 0x123);
	put(m, STACK + 3, 0x80, word);
	put(m, STACK + 3, 0x90, MACHINE_IMAGE + TEXT * PAGE + 0x456);
	put(m, STACK + 3, 0x98, MACHINE_IMAGE + TEXT * PAGE + 0x789);
	put(m, SLAB_TAIL, 64, word);
	put(m, VMALLOCED + 1, 8, word);
	put(m, TEXT + 5, 0, word);
	put(m, DATA, 4088, word);
	search(m, usual, 2, &pfn, 1, &f);
	CHECK(f.result.hits.length == 5);
	CHECK(f.result.dropped[PA_DROP_DEAD_STACK] == 2);
	CHECK(!f.result.unread_stacks && !f.result.unknown_pages);

	place = place_at(&f, STACK + 3, 0x80, &text);
	CHECK(place.kind == PA_PLACE_STACK && !place.dead);
	CHECK(place.address == STACK_VA + 3 * PAGE + 0x80);
	CHECK(place.pid == 77 && !strcmp(place.comm, "holder"));
	CHECK(place.frame == MACHINE_IMAGE + TEXT * PAGE + 0x123);
	CHECK(place.caller == MACHINE_IMAGE + TEXT * PAGE + 0x456);
	CHECK(strstr(text, "stack of holder (77) at 0xffffc90000013080"));
	free(text);

	place = place_at(&f, SLAB_TAIL, 64, &text);
	CHECK(place.kind == PA_PLACE_SLAB && !place.cache);
	CHECK(place.address == DIRECT + SLAB_TAIL * PAGE + 64);
	free(text);

	place = place_at(&f, VMALLOCED + 1, 8, &text);
	CHECK(place.kind == PA_PLACE_VMALLOC);
	CHECK(place.start == VMALLOCED_VA);
	CHECK(place.end == VMALLOCED_VA + 2 * PAGE);
	CHECK(!strcmp(text, "vmalloc area 0xffffc90000040000 + 0x1008"));
	free(text);

	place = place_at(&f, TEXT + 5, 0, &text);
	CHECK(place.kind == PA_PLACE_IMAGE);
	CHECK(place.address == MACHINE_IMAGE + (TEXT + 5) * PAGE);
	free(text);

	place = place_at(&f, DATA, 4088, &text);
	CHECK(place.kind == PA_PLACE_PAGE && place.head_pfn == DATA);
	CHECK(place.address == DIRECT + DATA * PAGE + 4088);
	free(text);

	/* What a dead word would be said to be. */
	CHECK_OK(pa_place_find(f.places, f.memory,
			       (STACK + 2) * (uint64_t)PAGE + 4088, &place));
	CHECK(place.kind == PA_PLACE_STACK && place.dead && place.pid == 77);
	CHECK_OK(pa_place_find(f.places, f.memory,
			       (OLD_STACK + 3) * (uint64_t)PAGE, &place));
	CHECK(place.kind == PA_PLACE_STACK && place.dead && !place.task);
	CHECK_OK(pa_place_find(f.places, f.memory, THP_TAIL * (uint64_t)PAGE,
			       &place));
	CHECK(place.kind == PA_PLACE_NOT_KERNEL);
	found_deinit(&f);
	pa_source_destroy(&m->base);
}

/* Slots that holders have told of, by whichever address they had. */
static void check_known(void)
{
	static const uint64_t known[] = {
		DIRECT + DATA * PAGE + 8,
		VMALLOCED_VA + 16,
		MACHINE_IMAGE + (TEXT + 5) * PAGE,
	};
	struct machine *m = make_machine();
	const uint64_t pfn = NEEDLE, word = machine_page(NEEDLE);
	struct pa_search_query query = usual;
	struct found f;

	put(m, DATA, 8, word);
	put(m, VMALLOCED, 16, word);
	put(m, TEXT + 5, 0, word);
	put(m, TEXT + 5, 8, word);
	query.known = known;
	query.nr_known = sizeof(known) / sizeof(known[0]);
	search(m, query, 1, &pfn, 1, &f);
	CHECK(f.result.hits.length == 1);
	CHECK(hit_at(&f, TEXT + 5, 8));
	CHECK(f.result.dropped[PA_DROP_KNOWN] == 3);
	found_deinit(&f);
	pa_source_destroy(&m->base);
}

/* Registers of CPUs in the kernel, not of those in user space. */
static void check_registers(void)
{
	struct machine *m = make_machine();
	const uint64_t pfn = NEEDLE;
	struct pa_cpu_note kernel = {
		.regs = { [5] = machine_page(NEEDLE), [17] = 0x10 }
	};
	struct pa_cpu_note user = {
		.regs = { [6] = DIRECT + NEEDLE * PAGE, [17] = 0x33 }
	};
	struct pa_place place;
	struct found f;
	char *text;

	CHECK_FATAL(pa_array_append(&m->base.info.cpus, user));
	CHECK_FATAL(pa_array_append(&m->base.info.cpus, kernel));
	search(m, usual, 2, &pfn, 1, &f);
	CHECK_FATAL(f.result.hits.length == 1);
	CHECK_OK(pa_search_place(f.places, f.memory, f.result.hits.items,
				 &place));
	CHECK(place.kind == PA_PLACE_REGISTER && place.cpu == 1);
	text = pa_place_describe(f.places, &place);
	CHECK_FATAL(text);
	CHECK(strstr(text, "register bx of CPU 1"));
	free(text);
	found_deinit(&f);
	pa_array_deinit(&m->base.info.cpus);
	pa_source_destroy(&m->base);
}

/* Of many pages at once; the same however many threads there are. */
static void check_many(void)
{
	enum { NR = 5000 };
	struct machine *m = make_machine();
	uint64_t *pfns = calloc(NR, sizeof(*pfns));
	struct pa_search_query query = usual;
	struct found one, two;

	CHECK_FATAL(pfns);
	for (uint64_t i = 0; i < NR; i++) {
		pfns[i] = 1 + i * 50;
		put(m, VMALLOCED + i % 2, i / 2 * 8 % PAGE,
		    machine_page(pfns[i]));
		put(m, DATA, i * 8 % PAGE, DIRECT + pfns[i % 16] * PAGE);
	}
	query.max_hits = 3;
	search(m, query, 1, pfns, NR, &one);
	search(m, query, 2, pfns, NR, &two);
	CHECK(one.result.nr_hits == 3 * 512);
	CHECK(one.result.nr_hits == two.result.nr_hits);
	CHECK(one.result.hits.length == two.result.hits.length);
	for (size_t i = 0; i < one.result.hits.length; i++) {
		const struct pa_search_hit *x = &one.result.hits.items[i];
		const struct pa_search_hit *y = &two.result.hits.items[i];

		CHECK(x->pfn == y->pfn && x->phys == y->phys &&
		      x->word == y->word && x->needle == y->needle);
	}
	CHECK(!memcmp(one.result.totals, two.result.totals,
		      NR * sizeof(*one.result.totals)));
	found_deinit(&one);
	found_deinit(&two);
	free(pfns);
	pa_source_destroy(&m->base);
}

static void check_needles(void)
{
	struct pa_needles needles;
	uint32_t n;

	CHECK_OK(pa_needles_init(&needles));
	CHECK_OK(pa_needles_settle(&needles));
	CHECK(!needles.nr && !pa_needles_find(&needles, 0, &n));
	CHECK_OK(pa_needles_add(&needles, 32760, 20));
	CHECK_OK(pa_needles_add(&needles, 5, 1));
	CHECK_OK(pa_needles_add(&needles, PA_BIT(40) - 1, 100));
	CHECK_OK(pa_needles_add(&needles, PA_BIT(40), 100));
	CHECK_OK(pa_needles_add(&needles, 5, 1));
	CHECK_OK(pa_needles_settle(&needles));
	CHECK(needles.nr == 22);
	CHECK(needles.first == 5 && needles.last == PA_BIT(40) - 1);
	CHECK(pa_needles_find(&needles, 5, &n) && n == 0);
	CHECK(pa_needles_find(&needles, 32760, &n) && n == 1);
	CHECK(pa_needles_find(&needles, 32779, &n) && n == 20);
	CHECK(pa_needles_find(&needles, PA_BIT(40) - 1, &n) && n == 21);
	CHECK(!pa_needles_find(&needles, 32780, &n));
	CHECK(!pa_needles_find(&needles, 32759, &n));
	CHECK(!pa_needles_find(&needles, PA_BIT(40), &n));
	CHECK(!pa_needles_find(&needles, UINT64_MAX, &n));
	pa_needles_deinit(&needles);
}

/* Vector instructions, plain C and the definition, over words near the edges. */
static void check_words(void)
{
	enum { NR = PA_WORDS_MAX };
	static const uint64_t bases[] = { 0x1000, DIRECT + 0x5000,
					  MACHINE_VMEMMAP + 64, 3 };
	static const uint64_t spans[] = { 0x7000, 0xfff, 63, 0 };
	static const uint64_t steps[] = { 0x1000, 1, 1, 1 };
	uint8_t bytes[NR * 8 + 1];
	uint64_t seed = 1;

	for (unsigned int nr_ranges = 1; nr_ranges <= 4; nr_ranges++)
		for (unsigned int nr = NR - 40; nr <= NR; nr++) {
			struct pa_word_ranges ranges[2];
			uint16_t picked[2][PA_WORDS_MAX];
			unsigned int n[2], wanted = 0;

			for (int i = 0; i < 2; i++) {
				pa_word_ranges_init(&ranges[i], i);
				for (unsigned int r = 0; r < nr_ranges; r++)
					pa_word_ranges_add(&ranges[i], bases[r],
							   bases[r] + spans[r],
							   steps[r]);
			}
			for (unsigned int i = 0; i < nr; i++) {
				seed = seed * 6364136223846793005 + 1;
				machine_put(bytes + 1 + i * 8,
					    bases[seed >> 33 & 3] +
						    (seed >> 40 & 0x1f) *
							    0x800 -
						    (seed >> 60 & 1));
			}
			for (int i = 0; i < 2; i++)
				n[i] = pa_words_pick(&ranges[i], bytes + 1, nr,
						     picked[i]);
			CHECK(n[0] == n[1]);
			CHECK(!memcmp(picked[0], picked[1], n[0] * 2));
			for (unsigned int i = 0; i < nr; i++) {
				uint64_t w = pa_load_u64(bytes + 1 + i * 8);

				for (unsigned int r = 0; r < nr_ranges; r++)
					if (w - bases[r] <= spans[r] &&
					    !((w - bases[r]) % steps[r])) {
						wanted++;
						break;
					}
			}
			CHECK(n[0] == wanted && wanted);
		}
}

int main(void)
{
	check_needles();
	check_words();
	check_encodings();
	check_unusable();
	check_places();
	check_known();
	check_registers();
	check_many();
	return CHECK_DONE();
}
