/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Type information as a graph of nodes, whatever format it has. Each filler
 * gives the three operations; finding members and their sizes is written once,
 * on top of them, so that all formats give the same layout.
 */
#ifndef PA_TYPES_GRAPH_H
#define PA_TYPES_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "types/layout.h"
#include "types/wanted.h"

/* A type, opaque: a Dwarf_Die, or a BTF id. */
struct pa_node {
	_Alignas(8) unsigned char bytes[32];
};

enum pa_node_kind {
	/* Integers, pointers, enumerations. */
	PA_NODE_OTHER,
	/* A struct or union with its definition. */
	PA_NODE_RECORD,
	PA_NODE_ARRAY,
	/* A typedef or qualifier: look at the target. */
	PA_NODE_ALIAS,
};

struct pa_node_info {
	enum pa_node_kind kind;
	/* Bytes, of records and others; 0 if there is no definition. */
	uint64_t size;
	/* Elements of an array, all dimensions multiplied; 0 if flexible. */
	uint64_t length;
	/* An array's elements' type, or an alias's target. */
	struct pa_node target;
};

struct pa_node_member {
	/* "" if anonymous; borrowed from the graph. */
	const char *name;
	/* From the start of the record, in bits. */
	uint64_t bit_offset;
	/* 0 unless it is a bit field. */
	uint64_t bit_size;
	struct pa_node type;
};

struct pa_graph;

struct pa_graph_ops {
	/* False if there is no such type, or it is damaged. */
	bool (*info)(const struct pa_graph *graph, const struct pa_node *node,
		     struct pa_node_info *ret);
	/* The first member of a record, then each next; false at the end. */
	bool (*member)(const struct pa_graph *graph, struct pa_node *iterator,
		       bool first, struct pa_node_member *ret);
};

/* First member of each format's own graph. */
struct pa_graph {
	const struct pa_graph_ops *ops;
};

/*
 * Follows typedefs and qualifiers, as many as C code has, to what has a size;
 * false if there is none.
 */
bool pa_graph_strip(const struct pa_graph *graph, const struct pa_node *node,
		    struct pa_node *node_ret, struct pa_node_info *ret);

/*
 * Fills @layout's entry @type and its members from @node, which has that name
 * and kind. Of several definitions of one name the one with most of the wanted
 * members wins, then the larger one: so the order in which a file has them
 * does not matter.
 */
void pa_graph_fill_type(const struct pa_graph *graph,
			const struct pa_node *node,
			const struct pa_wanted *wanted, enum pa_type_id type,
			struct pa_layout *layout);

#endif
