// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "types/cache.h"

#define DIRECTORY "cache-of-test"
#define PATH DIRECTORY "/types-of-test"

static void fill(struct pa_layout *layout)
{
	memset(layout, 0, sizeof(*layout));
	layout->from = PA_TYPES_FROM_DWARF;
	layout->types[PA_TYPE_page] =
		(struct pa_type){ .known = true, .size = 64 };
	layout->members[PA_MEMBER_page__flags] = (struct pa_member){
		.known = true,
		.offset = 8,
		.size = 16,
		.length = 2,
		.element_size = 8,
	};
	layout->types[PA_TYPE_printk_info] =
		(struct pa_type){ .known = true, .size = 24 };
	layout->members[PA_MEMBER_printk_info__level] = (struct pa_member){
		.known = true,
		.offset = 19,
		.size = 1,
		.element_size = 1,
		.bit_size = 3,
		.bit_offset = 5,
	};
	layout->enumerators[PA_ENUM_PG_lru] =
		(struct pa_enumerator){ .known = true, .value = -4 };
	layout->symbols[PA_NR_SYMBOLS - 1] = (struct pa_symbol){
		.known = true,
		.address = UINT64_C(0xffffffff81000000),
		.size = 0x123,
		.pieces = { { UINT64_C(0xffffffff82000000), 0x45 } },
	};
}

static size_t read_file(uint8_t *buffer, size_t size)
{
	FILE *file = fopen(PATH, "r");

	CHECK_FATAL(file);

	size_t length = fread(buffer, 1, size, file);

	fclose(file);
	return length;
}

static void write_file(const uint8_t *data, size_t length)
{
	FILE *file = fopen(PATH, "w");

	CHECK_FATAL(file);
	CHECK_FATAL(fwrite(data, 1, length, file) == length);
	fclose(file);
}

/* Where the padding is clear in both. */
static bool same(const struct pa_layout *a, const struct pa_layout *b)
{
	for (int i = 0; i < PA_NR_MEMBERS; i++)
		if (memcmp(&a->members[i], &b->members[i],
			   sizeof(a->members[i])))
			return false;
	for (int i = 0; i < PA_NR_TYPES; i++)
		if (a->types[i].known != b->types[i].known ||
		    a->types[i].size != b->types[i].size)
			return false;
	for (int i = 0; i < PA_NR_ENUMERATORS; i++)
		if (a->enumerators[i].known != b->enumerators[i].known ||
		    a->enumerators[i].value != b->enumerators[i].value)
			return false;
	for (int i = 0; i < PA_NR_SYMBOLS; i++)
		if (a->symbols[i].known != b->symbols[i].known ||
		    a->symbols[i].address != b->symbols[i].address ||
		    a->symbols[i].size != b->symbols[i].size ||
		    memcmp(a->symbols[i].pieces, b->symbols[i].pieces,
			   sizeof(a->symbols[i].pieces)))
			return false;
	return a->from == b->from;
}

static void test_round_trip(void)
{
	static struct pa_layout layout;
	static struct pa_layout loaded;
	struct stat st;

	fill(&layout);
	CHECK(!pa_cache_load(PATH, &loaded));
	pa_cache_store(PATH, &layout);
	CHECK(pa_cache_load(PATH, &loaded));
	CHECK(same(&layout, &loaded));
	CHECK(!stat(PATH, &st) && (st.st_mode & 0777) == 0600);
	CHECK(!stat(DIRECTORY, &st) && (st.st_mode & 0777) == 0700);
	/* Once more, over it. */
	layout.types[PA_TYPE_page].size = 80;
	pa_cache_store(PATH, &layout);
	CHECK(pa_cache_load(PATH, &loaded));
	CHECK(PA_SIZEOF(&loaded, page) == 80);
	/* To nowhere: nothing happens. */
	pa_cache_store("/proc/none/of/test", &layout);
	pa_cache_store("no-slash", &layout);
	CHECK(access("no-slash", F_OK));
	/* Below what does not exist yet. */
	pa_cache_store(DIRECTORY "/a/b//types", &layout);
	CHECK(pa_cache_load(DIRECTORY "/a/b/types", &loaded));
	CHECK(!unlink(DIRECTORY "/a/b/types"));
	CHECK(!rmdir(DIRECTORY "/a/b") && !rmdir(DIRECTORY "/a"));
}

static uint64_t checksum(const uint8_t *data, size_t length)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (size_t i = 24; i < length; i++)
		hash = (hash ^ data[i]) * UINT64_C(1099511628211);
	return hash;
}

/* With a right checksum: what an attacker would write. */
static void write_signed(uint8_t *data, size_t length)
{
	uint64_t sum = checksum(data, length);

	memcpy(data + 16, &sum, 8);
	write_file(data, length);
}

static void test_damaged(void)
{
	static struct pa_layout layout;
	static struct pa_layout loaded;
	static uint8_t good[1 << 20];
	static uint8_t bad[1 << 20];
	size_t length;

	fill(&layout);
	pa_cache_store(PATH, &layout);
	length = read_file(good, sizeof(good));
	CHECK_FATAL(length && length < sizeof(good));

	for (size_t i = 0; i < length; i += 1 + i / 64) {
		memcpy(bad, good, length);
		bad[i] ^= 0x10;
		write_file(bad, length);
		CHECK(!pa_cache_load(PATH, &loaded));
	}
	write_file(good, length - 1);
	CHECK(!pa_cache_load(PATH, &loaded));
	write_file(good, 0);
	CHECK(!pa_cache_load(PATH, &loaded));
	memcpy(bad, good, length);
	bad[length] = 0;
	write_file(bad, length + 1);
	CHECK(!pa_cache_load(PATH, &loaded));
	write_signed(good, length);
	CHECK(pa_cache_load(PATH, &loaded));
	CHECK(same(&layout, &loaded));

	/* Words that no layout has: types and members come first. */
	for (size_t i = 24; i < 24 + 16 * PA_NR_TYPES; i += 8) {
		memcpy(bad, good, length);
		memset(bad + i, 0xff, 8);
		write_signed(bad, length);
		CHECK(!pa_cache_load(PATH, &loaded));
	}

	size_t flags = 24 + 16 * PA_NR_TYPES + 56 * PA_MEMBER_page__flags;

	for (size_t i = 0; i < 7; i++) {
		memcpy(bad, good, length);
		memset(bad + flags + 8 * i, 0xff, 8);
		write_signed(bad, length);
		CHECK(!pa_cache_load(PATH, &loaded));
	}
	/* A member behind its struct's end. */
	memcpy(bad, good, length);
	bad[flags + 8] = 60;
	write_signed(bad, length);
	CHECK(!pa_cache_load(PATH, &loaded));

	/* And then it is written anew. */
	pa_cache_store(PATH, &layout);
	CHECK(pa_cache_load(PATH, &loaded));
}

static void test_strangers(void)
{
	static struct pa_layout layout;
	static struct pa_layout loaded;

	fill(&layout);
	pa_cache_store(PATH, &layout);
	CHECK(!chmod(PATH, 0620));
	CHECK(!pa_cache_load(PATH, &loaded));
	CHECK(!chmod(PATH, 0602));
	CHECK(!pa_cache_load(PATH, &loaded));
	CHECK(!chmod(PATH, 0600));
	CHECK(pa_cache_load(PATH, &loaded));
	/* Through a link; and what is no file. */
	CHECK(!rename(PATH, PATH "-real"));
	CHECK(!symlink("types-of-test-real", PATH));
	CHECK(!pa_cache_load(PATH, &loaded));
	/* Storing replaces the link, not what it points to. */
	CHECK(!truncate(PATH "-real", 0));
	pa_cache_store(PATH, &layout);
	CHECK(pa_cache_load(PATH, &loaded));
	CHECK(!pa_cache_load(PATH "-real", &loaded));
	CHECK(!unlink(PATH) && !mkfifo(PATH, 0600));
	CHECK(!pa_cache_load(PATH, &loaded));
	CHECK(!unlink(PATH) && !mkdir(PATH, 0700));
	CHECK(!pa_cache_load(PATH, &loaded));
	/* A directory can't be replaced; no temporary file stays. */
	pa_cache_store(PATH, &layout);
	CHECK(!rmdir(PATH) && !unlink(PATH "-real"));
	CHECK(!rmdir(DIRECTORY));
}

int main(void)
{
	test_round_trip();
	test_damaged();
	test_strangers();
	return CHECK_DONE();
}
