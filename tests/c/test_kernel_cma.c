// SPDX-License-Identifier: LGPL-2.1-or-later
/* Areas of CMA in hand-made memory: of one range, of several, and broken. */
#include "bytes.h"
#include "kernel/cma.h"

#define COUNT (BASE + 64)
#define AREAS (BASE + 4096)
#define AREA_BYTES 256
#define NAME 16
#define NRANGES 96
#define RANGES 104
#define RANGE_BYTES 24

static uint64_t area_at(unsigned int n)
{
	return AREAS + n * (uint64_t)AREA_BYTES;
}

static void make_layout(bool ranges)
{
	SYMBOL(cma_areas, AREAS);
	SYMBOL(cma_area_count, COUNT);
	TYPE(cma, AREA_BYTES);
	MEMBER(cma, count, 8, 8);
	MEMBER(cma, name, NAME, 64);
	layout.members[PA_MEMBER_cma__name].length = 64;
	if (!ranges) {
		MEMBER(cma, base_pfn, 0, 8);
		return;
	}
	MEMBER(cma, nranges, NRANGES, 4);
	MEMBER(cma, ranges, RANGES, 4 * RANGE_BYTES);
	layout.members[PA_MEMBER_cma__ranges].length = 4;
	layout.members[PA_MEMBER_cma__ranges].element_size = RANGE_BYTES;
	TYPE(cma_memrange, RANGE_BYTES);
	MEMBER(cma_memrange, base_pfn, 0, 8);
	MEMBER(cma_memrange, count, 8, 8);
}

static bool has_name(struct pa_memory *memory, uint64_t pfn, const char *name)
{
	char found[PA_CMA_NAME_MAX] = "?";

	CHECK_OK(pa_cma_name(memory, &layout, pfn, found));
	return !strcmp(found, name);
}

static void test_one_range(void)
{
	struct pa_memory *memory = bytes_start();

	CHECK(has_name(memory, 100, ""));
	make_layout(false);
	CHECK(has_name(memory, 100, ""));
	put_bytes(COUNT, 2, 4);
	put(area_at(0), 100);
	put(area_at(0) + 8, 4);
	memcpy(memory_bytes + (area_at(0) + NAME - BASE), "re\tserved", 9);
	put(area_at(1), 200);
	put(area_at(1) + 8, 1);
	CHECK(has_name(memory, 99, "") && has_name(memory, 104, ""));
	CHECK(has_name(memory, 100, "re?served"));
	CHECK(has_name(memory, 103, "re?served"));
	/* What has no name is told by its number. */
	CHECK(has_name(memory, 200, "cma1"));
	bytes_end(memory);
}

static void test_ranges(void)
{
	struct pa_memory *memory = bytes_start();
	uint64_t second = area_at(0) + RANGES + RANGE_BYTES;

	make_layout(true);
	put_bytes(COUNT, 1, 4);
	memset(memory_bytes + (area_at(0) + NAME - BASE), 'x', 64);
	put(second, 500);
	put(second + 8, 8);
	put_bytes(area_at(0) + NRANGES, 1, 4);
	CHECK(has_name(memory, 500, ""));
	/* More than there can be, and a name without an end. */
	put_bytes(area_at(0) + NRANGES, UINT32_MAX, 4);
	CHECK(has_name(memory, 507,
		       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
	CHECK(has_name(memory, 508, ""));
	/* A range that wraps has what is below its end, and no more. */
	put(second, 500);
	put(second + 8, UINT64_MAX);
	CHECK(has_name(memory, 499, ""));
	bytes_end(memory);
}

/* More areas than the memory has room for. */
static void test_too_many(void)
{
	struct pa_memory *memory = bytes_start();
	char found[PA_CMA_NAME_MAX];

	make_layout(false);
	put_bytes(COUNT, UINT32_MAX, 4);

	struct pa_error *err = pa_cma_name(memory, &layout, 1, found);

	CHECK(pa_error_is_target(err));
	CHECK(!*found);
	pa_error_destroy(err);
	bytes_end(memory);
}

int main(void)
{
	test_one_range();
	test_ranges();
	test_too_many();
	return CHECK_DONE();
}
