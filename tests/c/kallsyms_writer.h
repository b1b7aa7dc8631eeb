/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Builds kallsyms tables by hand. */
#ifndef PA_TESTS_KALLSYMS_WRITER_H
#define PA_TESTS_KALLSYMS_WRITER_H

#include <stdint.h>
#include <string.h>

#include "base/bits.h"
#include "check.h"
#include "types/kallsyms.h"

struct kallsyms_symbol {
	/* Type letter and name: "Dnode_data". */
	const char *text;
	uint64_t address;
};

struct kallsyms_writer {
	uint8_t offsets[8192];
	uint8_t names[16384];
	size_t names_length;
	/* Tokens 128 and 129 stand for more than one letter. */
	char token_table[1024];
	size_t token_table_length;
	uint8_t token_index[512];
};

#define KALLSYMS_TOKEN "__"
#define KALLSYMS_LONG_TOKEN "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static inline void kallsyms_tokens(struct kallsyms_writer *writer)
{
	for (int i = 0; i < 256; i++) {
		char one[2] = { (char)i, '\0' };
		const char *token = i == 128 ? KALLSYMS_TOKEN :
				    i == 129 ? KALLSYMS_LONG_TOKEN :
				    i < 128  ? one :
					       "?";
		uint16_t at = (uint16_t)writer->token_table_length;
		size_t bytes = strlen(token) + 1;

		memcpy(writer->token_index + 2 * i, &at, 2);
		memcpy(writer->token_table + at, token, bytes);
		writer->token_table_length += bytes;
	}
}

static inline size_t kallsyms_compress(const char *text, uint8_t *codes)
{
	size_t nr = 0;

	while (*text) {
		size_t length = 1;
		uint8_t code = (uint8_t)*text;

		if (!strncmp(text, KALLSYMS_LONG_TOKEN, 32)) {
			code = 129;
			length = 32;
		} else if (!strncmp(text, KALLSYMS_TOKEN, 2)) {
			code = 128;
			length = 2;
		}
		codes[nr++] = code;
		text += length;
	}
	return nr;
}

/* As scripts/kallsyms.c writes them; borrowed from @writer. */
static inline struct pa_kallsyms_tables
kallsyms_write(struct kallsyms_writer *writer,
	       const struct kallsyms_symbol *symbols, uint32_t nr,
	       enum pa_kallsyms_form form, uint64_t base, bool absolute_percpu)
{
	memset(writer, 0, sizeof(*writer));
	kallsyms_tokens(writer);
	for (uint32_t i = 0; i < nr; i++) {
		uint8_t codes[1024];
		size_t length = kallsyms_compress(symbols[i].text, codes);
		uint64_t address = symbols[i].address;
		uint8_t *out = writer->names + writer->names_length;

		CHECK_FATAL(writer->names_length + length + 2 <=
			    sizeof(writer->names));
		if (length > 0x7f) {
			*out++ = 0x80 | (length & 0x7f);
			*out++ = (uint8_t)(length >> 7);
		} else {
			*out++ = (uint8_t)length;
		}
		memcpy(out, codes, length);
		writer->names_length = (size_t)(out + length - writer->names);
		if (form == PA_KALLSYMS_ADDRESSES) {
			memcpy(writer->offsets + 8 * i, &address, 8);
			continue;
		}

		uint32_t offset;

		if (form == PA_KALLSYMS_PLACE_RELATIVE)
			offset = (uint32_t)(address - (base + 4 * i));
		else if (!absolute_percpu)
			offset = (uint32_t)(address - base);
		else if (address >> 63)
			offset = (uint32_t)(base - 1 - address);
		else
			offset = (uint32_t)address;
		memcpy(writer->offsets + 4 * i, &offset, 4);
	}
	return (struct pa_kallsyms_tables){
		.form = form,
		.nr_symbols = nr,
		.offsets = writer->offsets,
		.offsets_length =
			nr * (form == PA_KALLSYMS_ADDRESSES ? 8u : 4u),
		.base = base,
		.names = writer->names,
		.names_length = writer->names_length,
		.token_table = (const uint8_t *)writer->token_table,
		.token_table_length = writer->token_table_length,
		.token_index = writer->token_index,
		.token_index_length = sizeof(writer->token_index),
	};
}

#endif
