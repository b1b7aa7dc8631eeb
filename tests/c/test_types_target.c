// SPDX-License-Identifier: LGPL-2.1-or-later
/* A kernel image by hand: symbols and types that VMCOREINFO points to. */
#include "types/target.h"

#include <elf.h>

#include "btf_writer.h"
#include "kallsyms_writer.h"

#define START UINT64_C(0xffffffff80000000)
#define PHYS_BASE UINT64_C(0x200000)
#define IMAGE_BYTES ((size_t)64 * 4096)

/* Where things are in the image. */
#define AT_NUM_SYMS 0x1000
#define AT_RELATIVE_BASE 0x1008
#define AT_OFFSETS 0x2000
#define AT_TOKEN_TABLE 0x3000
#define AT_TOKEN_INDEX 0x4000
#define AT_BTF 0x10000
/* So that they end on the last page. */
#define AT_NAMES (IMAGE_BYTES - 4096 - 8)

struct image {
	uint8_t bytes[IMAGE_BYTES];
	/* A page that is not there; none if past the end. */
	size_t hole;
	enum pa_presence hole_presence;
	size_t btf_length;
	char vmcoreinfo[2048];
};

static struct pa_error *read_image(void *arg, uint64_t phys, uint64_t length,
				   uint8_t *buffer, enum pa_presence *presence)
{
	struct image *image = arg;
	uint64_t at = phys - PHYS_BASE;

	if (phys < PHYS_BASE || at >= IMAGE_BYTES ||
	    length > IMAGE_BYTES - at) {
		*presence = PA_UNREADABLE;
	} else if (at < image->hole + 4096 && at + length > image->hole) {
		*presence = image->hole_presence;
	} else {
		*presence = PA_PRESENT;
		memcpy(buffer, image->bytes + at, length);
	}
	return NULL;
}

static const struct kallsyms_symbol symbols[] = {
	{ "Dper_cpu", 0x100 },
	{ "T_text", START + 0x0 },
	{ "Dnode_data", START + 0x800 },
	{ "R__start_BTF", START + AT_BTF },
	/* Patched to the real end. */
	{ "R__stop_BTF", START + AT_BTF + 0x1000 },
	{ "B_end", START + IMAGE_BYTES },
};
#define NR (sizeof(symbols) / sizeof(symbols[0]))

static void write_image(struct image *image)
{
	static struct kallsyms_writer writer;
	static struct btf_writer btf;
	struct kallsyms_symbol patched[NR];
	uint32_t nr = NR;
	uint64_t base = START;

	memset(image, 0, sizeof(*image));
	image->hole = SIZE_MAX / 2;
	btf_init(&btf);

	uint32_t u64 = btf_int(&btf, "unsigned long", 8);

	btf_type(&btf, "page", KIND_STRUCT, false, 1, 64);
	btf_member(&btf, "flags", u64, 0);
	image->btf_length =
		btf_finish(&btf, NULL, 0, image->bytes + AT_BTF, 0x1000);
	memcpy(patched, symbols, sizeof(symbols));
	patched[4].address = START + AT_BTF + image->btf_length;

	struct pa_kallsyms_tables tables = kallsyms_write(
		&writer, patched, NR, PA_KALLSYMS_RELATIVE, base, true);

	memcpy(image->bytes + AT_NUM_SYMS, &nr, 4);
	memcpy(image->bytes + AT_RELATIVE_BASE, &base, 8);
	memcpy(image->bytes + AT_OFFSETS, tables.offsets,
	       tables.offsets_length);
	memcpy(image->bytes + AT_NAMES, tables.names, tables.names_length);
	memcpy(image->bytes + AT_TOKEN_TABLE, tables.token_table,
	       tables.token_table_length);
	memcpy(image->bytes + AT_TOKEN_INDEX, tables.token_index,
	       tables.token_index_length);
	snprintf(image->vmcoreinfo, sizeof(image->vmcoreinfo),
		 "OSRELEASE=6.1.0-test\n"
		 "NUMBER(phys_base)=%llu\n"
		 "KERNELOFFSET=1000000\n"
		 "SYMBOL(node_data)=%llx\n"
		 "SYMBOL(kallsyms_names)=%llx\n"
		 "SYMBOL(kallsyms_num_syms)=%llx\n"
		 "SYMBOL(kallsyms_token_table)=%llx\n"
		 "SYMBOL(kallsyms_token_index)=%llx\n"
		 "SYMBOL(kallsyms_offsets)=%llx\n"
		 "SYMBOL(kallsyms_relative_base)=%llx\n",
		 (unsigned long long)PHYS_BASE,
		 (unsigned long long)START + 0x800,
		 (unsigned long long)START + AT_NAMES,
		 (unsigned long long)START + AT_NUM_SYMS,
		 (unsigned long long)START + AT_TOKEN_TABLE,
		 (unsigned long long)START + AT_TOKEN_INDEX,
		 (unsigned long long)START + AT_OFFSETS,
		 (unsigned long long)START + AT_RELATIVE_BASE);
}

static struct pa_error *load(struct image *image, const char *vmcoreinfo,
			     uint16_t machine, struct pa_layout *layout)
{
	struct pa_source *source;
	struct pa_reader *reader;

	CHECK_OK(pa_source_callback(read_image, image, vmcoreinfo, false,
				    machine, &source));
	CHECK_OK(pa_reader_create(source, &reader));

	struct pa_kallsyms *kallsyms = NULL;
	struct pa_error *err = pa_layout_from_target(reader, layout, &kallsyms);

	CHECK(!err == !!kallsyms);
	pa_kallsyms_destroy(kallsyms);
	pa_reader_destroy(reader);
	pa_source_destroy(source);
	return err;
}

static void test_good(void)
{
	static struct image image;
	static struct pa_layout layout;

	write_image(&image);
	CHECK_OK(load(&image, image.vmcoreinfo, EM_X86_64, &layout));
	CHECK(layout.from == PA_TYPES_FROM_BTF);
	CHECK(PA_SIZEOF(&layout, page) == 64);
	CHECK(PA_SYM(&layout, node_data) == START + 0x800);
	CHECK(!PA_HAS_SYM(&layout, prb));
}

/* The line of @key taken out. */
static char *without(const char *vmcoreinfo, const char *key)
{
	char *copy = strdup(vmcoreinfo);
	char *line = copy ? strstr(copy, key) : NULL;

	CHECK_FATAL(line);

	char *end = strchr(line, '\n') + 1;

	memmove(line, end, strlen(end) + 1);
	return copy;
}

static void test_missing(void)
{
	static const char *const keys[] = {
		"NUMBER(phys_base)",
		"SYMBOL(kallsyms_names)",
		"SYMBOL(kallsyms_num_syms)",
		"SYMBOL(kallsyms_token_table)",
		"SYMBOL(kallsyms_token_index)",
		"SYMBOL(kallsyms_offsets)",
	};
	static struct image image;
	static struct pa_layout layout;

	write_image(&image);
	CHECK_ERROR(PA_ERROR_MISSING, load(&image, NULL, EM_X86_64, &layout));
	CHECK_ERROR(PA_ERROR_UNSUPPORTED,
		    load(&image, image.vmcoreinfo, EM_AARCH64, &layout));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		pa_auto_free char *less = without(image.vmcoreinfo, keys[i]);

		CHECK_ERROR(PA_ERROR_MISSING,
			    load(&image, less, EM_X86_64, &layout));
	}
	/* Without a base offsets are from their own place: all is elsewhere. */
	pa_auto_free char *less =
		without(image.vmcoreinfo, "SYMBOL(kallsyms_relative_base)");

	CHECK_ERROR(PA_ERROR_MISSING, load(&image, less, EM_X86_64, &layout));
}

/* Parts that a filter left out, or that can't be read. */
static void test_absent(void)
{
	static const size_t holes[] = { AT_NUM_SYMS,	AT_OFFSETS,
					AT_TOKEN_TABLE, AT_TOKEN_INDEX,
					AT_BTF,		IMAGE_BYTES - 4096 };
	static struct image image;
	static struct pa_layout layout;

	write_image(&image);
	for (size_t i = 0; i < sizeof(holes) / sizeof(holes[0]); i++) {
		image.hole = holes[i];
		image.hole_presence = i % 2 ? PA_EXCLUDED : PA_UNREADABLE;
		CHECK_ERROR(PA_ERROR_MISSING,
			    load(&image, image.vmcoreinfo, EM_X86_64, &layout));
	}
	image.hole = 0x20000;
	CHECK_OK(load(&image, image.vmcoreinfo, EM_X86_64, &layout));
}

static void test_hostile(void)
{
	static struct image image;
	static struct pa_layout layout;
	uint32_t random = 1;

	write_image(&image);
	memset(image.bytes + AT_NUM_SYMS, 0xff, 4);
	CHECK_ERROR(PA_ERROR_MISSING,
		    load(&image, image.vmcoreinfo, EM_X86_64, &layout));
	write_image(&image);
	memset(image.bytes + AT_NUM_SYMS, 0, 4);
	CHECK_ERROR(PA_ERROR_MISSING,
		    load(&image, image.vmcoreinfo, EM_X86_64, &layout));
	/* More symbols than names. */
	write_image(&image);
	image.bytes[AT_NUM_SYMS + 1] = 0x40;
	CHECK_ERROR(PA_ERROR_MISSING,
		    load(&image, image.vmcoreinfo, EM_X86_64, &layout));
	/* The BTF ends before it starts, or far away. */
	write_image(&image);
	memset(image.bytes + AT_OFFSETS + 16, 0xff, 4);
	CHECK_ERROR(PA_ERROR_MISSING,
		    load(&image, image.vmcoreinfo, EM_X86_64, &layout));
	write_image(&image);
	image.bytes[AT_OFFSETS + 19] = 0x90;
	CHECK_ERROR(PA_ERROR_MISSING,
		    load(&image, image.vmcoreinfo, EM_X86_64, &layout));
	/* No BTF there. */
	write_image(&image);
	image.bytes[AT_BTF] = 0;
	CHECK_ERROR(PA_ERROR_MISSING,
		    load(&image, image.vmcoreinfo, EM_X86_64, &layout));

	for (int round = 0; round < 1000; round++) {
		static const size_t places[] = {
			AT_NUM_SYMS,	AT_RELATIVE_BASE, AT_OFFSETS,
			AT_TOKEN_TABLE, AT_TOKEN_INDEX,	  AT_BTF,
			AT_NAMES,
		};

		write_image(&image);
		for (int i = 0; i < 1 + round % 4; i++) {
			random = random * 1664525 + 1013904223;

			size_t at = places[(random >> 8) % 7];

			image.bytes[at + (random >> 12) % 64] ^=
				1u << (random >> 24) % 8;
		}
		pa_error_destroy(
			load(&image, image.vmcoreinfo, EM_X86_64, &layout));
	}
}

static void test_check_symbols(void)
{
	static struct image image;
	static struct pa_layout layout;
	struct pa_source *source;

	write_image(&image);
	CHECK_OK(pa_source_callback(read_image, &image, image.vmcoreinfo, false,
				    EM_X86_64, &source));
	CHECK(pa_target_kaslr_offset(&source->info) == 0x1000000);
	layout.symbols[PA_SYM_node_data] = (struct pa_symbol){
		.known = true,
		.address = START + 0x800,
	};
	CHECK_OK(pa_target_check_symbols(&source->info, &layout, "vmlinux"));
	layout.symbols[PA_SYM_node_data].address++;
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_target_check_symbols(&source->info, &layout, "vmlinux"));
	pa_source_destroy(source);
}

int main(void)
{
	test_good();
	test_missing();
	test_absent();
	test_hostile();
	test_check_symbols();
	return CHECK_DONE();
}
