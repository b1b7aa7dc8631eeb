// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/pieces.h"

#include "base/bits.h"
#include "base/cleanup.h"

static int compare_start(const void *a, const void *b)
{
	const struct pa_piece *left = a, *right = b;

	return left->start < right->start ? -1 : left->start > right->start;
}

/* A heap of pointers to pieces, lowest rank on top. */
struct heap {
	const struct pa_piece **items;
	size_t length;
};

static void heap_push(struct heap *heap, const struct pa_piece *piece)
{
	size_t i = heap->length++;

	for (; i; i = (i - 1) / 2) {
		if (heap->items[(i - 1) / 2]->rank <= piece->rank)
			break;
		heap->items[i] = heap->items[(i - 1) / 2];
	}
	heap->items[i] = piece;
}

static void heap_pop(struct heap *heap)
{
	const struct pa_piece *last = heap->items[--heap->length];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= heap->length)
			break;
		if (child + 1 < heap->length &&
		    heap->items[child + 1]->rank < heap->items[child]->rank)
			child++;
		if (last->rank <= heap->items[child]->rank)
			break;
		heap->items[i] = heap->items[child];
		i = child;
	}
	heap->items[i] = last;
}

static bool emit(struct pa_pieces *out, const struct pa_piece *piece,
		 uint64_t start, uint64_t end)
{
	uint64_t from = piece->from + (start - piece->start);

	if (out->length) {
		struct pa_piece *last = &out->items[out->length - 1];

		if (last->end == start && last->tag == piece->tag &&
		    last->from + (last->end - last->start) == from) {
			last->end = end;
			return true;
		}
	}
	return pa_array_append(out, (struct pa_piece){
					    .start = start,
					    .end = end,
					    .from = from,
					    .rank = piece->rank,
					    .tag = piece->tag,
				    });
}

struct pa_error *pa_pieces_settle(struct pa_pieces *pieces)
{
	size_t n = pieces->length;

	if (!n)
		return NULL;

	pa_auto_free const struct pa_piece **storage =
		calloc(n, sizeof(*storage));
	struct heap heap = { .items = storage };
	struct pa_pieces out = { 0 };
	const struct pa_piece *in = pieces->items;
	uint64_t at = 0;

	if (!storage)
		return &pa_error_no_memory;
	qsort(pieces->items, n, sizeof(*pieces->items), compare_start);
	/*
	 * Sweep upwards: the heap holds the pieces that began at or below @at;
	 * those that ended are dropped when they come to its top.
	 */
	for (size_t i = 0; i < n || heap.length;) {
		if (!heap.length)
			at = in[i].start;
		while (i < n && in[i].start <= at)
			heap_push(&heap, &in[i++]);

		const struct pa_piece *top = heap.items[0];

		if (top->end <= at) {
			heap_pop(&heap);
			continue;
		}

		uint64_t end = top->end;

		if (i < n)
			end = pa_min(end, in[i].start);
		if (!emit(&out, top, at, end)) {
			pa_array_deinit(&out);
			return &pa_error_no_memory;
		}
		at = end;
	}
	free(pieces->items);
	*pieces = out;
	return NULL;
}

const struct pa_piece *pa_pieces_find(const struct pa_pieces *pieces,
				      uint64_t address, size_t *hint)
{
	const struct pa_piece *items = pieces->items;
	size_t nr = pieces->length, low;

	/* Readers mostly go upwards: the same piece, or the one after it. */
	for (size_t i = *hint; i < nr && i <= *hint + 1; i++) {
		if (address < items[i].end &&
		    (address >= items[i].start ||
		     (i && address >= items[i - 1].end))) {
			*hint = i;
			return &items[i];
		}
	}
	low = pa_bisect(items, nr, it, it->end <= address);
	if (low == nr)
		return NULL;
	*hint = low;
	return &items[low];
}
