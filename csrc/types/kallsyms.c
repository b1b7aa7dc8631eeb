// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/kallsyms.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/bits.h"
#include "source/vmcoreinfo.h"

#define NR_TOKENS 256
/* "type" and a name, with a NUL. */
#define EXPANDED_MAX (PA_SYMBOL_NAME_MAX + 1)

struct symbol {
	uint64_t address;
	/* Where its compressed name starts. */
	uint32_t name;
};

struct token {
	/* In @token_text; NUL-terminated there. */
	uint32_t start;
	uint32_t length;
};

struct pa_kallsyms {
	uint8_t *names;
	size_t names_length;
	char *token_text;
	struct token tokens[NR_TOKENS];
	/* By address; of equal ones in the table's order. */
	struct symbol *symbols;
	uint32_t nr;
};

/*
 * The length of the compressed name at @at, and how many bytes say so: one, or
 * two where the first has the top bit (v6.1). Zero bytes if cut short.
 */
static size_t name_header(const uint8_t *names, size_t length, size_t at,
			  size_t *length_ret)
{
	size_t bytes = 1;

	if (at >= length)
		return 0;
	*length_ret = names[at] & 0x7f;
	if (names[at] & 0x80) {
		if (length - at < 2)
			return 0;
		*length_ret |= (size_t)(names[at + 1] & 0x7f) << 7;
		bytes = 2;
	}
	if (length - at - bytes < *length_ret)
		return 0;
	return bytes;
}

size_t pa_kallsyms_names_length(const uint8_t *names, size_t length,
				uint32_t nr)
{
	size_t at = 0;

	for (uint32_t i = 0; i < nr; i++) {
		size_t name_length;
		size_t bytes = name_header(names, length, at, &name_length);

		if (!bytes)
			return 0;
		at += bytes + name_length;
	}
	return at;
}

/*
 * The name at @at into @buffer, its type letter first. Longer names than the
 * kernel can have are cut.
 */
static size_t expand(const struct pa_kallsyms *kallsyms, uint32_t at,
		     char buffer[EXPANDED_MAX])
{
	size_t length = 0;
	size_t bytes = name_header(kallsyms->names, kallsyms->names_length, at,
				   &length);
	const uint8_t *codes = kallsyms->names + at + bytes;
	size_t used = 0;

	for (size_t i = 0; bytes && i < length; i++) {
		const struct token *token = &kallsyms->tokens[codes[i]];
		size_t copy = token->length;

		if (copy > EXPANDED_MAX - 1 - used)
			copy = EXPANDED_MAX - 1 - used;
		memcpy(buffer + used, kallsyms->token_text + token->start,
		       copy);
		used += copy;
	}
	buffer[used] = '\0';
	return used;
}

static struct pa_error *damaged(void)
{
	return pa_error_create(
		PA_ERROR_FORMAT,
		"the kernel's symbol table (kallsyms) is damaged");
}

static struct pa_error *load_tokens(const struct pa_kallsyms_tables *tables,
				    struct pa_kallsyms *kallsyms)
{
	if (tables->token_index_length < 2 * NR_TOKENS)
		return damaged();
	kallsyms->token_text = malloc(tables->token_table_length + 1);
	if (!kallsyms->token_text)
		return &pa_error_no_memory;
	memcpy(kallsyms->token_text, tables->token_table,
	       tables->token_table_length);
	kallsyms->token_text[tables->token_table_length] = '\0';
	for (int i = 0; i < NR_TOKENS; i++) {
		uint32_t start = pa_load_u16(tables->token_index + 2 * i);

		if (start >= tables->token_table_length)
			return damaged();
		kallsyms->tokens[i].start = start;
		kallsyms->tokens[i].length =
			(uint32_t)strlen(kallsyms->token_text + start);
	}
	return NULL;
}

static bool has_absolute_percpu(const struct pa_kallsyms_tables *tables)
{
	/*
	 * Without it offsets are unsigned, and below the size of an image;
	 * with it those of all but per-cpu symbols are negative.
	 */
	for (uint32_t i = 0; i < tables->nr_symbols; i++)
		if (pa_load_u32(tables->offsets + 4 * (size_t)i) >> 31)
			return true;
	return false;
}

static void load_addresses(const struct pa_kallsyms_tables *tables,
			   struct pa_kallsyms *kallsyms)
{
	bool absolute_percpu = tables->form == PA_KALLSYMS_RELATIVE &&
			       has_absolute_percpu(tables);

	for (uint32_t i = 0; i < tables->nr_symbols; i++) {
		const uint8_t *at = tables->offsets + 4 * (size_t)i;
		uint64_t address;

		/* kallsyms_sym_address() */
		switch (tables->form) {
		case PA_KALLSYMS_ADDRESSES:
			address = pa_load_u64(tables->offsets + 8 * (size_t)i);
			break;
		case PA_KALLSYMS_PLACE_RELATIVE:
			address = tables->base + 4 * (uint64_t)i +
				  (uint64_t)(int64_t)(int32_t)pa_load_u32(at);
			break;
		default:
			address = pa_load_u32(at);
			if (!absolute_percpu)
				address += tables->base;
			else if (address >> 31)
				address = tables->base - 1 -
					  (uint64_t)(int64_t)(int32_t)address;
			break;
		}
		kallsyms->symbols[i].address = address;
	}
}

/*
 * The linker's order is that of addresses but for per-cpu symbols, so that
 * insertion would do; a damaged table must not make it quadratic.
 */
static int compare_symbols(const void *a, const void *b)
{
	const struct symbol *x = a;
	const struct symbol *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

static void sort_symbols(struct pa_kallsyms *kallsyms)
{
	for (uint32_t i = 1; i < kallsyms->nr; i++)
		if (kallsyms->symbols[i].address <
		    kallsyms->symbols[i - 1].address) {
			qsort(kallsyms->symbols, kallsyms->nr,
			      sizeof(*kallsyms->symbols), compare_symbols);
			return;
		}
}

struct pa_error *pa_kallsyms_create(const struct pa_kallsyms_tables *tables,
				    struct pa_kallsyms **ret)
{
	size_t entry = tables->form == PA_KALLSYMS_ADDRESSES ? 8 : 4;
	size_t names_length = pa_kallsyms_names_length(
		tables->names, tables->names_length, tables->nr_symbols);

	if (!tables->nr_symbols || !names_length || names_length > UINT32_MAX ||
	    tables->offsets_length / entry < tables->nr_symbols)
		return damaged();

	pa_auto_kallsyms struct pa_kallsyms *kallsyms =
		calloc(1, sizeof(*kallsyms));
	struct pa_error *err;

	if (!kallsyms)
		return &pa_error_no_memory;
	kallsyms->names = malloc(names_length);
	kallsyms->symbols =
		calloc(tables->nr_symbols, sizeof(*kallsyms->symbols));
	if (!kallsyms->names || !kallsyms->symbols)
		return &pa_error_no_memory;
	memcpy(kallsyms->names, tables->names, names_length);
	kallsyms->names_length = names_length;
	kallsyms->nr = tables->nr_symbols;
	err = load_tokens(tables, kallsyms);
	if (err)
		return err;
	load_addresses(tables, kallsyms);

	size_t at = 0;

	for (uint32_t i = 0; i < kallsyms->nr; i++) {
		size_t length = 0;
		size_t bytes =
			name_header(kallsyms->names, names_length, at, &length);

		kallsyms->symbols[i].name = (uint32_t)at;
		at += bytes + length;
	}
	sort_symbols(kallsyms);
	*ret = kallsyms;
	kallsyms = NULL;
	return NULL;
}

void pa_kallsyms_destroy(struct pa_kallsyms *kallsyms)
{
	if (!kallsyms)
		return;
	free(kallsyms->names);
	free(kallsyms->token_text);
	free(kallsyms->symbols);
	free(kallsyms);
}

uint32_t pa_kallsyms_count(const struct pa_kallsyms *kallsyms)
{
	return kallsyms->nr;
}

bool pa_kallsyms_find_name(const struct pa_kallsyms *kallsyms, const char *name,
			   uint64_t *ret)
{
	char buffer[EXPANDED_MAX];

	for (uint32_t i = 0; i < kallsyms->nr; i++) {
		if (!expand(kallsyms, kallsyms->symbols[i].name, buffer) ||
		    strcmp(buffer + 1, name))
			continue;
		*ret = kallsyms->symbols[i].address;
		return true;
	}
	return false;
}

bool pa_kallsyms_is_of(const struct pa_kallsyms *kallsyms,
		       const char *vmcoreinfo)
{
	static const char *const names[] = { "_stext", "swapper_pg_dir",
					     "init_uts_ns" };
	bool some = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t theirs, ours;

		if (!pa_vmcoreinfo_symbol(vmcoreinfo, names[i], &theirs) ||
		    !pa_kallsyms_find_name(kallsyms, names[i], &ours))
			continue;
		if (theirs != ours)
			return false;
		some = true;
	}
	return some;
}

/* The first symbol above @address, or kallsyms->nr. */
static uint32_t first_above(const struct pa_kallsyms *kallsyms,
			    uint64_t address)
{
	return (uint32_t)pa_bisect(kallsyms->symbols, kallsyms->nr, it,
				   it->address <= address);
}

bool pa_kallsyms_find_address(const struct pa_kallsyms *kallsyms,
			      uint64_t address, struct pa_symbol_at *ret)
{
	const struct symbol *symbols = kallsyms->symbols;
	uint32_t above = first_above(kallsyms, address);

	if (!above)
		return false;

	uint64_t end = above < kallsyms->nr ? symbols[above].address : 0;
	uint64_t start = symbols[above - 1].address;
	/* Of aliases the first, as get_symbol_pos() has it. */
	uint32_t found = start ? first_above(kallsyms, start - 1) : 0;

	char buffer[EXPANDED_MAX];

	size_t length = expand(kallsyms, symbols[found].name, buffer);

	if (!length)
		return false;
	/* From behind the type letter, with the NUL. */
	memcpy(ret->name, buffer + 1, length);
	ret->offset = address - start;
	ret->size = end ? end - start : 0;
	return true;
}

void pa_kallsyms_fill(const struct pa_kallsyms *kallsyms,
		      const struct pa_wanted *wanted, struct pa_layout *layout)
{
	bool global[PA_NR_SYMBOLS] = {};
	char buffer[EXPANDED_MAX];

	for (uint32_t i = 0; i < kallsyms->nr; i++) {
		if (!expand(kallsyms, kallsyms->symbols[i].name, buffer))
			continue;

		int id = pa_wanted_find_symbol(wanted, buffer + 1);
		int whole = pa_wanted_find_piece(wanted, buffer + 1);

		if (id < 0 && whole < 0)
			continue;
		uint64_t address = kallsyms->symbols[i].address;
		uint32_t above = first_above(kallsyms, address);
		uint64_t size =
			above < kallsyms->nr ?
				kallsyms->symbols[above].address - address :
				0;

		/* As nm has it: small letters for local symbols. */
		if (id >= 0)
			pa_layout_offer_symbol(
				layout, id, address, size,
				isupper((unsigned char)buffer[0]), &global[id]);
		else
			pa_layout_offer_piece(layout, whole, address, size);
	}
}
