/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's own symbol table: names and addresses of all functions and
 * variables, compressed into tables in its read-only data (kernel/kallsyms.c,
 * written by scripts/kallsyms.c).
 */
#ifndef PA_TYPES_KALLSYMS_H
#define PA_TYPES_KALLSYMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "types/layout.h"
#include "types/wanted.h"

/* A distribution's kernel has a quarter of a million. */
#define PA_KALLSYMS_MAX (4u << 20)

/* How addresses are stored. */
enum pa_kallsyms_form {
	/* kallsyms_addresses: 64 bits each. */
	PA_KALLSYMS_ADDRESSES,
	/*
	 * kallsyms_offsets, 32 bits each, from kallsyms_relative_base. Where
	 * per-cpu symbols are linked at 0 (KALLSYMS_ABSOLUTE_PERCPU, dropped
	 * in v6.15) those are stored as they are, and the others negated.
	 */
	PA_KALLSYMS_RELATIVE,
	/* kallsyms_offsets, each from its own address (v7). */
	PA_KALLSYMS_PLACE_RELATIVE,
};

/* The tables' bytes; borrowed. Their lengths are checked, and all in them. */
struct pa_kallsyms_tables {
	enum pa_kallsyms_form form;
	uint32_t nr_symbols;
	/* 4 or, in the first form, 8 bytes a symbol. */
	const uint8_t *offsets;
	size_t offsets_length;
	/* kallsyms_relative_base, or the run-time address of @offsets. */
	uint64_t base;
	/* May be longer than the names. */
	const uint8_t *names;
	size_t names_length;
	/* May be longer than the tokens. */
	const uint8_t *token_table;
	size_t token_table_length;
	/* 256 of 16 bits. */
	const uint8_t *token_index;
	size_t token_index_length;
};

struct pa_kallsyms;

/* Owned by the caller; read-only from then on. PA_ERROR_FORMAT if damaged. */
struct pa_error *pa_kallsyms_create(const struct pa_kallsyms_tables *tables,
				    struct pa_kallsyms **ret);
void pa_kallsyms_destroy(struct pa_kallsyms *kallsyms);

static inline void pa_cleanup_kallsyms(struct pa_kallsyms **kallsyms)
{
	pa_kallsyms_destroy(*kallsyms);
}

#define pa_auto_kallsyms pa_cleanup(pa_cleanup_kallsyms)

/* Bytes that @nr names take from the start of the names; 0 if cut short. */
size_t pa_kallsyms_names_length(const uint8_t *names, size_t length,
				uint32_t nr);

uint32_t pa_kallsyms_count(const struct pa_kallsyms *kallsyms);

/* Run-time address of a symbol by its exact name; false if there is none. */
bool pa_kallsyms_find_name(const struct pa_kallsyms *kallsyms, const char *name,
			   uint64_t *ret);

/*
 * Whether they are those of the kernel that wrote @vmcoreinfo: symbols that
 * both have, some at least, are at the same addresses. KASLR moves the kernel of
 * each boot elsewhere.
 */
bool pa_kallsyms_is_of(const struct pa_kallsyms *kallsyms,
		       const char *vmcoreinfo);

/* As KSYM_NAME_LEN of newer kernels. */
#define PA_SYMBOL_NAME_MAX 512

struct pa_symbol_at {
	char name[PA_SYMBOL_NAME_MAX];
	/* Of the address that was asked for, from the symbol's. */
	uint64_t offset;
	/* To the next symbol; 0 if it is the last one. */
	uint64_t size;
};

/* The symbol that @address lies in: "name+offset/size" of messages. */
bool pa_kallsyms_find_address(const struct pa_kallsyms *kallsyms,
			      uint64_t address, struct pa_symbol_at *ret);

/* Fills the symbols that the table wants. */
void pa_kallsyms_fill(const struct pa_kallsyms *kallsyms,
		      const struct pa_wanted *wanted, struct pa_layout *layout);

#endif
