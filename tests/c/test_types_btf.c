// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/btf.h"

#include "btf_writer.h"

#define BLOB_MAX 65536

/* From bytes of exactly that length, so that the sanitizer sees the end. */
static struct pa_error *fill(const uint8_t *blob, size_t length,
			     struct pa_layout *layout)
{
	pa_auto_wanted struct pa_wanted *wanted = NULL;
	pa_auto_btf struct pa_btf *btf = NULL;
	pa_auto_free uint8_t *copy = malloc(length ? length : 1);

	CHECK_FATAL(copy);
	memcpy(copy, blob, length);
	memset(layout, 0, sizeof(*layout));
	CHECK_OK(pa_wanted_create(&wanted));

	struct pa_error *err = pa_btf_create(copy, length, NULL, &btf);

	if (!err)
		pa_btf_fill(btf, wanted, layout);
	return err;
}

static void fill_ok(const struct btf_writer *btf, struct pa_layout *layout)
{
	uint8_t blob[BLOB_MAX];
	size_t length = btf_finish(btf, NULL, 0, blob, sizeof(blob));

	CHECK_OK(fill(blob, length, layout));
}

/* Everything that a struct can do, in one struct page. */
static void write_page(struct btf_writer *btf)
{
	btf_init(btf);

	uint32_t u64 = btf_int(btf, "unsigned long", 8);
	uint32_t u32 = btf_int(btf, "unsigned int", 4);
	uint32_t pointer = btf_type(btf, "", KIND_PTR, false, 0, 0);
	uint32_t list = btf_type(btf, "list_head", KIND_STRUCT, false, 2, 16);

	btf_member(btf, "next", pointer, 0);
	btf_member(btf, "prev", pointer, 64);

	uint32_t atomic = btf_type(btf, "", KIND_STRUCT, false, 1, 4);

	btf_member(btf, "counter", u32, 0);
	atomic = btf_type(btf, "atomic_t", KIND_TYPEDEF, false, 0, atomic);
	atomic = btf_type(btf, "", KIND_CONST, false, 0, atomic);
	btf_type(btf, "user", KIND_TYPE_TAG, false, 0, atomic);
	btf_type(btf, "tag", KIND_DECL_TAG, false, 0, atomic);
	btf_u32(btf, UINT32_MAX);
	btf_type(btf, "float", KIND_FLOAT, false, 0, 4);
	btf_type(btf, "", KIND_FUNC_PROTO, false, 1, u32);
	btf_u32(btf, 0);
	btf_u32(btf, u32);

	/* A declaration before the definition. */
	btf_type(btf, "page", KIND_FWD, false, 0, 0);

	uint32_t inner = btf_type(btf, "", KIND_STRUCT, false, 2, 24);

	btf_member(btf, "lru", list, 0);
	btf_member(btf, "mapping", pointer, 128);

	uint32_t other = btf_type(btf, "", KIND_STRUCT, false, 1, 8);

	btf_member(btf, "compound_head", u64, 0);

	uint32_t both = btf_type(btf, "", KIND_UNION, false, 2, 24);

	btf_member(btf, "", inner, 0);
	btf_member(btf, "", other, 0);
	btf_type(btf, "page", KIND_STRUCT, false, 4, 40);
	btf_member(btf, "flags", u64, 0);
	btf_member(btf, "", both, 64);
	/* A member of another name that ours is a part of, and the reverse. */
	btf_member(btf, "_mapcounts", u32, 256);
	btf_member(btf, "_mapcount", atomic, 288);
}

static void test_struct(void)
{
	static struct btf_writer btf;
	static struct pa_layout layout;

	write_page(&btf);
	fill_ok(&btf, &layout);
	CHECK(PA_SIZEOF(&layout, page) == 40);
	CHECK(PA_SIZEOF(&layout, list_head) == 16);
	CHECK(PA_SIZEOF(&layout, atomic_t) == 4);
	CHECK(PA_OFFSETOF(&layout, list_head, prev) == 8);
	CHECK(PA_M(&layout, list_head, prev)->size == 8);
	CHECK(PA_HAS(&layout, page, flags));
	CHECK(PA_OFFSETOF(&layout, page, flags) == 0);
	CHECK(PA_OFFSETOF(&layout, page, lru) == 8);
	CHECK(PA_M(&layout, page, lru)->size == 16);
	CHECK(PA_M(&layout, page, lru)->length == 0);
	CHECK(PA_M(&layout, page, lru)->element_size == 16);
	CHECK(PA_OFFSETOF(&layout, page, mapping) == 24);
	CHECK(PA_OFFSETOF(&layout, page, compound_head) == 8);
	CHECK(PA_OFFSETOF(&layout, page, _mapcount) == 36);
	CHECK(PA_M(&layout, page, _mapcount)->size == 4);
	CHECK(!PA_HAS(&layout, page, index));
	CHECK(!PA_HAS_TYPE(&layout, zone));
}

static void test_arrays_and_bit_fields(void)
{
	static struct btf_writer btf;
	static struct pa_layout layout;

	btf_init(&btf);

	uint32_t u64 = btf_int(&btf, "unsigned long", 8);
	uint32_t u8 = btf_int(&btf, "unsigned char", 1);
	uint32_t pair = btf_array(&btf, u64, 2);
	uint32_t six = btf_array(&btf, pair, 3);
	uint32_t flexible = btf_array(&btf, u64, 0);

	btf_type(&btf, "zone", KIND_STRUCT, false, 3, 64);
	btf_member(&btf, "vm_stat", six, 0);
	btf_member(&btf, "free_area", flexible, 48 * 8);
	btf_member(&btf, "name", flexible, 65 * 8);
	/* kind_flag: size in the top byte, offset in the rest. */
	btf_type(&btf, "printk_info", KIND_STRUCT, true, 3, 16);
	btf_member(&btf, "seq", u64, 0);
	btf_member(&btf, "", u8, 5 << 24 | 64);
	btf_member(&btf, "level", u8, 3 << 24 | 69);

	/* Before kind_flag: the INT itself is the bit field. */
	uint32_t bits = btf_type(&btf, "unsigned int", KIND_INT, false, 0, 4);

	btf_u32(&btf, 2 << 16 | 5);
	btf_type(&btf, "xa_node", KIND_STRUCT, false, 1, 8);
	btf_member(&btf, "shift", bits, 32);
	fill_ok(&btf, &layout);

	CHECK(PA_M(&layout, zone, vm_stat)->size == 48);
	CHECK(PA_M(&layout, zone, vm_stat)->length == 6);
	CHECK(PA_M(&layout, zone, vm_stat)->element_size == 8);
	CHECK(PA_HAS(&layout, zone, free_area));
	CHECK(PA_M(&layout, zone, free_area)->size == 0);
	CHECK(PA_M(&layout, zone, free_area)->length == 0);
	CHECK(PA_M(&layout, zone, free_area)->element_size == 8);
	/* It starts behind the struct's end. */
	CHECK(!PA_HAS(&layout, zone, name));
	CHECK(PA_OFFSETOF(&layout, printk_info, level) == 8);
	CHECK(PA_M(&layout, printk_info, level)->bit_offset == 5);
	CHECK(PA_M(&layout, printk_info, level)->bit_size == 3);
	CHECK(PA_M(&layout, printk_info, level)->size == 1);
	CHECK(PA_M(&layout, printk_info, seq)->bit_size == 0);
	CHECK(PA_OFFSETOF(&layout, xa_node, shift) == 4);
	CHECK(PA_M(&layout, xa_node, shift)->bit_offset == 2);
	CHECK(PA_M(&layout, xa_node, shift)->bit_size == 5);
}

static void enumerator(struct btf_writer *btf, const char *name, uint32_t value)
{
	btf_u32(btf, btf_string(btf, name));
	btf_u32(btf, value);
}

static void test_enumerators(void)
{
	static struct btf_writer btf;
	static struct pa_layout layout;

	btf_init(&btf);
	btf_type(&btf, "pageflags", KIND_ENUM, false, 2, 4);
	enumerator(&btf, "PG_locked", 0);
	enumerator(&btf, "PG_lru", 0xfffffff0);
	fill_ok(&btf, &layout);
	CHECK(PA_HAS_ENUM(&layout, PG_locked));
	CHECK(PA_ENUM(&layout, PG_locked) == 0);
	/* Old BTF: all are signed. */
	CHECK(PA_ENUM(&layout, PG_lru) == -16);
	CHECK(!PA_HAS_ENUM(&layout, PG_head));

	/* An anonymous one of 64 bits: now the flag tells the sign. */
	btf_type(&btf, "", KIND_ENUM64, true, 1, 8);
	btf_u32(&btf, btf_string(&btf, "PG_head"));
	btf_u32(&btf, 1);
	btf_u32(&btf, 0x80000000);
	btf_type(&btf, "", KIND_ENUM, true, 1, 4);
	enumerator(&btf, "PG_dirty", (uint32_t)-3);
	fill_ok(&btf, &layout);
	CHECK(PA_ENUM(&layout, PG_lru) == 0xfffffff0);
	CHECK(PA_ENUM(&layout, PG_head) == INT64_MIN + 1);
	CHECK(PA_ENUM(&layout, PG_dirty) == -3);
}

static void test_definitions(void)
{
	static struct btf_writer btf;
	static struct pa_layout layout;

	/* The one with most members wins, wherever it is. */
	for (int order = 0; order < 2; order++) {
		btf_init(&btf);

		uint32_t u64 = btf_int(&btf, "unsigned long", 8);

		for (int i = 0; i < 2; i++) {
			uint32_t nr = i == order ? 2 : 1;

			/* A driver's own, larger. */
			btf_type(&btf, "range", KIND_STRUCT, false, nr,
				 nr == 2 ? 16 : 32);
			btf_member(&btf, "start", u64, 0);
			if (nr == 2)
				btf_member(&btf, "end", u64, 64);
		}
		/* Of another kind. */
		btf_type(&btf, "range", KIND_UNION, false, 0, 64);
		btf_type(&btf, "range", KIND_TYPEDEF, false, 0, u64);
		fill_ok(&btf, &layout);
		CHECK(PA_SIZEOF(&layout, range) == 16);
		CHECK(PA_OFFSETOF(&layout, range, end) == 8);
	}
}

static void test_split(void)
{
	static struct btf_writer base;
	static struct btf_writer split;
	static struct pa_layout layout;
	uint8_t base_blob[BLOB_MAX];
	uint8_t split_blob[BLOB_MAX];

	btf_init(&base);

	uint32_t u64 = btf_int(&base, "unsigned long", 8);
	uint32_t pgmap =
		btf_type(&base, "dev_pagemap", KIND_STRUCT, false, 1, 128);
	uint32_t name = btf_string(&base, "pgmap");

	btf_member(&base, "flags", u64, 512);
	btf_init_split(&split, &base);

	uint32_t alias = btf_type(&split, "", KIND_CONST, false, 0, pgmap);

	btf_type(&split, "pmem_device", KIND_STRUCT, false, 2, 256);
	btf_member(&split, "disk", u64, 0);
	/* A name and a type of the base. */
	btf_u32(&split, name);
	btf_u32(&split, alias);
	btf_u32(&split, 1024);
	/* What vmlinux has too is not looked at again. */
	btf_type(&split, "dev_pagemap", KIND_STRUCT, false, 0, 512);

	size_t base_length =
		btf_finish(&base, NULL, 0, base_blob, sizeof(base_blob));
	size_t split_length =
		btf_finish(&split, NULL, 0, split_blob, sizeof(split_blob));

	CHECK_OK(fill(base_blob, base_length, &layout));
	CHECK(!PA_HAS_TYPE(&layout, pmem_device));
	CHECK_OK(pa_layout_add_btf(&layout, base_blob, base_length, split_blob,
				   split_length));
	CHECK(PA_SIZEOF(&layout, pmem_device) == 256);
	CHECK(PA_OFFSETOF(&layout, pmem_device, disk) == 0);
	CHECK(PA_OFFSETOF(&layout, pmem_device, pgmap) == 128);
	CHECK(PA_M(&layout, pmem_device, pgmap)->size == 128);
	CHECK(PA_SIZEOF(&layout, dev_pagemap) == 128);

	/* Not a base. */
	CHECK_ERROR(PA_ERROR_FORMAT,
		    pa_layout_add_btf(&layout, base_blob, 4, split_blob,
				      split_length));
}

/* Types that contain themselves, and names from nowhere. */
static void test_hostile(void)
{
	static struct btf_writer btf;
	static struct pa_layout layout;

	btf_init(&btf);

	uint32_t u64 = btf_int(&btf, "unsigned long", 8);
	uint32_t self = btf.next_id;

	btf_type(&btf, "atomic_t", KIND_TYPEDEF, false, 0, self);

	uint32_t array = btf_array(&btf, btf.next_id, 2);

	/* An anonymous struct with itself in it, twice. */
	uint32_t knot = btf_type(&btf, "", KIND_STRUCT, false, 3, 64);

	btf_member(&btf, "", knot, 0);
	btf_member(&btf, "", knot, 0);
	btf_member(&btf, "lru", u64, 0);
	btf_type(&btf, "page", KIND_STRUCT, false, 6, 64);
	btf_member(&btf, "", knot, 0);
	btf_member(&btf, "flags", self, 0);
	btf_member(&btf, "mapping", array, 0);
	btf_member(&btf, "private", 123456, 0);
	btf_member(&btf, "_refcount", u64, UINT32_MAX);
	btf_u32(&btf, 0x00fffff0);
	btf_u32(&btf, u64);
	btf_u32(&btf, 0);
	/* Sizes that overflow. */
	uint32_t huge = btf_array(&btf, u64, UINT32_MAX);

	huge = btf_array(&btf, huge, UINT32_MAX);
	btf_type(&btf, "zone", KIND_STRUCT, false, 1, UINT32_MAX);
	btf_member(&btf, "vm_stat", huge, 0);
	btf_type(&btf, "free_area", KIND_STRUCT, false, 0, 0);
	/* A struct of too many members than there are bytes for: cut below. */
	fill_ok(&btf, &layout);
	CHECK(!PA_HAS_TYPE(&layout, atomic_t));
	CHECK(!PA_HAS(&layout, page, flags));
	CHECK(!PA_HAS(&layout, page, mapping));
	CHECK(!PA_HAS(&layout, page, private));
	CHECK(!PA_HAS(&layout, page, _refcount));
	CHECK(!PA_HAS(&layout, zone, vm_stat));
	CHECK(!PA_HAS_TYPE(&layout, free_area));
}

static void test_damaged(void)
{
	static struct btf_writer btf;
	static struct pa_layout layout;
	uint8_t blob[BLOB_MAX];
	size_t length;

	write_page(&btf);
	length = btf_finish(&btf, NULL, 0, blob, sizeof(blob));
	CHECK_OK(fill(blob, length, &layout));
	/* Cut anywhere. */
	for (size_t cut = 0; cut < length; cut++)
		CHECK_ERROR(PA_ERROR_FORMAT, fill(blob, cut, &layout));
	/* Lengths of the header. */
	for (size_t at = 0; at < 24; at += 4) {
		uint8_t copy[BLOB_MAX];

		memcpy(copy, blob, length);
		memset(copy + at, 0xff, 4);
		CHECK_ERROR(PA_ERROR_FORMAT, fill(copy, length, &layout));
	}
	/* The strings don't end. */
	blob[length - 1] = 'x';
	CHECK_ERROR(PA_ERROR_FORMAT, fill(blob, length, &layout));

	btf_init(&btf);
	btf_type(&btf, "page", KIND_STRUCT, false, 0xffffff, 64);
	length = btf_finish(&btf, NULL, 0, blob, sizeof(blob));
	CHECK_ERROR(PA_ERROR_FORMAT, fill(blob, length, &layout));
}

/* A kind that we don't know: an error, unless the BTF tells its size. */
static void test_unknown_kind(void)
{
	static struct btf_writer btf;
	static struct pa_layout layout;
	uint8_t blob[BLOB_MAX];
	uint8_t layouts[100 * 4] = {};
	size_t length;

	btf_init(&btf);

	uint32_t u64 = btf_int(&btf, "unsigned long", 8);

	btf_type(&btf, "new", 99, false, 2, 0);
	for (int i = 0; i < 5; i++)
		btf_u32(&btf, 0xffffffff);
	btf_type(&btf, "list_head", KIND_STRUCT, false, 1, 16);
	btf_member(&btf, "next", u64, 0);
	length = btf_finish(&btf, NULL, 0, blob, sizeof(blob));
	CHECK_ERROR(PA_ERROR_FORMAT, fill(blob, length, &layout));

	/* struct btf_layout: 4 bytes, then 8 for each of the two. */
	layouts[4 * 99] = 4;
	layouts[4 * 99 + 1] = 8;
	length = btf_finish(&btf, layouts, 100, blob, sizeof(blob));
	CHECK_OK(fill(blob, length, &layout));
	CHECK(PA_SIZEOF(&layout, list_head) == 16);
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static void test_fuzz(void)
{
	static struct btf_writer btf;
	static struct pa_layout layout;
	static uint8_t blob[BLOB_MAX];
	static uint8_t copy[BLOB_MAX];
	uint32_t random = 1;
	unsigned int nr_accepted = 0;

	write_page(&btf);

	size_t length = btf_finish(&btf, NULL, 0, blob, sizeof(blob));

	/* Every bit once. */
	for (size_t bit = 0; bit < 8 * length; bit++) {
		memcpy(copy, blob, length);
		copy[bit / 8] ^= 1u << bit % 8;

		struct pa_error *err = fill(copy, length, &layout);

		nr_accepted += !err;
		pa_error_destroy(err);
	}
	CHECK(nr_accepted > length);
	/* Many bits; then whole words. */
	for (int round = 0; round < 4000; round++) {
		memcpy(copy, blob, length);
		for (int i = 0; i < 1 + round % 20; i++) {
			size_t at = 24 + next_random(&random) % (length - 28);

			if (round % 2)
				copy[at] ^= 1u << next_random(&random) % 8;
			else
				memset(copy + at, next_random(&random) & 0x81,
				       4);
		}
		pa_error_destroy(fill(copy, length, &layout));
	}
}

int main(void)
{
	test_struct();
	test_arrays_and_bit_fields();
	test_enumerators();
	test_definitions();
	test_split();
	test_hostile();
	test_damaged();
	test_unknown_kind();
	test_fuzz();
	return CHECK_DONE();
}
