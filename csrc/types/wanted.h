/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names that types/table.def wants, hashed: what both fillers match every
 * type, enumerator and symbol of a kernel against.
 */
#ifndef PA_TYPES_WANTED_H
#define PA_TYPES_WANTED_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "types/table.h"

enum pa_wanted_space {
	PA_WANTED_TYPES,
	PA_WANTED_ENUMERATORS,
	PA_WANTED_SYMBOLS,
	PA_NR_WANTED_SPACES,
};

struct pa_wanted;

/* Owned by the caller; read-only from then on. */
struct pa_error *pa_wanted_create(struct pa_wanted **ret);
void pa_wanted_destroy(struct pa_wanted *wanted);

/* The row of that name, or -1. */
int pa_wanted_find(const struct pa_wanted *wanted, enum pa_wanted_space space,
		   const char *name);
/*
 * The same of a symbol, which a compiler may have given a suffix: a function
 * that is there as a clone only ("isolate_single_pageblock.isra.0"). Parts of
 * functions (".cold", ".part.0") are not the function.
 */
int pa_wanted_find_symbol(const struct pa_wanted *wanted, const char *name);
/* The row of the function that "function.isra.0.cold" is a piece of, or -1. */
int pa_wanted_find_piece(const struct pa_wanted *wanted, const char *name);
/* The members of @type: first, then each one's next; -1 ends. */
int pa_wanted_first_member(const struct pa_wanted *wanted,
			   enum pa_type_id type);
int pa_wanted_next_member(const struct pa_wanted *wanted,
			  enum pa_member_id member);

/*
 * A symbol of that name was found. Names of static symbols may repeat: a
 * global one wins, then the lowest address, whatever the order. *@global, at
 * first false, keeps whether the present one is.
 */
void pa_layout_offer_symbol(struct pa_layout *layout, enum pa_symbol_id id,
			    uint64_t address, uint64_t size, bool is_global,
			    bool *global);
/* A piece of that function was found: in any order. */
void pa_layout_offer_piece(struct pa_layout *layout, enum pa_symbol_id id,
			   uint64_t address, uint64_t size);

/*
 * An enumerator of that name was found. Where unrelated enumerations share a
 * name the smallest value wins, whatever the order.
 */
void pa_layout_offer_enumerator(struct pa_layout *layout,
				enum pa_enumerator_id id, int64_t value);

/* A hash of the whole table: of what a cached layout must have been made for. */
uint64_t pa_wanted_table_hash(void);

static inline void pa_cleanup_wanted(struct pa_wanted **wanted)
{
	pa_wanted_destroy(*wanted);
}

#define pa_auto_wanted pa_cleanup(pa_cleanup_wanted)

#endif
