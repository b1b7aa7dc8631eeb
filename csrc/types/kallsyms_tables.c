// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/kallsyms_tables.h"

#include <stdlib.h>

#include "base/bits.h"
#include "source/vmcoreinfo.h"
#include "types/image.h"
#include "types/kallsyms_proc.h"
#include "types/kallsyms_search.h"

/* Far above any kernel's: 0.2 million symbols. */
#define MAX_NAMES_BYTES ((size_t)32 << 20)

#define CHUNK_BYTES ((size_t)256 << 10)
#define PAGE_BYTES ((size_t)4096)

/* Tokens are short, but the last one's length is not known beforehand. */
#define LAST_TOKEN_MAX 512

/* Bytes of the image, read as far as somebody needs. */
struct bytes {
	uint8_t *data;
	size_t length;
};

static void bytes_deinit(struct bytes *bytes)
{
	free(bytes->data);
}

#define auto_bytes pa_cleanup(bytes_deinit)

static struct pa_error *read_bytes(const struct pa_image *image,
				   struct pa_reader *reader, uint64_t address,
				   size_t length, struct bytes *ret)
{
	ret->length = length;
	return pa_image_read_new(image, reader, address, length, &ret->data);
}

/* A chunk more of what is at @address. */
static struct pa_error *read_more(const struct pa_image *image,
				  struct pa_reader *reader, uint64_t address,
				  struct bytes *bytes)
{
	uint8_t *grown = realloc(bytes->data, bytes->length + CHUNK_BYTES);
	uint64_t at = address + bytes->length;
	struct pa_error *err;

	if (!grown)
		return &pa_error_no_memory;
	bytes->data = grown;
	err = pa_image_read(image, reader, at, CHUNK_BYTES,
			    grown + bytes->length);
	if (!err) {
		bytes->length += CHUNK_BYTES;
		return NULL;
	}
	/* What we need may end before what can't be read. */
	pa_error_destroy(err);

	size_t length = PAGE_BYTES - at % PAGE_BYTES;

	err = pa_image_read(image, reader, at, length, grown + bytes->length);
	if (!err)
		bytes->length += length;
	return err;
}

static struct pa_error *read_names(const struct pa_image *image,
				   struct pa_reader *reader, uint64_t address,
				   uint32_t nr, struct bytes *ret)
{
	auto_bytes struct bytes names = {};

	while (!pa_kallsyms_names_length(names.data, names.length, nr)) {
		if (names.length > MAX_NAMES_BYTES)
			return pa_error_create(
				PA_ERROR_FORMAT,
				"the kernel's symbol table (kallsyms) is damaged");

		struct pa_error *err =
			read_more(image, reader, address, &names);

		if (err)
			return err;
	}
	*ret = names;
	names.data = NULL;
	return NULL;
}

static struct pa_error *read_tokens(const struct pa_image *image,
				    struct pa_reader *reader, uint64_t table,
				    uint64_t index, struct bytes *table_ret,
				    struct bytes *index_ret)
{
	struct pa_error *err;
	size_t last = 0;

	err = read_bytes(image, reader, index, 2 * 256, index_ret);
	if (err)
		return err;
	for (int i = 0; i < 256; i++)
		last = pa_max(last, pa_load_u16(index_ret->data + 2 * i));
	return read_bytes(image, reader, table, last + LAST_TOKEN_MAX,
			  table_ret);
}

/*
 * By VMCOREINFO, or debug info. Weak symbols that the kernel lacks are 0 in the
 * former, or not there at all.
 */
static bool find_tables(const char *vmcoreinfo, const struct pa_layout *layout,
			struct pa_kallsyms_places *ret)
{
	const struct {
		enum pa_symbol_id id;
		uint64_t *address;
	} symbols[] = {
		{ PA_SYM_kallsyms_names, &ret->names },
		{ PA_SYM_kallsyms_num_syms, &ret->num_syms },
		{ PA_SYM_kallsyms_token_table, &ret->token_table },
		{ PA_SYM_kallsyms_token_index, &ret->token_index },
		{ PA_SYM_kallsyms_offsets, &ret->offsets },
		{ PA_SYM_kallsyms_relative_base, &ret->relative_base },
		{ PA_SYM_kallsyms_addresses, &ret->addresses },
	};

	*ret = (struct pa_kallsyms_places){};
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		enum pa_symbol_id id = symbols[i].id;

		if (!pa_vmcoreinfo_symbol(vmcoreinfo, pa_symbol_names[id],
					  symbols[i].address) &&
		    layout && layout->symbols[id].known)
			*symbols[i].address = layout->symbols[id].address;
	}
	return ret->names && ret->num_syms && ret->token_table &&
	       ret->token_index && (ret->offsets || ret->addresses);
}

/* Of a kernel before v6.0 that was dumped. */
static struct pa_error *search_tables(const struct pa_image *image,
				      struct pa_reader *reader,
				      struct pa_kallsyms_places *ret)
{
	uint64_t start;

	if (!pa_vmcoreinfo_symbol(reader->source->info.vmcoreinfo, "_stext",
				  &start))
		return pa_error_create(
			PA_ERROR_MISSING,
			"the target does not tell where the kernel's symbols are");
	return pa_kallsyms_search(image, reader, start, ret);
}

static struct pa_error *from_image(const struct pa_image *image,
				   struct pa_reader *reader,
				   const struct pa_kallsyms_places *at,
				   struct pa_kallsyms **ret)
{
	struct pa_kallsyms_tables tables = {};
	struct pa_error *err;
	uint8_t number[4];

	err = pa_image_read(image, reader, at->num_syms, sizeof(number),
			    number);
	if (err)
		return err;
	tables.nr_symbols = pa_load_u32(number);
	if (!tables.nr_symbols || tables.nr_symbols > PA_KALLSYMS_MAX)
		return pa_error_create(
			PA_ERROR_FORMAT,
			"the kernel's symbol table (kallsyms) is damaged: it has %u symbols",
			tables.nr_symbols);

	uint64_t offsets = at->offsets;
	size_t entry = 4;

	if (!at->offsets) {
		tables.form = PA_KALLSYMS_ADDRESSES;
		offsets = at->addresses;
		entry = 8;
	} else if (at->relative_base) {
		uint8_t base[8];

		tables.form = PA_KALLSYMS_RELATIVE;
		err = pa_image_read(image, reader, at->relative_base,
				    sizeof(base), base);
		if (err)
			return err;
		tables.base = pa_load_u64(base);
	} else {
		tables.form = PA_KALLSYMS_PLACE_RELATIVE;
		tables.base = at->offsets;
	}

	auto_bytes struct bytes offset_bytes = {};
	auto_bytes struct bytes names = {};
	auto_bytes struct bytes token_table = {};
	auto_bytes struct bytes token_index = {};

	err = read_bytes(image, reader, offsets, tables.nr_symbols * entry,
			 &offset_bytes);
	if (!err)
		err = read_names(image, reader, at->names, tables.nr_symbols,
				 &names);
	if (!err)
		err = read_tokens(image, reader, at->token_table,
				  at->token_index, &token_table, &token_index);
	if (err)
		return err;
	tables.offsets = offset_bytes.data;
	tables.offsets_length = offset_bytes.length;
	tables.names = names.data;
	tables.names_length = names.length;
	tables.token_table = token_table.data;
	tables.token_table_length = token_table.length;
	tables.token_index = token_index.data;
	tables.token_index_length = token_index.length;
	return pa_kallsyms_create(&tables, ret);
}

struct pa_error *pa_kallsyms_from_target(struct pa_reader *reader,
					 const struct pa_layout *layout,
					 struct pa_kallsyms **ret)
{
	const struct pa_source_info *info = &reader->source->info;
	pa_auto_kallsyms struct pa_kallsyms *kallsyms = NULL;
	struct pa_kallsyms_places at;
	struct pa_image image;
	struct pa_error *err = pa_image_find(info, &image);

	if (err)
		return err;
	if (find_tables(info->vmcoreinfo, layout, &at))
		return from_image(&image, reader, &at, ret);
	if (info->live)
		return pa_kallsyms_from_proc(info, ret);
	err = search_tables(&image, reader, &at);
	if (!err)
		err = from_image(&image, reader, &at, &kallsyms);
	if (err)
		return err;
	if (!pa_kallsyms_is_of(kallsyms, info->vmcoreinfo))
		return pa_error_create(
			PA_ERROR_MISSING,
			"the symbols in the kernel's image are not those of VMCOREINFO");
	*ret = pa_take(kallsyms);
	return NULL;
}
