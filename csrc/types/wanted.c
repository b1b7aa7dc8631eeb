// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/wanted.h"

#include <stdlib.h>
#include <string.h>

/*
 * Open addressing, a power of two of at least four slots a name: nearly every
 * one of the millions of lookups is a miss, and ends at an empty slot.
 */
struct slot {
	uint32_t hash;
	/* Row + 1; 0 is an empty slot. */
	uint32_t row;
};

struct space {
	struct slot *slots;
	uint32_t mask;
	const char *const *names;
};

struct pa_wanted {
	struct space spaces[PA_NR_WANTED_SPACES];
	const char *type_names[PA_NR_TYPES];
	int first_member[PA_NR_TYPES];
	int next_member[PA_NR_MEMBERS];
};

/*
 * No name of the table is as long; a damaged BTF may have millions of types
 * with one name of megabytes.
 */
#define MAX_NAME 128

/* FNV-1a, of at most MAX_NAME characters. */
static uint32_t hash_name(const char *name, size_t *length_ret)
{
	uint32_t hash = 2166136261u;
	const char *at = name;

	for (; *at && at < name + MAX_NAME; at++)
		hash = (hash ^ (uint8_t)*at) * 16777619u;
	*length_ret = (size_t)(at - name);
	return hash;
}

static struct pa_error *space_init(struct space *space,
				   const char *const *names, uint32_t nr)
{
	uint32_t size = 16;

	while (size < 4 * nr)
		size *= 2;
	space->slots = calloc(size, sizeof(*space->slots));
	if (!space->slots)
		return &pa_error_no_memory;
	space->mask = size - 1;
	space->names = names;
	for (uint32_t row = 0; row < nr; row++) {
		size_t length;
		uint32_t hash = hash_name(names[row], &length);
		uint32_t i = hash & space->mask;

		while (space->slots[i].row)
			i = (i + 1) & space->mask;
		space->slots[i] = (struct slot){ hash, row + 1 };
	}
	return NULL;
}

static int space_find(const struct space *space, uint32_t hash,
		      const char *name, size_t length)
{
	for (uint32_t i = hash & space->mask; space->slots[i].row;
	     i = (i + 1) & space->mask) {
		const struct slot *slot = &space->slots[i];

		if (slot->hash != hash)
			continue;

		const char *row_name = space->names[slot->row - 1];

		if (!strncmp(row_name, name, length) && !row_name[length])
			return (int)slot->row - 1;
	}
	return -1;
}

struct pa_error *pa_wanted_create(struct pa_wanted **ret)
{
	pa_auto_wanted struct pa_wanted *wanted = calloc(1, sizeof(*wanted));

	if (!wanted)
		return &pa_error_no_memory;
	for (int i = 0; i < PA_NR_TYPES; i++) {
		wanted->type_names[i] = pa_type_rows[i].name;
		wanted->first_member[i] = -1;
	}
	/* Backwards, so that each type's list is in the table's order. */
	for (int i = PA_NR_MEMBERS - 1; i >= 0; i--) {
		enum pa_type_id type = pa_member_rows[i].type;

		wanted->next_member[i] = wanted->first_member[type];
		wanted->first_member[type] = i;
	}

	struct pa_error *err;

	err = space_init(&wanted->spaces[PA_WANTED_TYPES], wanted->type_names,
			 PA_NR_TYPES);
	if (!err)
		err = space_init(&wanted->spaces[PA_WANTED_ENUMERATORS],
				 pa_enumerator_names, PA_NR_ENUMERATORS);
	if (!err)
		err = space_init(&wanted->spaces[PA_WANTED_SYMBOLS],
				 pa_symbol_names, PA_NR_SYMBOLS);
	if (err)
		return err;
	*ret = wanted;
	wanted = NULL;
	return NULL;
}

void pa_wanted_destroy(struct pa_wanted *wanted)
{
	if (!wanted)
		return;
	for (int i = 0; i < PA_NR_WANTED_SPACES; i++)
		free(wanted->spaces[i].slots);
	free(wanted);
}

int pa_wanted_find(const struct pa_wanted *wanted, enum pa_wanted_space space,
		   const char *name)
{
	size_t length;
	uint32_t hash = hash_name(name, &length);

	if (length == MAX_NAME)
		return -1;
	return space_find(&wanted->spaces[space], hash, name, length);
}

static bool is_piece(const char *suffix)
{
	return strstr(suffix, ".cold") || strstr(suffix, ".part.");
}

/* What gcc makes of a function, and clang's LTO of what it moves elsewhere. */
static bool is_clone(const char *suffix)
{
	return !strncmp(suffix, ".isra.", 6) ||
	       !strncmp(suffix, ".constprop.", 11) ||
	       !strncmp(suffix, ".llvm.", 6);
}

/* By the name that the source has: up to @suffix. */
static int find_source(const struct pa_wanted *wanted, const char *name,
		       const char *suffix)
{
	char buffer[MAX_NAME];
	size_t length = (size_t)(suffix - name);

	if (!length || length >= MAX_NAME)
		return -1;
	memcpy(buffer, name, length);
	buffer[length] = '\0';
	return pa_wanted_find(wanted, PA_WANTED_SYMBOLS, buffer);
}

int pa_wanted_find_symbol(const struct pa_wanted *wanted, const char *name)
{
	const char *suffix = strchr(name, '.');

	if (!suffix)
		return pa_wanted_find(wanted, PA_WANTED_SYMBOLS, name);
	return !is_piece(suffix) && is_clone(suffix) ?
		       find_source(wanted, name, suffix) :
		       -1;
}

int pa_wanted_find_piece(const struct pa_wanted *wanted, const char *name)
{
	const char *suffix = strchr(name, '.');

	return suffix && is_piece(suffix) ? find_source(wanted, name, suffix) :
					    -1;
}

int pa_wanted_first_member(const struct pa_wanted *wanted, enum pa_type_id type)
{
	return wanted->first_member[type];
}

int pa_wanted_next_member(const struct pa_wanted *wanted,
			  enum pa_member_id member)
{
	return wanted->next_member[member];
}

void pa_layout_offer_symbol(struct pa_layout *layout, enum pa_symbol_id id,
			    uint64_t address, uint64_t size, bool is_global,
			    bool *global)
{
	struct pa_symbol *symbol = &layout->symbols[id];

	if (symbol->known &&
	    (is_global < *global ||
	     (is_global == *global && address >= symbol->address)))
		return;
	symbol->known = true;
	symbol->address = address;
	symbol->size = size;
	*global = is_global;
}

void pa_layout_offer_piece(struct pa_layout *layout, enum pa_symbol_id id,
			   uint64_t address, uint64_t size)
{
	struct pa_piece piece = { address, size };

	if (!size)
		return;
	for (int i = 0; i < PA_NR_PIECES && piece.size; i++) {
		struct pa_piece *slot = &layout->symbols[id].pieces[i];
		struct pa_piece there = *slot;

		if (there.size && there.address <= piece.address)
			continue;
		*slot = piece;
		piece = there;
	}
}

void pa_layout_offer_enumerator(struct pa_layout *layout,
				enum pa_enumerator_id id, int64_t value)
{
	struct pa_enumerator *enumerator = &layout->enumerators[id];

	if (enumerator->known && value >= enumerator->value)
		return;
	*enumerator = (struct pa_enumerator){ .known = true, .value = value };
}

static uint64_t hash_more(uint64_t hash, const char *text)
{
	/* With the NUL, so that "a", "bc" differs from "ab", "c". */
	do
		hash = (hash ^ (uint8_t)*text) * UINT64_C(1099511628211);
	while (*text++);
	return hash;
}

uint64_t pa_wanted_table_hash(void)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (int i = 0; i < PA_NR_TYPES; i++)
		hash = hash_more(hash, pa_type_names[i]);
	for (int i = 0; i < PA_NR_MEMBERS; i++)
		hash = hash_more(hash, pa_member_names[i]);
	for (int i = 0; i < PA_NR_ENUMERATORS; i++)
		hash = hash_more(hash, pa_enumerator_names[i]);
	for (int i = 0; i < PA_NR_SYMBOLS; i++)
		hash = hash_more(hash, pa_symbol_names[i]);
	return hash;
}
