// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/xarray.h"

#include <stdlib.h>

#include "base/cleanup.h"

/* Slots of a node: XA_CHUNK_SIZE, 64 or (CONFIG_BASE_SMALL) 16. */
#define MAX_SLOTS 64
/* 64 bits of index in steps of 4 bits at least. */
#define MAX_DEPTH 17

/* xa_is_internal() and its kinds. */
#define INTERNAL_MASK 3
#define INTERNAL 2
#define MAX_INTERNAL_NON_NODE 4096
#define MAX_SIBLING (62 << 2 | INTERNAL)

struct walk {
	struct pa_memory *memory;
	const struct pa_layout *layout;
	pa_xarray_visit_fn visit;
	void *arg;
	struct pa_xarray_result result;
	unsigned int chunk_shift;
	bool stopped;
};

static bool is_node(uint64_t entry)
{
	return (entry & INTERNAL_MASK) == INTERNAL &&
	       entry > MAX_INTERNAL_NON_NODE;
}

static bool is_sibling(uint64_t entry)
{
	return (entry & INTERNAL_MASK) == INTERNAL && entry <= MAX_SIBLING;
}

static void visit_entry(struct walk *walk, uint64_t first, uint64_t last,
			uint64_t entry)
{
	/* The other internal entries (retry, zero, errors) hold nothing. */
	if (!entry || (entry & INTERNAL_MASK) == INTERNAL)
		return;
	if (!walk->visit(walk->arg, first, last, entry))
		walk->stopped = true;
}

static struct pa_error *walk_node(struct walk *walk, uint64_t entry,
				  uint64_t base, unsigned int max_shift,
				  unsigned int depth)
{
	const struct pa_layout *layout = walk->layout;
	uint64_t size = PA_SIZEOF(layout, xa_node);
	uint8_t bytes[1024];
	uint64_t address = entry - INTERNAL;

	if (size > sizeof(bytes) || depth > MAX_DEPTH) {
		walk->result.corrupt++;
		return NULL;
	}

	struct pa_error *err =
		pa_memory_read(walk->memory, address, size, bytes);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		walk->result.unreadable++;
		return NULL;
	}
	if (err)
		return err;

	uint64_t shift = PA_GET(layout, bytes, xa_node, shift);
	unsigned int nr_slots = PA_M(layout, xa_node, slots)->length;

	/* A child lies strictly below its parent: no cycles. */
	if (shift >= max_shift || nr_slots > MAX_SLOTS) {
		walk->result.corrupt++;
		return NULL;
	}

	const uint8_t *slots = bytes + PA_OFFSETOF(layout, xa_node, slots);

	for (unsigned int i = 0; !err && !walk->stopped && i < nr_slots; i++) {
		uint64_t slot = pa_load_u64(slots + i * 8);
		uint64_t first = base + ((uint64_t)i << shift);
		unsigned int last = i;

		if (!slot || is_sibling(slot))
			continue;
		if (is_node(slot)) {
			err = walk_node(walk, slot, first, (unsigned int)shift,
					depth + 1);
			continue;
		}
		/* A multi-index entry owns the siblings that follow it. */
		while (last + 1 < nr_slots &&
		       pa_load_u64(slots + (last + 1) * 8) ==
			       ((uint64_t)i << 2 | INTERNAL))
			last++;
		visit_entry(walk, first,
			    base + (((uint64_t)last + 1) << shift) - 1, slot);
	}
	return err;
}

struct pa_error *pa_xarray_walk(struct pa_memory *memory,
				const struct pa_layout *layout, uint64_t xarray,
				pa_xarray_visit_fn visit, void *arg,
				struct pa_xarray_result *ret)
{
	struct walk walk = {
		.memory = memory, .layout = layout, .visit = visit, .arg = arg
	};
	uint64_t head;
	struct pa_error *err = pa_memory_read_u64(
		memory, xarray + PA_OFFSETOF(layout, xarray, xa_head), &head);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		walk.result.unreadable = 1;
		*ret = walk.result;
		return NULL;
	}
	if (err)
		return err;
	if (is_node(head))
		err = walk_node(&walk, head, 0, 64, 0);
	else
		visit_entry(&walk, 0, 0, head);
	if (!err)
		*ret = walk.result;
	return err;
}
