// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/xarray.h"

/* Slots of a node: XA_CHUNK_SIZE, 64 or (CONFIG_BASE_SMALL) 16. */
#define MAX_SLOTS 64
#define MAX_NODE_BYTES 1024
/* A page cache of 4 TiB; no node is met twice, see is_plausible(). */
#define MAX_NODES (1u << 24)

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
	/* log2 of the slots of a node. */
	unsigned int chunk_shift;
	unsigned int nr_nodes;
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

static void visit_entry(struct walk *walk, const struct pa_xarray_entry *entry)
{
	/* The other internal entries (retry, zero, errors) hold nothing. */
	if (!entry->entry || (entry->entry & INTERNAL_MASK) == INTERNAL)
		return;
	if (!walk->visit(walk->arg, entry))
		walk->stopped = true;
}

/* Where a node lies: in that slot of that node, if it is not the topmost. */
struct place {
	uint64_t parent;
	unsigned int parent_shift, offset;
};

/*
 * A child has one chunk of bits less than its parent, and says whose it is in
 * which slot: no cycles, and no node or index twice.
 */
static bool is_plausible(const struct walk *walk, const uint8_t *node,
			 const struct place *place)
{
	const struct pa_layout *layout = walk->layout;
	uint64_t shift = PA_GET(layout, node, xa_node, shift);

	if (!place)
		return shift < 64 && shift % walk->chunk_shift == 0;
	return shift + walk->chunk_shift == place->parent_shift &&
	       PA_GET(layout, node, xa_node, parent) == place->parent &&
	       PA_GET(layout, node, xa_node, offset) == place->offset;
}

static struct pa_error *walk_node(struct walk *walk, uint64_t entry,
				  uint64_t base, const struct place *place)
{
	const struct pa_layout *layout = walk->layout;
	uint64_t address = entry - INTERNAL;
	unsigned int nr_slots = 1u << walk->chunk_shift;
	uint8_t bytes[MAX_NODE_BYTES];

	if (walk->nr_nodes++ >= MAX_NODES) {
		walk->result.corrupt++;
		walk->stopped = true;
		return NULL;
	}

	struct pa_error *err = pa_memory_read(
		walk->memory, address, PA_SIZEOF(layout, xa_node), bytes);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		walk->result.unreadable++;
		return NULL;
	}
	if (err)
		return err;

	if (!is_plausible(walk, bytes, place)) {
		walk->result.corrupt++;
		return NULL;
	}

	unsigned int shift =
		(unsigned int)PA_GET(layout, bytes, xa_node, shift);
	const uint8_t *slots = bytes + PA_OFFSETOF(layout, xa_node, slots);

	for (unsigned int i = 0; !err && !walk->stopped && i < nr_slots; i++) {
		uint64_t slot = pa_load_u64(slots + i * 8);
		uint64_t first = base + ((uint64_t)i << shift);
		unsigned int last = i;

		if (!slot || is_sibling(slot))
			continue;
		if (is_node(slot)) {
			const struct place child = { address, shift, i };

			err = walk_node(walk, slot, first, &child);
			continue;
		}
		/* A multi-index entry owns the siblings that follow it. */
		while (last + 1 < nr_slots &&
		       pa_load_u64(slots + (last + 1) * 8) ==
			       ((uint64_t)i << 2 | INTERNAL))
			last++;

		const struct pa_xarray_entry found = {
			.first = first,
			.last = base + (((uint64_t)last + 1) << shift) - 1,
			.entry = slot,
			.slot = address + PA_OFFSETOF(layout, xa_node, slots) +
				i * 8,
		};

		visit_entry(walk, &found);
	}
	return err;
}

static bool init_slots(struct walk *walk)
{
	const struct pa_member *slots = PA_M(walk->layout, xa_node, slots);

	if (PA_SIZEOF(walk->layout, xa_node) > MAX_NODE_BYTES ||
	    slots->element_size != 8)
		return false;
	while (1u << walk->chunk_shift < slots->length &&
	       1u << walk->chunk_shift < MAX_SLOTS)
		walk->chunk_shift++;
	return walk->chunk_shift && slots->length == 1u << walk->chunk_shift;
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

	if (!init_slots(&walk))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct xa_node is not usable");

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

	const struct pa_xarray_entry only = {
		.entry = head,
		.slot = xarray + PA_OFFSETOF(layout, xarray, xa_head),
	};

	if (is_node(head))
		err = walk_node(&walk, head, 0, NULL);
	else
		visit_entry(&walk, &only);
	if (!err)
		*ret = walk.result;
	return err;
}
