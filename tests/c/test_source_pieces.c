// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of disjoint pieces against a map of single bytes. */
#include <string.h>

#include "check.h"
#include "source/pieces.h"

#define SPACE 200

struct cell {
	bool used;
	uint32_t rank;
	uint32_t tag;
	uint64_t from;
};

static uint32_t random_below(uint64_t *state, uint32_t n)
{
	*state = *state * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(*state >> 33) % n;
}

static void check_table(const struct pa_pieces *table, const struct cell *cells)
{
	uint64_t last_end = 0;
	size_t hint = 0;

	for (size_t i = 0; i < table->length; i++) {
		CHECK(table->items[i].start < table->items[i].end);
		CHECK(table->items[i].start >= last_end);
		last_end = table->items[i].end;
	}
	for (uint64_t at = 0; at < SPACE + 2; at++) {
		const struct pa_piece *piece = pa_pieces_find(table, at, &hint);
		bool inside = piece && piece->start <= at;

		CHECK(!piece || at < piece->end);
		CHECK(inside == cells[at].used);
		if (inside && cells[at].used) {
			CHECK(piece->tag == cells[at].tag);
			CHECK(piece->from + (at - piece->start) ==
			      cells[at].from);
		}
	}
	/* The hint is but a hint: go downwards as well. */
	for (uint64_t at = SPACE + 2; at-- > 0;) {
		const struct pa_piece *piece = pa_pieces_find(table, at, &hint);

		CHECK((piece && piece->start <= at) == cells[at].used);
	}
}

static void test_random(uint64_t seed)
{
	struct cell cells[SPACE + 2];
	struct pa_pieces pieces = { 0 };
	uint64_t state = seed;
	uint32_t n = random_below(&state, 30);

	memset(cells, 0, sizeof(cells));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t start = random_below(&state, SPACE - 1);
		uint32_t length = 1 + random_below(&state, SPACE - start);
		/* No two of one rank: which of them wins is open. */
		uint32_t rank = i * 2654435761u;
		struct pa_piece piece = {
			.start = start,
			.end = start + length,
			.from = random_below(&state, 2) ?
					start :
					random_below(&state, 1000),
			.rank = rank,
			.tag = random_below(&state, 3),
		};

		CHECK_FATAL(pa_array_append(&pieces, piece));
		for (uint64_t at = start; at < start + length; at++) {
			if (cells[at].used && cells[at].rank <= rank)
				continue;
			cells[at] = (struct cell){
				.used = true,
				.rank = rank,
				.tag = piece.tag,
				.from = piece.from + (at - start),
			};
		}
	}
	CHECK_OK(pa_pieces_settle(&pieces));
	check_table(&pieces, cells);
	pa_array_deinit(&pieces);
}

/* Thousands of segments, each of which goes on where the last one ended. */
static void test_merge(void)
{
	struct pa_pieces pieces = { 0 };

	for (uint64_t i = 5000; i-- > 0;)
		CHECK_FATAL(
			pa_array_append(&pieces, (struct pa_piece){
							 .start = i * 4096,
							 .end = (i + 1) * 4096,
							 .from = i * 4096 + 77,
						 }));
	CHECK_OK(pa_pieces_settle(&pieces));
	CHECK(pieces.length == 1);
	CHECK(pieces.items[0].end == 5000 * 4096);
	CHECK(pieces.items[0].from == 77);
	pa_array_deinit(&pieces);
}

int main(void)
{
	for (uint64_t seed = 0; seed < 2000; seed++)
		test_random(seed);
	test_merge();
	return CHECK_DONE();
}
