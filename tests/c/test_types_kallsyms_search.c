// SPDX-License-Identifier: LGPL-2.1-or-later
/* Symbol tables somewhere in an image, and what only looks like them. */
#include "types/kallsyms_search.h"

#include <elf.h>

#include "kallsyms_writer.h"

#define START UINT64_C(0xffffffff80000000)
#define STEXT (START + 0x1000)
#define PHYS_BASE UINT64_C(0x200000)
#define IMAGE_BYTES (0x1000 + ((size_t)3 << 20))
#define NR_SYMBOLS 700

static struct image {
	uint8_t bytes[IMAGE_BYTES];
	/* Page that is not there; past the end if none. */
	size_t hole;
	/* Where things were put, from START. */
	size_t addresses;
	size_t relative_base;
	size_t num_syms;
	size_t names;
	size_t names_length;
	size_t markers;
	size_t token_table;
	size_t token_index;
} image;

static struct pa_error *read_image(void *arg, uint64_t phys, uint64_t length,
				   uint8_t *buffer, enum pa_presence *presence)
{
	uint64_t at = phys - PHYS_BASE;

	(void)arg;
	*presence = PA_UNREADABLE;
	if (phys < PHYS_BASE || at >= IMAGE_BYTES || length > IMAGE_BYTES - at)
		return NULL;
	if (at < image.hole + 4096 && at + length > image.hole)
		return NULL;
	*presence = PA_PRESENT;
	memcpy(buffer, image.bytes + at, length);
	return NULL;
}

static void put(size_t *at, const void *data, size_t length)
{
	memcpy(image.bytes + *at, data, length);
	*at = pa_align_up(*at + length, 8);
}

/* As write_src() does; so that the token index starts at @index. */
static void write_image(uint32_t nr, bool relative, size_t index)
{
	static struct kallsyms_writer writer;
	static struct kallsyms_symbol symbols[NR_SYMBOLS];
	static char texts[NR_SYMBOLS][32];
	uint32_t markers[NR_SYMBOLS / 256 + 1];
	uint64_t base = START;
	size_t at = 0;

	for (uint32_t i = 0; i < nr; i++) {
		snprintf(texts[i], sizeof(texts[i]), "Tsymbol__%u", i);
		symbols[i].text = texts[i];
		symbols[i].address = STEXT + 16 * (i + 1);
	}

	struct pa_kallsyms_tables tables = kallsyms_write(
		&writer, symbols, nr,
		relative ? PA_KALLSYMS_RELATIVE : PA_KALLSYMS_ADDRESSES, base,
		true);

	memset(&image, 0xa5, sizeof(image));
	image.hole = 2 * IMAGE_BYTES;
	/* Something that rises, and has nothing in front of it. */
	memset(image.bytes + 0x2000, 0, 0x2000);
	for (uint16_t i = 0; i < 256; i++)
		memcpy(image.bytes + 0x3000 + 2 * (size_t)i, &i, 2);
	for (uint32_t i = 0; i < nr; i++) {
		if (i % 256 == 0)
			markers[i / 256] = (uint32_t)at;
		at += 1 + (size_t)tables.names[at];
	}
	at = index - pa_align_up(tables.token_table_length, 8);
	image.token_table = at;
	image.token_index = index;
	at -= pa_align_up(4 * (size_t)((nr + 255) / 256), 8);
	image.markers = at;
	at -= pa_align_up(tables.names_length, 8);
	image.names = at;
	image.names_length = tables.names_length;
	image.num_syms = at - 8;
	image.relative_base = at - 16;
	image.addresses = (relative ? at - 16 : at - 8) -
			  pa_align_up(tables.offsets_length, 8);
	memset(image.bytes + image.addresses, 0, index + 512 - image.addresses);
	at = image.addresses;
	put(&at, tables.offsets, tables.offsets_length);
	if (relative)
		put(&at, &base, 8);
	put(&at, &nr, 4);
	put(&at, tables.names, tables.names_length);
	put(&at, markers, 4 * (size_t)((nr + 255) / 256));
	put(&at, tables.token_table, tables.token_table_length);
	put(&at, tables.token_index, tables.token_index_length);
	CHECK_FATAL(at == index + 512);
}

static struct pa_error *search(uint64_t start, struct pa_kallsyms_places *ret)
{
	const struct pa_image where = {
		.start = START,
		.end = START + IMAGE_BYTES,
		.phys = PHYS_BASE,
	};
	struct pa_source *source;
	struct pa_reader *reader;
	struct pa_error *err;

	CHECK_OK(pa_source_callback(read_image, NULL, NULL, false, EM_X86_64,
				    &source));
	CHECK_OK(pa_reader_create(source, &reader));
	err = pa_kallsyms_search(&where, reader, start, ret);
	pa_reader_destroy(reader);
	pa_source_destroy(source);
	return err;
}

static bool is_right(const struct pa_kallsyms_places *places, bool relative)
{
	uint64_t addresses = START + image.addresses;

	return places->names == START + image.names &&
	       places->num_syms == START + image.num_syms &&
	       places->token_table == START + image.token_table &&
	       places->token_index == START + image.token_index &&
	       places->offsets == (relative ? addresses : 0) &&
	       places->addresses == (relative ? 0 : addresses) &&
	       places->relative_base ==
		       (relative ? START + image.relative_base : 0);
}

static void test_found(void)
{
	/* Full and other groups of names; with and without padding. */
	static const uint32_t numbers[] = { 1,	 2,   255, 256,
					    257, 512, 513, NR_SYMBOLS };
	/* Where reading goes on, which is a page behind chunks of a MiB. */
	const size_t border = 0x1000 + ((size_t)1 << 20);

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		for (int relative = 0; relative < 2; relative++) {
			struct pa_kallsyms_places places;

			write_image(numbers[i], relative, border - 8 * i);
			CHECK_OK(search(STEXT, &places));
			CHECK(is_right(&places, relative));
			/* What is missing elsewhere is no matter. */
			image.hole = 0x2000;
			CHECK_OK(search(STEXT, &places));
			CHECK(is_right(&places, relative));
		}
}

/* One byte or number that does not fit. */
static void test_near_misses(void)
{
	struct pa_kallsyms_places places;
	const size_t index = (size_t)1 << 20;

	write_image(NR_SYMBOLS, true, index);
	const size_t wrong[] = {
		image.token_index + 2,
		image.token_index + 511,
		image.token_table + 2,
		image.token_table,
		image.markers,
		image.markers + 4,
		image.markers + 8,
		image.names,
		image.names + image.names_length / 2 / 8 * 8,
		image.num_syms,
		image.num_syms + 2,
		image.num_syms + 4,
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		write_image(NR_SYMBOLS, true, index);
		/* Of the names, a length: find the next one. */
		size_t at = wrong[i];

		if (at > image.names && at < image.markers) {
			at = image.names;
			while (at < wrong[i])
				at += 1 + (size_t)image.bytes[at];
		}
		image.bytes[at] ^= 0x0f;
		CHECK_ERROR(PA_ERROR_MISSING, search(STEXT, &places));
	}

	const size_t holes[] = { image.num_syms, image.names + 4096,
				 image.markers, image.token_table,
				 image.token_index };

	for (size_t i = 0; i < sizeof(holes) / sizeof(holes[0]); i++) {
		write_image(NR_SYMBOLS, true, index);
		image.hole = pa_align_down(holes[i], 4096);
		CHECK_ERROR(PA_ERROR_MISSING, search(STEXT, &places));
	}
}

/* In front of what is searched, or with no room for it. */
static void test_elsewhere(void)
{
	struct pa_kallsyms_places places;
	uint32_t nr = 1;

	write_image(NR_SYMBOLS, true, 1 << 20);
	CHECK_ERROR(PA_ERROR_MISSING,
		    search(START + image.token_index + 8, &places));
	CHECK_ERROR(PA_ERROR_MISSING, search(START + image.names - 8, &places));
	/* The number is there, and the addresses are not. */
	CHECK_ERROR(PA_ERROR_MISSING,
		    search(START + image.num_syms - 8, &places));
	CHECK_ERROR(PA_ERROR_MISSING, search(START - 8, &places));
	CHECK_ERROR(PA_ERROR_MISSING, search(0, &places));
	CHECK_ERROR(PA_ERROR_MISSING, search(UINT64_MAX, &places));
	memset(&image, 0, sizeof(image));
	CHECK_ERROR(PA_ERROR_MISSING, search(STEXT, &places));
	/* All is 0 but what rises, and a number of names without letters. */
	write_image(NR_SYMBOLS, true, 1 << 20);
	memset(image.bytes, 0, image.token_index);
	memcpy(image.bytes + image.num_syms, &nr, 4);
	CHECK_ERROR(PA_ERROR_MISSING, search(STEXT, &places));
}

/* As many tokens as there is room for, and all of the same names. */
static void test_many_tokens(void)
{
	struct pa_kallsyms_places places;

	write_image(NR_SYMBOLS, true, 1 << 20);
	for (size_t at = 0x4000; at + 512 < image.addresses; at += 0x400) {
		memset(image.bytes + at, 0, 0x200);
		memcpy(image.bytes + at + 0x200, image.bytes + 0x3000, 0x200);
	}
	CHECK_ERROR(PA_ERROR_MISSING, search(STEXT, &places));
}

/* Whatever is damaged, nothing else is taken for the tables. */
static void test_hostile(void)
{
	uint32_t random = 1;

	for (int round = 0; round < 300; round++) {
		struct pa_kallsyms_places places;
		struct pa_error *err;

		write_image(1 + (uint32_t)round % NR_SYMBOLS, round % 2,
			    (1 << 20) + 8 * (size_t)round);
		for (int i = 0; i < 1 + round % 3; i++) {
			random = random * 1664525 + 1013904223;

			size_t at = image.addresses +
				    (random >> 8) % (image.token_index + 512 -
						     image.addresses);

			image.bytes[at] ^= 1u << round % 8;
		}
		err = search(STEXT, &places);
		CHECK(err || (places.names == START + image.names &&
			      places.token_index == START + image.token_index));
		pa_error_destroy(err);
	}
}

int main(void)
{
	test_found();
	test_near_misses();
	test_elsewhere();
	test_many_tokens();
	test_hostile();
	return CHECK_DONE();
}
