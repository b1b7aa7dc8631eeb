// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * search THREADS TIMES DUMP [VMLINUX]: how long the search for words that name
 * pages takes: for one page, for a million, and reading the same memory alone.
 */
#include "bench.h"

#include "census/search.h"

#define NEEDLES 1000000

/* Every so many pages, so that there are NEEDLES at most. */
static void spread(const struct pa_kernel *kernel, struct pa_needles *needles)
{
	const struct pa_sections *sections = &kernel->sections;
	uint64_t pages = sections->list.length << sections->pages_shift;
	uint64_t step = pages / NEEDLES + 1;

	for (size_t i = 0; i < sections->list.length; i++) {
		uint64_t pfn = sections->list.items[i].nr
			       << sections->pages_shift;

		for (uint64_t at = 0; at < sections->pages; at += step)
			bench_ok(pa_needles_add(needles, pfn + at, 1));
	}
}

struct search {
	const struct pa_places *places;
	struct pa_job job;
	int times;
};

static void search(struct search *s, const char *name,
		   const struct pa_needles *needles, uint32_t encodings)
{
	for (int i = 0; i < s->times; i++) {
		struct pa_search_query query = {
			.needles = needles,
			.encodings = encodings,
			.max_hits = 1,
		};
		struct pa_search_result result = { 0 };
		struct bench_time begin = bench_begin();

		bench_ok(pa_search(s->places, &s->job, &query, &result));
		bench_end(name, begin);
		bench_count("bytes", result.bytes);
		pa_search_result_deinit(&result);
	}
}

int main(int argc, char **argv)
{
	struct pa_census *census;
	struct pa_kernel *kernel;
	struct pa_layout layout;
	struct pa_memory *memory;
	struct pa_needles one, million;
	struct pa_places *places;
	struct pa_source *source;
	struct search s = { 0 };

	if (argc < 4)
		bench_fail("usage: search THREADS TIMES DUMP [VMLINUX]");

	const char *path = argv[3];

	bench_ok(pa_source_open(&path, 1, &source));
	bench_layout(source, argv[4], &layout);
	bench_ok(pa_kernel_create(source, &layout, &kernel));
	pa_job_init(&s.job, (unsigned int)atoi(argv[1]));
	s.times = atoi(argv[2]);
	/* Slabs, too: free objects do not count. */
	bench_ok(pa_census_create(kernel, true, NULL, &s.job, &census));
	bench_ok(pa_kernel_memory(kernel, &memory));
	bench_ok(pa_places_create(census, memory, &places));
	s.places = places;
	bench_ok(pa_needles_init(&one));
	bench_ok(pa_needles_add(&one, kernel->sections.pages + 7, 1));
	bench_ok(pa_needles_settle(&one));
	bench_ok(pa_needles_init(&million));
	spread(kernel, &million);
	bench_ok(pa_needles_settle(&million));
	bench_count("needles", million.nr);
	search(&s, "read", &one, 0);
	search(&s, "one", &one, PA_ENCODINGS_USUAL);
	search(&s, "million", &million, PA_ENCODINGS_USUAL);
	pa_needles_deinit(&one);
	pa_needles_deinit(&million);
	pa_places_destroy(places);
	pa_memory_destroy(memory);
	pa_census_destroy(census);
	pa_kernel_destroy(kernel);
	pa_source_destroy(source);
	return 0;
}
