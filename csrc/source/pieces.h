/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pieces of an address space that come from somewhere: physical memory from
 * the segments of an ELF file, a file from the records of a flattened one.
 * They may overlap in any way; one table of disjoint ones is made of them.
 */
#ifndef PA_SOURCE_PIECES_H
#define PA_SOURCE_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/array.h"
#include "base/error.h"

/* [start, end), not empty, whose first byte is at @from. */
struct pa_piece {
	uint64_t start;
	uint64_t end;
	uint64_t from;
	/* Where pieces overlap, the lowest rank wins. */
	uint32_t rank;
	/* The user's own. */
	uint32_t tag;
};

/* A PA_ARRAY with a name. */
struct pa_pieces {
	struct pa_piece *items;
	size_t length;
	size_t capacity;
};

/*
 * Replaces @pieces by a sorted, disjoint table of the same bytes. Neighbours
 * become one piece where tag and @from go on as in one (so pieces without
 * bytes behind them, with @from = @start, do).
 */
struct pa_error *pa_pieces_settle(struct pa_pieces *pieces);

/*
 * The piece of a settled table that holds @address, else the next one above,
 * else NULL. @hint is the index that was last found, for the next call.
 */
const struct pa_piece *pa_pieces_find(const struct pa_pieces *pieces,
				      uint64_t address, size_t *hint);

#endif
