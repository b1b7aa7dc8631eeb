// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kallsyms_writer.h"

#define TEXT UINT64_C(0xffffffffa1000000)
#define LONG_NAME                                               \
	KALLSYMS_LONG_TOKEN "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"   \
			    "ccccccccccccccccccccccccccccccccc" \
			    "ddddddddddddddddddddddddddddddddd" \
			    "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee" \
			    "fffffffffffffffffffffffffffffffff"

/* In a linker's order: per-cpu symbols at 0, or among the others. */
static const struct kallsyms_symbol zero_based[] = {
	{ "D__per_cpu_start", 0 },
	{ "dcpu_fbatches", 0x30c00 },
	{ "T_text", TEXT },
	{ "T_stext", TEXT },
	{ "tstatic_one", TEXT + 0x1000 },
	{ "tmemory_blocks", TEXT + 0x1040 },
	{ "t" LONG_NAME, TEXT + 0x1100 },
	{ "Dnode_data", TEXT + 0x200000 },
	/* A name that is there twice: the global one counts. */
	{ "dnode_states", TEXT + 0x200100 },
	{ "Dnode_states", TEXT + 0x200200 },
	/* And a static one twice: the first. */
	{ "bpgmap_array", TEXT + 0x200300 },
	{ "bpgmap_array", TEXT + 0x200400 },
	{ "B_end", TEXT + 0x300000 },
};
#define NR (sizeof(zero_based) / sizeof(zero_based[0]))

static void check_symbols(const struct pa_kallsyms *kallsyms, uint64_t percpu)
{
	static struct pa_layout layout;
	pa_auto_wanted struct pa_wanted *wanted = NULL;
	uint64_t address;

	CHECK(pa_kallsyms_count(kallsyms) == NR);
	CHECK(pa_kallsyms_find_name(kallsyms, "_stext", &address) &&
	      address == TEXT);
	CHECK(pa_kallsyms_find_name(kallsyms, LONG_NAME, &address) &&
	      address == TEXT + 0x1100);
	CHECK(pa_kallsyms_find_name(kallsyms, "cpu_fbatches", &address) &&
	      address == percpu + 0x30c00);
	CHECK(!pa_kallsyms_find_name(kallsyms, "stati", &address));
	CHECK(!pa_kallsyms_find_name(kallsyms, "", &address));

	memset(&layout, 0, sizeof(layout));
	CHECK_OK(pa_wanted_create(&wanted));
	pa_kallsyms_fill(kallsyms, wanted, &layout);
	CHECK(PA_SYM(&layout, _text) == TEXT);
	CHECK(PA_SYM(&layout, node_data) == TEXT + 0x200000);
	CHECK(PA_SYM(&layout, node_states) == TEXT + 0x200200);
	CHECK(PA_SYM(&layout, pgmap_array) == TEXT + 0x200300);
	CHECK(PA_SYM(&layout, memory_blocks) == TEXT + 0x1040);
	CHECK(PA_SYM(&layout, cpu_fbatches) == percpu + 0x30c00);
	CHECK(!PA_HAS_SYM(&layout, hstates));
	/* As far as the next one that is not at the same address. */
	CHECK(layout.symbols[PA_SYM__text].size == 0x1000);
	CHECK(layout.symbols[PA_SYM_memory_blocks].size == 0xc0);
	CHECK(layout.symbols[PA_SYM_pgmap_array].size == 0x100);
}

static void check_addresses(const struct pa_kallsyms *kallsyms)
{
	struct pa_symbol_at at;

	CHECK(pa_kallsyms_find_address(kallsyms, TEXT + 0x1044, &at));
	CHECK(!strcmp(at.name, "memory_blocks"));
	CHECK(at.offset == 4);
	CHECK(at.size == 0xc0);
	/* The first of two names of one address, to the next address. */
	CHECK(pa_kallsyms_find_address(kallsyms, TEXT + 0xfff, &at));
	CHECK(!strcmp(at.name, "_text"));
	CHECK(at.offset == 0xfff);
	CHECK(at.size == 0x1000);
	CHECK(pa_kallsyms_find_address(kallsyms, TEXT + 0x1100, &at));
	CHECK(!strcmp(at.name, LONG_NAME));
	/* Behind the last one. */
	CHECK(pa_kallsyms_find_address(kallsyms, UINT64_MAX, &at));
	CHECK(!strcmp(at.name, "_end"));
	CHECK(at.size == 0);
}

static void test_forms(void)
{
	static struct kallsyms_writer writer;
	struct kallsyms_symbol ordinary[NR];
	const uint64_t percpu = TEXT + 0x210000;

	/* As since v6.15: per-cpu symbols at ordinary addresses. */
	memcpy(ordinary, zero_based, sizeof(ordinary));
	ordinary[0].address += percpu;
	ordinary[1].address += percpu;

	for (int i = 0; i < 4; i++) {
		struct pa_kallsyms_tables tables;
		pa_auto_kallsyms struct pa_kallsyms *kallsyms = NULL;

		switch (i) {
		case 0:
			tables = kallsyms_write(&writer, zero_based, NR,
						PA_KALLSYMS_ADDRESSES, 0,
						false);
			break;
		case 1:
			tables = kallsyms_write(&writer, zero_based, NR,
						PA_KALLSYMS_RELATIVE, TEXT,
						true);
			break;
		case 2:
			tables = kallsyms_write(&writer, ordinary, NR,
						PA_KALLSYMS_RELATIVE, TEXT,
						false);
			break;
		default:
			/* The table lies behind the symbols: negative. */
			tables = kallsyms_write(&writer, ordinary, NR,
						PA_KALLSYMS_PLACE_RELATIVE,
						TEXT + 0x180000, false);
			break;
		}
		CHECK_OK(pa_kallsyms_create(&tables, &kallsyms));
		check_symbols(kallsyms, i < 2 ? 0 : percpu);
		check_addresses(kallsyms);
	}
}

static void test_damaged(void)
{
	static struct kallsyms_writer writer;
	const struct pa_kallsyms_tables good = kallsyms_write(
		&writer, zero_based, NR, PA_KALLSYMS_RELATIVE, TEXT, true);
	struct pa_kallsyms_tables bad;
	struct pa_kallsyms *kallsyms;

	CHECK(pa_kallsyms_names_length(writer.names, sizeof(writer.names),
				       NR) == writer.names_length);
	for (size_t cut = 0; cut < good.names_length; cut++) {
		bad = good;
		bad.names_length = cut;
		CHECK_ERROR(PA_ERROR_FORMAT,
			    pa_kallsyms_create(&bad, &kallsyms));
	}
	bad = good;
	bad.offsets_length--;
	CHECK_ERROR(PA_ERROR_FORMAT, pa_kallsyms_create(&bad, &kallsyms));
	bad = good;
	bad.token_index_length--;
	CHECK_ERROR(PA_ERROR_FORMAT, pa_kallsyms_create(&bad, &kallsyms));
	bad = good;
	bad.token_table_length = 100;
	CHECK_ERROR(PA_ERROR_FORMAT, pa_kallsyms_create(&bad, &kallsyms));
	bad = good;
	bad.nr_symbols = 0;
	CHECK_ERROR(PA_ERROR_FORMAT, pa_kallsyms_create(&bad, &kallsyms));
	bad.nr_symbols = UINT32_MAX;
	CHECK_ERROR(PA_ERROR_FORMAT, pa_kallsyms_create(&bad, &kallsyms));
	/* The last token is not terminated: it ends with the table. */
	bad = good;
	bad.token_table_length--;
	CHECK_OK(pa_kallsyms_create(&bad, &kallsyms));
	pa_kallsyms_destroy(kallsyms);
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* From bytes of exactly that length, so that the sanitizer sees the end. */
static uint8_t *copy(const void *data, size_t length)
{
	uint8_t *bytes = malloc(length);

	CHECK_FATAL(bytes);
	memcpy(bytes, data, length);
	return bytes;
}

static void test_fuzz(void)
{
	static struct kallsyms_writer writer;
	const struct pa_kallsyms_tables good = kallsyms_write(
		&writer, zero_based, NR, PA_KALLSYMS_RELATIVE, TEXT, true);
	pa_auto_wanted struct pa_wanted *wanted = NULL;
	static struct pa_layout layout;
	uint32_t random = 1;

	CHECK_OK(pa_wanted_create(&wanted));
	for (int round = 0; round < 4000; round++) {
		uint8_t *parts[] = {
			copy(good.offsets, good.offsets_length),
			copy(good.names, good.names_length),
			copy(good.token_table, good.token_table_length),
			copy(good.token_index, good.token_index_length),
		};
		size_t lengths[] = { good.offsets_length, good.names_length,
				     good.token_table_length,
				     good.token_index_length };
		struct pa_kallsyms_tables tables = good;
		struct pa_kallsyms *kallsyms;
		struct pa_symbol_at at;
		uint64_t address;

		for (int i = 0; i < 1 + round % 8; i++) {
			unsigned int part = next_random(&random) % 4;
			size_t byte = next_random(&random) % lengths[part];

			parts[part][byte] ^= 1u << next_random(&random) % 8;
		}
		tables.form = round % 3;
		if (tables.form == PA_KALLSYMS_ADDRESSES)
			tables.nr_symbols /= 2;
		tables.offsets = parts[0];
		tables.names = parts[1];
		tables.token_table = parts[2];
		tables.token_index = parts[3];

		struct pa_error *err = pa_kallsyms_create(&tables, &kallsyms);

		if (!err) {
			memset(&layout, 0, sizeof(layout));
			pa_kallsyms_fill(kallsyms, wanted, &layout);
			pa_kallsyms_find_name(kallsyms, "nothing", &address);
			for (int i = 0; i < 20; i++)
				pa_kallsyms_find_address(
					kallsyms, TEXT + 0x10000 * (uint64_t)i,
					&at);
			pa_kallsyms_destroy(kallsyms);
		}
		pa_error_destroy(err);
		for (int i = 0; i < 4; i++)
			free(parts[i]);
	}
}

/* Names that unpack to far more than a name can be. */
static void test_bomb(void)
{
	static struct kallsyms_writer writer;
	const struct kallsyms_symbol one[] = { { "Tx", TEXT } };
	struct pa_kallsyms_tables tables = kallsyms_write(
		&writer, one, 1, PA_KALLSYMS_RELATIVE, TEXT, true);
	pa_auto_kallsyms struct pa_kallsyms *kallsyms = NULL;
	struct pa_symbol_at at;

	/* 200 times 32 letters. */
	writer.names[0] = 0x80 | (200 & 0x7f);
	writer.names[1] = 200 >> 7;
	memset(writer.names + 2, 129, 200);
	tables.names_length = 202;
	CHECK_OK(pa_kallsyms_create(&tables, &kallsyms));
	CHECK(pa_kallsyms_find_address(kallsyms, TEXT, &at));
	CHECK(strlen(at.name) == PA_SYMBOL_NAME_MAX - 1);
}

int main(void)
{
	test_forms();
	test_damaged();
	test_fuzz();
	test_bomb();
	return CHECK_DONE();
}
