/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the bytes mean: sizes, offsets, enumerator values and symbol addresses
 * of the dumped kernel, for exactly the things that types/table.def lists.
 *
 * A layout is filled once, by the DWARF filler (types/dwarf.h) or the BTF
 * filler (types/btf.h), and is shared and read-only afterwards. Code asks it
 * what this kernel has; it never asks for the kernel's version.
 */
#ifndef PA_TYPES_LAYOUT_H
#define PA_TYPES_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Identifiers: PA_TYPE_page, PA_MEMBER_page__flags, PA_ENUM_PG_lru, ... */
enum pa_type_id {
#define PA_TYPE(id, kind, need, note) PA_TYPE_##id,
#include "types/table.def"
	PA_NR_TYPES,
};

enum pa_member_id {
#define PA_MEMBER(type, id, need, note) PA_MEMBER_##type##__##id,
#include "types/table.def"
	PA_NR_MEMBERS,
};

enum pa_enumerator_id {
#define PA_ENUMERATOR(id, need, note) PA_ENUM_##id,
#include "types/table.def"
	PA_NR_ENUMERATORS,
};

enum pa_symbol_id {
#define PA_SYMBOL(id, need, note) PA_SYM_##id,
#include "types/table.def"
	PA_NR_SYMBOLS,
};

struct pa_type {
	bool known;
	/* sizeof, in bytes. */
	uint32_t size;
};

struct pa_member {
	bool known;
	/* From the start of the type that the table names, in bytes. */
	uint32_t offset;
	/* Of the whole member, in bytes; of an array, all of it. */
	uint32_t size;
	/*
	 * Elements of an array, 0 if it is no array or a flexible one. All
	 * dimensions are multiplied: BTF does not keep them apart.
	 */
	uint32_t length;
	/* Element size of an array of any kind, flexible too; else size. */
	uint32_t element_size;
	/*
	 * For bit fields: size in bits (else 0) and offset within the byte
	 * that @offset names; @size is then the bytes that it touches.
	 */
	uint8_t bit_size;
	uint8_t bit_offset;
};

struct pa_enumerator {
	bool known;
	int64_t value;
};

/* A piece of a function that the compiler moved away: ".cold", ".part.0". */
struct pa_piece {
	uint64_t address, size;
};

#define PA_NR_PIECES 3

struct pa_symbol {
	bool known;
	/*
	 * Run-time virtual address, KASLR applied; per-cpu symbols: the value
	 * to add to __per_cpu_offset[cpu].
	 */
	uint64_t address;
	/*
	 * In bytes. Of kallsyms as far as the next symbol, padding and all;
	 * 0 where the symbol table does not say.
	 */
	uint64_t size;
	/* By address, those with a size; the lowest where there are more. */
	struct pa_piece pieces[PA_NR_PIECES];
};

enum pa_types_from { PA_TYPES_FROM_DWARF, PA_TYPES_FROM_BTF };

struct pa_layout {
	enum pa_types_from from;
	struct pa_type types[PA_NR_TYPES];
	struct pa_member members[PA_NR_MEMBERS];
	struct pa_enumerator enumerators[PA_NR_ENUMERATORS];
	struct pa_symbol symbols[PA_NR_SYMBOLS];
};

/*
 * "struct page", "page.flags", "PG_lru", "node_data": for messages, tests. For
 * members of members pa_member_name() of types/table.h has the C spelling.
 */
extern const char *const pa_type_names[PA_NR_TYPES];
extern const char *const pa_member_names[PA_NR_MEMBERS];
extern const char *const pa_enumerator_names[PA_NR_ENUMERATORS];
extern const char *const pa_symbol_names[PA_NR_SYMBOLS];

#define PA_HAS_TYPE(layout, type) ((layout)->types[PA_TYPE_##type].known)
#define PA_SIZEOF(layout, type) ((layout)->types[PA_TYPE_##type].size)
#define PA_M(layout, type, member) \
	(&(layout)->members[PA_MEMBER_##type##__##member])
#define PA_HAS(layout, type, member) (PA_M(layout, type, member)->known)
#define PA_OFFSETOF(layout, type, member) (PA_M(layout, type, member)->offset)
#define PA_HAS_ENUM(layout, id) ((layout)->enumerators[PA_ENUM_##id].known)
#define PA_ENUM(layout, id) ((layout)->enumerators[PA_ENUM_##id].value)
#define PA_HAS_SYM(layout, id) ((layout)->symbols[PA_SYM_##id].known)
#define PA_SYM(layout, id) ((layout)->symbols[PA_SYM_##id].address)

/*
 * PA_ERROR_MISSING naming every required entry that is unknown, in one
 * sentence; NULL if the layout is complete.
 */
struct pa_error *pa_layout_check(const struct pa_layout *layout);

#endif
