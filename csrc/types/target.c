// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "source/vmcoreinfo.h"
#include "types/btf.h"
#include "types/elf_file.h"
#include "types/image.h"
#include "types/kallsyms_proc.h"
#include "types/wanted.h"

/* Far above any kernel's: 0.2 million symbols, 5 MB of BTF. */
#define MAX_SYMBOLS (4u << 20)
#define MAX_NAMES_BYTES ((size_t)32 << 20)
#define MAX_BTF_BYTES ((size_t)64 << 20)

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
	auto_bytes struct bytes bytes = { malloc(length), length };
	struct pa_error *err;

	if (!bytes.data)
		return &pa_error_no_memory;
	err = pa_image_read(image, reader, address, length, bytes.data);
	if (err)
		return err;
	*ret = bytes;
	bytes.data = NULL;
	return NULL;
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

struct addresses {
	uint64_t names;
	uint64_t num_syms;
	uint64_t token_table;
	uint64_t token_index;
	/* 0 where the form has none. */
	uint64_t offsets;
	uint64_t relative_base;
	uint64_t addresses;
};

static bool symbol_address(const char *vmcoreinfo, const char *name,
			   uint64_t *ret)
{
	char key[64];

	snprintf(key, sizeof(key), "SYMBOL(%s)", name);
	return pa_vmcoreinfo_hex(vmcoreinfo, key, ret);
}

/* False where debug info does not know of them, either. */
static bool find_by_layout(const struct pa_layout *layout,
			   struct addresses *ret)
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

	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
		if (layout->symbols[symbols[i].id].known)
			*symbols[i].address =
				layout->symbols[symbols[i].id].address;
	return ret->names && ret->num_syms && ret->token_table &&
	       ret->token_index && (ret->offsets || ret->addresses);
}

static struct pa_error *find_tables(const char *vmcoreinfo,
				    struct addresses *ret)
{
	*ret = (struct addresses){};
	if (!symbol_address(vmcoreinfo, "kallsyms_names", &ret->names) ||
	    !symbol_address(vmcoreinfo, "kallsyms_num_syms", &ret->num_syms) ||
	    !symbol_address(vmcoreinfo, "kallsyms_token_table",
			    &ret->token_table) ||
	    !symbol_address(vmcoreinfo, "kallsyms_token_index",
			    &ret->token_index))
		return pa_error_create(
			PA_ERROR_MISSING,
			"the target does not tell where the kernel's symbols are (kernels do since Linux 6.0)");
	/* Weak symbols that the kernel lacks are there as 0, or not at all. */
	symbol_address(vmcoreinfo, "kallsyms_offsets", &ret->offsets);
	symbol_address(vmcoreinfo, "kallsyms_relative_base",
		       &ret->relative_base);
	symbol_address(vmcoreinfo, "kallsyms_addresses", &ret->addresses);
	if (!ret->offsets && !ret->addresses)
		return pa_error_create(
			PA_ERROR_MISSING,
			"the target does not tell where the addresses of the kernel's symbols are");
	return NULL;
}

struct pa_error *pa_kallsyms_from_target(struct pa_reader *reader,
					 const struct pa_layout *layout,
					 struct pa_kallsyms **ret)
{
	const struct pa_source_info *info = &reader->source->info;
	struct pa_image image;
	struct addresses at;
	struct pa_kallsyms_tables tables = {};
	struct pa_error *err = pa_image_find(info, &image);
	uint8_t number[4];

	if (!err)
		err = find_tables(info->vmcoreinfo, &at);
	if (err && layout && find_by_layout(layout, &at)) {
		pa_error_destroy(err);
		err = NULL;
	}
	if (err && err->code == PA_ERROR_MISSING && info->live) {
		pa_error_destroy(err);
		return pa_kallsyms_from_proc(info, ret);
	}
	if (!err)
		err = pa_image_read(&image, reader, at.num_syms, sizeof(number),
				    number);
	if (err)
		return err;
	tables.nr_symbols = pa_load_u32(number);
	if (!tables.nr_symbols || tables.nr_symbols > MAX_SYMBOLS)
		return pa_error_create(
			PA_ERROR_FORMAT,
			"the kernel's symbol table (kallsyms) is damaged: it has %u symbols",
			tables.nr_symbols);

	uint64_t offsets = at.offsets;
	size_t entry = 4;

	if (!at.offsets) {
		tables.form = PA_KALLSYMS_ADDRESSES;
		offsets = at.addresses;
		entry = 8;
	} else if (at.relative_base) {
		uint8_t base[8];

		tables.form = PA_KALLSYMS_RELATIVE;
		err = pa_image_read(&image, reader, at.relative_base,
				    sizeof(base), base);
		if (err)
			return err;
		tables.base = pa_load_u64(base);
	} else {
		tables.form = PA_KALLSYMS_PLACE_RELATIVE;
		tables.base = at.offsets;
	}

	auto_bytes struct bytes offset_bytes = {};
	auto_bytes struct bytes names = {};
	auto_bytes struct bytes token_table = {};
	auto_bytes struct bytes token_index = {};

	err = read_bytes(&image, reader, offsets, tables.nr_symbols * entry,
			 &offset_bytes);
	if (!err)
		err = read_names(&image, reader, at.names, tables.nr_symbols,
				 &names);
	if (!err)
		err = read_tokens(&image, reader, at.token_table,
				  at.token_index, &token_table, &token_index);
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

struct pa_error *pa_target_btf(struct pa_reader *reader,
			       const struct pa_layout *layout,
			       uint8_t **data_ret, size_t *length_ret)
{
	struct pa_image image;
	struct pa_error *err = pa_image_find(&reader->source->info, &image);

	if (err)
		return err;
	if (!PA_HAS_SYM(layout, __start_BTF) || !PA_HAS_SYM(layout, __stop_BTF))
		return pa_error_create(
			PA_ERROR_MISSING,
			"the kernel was built without type information of its own (CONFIG_DEBUG_INFO_BTF)");

	uint64_t start = PA_SYM(layout, __start_BTF);
	uint64_t stop = PA_SYM(layout, __stop_BTF);

	if (stop <= start || stop - start > MAX_BTF_BYTES)
		return pa_error_at(PA_ERROR_CORRUPT, start,
				   "the kernel's BTF has no plausible extent");

	struct bytes btf = {};

	err = read_bytes(&image, reader, start, stop - start, &btf);
	if (err)
		return err;
	*data_ret = btf.data;
	*length_ret = btf.length;
	return NULL;
}

static struct pa_error *layout_from_target(struct pa_reader *reader,
					   struct pa_layout *layout,
					   struct pa_kallsyms **kallsyms_ret)
{
	pa_auto_wanted struct pa_wanted *wanted = NULL;
	pa_auto_kallsyms struct pa_kallsyms *kallsyms = NULL;
	pa_auto_btf struct pa_btf *btf = NULL;
	pa_auto_free uint8_t *data = NULL;
	size_t length = 0;
	struct pa_error *err;

	layout->from = PA_TYPES_FROM_BTF;
	err = pa_wanted_create(&wanted);
	if (!err)
		err = pa_kallsyms_from_target(reader, NULL, &kallsyms);
	if (err)
		return err;
	pa_kallsyms_fill(kallsyms, wanted, layout);
	err = pa_target_btf(reader, layout, &data, &length);
	if (!err)
		err = pa_btf_create(data, length, NULL, &btf);
	if (err)
		return err;
	pa_btf_fill(btf, wanted, layout);
	if (kallsyms_ret)
		*kallsyms_ret = pa_take(kallsyms);
	return NULL;
}

struct pa_error *pa_layout_from_target(struct pa_reader *reader,
				       struct pa_layout *ret,
				       struct pa_kallsyms **kallsyms_ret)
{
	pa_auto_free struct pa_layout *layout = calloc(1, sizeof(*layout));

	if (!layout)
		return &pa_error_no_memory;

	struct pa_error *err = layout_from_target(reader, layout, kallsyms_ret);

	if (!err) {
		*ret = *layout;
		return NULL;
	}
	switch (err->code) {
	case PA_ERROR_UNREADABLE:
	case PA_ERROR_EXCLUDED:
	case PA_ERROR_CORRUPT:
	case PA_ERROR_FORMAT: {
		/* Whatever is wrong with it, debug info does without. */
		struct pa_error *missing = pa_error_at(
			PA_ERROR_MISSING, err->address,
			"the kernel's own symbols and types can't be read (%s)",
			err->message);

		pa_error_destroy(err);
		return missing;
	}
	default:
		return err;
	}
}

uint64_t pa_target_kaslr_offset(const struct pa_source_info *info)
{
	uint64_t offset;

	if (!info->vmcoreinfo ||
	    !pa_vmcoreinfo_hex(info->vmcoreinfo, "KERNELOFFSET", &offset))
		return 0;
	return offset;
}

/* linux_banner as the dump has it, at the vmlinux's address of it. */
static char *dumped_banner(struct pa_reader *reader, uint64_t address)
{
	struct pa_image image;
	pa_auto_free char *banner = calloc(1, PAGE_BYTES);
	struct pa_error *err = pa_image_find(&reader->source->info, &image);
	size_t length = PAGE_BYTES - address % PAGE_BYTES;

	if (!banner)
		return NULL;
	/* A banner that crosses into the next page is compared up to there. */
	if (!err)
		err = pa_image_read(&image, reader, address,
				    pa_min(length, PAGE_BYTES - 1), banner);
	if (err) {
		pa_error_destroy(err);
		return NULL;
	}
	return pa_take(banner);
}

static int printed(const char *text)
{
	return (int)strcspn(text, "\n");
}

static struct pa_error *check_banner(struct pa_reader *reader, const char *path)
{
	const struct pa_source_info *info = &reader->source->info;
	pa_auto_free char *ours = NULL;
	uint64_t address = 0;
	struct pa_error *err = pa_elf_linux_banner(path, &ours, &address);
	const char *release;
	size_t length;

	/* Without symbols or data there is nothing to compare. */
	if (err || !ours) {
		pa_error_destroy(err);
		return NULL;
	}

	pa_auto_free char *theirs =
		dumped_banner(reader, address + pa_target_kaslr_offset(info));

	if (theirs && !strncmp(theirs, "Linux version ", 14)) {
		if (!strncmp(ours, theirs, strlen(theirs)))
			return NULL;
		return pa_error_create(
			PA_ERROR_MISSING,
			"%s is not the dumped kernel's: it is of \"%.*s\", the dump of \"%.*s\"",
			path, printed(ours), ours, printed(theirs), theirs);
	}
	/* The banner is elsewhere, or its page was left out. */
	if (!pa_vmcoreinfo_string(info->vmcoreinfo, "OSRELEASE", &release,
				  &length) ||
	    (!strncmp(ours, "Linux version ", 14) &&
	     strcspn(ours + 14, " ") == length &&
	     !memcmp(ours + 14, release, length)))
		return NULL;
	return pa_error_create(
		PA_ERROR_MISSING,
		"%s is not the dumped kernel's: it is of \"%.*s\", the dump of release %.*s",
		path, printed(ours), ours, (int)length, release);
}

struct pa_error *pa_target_check_vmlinux(struct pa_reader *reader,
					 const char *path)
{
	const struct pa_source_info *info = &reader->source->info;
	char ours[PA_BUILD_ID_TEXT_MAX];
	const char *theirs;
	size_t length;
	struct pa_error *err;

	if (!info->vmcoreinfo)
		return NULL;
	err = pa_elf_build_id(path, ours);
	if (err)
		return err;
	if (!*ours || !pa_vmcoreinfo_string(info->vmcoreinfo, "BUILD-ID",
					    &theirs, &length))
		return check_banner(reader, path);
	if (strlen(ours) == length && !memcmp(ours, theirs, length))
		return NULL;
	return pa_error_create(
		PA_ERROR_MISSING,
		"%s is not the dumped kernel's: its build id is %s, the dump's %.*s",
		path, ours, (int)length, theirs);
}

struct pa_error *pa_target_check_symbols(const struct pa_source_info *info,
					 const struct pa_layout *layout,
					 const char *path)
{
	struct pa_image image;
	struct pa_error *err = pa_image_find(info, &image);

	if (err) {
		pa_error_destroy(err);
		return NULL;
	}
	for (int i = 0; i < PA_NR_SYMBOLS; i++) {
		uint64_t address;

		/*
		 * VMCOREINFO_SYMBOL_ARRAY() of what is not an array but a
		 * pointer (mem_section) gives where it points, not where it is.
		 */
		if (layout->symbols[i].known &&
		    symbol_address(info->vmcoreinfo, pa_symbol_names[i],
				   &address) &&
		    address >= image.start && address < image.end &&
		    address != layout->symbols[i].address)
			return pa_error_create(
				PA_ERROR_MISSING,
				"%s is not the dumped kernel's: it has %s at 0x%" PRIx64
				", the dump at 0x%" PRIx64,
				path, pa_symbol_names[i],
				layout->symbols[i].address, address);
	}
	return NULL;
}
