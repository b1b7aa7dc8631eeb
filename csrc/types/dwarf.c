// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/dwarf.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <string.h>

#include "types/cache.h"
#include "types/elf_file.h"
#include "types/graph.h"
#include "types/wanted.h"

_Static_assert(sizeof(Dwarf_Die) <= sizeof(struct pa_node),
	       "a node must hold a Dwarf_Die");

static Dwarf_Die node_die(const struct pa_node *node)
{
	Dwarf_Die die;

	memcpy(&die, node->bytes, sizeof(die));
	return die;
}

static struct pa_node die_node(const Dwarf_Die *die)
{
	struct pa_node node = {};

	memcpy(node.bytes, die, sizeof(*die));
	return node;
}

/* DW_AT_name, or "". */
static const char *die_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = NULL;

	if (dwarf_attr(die, DW_AT_name, &attr))
		name = dwarf_formstring(&attr);
	return name ? name : "";
}

static bool die_number(Dwarf_Die *die, unsigned int name, uint64_t *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	if (!dwarf_attr(die, name, &attr) || dwarf_formudata(&attr, &value))
		return false;
	*ret = value;
	return true;
}

/* DW_AT_type; false for void. */
static bool die_type(Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Attribute attr;

	return dwarf_attr(die, DW_AT_type, &attr) &&
	       dwarf_formref_die(&attr, ret);
}

/* All dimensions multiplied; 0 if one has no bound (a flexible array). */
static uint64_t array_length(Dwarf_Die *array)
{
	Dwarf_Die child;
	uint64_t length = 1;
	bool any = false;

	if (dwarf_child(array, &child))
		return 0;
	do {
		uint64_t count;

		if (dwarf_tag(&child) != DW_TAG_subrange_type)
			continue;
		any = true;
		if (!die_number(&child, DW_AT_count, &count)) {
			/* An upper bound of -1 is an array of no elements. */
			if (!die_number(&child, DW_AT_upper_bound, &count) ||
			    __builtin_add_overflow(count, 1, &count))
				count = 0;
		}
		if (__builtin_mul_overflow(length, count, &length))
			return 0;
	} while (!dwarf_siblingof(&child, &child));
	return any ? length : 0;
}

static bool dwarf_node_info(const struct pa_graph *graph,
			    const struct pa_node *node,
			    struct pa_node_info *ret)
{
	Dwarf_Die die = node_die(node);
	Dwarf_Die target;

	(void)graph;
	*ret = (struct pa_node_info){ .kind = PA_NODE_OTHER };
	switch (dwarf_tag(&die)) {
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
		if (!dwarf_hasattr(&die, DW_AT_declaration) &&
		    die_number(&die, DW_AT_byte_size, &ret->size))
			ret->kind = PA_NODE_RECORD;
		return true;
	case DW_TAG_array_type:
		if (!die_type(&die, &target))
			return false;
		ret->kind = PA_NODE_ARRAY;
		ret->length = array_length(&die);
		ret->target = die_node(&target);
		return true;
	case DW_TAG_typedef:
	case DW_TAG_const_type:
	case DW_TAG_volatile_type:
	case DW_TAG_restrict_type:
	case DW_TAG_atomic_type:
		if (die_type(&die, &target)) {
			ret->kind = PA_NODE_ALIAS;
			ret->target = die_node(&target);
		}
		return true;
	case DW_TAG_pointer_type:
		/* The size may be left out: all our kernels are 64-bit. */
		if (!die_number(&die, DW_AT_byte_size, &ret->size))
			ret->size = 8;
		return true;
	default:
		die_number(&die, DW_AT_byte_size, &ret->size);
		return true;
	}
}

/* DW_AT_data_member_location, in bytes. */
static bool member_location(Dwarf_Die *die, uint64_t *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Op *ops;
	size_t nr_ops;
	Dwarf_Word value;

	*ret = 0;
	/* Members of unions need none. */
	if (!dwarf_attr(die, DW_AT_data_member_location, &attr))
		return true;
	if (!dwarf_formudata(&attr, &value)) {
		*ret = value;
		return true;
	}
	/* Before DWARF 4: "the address of the record, plus so much". */
	if (dwarf_getlocation(&attr, &ops, &nr_ops) || nr_ops != 1 ||
	    ops[0].atom != DW_OP_plus_uconst)
		return false;
	*ret = ops[0].number;
	return true;
}

static bool member_bits(const struct pa_graph *graph, Dwarf_Die *die,
			struct pa_node_member *ret)
{
	uint64_t bytes;
	uint64_t bits;

	ret->bit_size = 0;
	if (die_number(die, DW_AT_bit_size, &ret->bit_size) &&
	    die_number(die, DW_AT_data_bit_offset, &ret->bit_offset))
		return true;
	if (!member_location(die, &bytes) ||
	    __builtin_mul_overflow(bytes, 8, &ret->bit_offset))
		return false;
	if (!ret->bit_size || !die_number(die, DW_AT_bit_offset, &bits))
		return true;

	/*
	 * Up to DWARF 4: bits from the most significant bit of a storage unit
	 * of the member's, or its type's, size.
	 */
	uint64_t unit;

	if (!die_number(die, DW_AT_byte_size, &unit)) {
		struct pa_node type;
		struct pa_node_info info;

		if (!pa_graph_strip(graph, &ret->type, &type, &info))
			return false;
		unit = info.size;
	}
	if (unit > 16 || bits > 8 * unit || ret->bit_size > 8 * unit - bits)
		return false;
	ret->bit_offset += 8 * unit - bits - ret->bit_size;
	return true;
}

static bool dwarf_node_member(const struct pa_graph *graph,
			      struct pa_node *iterator, bool first,
			      struct pa_node_member *ret)
{
	Dwarf_Die die = node_die(iterator);
	int status = first ? dwarf_child(&die, &die) :
			     dwarf_siblingof(&die, &die);

	for (; !status; status = dwarf_siblingof(&die, &die)) {
		Dwarf_Die type;

		if (dwarf_tag(&die) != DW_TAG_member || !die_type(&die, &type))
			continue;
		ret->name = die_name(&die);
		ret->type = die_node(&type);
		if (!member_bits(graph, &die, ret))
			continue;
		*iterator = die_node(&die);
		return true;
	}
	return false;
}

static const struct pa_graph_ops dwarf_ops = {
	.info = dwarf_node_info,
	.member = dwarf_node_member,
};

/*
 * Nearly every unit of a kernel defines struct page again; a definition of a
 * size that was already looked at is taken for the same one.
 */
#define MAX_SIZES 4

struct fill {
	struct pa_graph graph;
	const struct pa_wanted *wanted;
	struct pa_layout *layout;
	/* What an earlier file defines is not looked for again. */
	bool type_done[PA_NR_TYPES];
	bool enumerator_done[PA_NR_ENUMERATORS];
	uint64_t sizes[PA_NR_TYPES][MAX_SIZES];
	uint8_t nr_sizes[PA_NR_TYPES];
};

static enum pa_type_kind tag_kind(int tag)
{
	switch (tag) {
	case DW_TAG_union_type:
		return PA_KIND_union;
	case DW_TAG_typedef:
		return PA_KIND_typedef;
	default:
		return PA_KIND_struct;
	}
}

static void fill_type(struct fill *fill, Dwarf_Die *die, int tag)
{
	const char *name = die_name(die);
	int id = *name ? pa_wanted_find(fill->wanted, PA_WANTED_TYPES, name) :
			 -1;
	uint64_t size;

	if (id < 0 || fill->type_done[id] ||
	    pa_type_rows[id].kind != tag_kind(tag))
		return;
	if (tag == DW_TAG_typedef) {
		/* Its size takes a walk; typedefs of one name don't differ. */
		fill->type_done[id] = true;
	} else {
		if (!die_number(die, DW_AT_byte_size, &size))
			return;
		for (int i = 0; i < fill->nr_sizes[id]; i++)
			if (fill->sizes[id][i] == size)
				return;
		if (fill->nr_sizes[id] == MAX_SIZES)
			return;
		fill->sizes[id][fill->nr_sizes[id]++] = size;
	}

	struct pa_node node = die_node(die);

	pa_graph_fill_type(&fill->graph, &node, fill->wanted, id, fill->layout);
}

static void fill_enumerators(struct fill *fill, Dwarf_Die *enumeration)
{
	Dwarf_Die die;

	if (dwarf_child(enumeration, &die))
		return;
	do {
		int id = pa_wanted_find(fill->wanted, PA_WANTED_ENUMERATORS,
					die_name(&die));
		Dwarf_Attribute attr;
		Dwarf_Sword number;
		Dwarf_Word positive;

		if (id < 0 || fill->enumerator_done[id] ||
		    !dwarf_attr(&die, DW_AT_const_value, &attr))
			continue;
		/*
		 * Only these forms have a sign; libdw would take one byte of
		 * 240 for -16.
		 */
		if (dwarf_whatform(&attr) == DW_FORM_sdata ||
		    dwarf_whatform(&attr) == DW_FORM_implicit_const) {
			if (dwarf_formsdata(&attr, &number))
				continue;
		} else {
			if (dwarf_formudata(&attr, &positive))
				continue;
			number = (Dwarf_Sword)positive;
		}
		pa_layout_offer_enumerator(fill->layout, id, number);
	} while (!dwarf_siblingof(&die, &die));
}

/* Rust's types of the kernel's names (bindings) have mangled layouts. */
static bool has_c_types(Dwarf_Die *unit)
{
	return dwarf_srclang(unit) != DW_LANG_Rust;
}

static struct pa_error *fill_from(struct fill *fill, Dwarf *dwarf,
				  const char *path)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die unit;
	Dwarf_Die die;
	int status;

	memset(fill->nr_sizes, 0, sizeof(fill->nr_sizes));
	for (int i = 0; i < PA_NR_TYPES; i++)
		fill->type_done[i] = fill->layout->types[i].known;
	for (int i = 0; i < PA_NR_ENUMERATORS; i++)
		fill->enumerator_done[i] = fill->layout->enumerators[i].known;
	while (!(status = dwarf_get_units(dwarf, cu, &cu, NULL, NULL, &unit,
					  NULL))) {
		if (!has_c_types(&unit) || dwarf_child(&unit, &die))
			continue;
		/*
		 * C types and enumerators that a header can define are at the
		 * top of a unit.
		 */
		do {
			int tag = dwarf_tag(&die);

			switch (tag) {
			case DW_TAG_structure_type:
			case DW_TAG_union_type:
			case DW_TAG_typedef:
				fill_type(fill, &die, tag);
				break;
			case DW_TAG_enumeration_type:
				fill_enumerators(fill, &die);
				break;
			default:
				break;
			}
		} while (!dwarf_siblingof(&die, &die));
	}
	if (status < 0)
		return pa_error_create(
			PA_ERROR_FORMAT,
			"the debug information of %s is damaged: %s", path,
			dwarf_errmsg(-1));
	return NULL;
}

static void cleanup_dwarf(Dwarf **dwarf)
{
	dwarf_end(*dwarf);
}

static struct pa_error *fill_from_vmlinux(struct fill *fill,
					  const struct pa_elf_file *file)
{
	pa_cleanup(cleanup_dwarf)
		Dwarf *dwarf = dwarf_begin_elf(file->elf, DWARF_C_READ, NULL);
	Dwarf_CU *cu = NULL;

	if (!dwarf || dwarf_get_units(dwarf, NULL, &cu, NULL, NULL, NULL, NULL))
		return pa_error_create(
			PA_ERROR_MISSING,
			"%s has no debug information (DWARF); the vmlinux of the kernel's debug package is needed",
			file->path);
	return fill_from(fill, dwarf, file->path);
}

/* A module's debug info is all in the file that was given. */
static int find_no_debuginfo(Dwfl_Module *module, void **userdata,
			     const char *name, Dwarf_Addr base,
			     const char *file_name, const char *debuglink_file,
			     GElf_Word crc, char **debuginfo_file_name)
{
	(void)module;
	(void)userdata;
	(void)name;
	(void)base;
	(void)file_name;
	(void)debuglink_file;
	(void)crc;
	(void)debuginfo_file_name;
	return -1;
}

static void cleanup_dwfl(Dwfl **dwfl)
{
	dwfl_end(*dwfl);
}

/*
 * Modules are relocatable: even their references to names need relocation,
 * which libdwfl does.
 */
static struct pa_error *fill_from_module(struct fill *fill, const char *path)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = find_no_debuginfo,
		.section_address = dwfl_offline_section_address,
	};
	pa_cleanup(cleanup_dwfl) Dwfl *dwfl = dwfl_begin(&callbacks);

	if (!dwfl)
		return pa_error_create(PA_ERROR_NO_MEMORY, "libdwfl: %s",
				       dwfl_errmsg(-1));

	Dwfl_Module *module = dwfl_report_offline(dwfl, "", path, -1);

	if (!module)
		return pa_error_create(PA_ERROR_FORMAT, "%s: %s", path,
				       dwfl_errmsg(-1));
	dwfl_report_end(dwfl, NULL, NULL);

	Dwarf_Addr bias;
	Dwarf *dwarf = dwfl_module_getdwarf(module, &bias);

	if (!dwarf)
		return pa_error_create(
			PA_ERROR_MISSING,
			"%s has no debug information (DWARF): %s", path,
			dwfl_errmsg(-1));
	return fill_from(fill, dwarf, path);
}

struct pa_error *pa_layout_from_dwarf(const char *const *paths, size_t nr_paths,
				      uint64_t kaslr_offset,
				      const char *cache_dir,
				      struct pa_layout *ret)
{
	if (!nr_paths)
		return pa_error_create(PA_ERROR_INVALID,
				       "no file with debug information given");

	pa_auto_elf_file struct pa_elf_file file = { .fd = -1 };
	pa_auto_wanted struct pa_wanted *wanted = NULL;
	pa_auto_free char *cache = NULL;
	pa_auto_free struct pa_layout *layout = calloc(1, sizeof(*layout));
	pa_auto_free struct fill *fill = calloc(1, sizeof(*fill));
	struct pa_error *err;

	if (!layout || !fill)
		return &pa_error_no_memory;
	err = pa_elf_file_open(paths[0], &file);
	if (!err && cache_dir)
		err = pa_cache_path(&file, paths + 1, nr_paths - 1, cache_dir,
				    &cache);
	if (err)
		return err;
	if (!cache || !pa_cache_load(cache, layout)) {
		err = pa_wanted_create(&wanted);
		if (err)
			return err;
		layout->from = PA_TYPES_FROM_DWARF;
		fill->graph.ops = &dwarf_ops;
		fill->wanted = wanted;
		fill->layout = layout;
		err = pa_elf_file_symbols(&file, wanted, layout);
		if (!err)
			err = fill_from_vmlinux(fill, &file);
		for (size_t i = 1; !err && i < nr_paths; i++)
			err = fill_from_module(fill, paths[i]);
		if (err)
			return err;
		if (cache)
			pa_cache_store(cache, layout);
	}
	pa_layout_slide(layout, kaslr_offset);
	*ret = *layout;
	return NULL;
}
