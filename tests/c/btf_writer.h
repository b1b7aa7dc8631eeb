/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Builds BTF by hand. */
#ifndef PA_TESTS_BTF_WRITER_H
#define PA_TESTS_BTF_WRITER_H

#include <stdint.h>
#include <string.h>

#include "base/bits.h"
#include "check.h"

enum {
	KIND_INT = 1,
	KIND_PTR = 2,
	KIND_ARRAY = 3,
	KIND_STRUCT = 4,
	KIND_UNION = 5,
	KIND_ENUM = 6,
	KIND_FWD = 7,
	KIND_TYPEDEF = 8,
	KIND_CONST = 10,
	KIND_FUNC_PROTO = 13,
	KIND_FLOAT = 16,
	KIND_DECL_TAG = 17,
	KIND_TYPE_TAG = 18,
	KIND_ENUM64 = 19,
};

struct btf_writer {
	uint8_t types[8192];
	uint32_t types_length;
	char strings[4096];
	uint32_t strings_length;
	/* Of the next type. */
	uint32_t next_id;
	/* Of the first string: a split BTF continues its base. */
	uint32_t start_string;
};

static inline void btf_init(struct btf_writer *btf)
{
	memset(btf, 0, sizeof(*btf));
	btf->next_id = 1;
	/* Offset 0 is "". */
	btf->strings_length = 1;
}

/* A module's, behind @base. */
static inline void btf_init_split(struct btf_writer *btf,
				  const struct btf_writer *base)
{
	memset(btf, 0, sizeof(*btf));
	btf->next_id = base->next_id;
	btf->start_string = base->start_string + base->strings_length;
}

static inline uint32_t btf_string(struct btf_writer *btf, const char *text)
{
	uint32_t at = btf->strings_length;
	size_t bytes = strlen(text) + 1;

	if (!*text)
		return 0;
	CHECK_FATAL(bytes <= sizeof(btf->strings) - at);
	memcpy(btf->strings + at, text, bytes);
	btf->strings_length += (uint32_t)bytes;
	return btf->start_string + at;
}

static inline void btf_u32(struct btf_writer *btf, uint32_t value)
{
	CHECK_FATAL(btf->types_length + 4 <= sizeof(btf->types));
	memcpy(btf->types + btf->types_length, &value, 4);
	btf->types_length += 4;
}

/* The head of a type, whose id is returned. */
static inline uint32_t btf_type(struct btf_writer *btf, const char *name,
				uint32_t kind, bool flag, uint32_t vlen,
				uint32_t size)
{
	btf_u32(btf, btf_string(btf, name));
	btf_u32(btf, kind << 24 | vlen | (uint32_t)flag << 31);
	btf_u32(btf, size);
	return btf->next_id++;
}

static inline uint32_t btf_int(struct btf_writer *btf, const char *name,
			       uint32_t bytes)
{
	uint32_t id = btf_type(btf, name, KIND_INT, false, 0, bytes);

	btf_u32(btf, 8 * bytes);
	return id;
}

static inline void btf_member(struct btf_writer *btf, const char *name,
			      uint32_t type, uint32_t offset)
{
	btf_u32(btf, btf_string(btf, name));
	btf_u32(btf, type);
	btf_u32(btf, offset);
}

static inline uint32_t btf_array(struct btf_writer *btf, uint32_t element,
				 uint32_t length)
{
	uint32_t id = btf_type(btf, "", KIND_ARRAY, false, 0, 0);

	btf_u32(btf, element);
	btf_u32(btf, element);
	btf_u32(btf, length);
	return id;
}

/* All of it into @buffer, with @layouts (4 bytes each kind) if there are any. */
static inline size_t btf_finish(const struct btf_writer *btf,
				const uint8_t *layouts, uint32_t nr_layouts,
				uint8_t *buffer, size_t size)
{
	uint32_t header = layouts ? 32 : 24;
	uint32_t words[8] = {
		0x0001eb9f,
		header,
		0,
		btf->types_length,
		btf->types_length,
		btf->strings_length,
		btf->types_length + btf->strings_length,
		4 * nr_layouts,
	};
	size_t length = header + btf->types_length + btf->strings_length +
			4 * (size_t)nr_layouts;

	CHECK_FATAL(length <= size);
	memcpy(buffer, words, header);
	memcpy(buffer + header, btf->types, btf->types_length);
	memcpy(buffer + header + btf->types_length, btf->strings,
	       btf->strings_length);
	if (nr_layouts)
		memcpy(buffer + length - 4 * (size_t)nr_layouts, layouts,
		       4 * (size_t)nr_layouts);
	return length;
}

#endif
