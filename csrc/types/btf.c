// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/btf.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "types/graph.h"

#define BTF_MAGIC 0xeb9f
#define BTF_VERSION 1

enum btf_kind {
	BTF_KIND_INT = 1,
	BTF_KIND_PTR = 2,
	BTF_KIND_ARRAY = 3,
	BTF_KIND_STRUCT = 4,
	BTF_KIND_UNION = 5,
	BTF_KIND_ENUM = 6,
	BTF_KIND_FWD = 7,
	BTF_KIND_TYPEDEF = 8,
	BTF_KIND_VOLATILE = 9,
	BTF_KIND_CONST = 10,
	BTF_KIND_RESTRICT = 11,
	BTF_KIND_FUNC = 12,
	BTF_KIND_FUNC_PROTO = 13,
	BTF_KIND_VAR = 14,
	BTF_KIND_DATASEC = 15,
	BTF_KIND_FLOAT = 16,
	BTF_KIND_DECL_TAG = 17,
	BTF_KIND_TYPE_TAG = 18,
	BTF_KIND_ENUM64 = 19,
	BTF_NR_KINDS,
};

/* Bytes behind struct btf_type: fixed, and for each of its vlen elements. */
struct kind_size {
	uint8_t fixed;
	uint8_t element;
};

static const struct kind_size kind_sizes[BTF_NR_KINDS] = {
	[BTF_KIND_INT] = { 4, 0 },	[BTF_KIND_ARRAY] = { 12, 0 },
	[BTF_KIND_STRUCT] = { 0, 12 },	[BTF_KIND_UNION] = { 0, 12 },
	[BTF_KIND_ENUM] = { 0, 8 },	[BTF_KIND_FUNC_PROTO] = { 0, 8 },
	[BTF_KIND_VAR] = { 4, 0 },	[BTF_KIND_DATASEC] = { 0, 12 },
	[BTF_KIND_DECL_TAG] = { 4, 0 }, [BTF_KIND_ENUM64] = { 0, 12 },
};

/* sizeof(struct btf_type): name, info, size or type. */
#define TYPE_BYTES 12

struct pa_btf {
	const struct pa_btf *base;
	const uint8_t *types;
	uint32_t types_length;
	const char *strings;
	uint32_t strings_length;
	/* struct btf_layout of newer BTF: sizes of each kind. */
	const uint8_t *kinds;
	uint32_t nr_kinds;
	/* First id and first string offset that are not the base's. */
	uint32_t start_id;
	uint32_t start_string;
	/* Where type start_id + i is in @types. */
	uint32_t *offsets;
	uint32_t nr_types;
	/* Some enumeration says whether it is signed. */
	bool has_enum_sign;
};

struct btf_type {
	const struct pa_btf *btf;
	uint32_t name;
	uint32_t vlen;
	enum btf_kind kind;
	bool flag;
	/* Bytes, or the id of another type. */
	uint32_t size;
	const uint8_t *body;
};

/* The fields of the type at @offset, whose body is inside @btf. */
static struct btf_type load_type(const struct pa_btf *btf, uint32_t offset)
{
	const uint8_t *at = btf->types + offset;
	uint32_t info = pa_load_u32(at + 4);

	return (struct btf_type){
		.btf = btf,
		.name = pa_load_u32(at),
		/* 16 and 5 bits wide at first; the new ones were zero. */
		.vlen = info & 0xffffff,
		.kind = info >> 24 & 0x7f,
		.flag = info >> 31,
		.size = pa_load_u32(at + 8),
		.body = at + TYPE_BYTES,
	};
}

static bool find_type(const struct pa_btf *btf, uint32_t id,
		      struct btf_type *ret)
{
	if (btf->base && id < btf->start_id)
		btf = btf->base;
	/* Id 0 is void, and has no type. */
	if (id < btf->start_id || id - btf->start_id >= btf->nr_types)
		return false;
	*ret = load_type(btf, btf->offsets[id - btf->start_id]);
	return true;
}

static const char *find_string(const struct pa_btf *btf, uint32_t offset)
{
	if (btf->base && offset < btf->start_string)
		btf = btf->base;
	if (offset < btf->start_string ||
	    offset - btf->start_string >= btf->strings_length)
		return "";
	/* The last byte of the strings is a NUL: pa_btf_create() saw it. */
	return btf->strings + (offset - btf->start_string);
}

static bool kind_size(const struct pa_btf *btf, uint32_t kind,
		      struct kind_size *ret)
{
	if (kind && kind < BTF_NR_KINDS) {
		*ret = kind_sizes[kind];
		return true;
	}
	if (!kind || kind >= btf->nr_kinds)
		return false;
	ret->fixed = btf->kinds[4 * kind];
	ret->element = btf->kinds[4 * kind + 1];
	return true;
}

static struct pa_error *index_types(struct pa_btf *btf)
{
	uint32_t capacity = 0;

	for (uint32_t at = 0; at < btf->types_length;) {
		if (btf->types_length - at < TYPE_BYTES)
			return pa_error_create(PA_ERROR_FORMAT,
					       "the kernel's BTF is cut short");

		struct btf_type type = load_type(btf, at);
		struct kind_size size;

		/* What follows a type of unknown size can't be found. */
		if (!kind_size(btf, type.kind, &size))
			return pa_error_create(
				PA_ERROR_FORMAT,
				"the kernel's BTF has a type of unknown kind %u",
				type.kind);

		uint64_t bytes = TYPE_BYTES + size.fixed +
				 (uint64_t)size.element * type.vlen;

		if (bytes > btf->types_length - at)
			return pa_error_create(PA_ERROR_FORMAT,
					       "the kernel's BTF is cut short");
		if (type.kind == BTF_KIND_ENUM64 ||
		    (type.kind == BTF_KIND_ENUM && type.flag))
			btf->has_enum_sign = true;
		if (btf->nr_types == capacity) {
			capacity = capacity ? 2 * capacity :
					      btf->types_length / 24 + 16;

			uint32_t *grown = realloc(btf->offsets,
						  capacity * sizeof(*grown));

			if (!grown)
				return &pa_error_no_memory;
			btf->offsets = grown;
		}
		btf->offsets[btf->nr_types++] = at;
		at += (uint32_t)bytes;
	}
	return NULL;
}

/* A section of the header: offset at @field, length behind it. */
static bool find_section(const uint8_t *data, size_t length,
			 uint32_t header_length, size_t field,
			 const uint8_t **ret, uint32_t *length_ret)
{
	uint64_t offset = (uint64_t)header_length + pa_load_u32(data + field);
	uint32_t section_length = pa_load_u32(data + field + 4);

	if (offset > length || section_length > length - offset)
		return false;
	*ret = data + offset;
	*length_ret = section_length;
	return true;
}

struct pa_error *pa_btf_create(const uint8_t *data, size_t length,
			       const struct pa_btf *base, struct pa_btf **ret)
{
	/* magic, version, flags, hdr_len, type_off, _len, str_off, _len */
	const size_t header_min = 24;

	if (length < header_min || pa_load_u16(data) != BTF_MAGIC ||
	    data[2] != BTF_VERSION)
		return pa_error_create(
			PA_ERROR_FORMAT,
			"there is no BTF where the kernel's should be");

	pa_auto_btf struct pa_btf *btf = calloc(1, sizeof(*btf));
	uint32_t header_length = pa_load_u32(data + 4);
	const uint8_t *strings;

	if (!btf)
		return &pa_error_no_memory;
	if (header_length < header_min || header_length > length ||
	    !find_section(data, length, header_length, 8, &btf->types,
			  &btf->types_length) ||
	    !find_section(data, length, header_length, 16, &strings,
			  &btf->strings_length) ||
	    !btf->strings_length || strings[btf->strings_length - 1])
		return pa_error_create(PA_ERROR_FORMAT,
				       "the kernel's BTF is damaged");
	btf->strings = (const char *)strings;
	/* Newer: layout_off, layout_len. */
	if (header_length >= 32) {
		uint32_t kinds_length;

		if (find_section(data, length, header_length, 24, &btf->kinds,
				 &kinds_length))
			btf->nr_kinds = kinds_length / 4;
	}
	btf->base = base;
	btf->start_id = base ? base->start_id + base->nr_types : 1;
	btf->start_string = base ? base->start_string + base->strings_length :
				   0;
	if (base && (btf->start_id < base->nr_types ||
		     btf->start_string < base->strings_length))
		return pa_error_create(PA_ERROR_FORMAT,
				       "the kernel's BTF is damaged");

	struct pa_error *err = index_types(btf);

	if (err)
		return err;
	*ret = btf;
	btf = NULL;
	return NULL;
}

void pa_btf_destroy(struct pa_btf *btf)
{
	if (!btf)
		return;
	free(btf->offsets);
	free(btf);
}

struct btf_graph {
	struct pa_graph graph;
	const struct pa_btf *btf;
};

static const struct pa_btf *graph_btf(const struct pa_graph *graph)
{
	return ((const struct btf_graph *)graph)->btf;
}

/* A node is a type id; an iterator has a member's index besides. */
static struct pa_node id_node(uint32_t id)
{
	struct pa_node node = {};

	memcpy(node.bytes, &id, sizeof(id));
	return node;
}

static uint32_t node_id(const struct pa_node *node)
{
	return pa_load_u32(node->bytes);
}

static bool btf_node_info(const struct pa_graph *graph,
			  const struct pa_node *node, struct pa_node_info *ret)
{
	struct btf_type type;

	if (!find_type(graph_btf(graph), node_id(node), &type))
		return false;
	*ret = (struct pa_node_info){ .kind = PA_NODE_OTHER };
	switch (type.kind) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		ret->kind = PA_NODE_RECORD;
		ret->size = type.size;
		return true;
	case BTF_KIND_ARRAY:
		/* type, index_type, nelems */
		ret->kind = PA_NODE_ARRAY;
		ret->target = id_node(pa_load_u32(type.body));
		ret->length = pa_load_u32(type.body + 8);
		return true;
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
		ret->kind = PA_NODE_ALIAS;
		ret->target = id_node(type.size);
		return true;
	case BTF_KIND_INT:
	case BTF_KIND_FLOAT:
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		ret->size = type.size;
		return true;
	case BTF_KIND_PTR:
		ret->size = 8;
		return true;
	default:
		return true;
	}
}

/* Typedefs and qualifiers of one type. */
#define MAX_ALIASES 32

/* An INT may itself say that it is a bit field (older BTF). */
static uint32_t int_bits(const struct pa_btf *btf, uint32_t id,
			 uint64_t *bit_offset)
{
	struct btf_type type;

	for (int i = 0; i < MAX_ALIASES; i++) {
		if (!find_type(btf, id, &type))
			return 0;
		switch (type.kind) {
		case BTF_KIND_TYPEDEF:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_CONST:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_TYPE_TAG:
			id = type.size;
			continue;
		case BTF_KIND_INT:
			break;
		default:
			return 0;
		}

		uint32_t encoding = pa_load_u32(type.body);
		uint32_t bits = encoding & 0xff;

		if (bits >= (uint64_t)8 * type.size)
			return 0;
		*bit_offset += encoding >> 16 & 0xff;
		return bits;
	}
	return 0;
}

static bool btf_node_member(const struct pa_graph *graph,
			    struct pa_node *iterator, bool first,
			    struct pa_node_member *ret)
{
	const struct pa_btf *btf = graph_btf(graph);
	struct btf_type type;
	uint32_t index = first ? 0 : pa_load_u32(iterator->bytes + 4);

	if (!find_type(btf, node_id(iterator), &type) ||
	    (type.kind != BTF_KIND_STRUCT && type.kind != BTF_KIND_UNION) ||
	    index >= type.vlen)
		return false;

	/* name_off, type, offset */
	const uint8_t *member = type.body + (size_t)12 * index;
	uint32_t type_id = pa_load_u32(member + 4);
	uint32_t offset = pa_load_u32(member + 8);

	ret->name = find_string(type.btf, pa_load_u32(member));
	ret->type = id_node(type_id);
	if (type.flag) {
		ret->bit_offset = offset & 0xffffff;
		ret->bit_size = offset >> 24;
	} else {
		ret->bit_offset = offset;
		ret->bit_size = int_bits(btf, type_id, &ret->bit_offset);
	}
	index++;
	memcpy(iterator->bytes + 4, &index, sizeof(index));
	return true;
}

static const struct pa_graph_ops btf_ops = {
	.info = btf_node_info,
	.member = btf_node_member,
};

static void fill_enumerators(const struct btf_type *type,
			     const struct pa_wanted *wanted, const bool *done,
			     struct pa_layout *layout)
{
	bool wide = type->kind == BTF_KIND_ENUM64;

	for (uint32_t i = 0; i < type->vlen; i++) {
		/* name_off, val; or name_off, val_lo32, val_hi32 */
		const uint8_t *at = type->body + (size_t)(wide ? 12 : 8) * i;
		const char *name = find_string(type->btf, pa_load_u32(at));
		int id = pa_wanted_find(wanted, PA_WANTED_ENUMERATORS, name);
		int64_t value;

		if (id < 0 || done[id])
			continue;
		if (wide)
			value = (int64_t)pa_load_u64(at + 4);
		else if (type->flag || !type->btf->has_enum_sign)
			/*
			 * Before the flag told the sign (v6.0) all were
			 * stored as signed.
			 */
			value = (int32_t)pa_load_u32(at + 4);
		else
			value = pa_load_u32(at + 4);
		pa_layout_offer_enumerator(layout, id, value);
	}
}

/* Definitions of one name that are looked at: real kernels have one or two. */
#define MAX_DEFINITIONS 4

void pa_btf_fill(const struct pa_btf *btf, const struct pa_wanted *wanted,
		 struct pa_layout *layout)
{
	struct btf_graph graph = { { &btf_ops }, btf };
	bool type_done[PA_NR_TYPES];
	uint8_t definitions[PA_NR_TYPES] = {};
	bool enumerator_done[PA_NR_ENUMERATORS];

	for (int i = 0; i < PA_NR_TYPES; i++)
		type_done[i] = layout->types[i].known;
	for (int i = 0; i < PA_NR_ENUMERATORS; i++)
		enumerator_done[i] = layout->enumerators[i].known;
	for (uint32_t i = 0; i < btf->nr_types; i++) {
		struct btf_type type = load_type(btf, btf->offsets[i]);
		enum pa_type_kind kind;

		switch (type.kind) {
		case BTF_KIND_STRUCT:
			kind = PA_KIND_struct;
			break;
		case BTF_KIND_UNION:
			kind = PA_KIND_union;
			break;
		case BTF_KIND_TYPEDEF:
			kind = PA_KIND_typedef;
			break;
		case BTF_KIND_ENUM:
		case BTF_KIND_ENUM64:
			fill_enumerators(&type, wanted, enumerator_done,
					 layout);
			continue;
		default:
			continue;
		}

		const char *name = find_string(btf, type.name);
		int id = pa_wanted_find(wanted, PA_WANTED_TYPES, name);

		if (id < 0 || type_done[id] || pa_type_rows[id].kind != kind ||
		    definitions[id] == MAX_DEFINITIONS)
			continue;
		definitions[id]++;

		struct pa_node node = id_node(btf->start_id + i);

		pa_graph_fill_type(&graph.graph, &node, wanted, id, layout);
	}
}

struct pa_error *pa_layout_add_btf(struct pa_layout *layout,
				   const uint8_t *base, size_t base_length,
				   const uint8_t *split, size_t split_length)
{
	pa_auto_wanted struct pa_wanted *wanted = NULL;
	pa_auto_btf struct pa_btf *base_btf = NULL;
	pa_auto_btf struct pa_btf *split_btf = NULL;
	struct pa_error *err;

	err = pa_wanted_create(&wanted);
	if (!err)
		err = pa_btf_create(base, base_length, NULL, &base_btf);
	if (!err)
		err = pa_btf_create(split, split_length, base_btf, &split_btf);
	if (!err)
		pa_btf_fill(split_btf, wanted, layout);
	return err;
}
