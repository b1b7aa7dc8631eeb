// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/maple_tree.h"

/* MAPLE_NODE_MASK: what a pointer at a node keeps in its low bits. */
#define NODE_MASK UINT64_C(0xff)
#define TYPE_SHIFT 3
#define TYPE_MASK 0xf
/* MAPLE_RESERVED_RANGE: internal entries below are no nodes. */
#define RESERVED_RANGE 4096
#define NODE_BYTES 256
/* Slots of the node with the most of them. */
#define MAX_SLOTS 32
/* MAPLE_HEIGHT_MAX */
#define MAX_HEIGHT 31
/* With 5 slots each, which full ones have, these hold 2^20 entries. */
#define MAX_NODES (1u << 18)

struct walk {
	struct pa_memory *memory;
	const struct pa_layout *layout;
	pa_maple_visit_fn visit;
	void *arg;
	struct pa_maple_result result;
	unsigned int nr_nodes;
	bool stopped;
};

/* xa_is_node() as maple trees have it. */
static bool is_node(uint64_t entry)
{
	return (entry & 3) == 2 && entry > RESERVED_RANGE;
}

static bool is_leaf(const struct walk *walk, uint64_t node)
{
	return (int64_t)(node >> TYPE_SHIFT & TYPE_MASK) <
	       PA_ENUM(walk->layout, maple_range_64);
}

/* Where the node keeps its pivots and slots; false: not of a kind in use. */
static bool node_members(const struct walk *walk, uint64_t node,
			 const struct pa_member **pivot,
			 const struct pa_member **slot)
{
	const struct pa_layout *layout = walk->layout;
	int64_t type = (int64_t)(node >> TYPE_SHIFT & TYPE_MASK);

	if (type == PA_ENUM(layout, maple_arange_64)) {
		*pivot = PA_M(layout, maple_arange_64, pivot);
		*slot = PA_M(layout, maple_arange_64, slot);
	} else if (type == PA_ENUM(layout, maple_range_64) ||
		   type == PA_ENUM(layout, maple_leaf_64)) {
		*pivot = PA_M(layout, maple_range_64, pivot);
		*slot = PA_M(layout, maple_range_64, slot);
	} else {
		return false;
	}
	return (*slot)->length && (*slot)->length <= MAX_SLOTS &&
	       (*pivot)->length + 1 == (*slot)->length &&
	       (*pivot)->offset + (*pivot)->size <= NODE_BYTES &&
	       (*slot)->offset + (*slot)->size <= NODE_BYTES;
}

/* The node @node for the indices [min, max]. */
static struct pa_error *walk_node(struct walk *walk, uint64_t node,
				  uint64_t min, uint64_t max,
				  unsigned int height)
{
	const struct pa_member *pivot, *slot;
	uint8_t bytes[NODE_BYTES];
	struct pa_error *err = NULL;

	if (height > MAX_HEIGHT || walk->nr_nodes++ >= MAX_NODES ||
	    !node_members(walk, node, &pivot, &slot)) {
		walk->result.corrupt++;
		return NULL;
	}
	err = pa_memory_read(walk->memory, node & ~NODE_MASK, sizeof(bytes),
			     bytes);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		walk->result.unreadable++;
		return NULL;
	}
	for (uint32_t i = 0; !err && !walk->stopped && i < slot->length; i++) {
		uint64_t entry = pa_load_u64(bytes + slot->offset + i * 8);
		/* The last slot has no pivot; one of 0 ends the node. */
		uint64_t last =
			i < pivot->length ?
				pa_load_u64(bytes + pivot->offset + i * 8) :
				max;

		if (!last && i)
			last = max;
		if (last < min || last > max) {
			walk->result.corrupt++;
			break;
		}
		/* Only the root's pointer has the mark of a node. */
		if (!is_leaf(walk, node) && pa_is_kernel_address(entry))
			err = walk_node(walk, entry, min, last, height + 1);
		else if (!is_leaf(walk, node))
			walk->result.corrupt++;
		else if (entry && (entry & 3) != 2)
			walk->stopped =
				!walk->visit(walk->arg, min, last, entry);
		if (last == max)
			break;
		min = last + 1;
	}
	return err;
}

struct pa_error *pa_maple_tree_walk(struct pa_memory *memory,
				    const struct pa_layout *layout,
				    uint64_t tree, pa_maple_visit_fn visit,
				    void *arg, struct pa_maple_result *ret)
{
	struct walk walk = {
		.memory = memory, .layout = layout, .visit = visit, .arg = arg
	};
	uint64_t root;
	struct pa_error *err = pa_memory_read_u64(
		memory, tree + PA_OFFSETOF(layout, maple_tree, ma_root), &root);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		walk.result.unreadable = 1;
		*ret = walk.result;
		return NULL;
	}
	if (!err && is_node(root))
		err = walk_node(&walk, root, 0, ~UINT64_C(0), 0);
	else if (!err && root && (root & 3) != 2)
		visit(arg, 0, 0, root);
	if (!err)
		*ret = walk.result;
	return err;
}
