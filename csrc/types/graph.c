// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/graph.h"

#include <string.h>

/*
 * Type information from a dump may be damaged or hostile, and contain itself.
 * Real chains of typedefs and anonymous members are a few levels deep; the
 * largest record has some hundred members.
 */
#define MAX_ALIASES 32
#define MAX_ARRAYS 8
#define MAX_ANONYMOUS 16
#define MAX_PATH_PARTS 8
/* Members looked at for one record of the table, all its members together. */
#define MAX_VISITS 30000

bool pa_graph_strip(const struct pa_graph *graph, const struct pa_node *node,
		    struct pa_node *node_ret, struct pa_node_info *ret)
{
	struct pa_node at = *node;

	for (int i = 0; i < MAX_ALIASES; i++) {
		struct pa_node_info info;

		if (!graph->ops->info(graph, &at, &info))
			return false;
		if (info.kind != PA_NODE_ALIAS) {
			*node_ret = at;
			*ret = info;
			return true;
		}
		at = info.target;
	}
	return false;
}

struct extent {
	uint32_t size;
	uint32_t length;
	uint32_t element_size;
};

/* Sizes of the type @node; false if it has none that can be known. */
static bool measure(const struct pa_graph *graph, const struct pa_node *node,
		    struct extent *ret)
{
	struct pa_node at = *node;
	uint64_t length = 1;
	bool is_array = false;

	for (int i = 0; i < MAX_ARRAYS; i++) {
		struct pa_node_info info;

		if (!pa_graph_strip(graph, &at, &at, &info))
			return false;
		if (info.kind == PA_NODE_ARRAY) {
			/* An array of a typedef of an array counts as one. */
			is_array = true;
			if (__builtin_mul_overflow(length, info.length,
						   &length))
				return false;
			at = info.target;
			continue;
		}

		uint64_t total;

		if (__builtin_mul_overflow(length, info.size, &total) ||
		    total > UINT32_MAX || length > UINT32_MAX ||
		    info.size > UINT32_MAX)
			return false;
		ret->size = (uint32_t)total;
		ret->length = is_array ? (uint32_t)length : 0;
		ret->element_size = (uint32_t)info.size;
		return true;
	}
	return false;
}

struct search {
	const struct pa_graph *graph;
	struct pa_path_part part;
	unsigned int *visits;
	struct pa_node_member *found;
};

/* Finds one name in a record, in its anonymous members too. */
static bool find_name(struct search *search, const struct pa_node *record,
		      uint64_t base_bits, int depth)
{
	struct pa_node iterator = *record;
	struct pa_node_member member;

	for (bool first = true; search->graph->ops->member(
		     search->graph, &iterator, first, &member);
	     first = false) {
		if (++*search->visits > MAX_VISITS)
			return false;
		if (__builtin_add_overflow(member.bit_offset, base_bits,
					   &member.bit_offset))
			return false;
		if (*member.name) {
			if (strncmp(member.name, search->part.name,
				    search->part.length) ||
			    member.name[search->part.length])
				continue;
			*search->found = member;
			return true;
		}
		/* An unnamed bit field is padding. */
		if (member.bit_size || depth == MAX_ANONYMOUS)
			continue;

		struct pa_node inner;
		struct pa_node_info info;

		if (pa_graph_strip(search->graph, &member.type, &inner,
				   &info) &&
		    info.kind == PA_NODE_RECORD &&
		    find_name(search, &inner, member.bit_offset, depth + 1))
			return true;
	}
	return false;
}

static bool find_member(const struct pa_graph *graph,
			const struct pa_node *record, const char *id,
			unsigned int *visits, struct pa_member *ret)
{
	struct pa_node at = *record;
	struct pa_node_member member = {};
	uint64_t bits = 0;
	const char *rest = id;
	struct search search = {
		.graph = graph,
		.visits = visits,
		.found = &member,
	};

	for (int i = 0; pa_member_path_next(&rest, &search.part); i++) {
		struct pa_node_info info;

		if (i == MAX_PATH_PARTS ||
		    !pa_graph_strip(graph, &at, &at, &info) ||
		    info.kind != PA_NODE_RECORD ||
		    !find_name(&search, &at, 0, 0) ||
		    __builtin_add_overflow(bits, member.bit_offset, &bits))
			return false;
		at = member.type;
	}

	struct extent extent;

	if (!measure(graph, &at, &extent) || bits / 8 > UINT32_MAX)
		return false;

	struct pa_member result = {
		.known = true,
		.offset = (uint32_t)(bits / 8),
		.size = extent.size,
		.length = extent.length,
		.element_size = extent.element_size,
	};

	if (member.bit_size) {
		if (member.bit_size > 64)
			return false;
		result.bit_size = (uint8_t)member.bit_size;
		result.bit_offset = (uint8_t)(bits % 8);
		/* The bytes that it touches, whatever its type's size. */
		result.size = (result.bit_offset + result.bit_size + 7u) / 8;
		result.element_size = result.size;
	} else if (bits % 8) {
		return false;
	}
	*ret = result;
	return true;
}

void pa_graph_fill_type(const struct pa_graph *graph,
			const struct pa_node *node,
			const struct pa_wanted *wanted, enum pa_type_id type,
			struct pa_layout *layout)
{
	struct pa_node record;
	struct pa_node_info info;
	struct extent extent;

	if (!pa_graph_strip(graph, node, &record, &info) ||
	    !measure(graph, &record, &extent) || !extent.size)
		return;

	struct pa_member members[PA_NR_MEMBERS];
	unsigned int visits = 0;
	int score = 0;
	int old_score = 0;

	for (int i = pa_wanted_first_member(wanted, type); i >= 0;
	     i = pa_wanted_next_member(wanted, i)) {
		old_score += layout->members[i].known;
		members[i] = (struct pa_member){};
		if (info.kind == PA_NODE_RECORD &&
		    find_member(graph, &record, pa_member_rows[i].id, &visits,
				&members[i])) {
			/* Nothing real ends behind its record. */
			if ((uint64_t)members[i].offset + members[i].size >
			    extent.size)
				members[i] = (struct pa_member){};
			else
				score++;
		}
	}

	struct pa_type *old = &layout->types[type];

	if (old->known && (score < old_score ||
			   (score == old_score && extent.size <= old->size)))
		return;
	*old = (struct pa_type){ .known = true, .size = extent.size };
	for (int i = pa_wanted_first_member(wanted, type); i >= 0;
	     i = pa_wanted_next_member(wanted, i))
		layout->members[i] = members[i];
}
