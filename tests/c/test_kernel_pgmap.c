// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Device memory of hand-made memory: idle counts of all types and layouts, what
 * holds a pgmap, the disk over it, and lists of bad pages, sound and hostile.
 */
#include "bytes.h"
#include "kernel/percpu_ref.h"
#include "kernel/pgmap.h"
#include "kernel/pmem.h"
#include "kernel/raw_hwp.h"

#define REF (BASE + 64)
#define DATA (BASE + 128)
#define COUNTERS (BASE + 256)
#define PGMAP (BASE + 1024)
#define DISK (BASE + 2048)
#define BIAS PA_BIT(63)

/* The refcount of an idle page, once its pgmap is dead and put or not. */
static uint32_t idle(enum pa_pgmap_type type, bool dead, bool put)
{
	struct pa_pgmap map = { .type = type, .dead = dead };
	struct pa_pgmaps pgmaps = { .maps = { .items = &map, .length = 1 } };
	struct pa_pgmap_range range = { .pfn = 0,
					.pfn_end = 64,
					.put_end = put ? 32 : 0 };

	return pa_pgmap_idle_refcount(&layout, &pgmaps, &range, 16);
}

static void test_idle(void)
{
	static const struct {
		enum pa_pgmap_type type;
		uint32_t since_5_18, since_6_15;
	} rows[] = {
		{ PA_PGMAP_PRIVATE, 0, 0 }, { PA_PGMAP_COHERENT, 0, 0 },
		{ PA_PGMAP_FS_DAX, 1, 0 },  { PA_PGMAP_GENERIC, 1, 1 },
		{ PA_PGMAP_P2PDMA, 1, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* A pointer: each page is put when the pgmap is killed. */
		MEMBER(dev_pagemap, ref, 48, 8);
		MEMBER(folio, share, 0, 0);
		layout.members[PA_MEMBER_folio__share].known = false;
		CHECK(idle(rows[i].type, false, false) == 1);
		CHECK(idle(rows[i].type, true, false) == 1);
		CHECK(idle(rows[i].type, true, true) == 0);
		MEMBER(dev_pagemap, ref, 48, 16);
		CHECK(idle(rows[i].type, false, false) == rows[i].since_5_18);
		CHECK(idle(rows[i].type, true, true) == rows[i].since_5_18);
		MEMBER(folio, share, 32, 8);
		CHECK(idle(rows[i].type, false, false) == rows[i].since_6_15);
		CHECK(idle(rows[i].type, true, true) == rows[i].since_6_15);
	}
}

static struct pa_percpu_ref read_ref(struct pa_memory *memory)
{
	struct pa_cpu list[] = { { 0, COUNTERS }, { 1, COUNTERS + 64 } };
	struct pa_cpus cpus = { .list = { .items = list, .length = 2 } };
	struct pa_percpu_ref ref;

	CHECK_OK(pa_percpu_ref_read(memory, &layout, &cpus, REF, &ref));
	CHECK(ref.address == REF);
	return ref;
}

static void test_percpu_ref(struct pa_memory *memory)
{
	struct pa_cpus none = { 0 };
	struct pa_percpu_ref ref;

	CHECK(!pa_percpu_ref_known(&layout));
	MEMBER(percpu_ref, percpu_count_ptr, 0, 8);
	MEMBER(percpu_ref, data, 8, 8);
	MEMBER(percpu_ref_data, count, 0, 8);
	CHECK(pa_percpu_ref_known(&layout));
	/* By CPU: what one took another may have put. */
	put(REF, 8);
	put(REF + 8, DATA);
	put(DATA, BIAS + 1);
	put(COUNTERS + 8, 10);
	put(COUNTERS + 64 + 8, (uint64_t)-3);
	ref = read_ref(memory);
	CHECK(!ref.dead && !ref.atomic && ref.count_known && ref.count == 8);
	/* Killed, and not yet counted in one place. */
	put(REF, 8 | 3);
	ref = read_ref(memory);
	CHECK(ref.dead && ref.atomic && !ref.count_known);
	put(DATA, BIAS - 98);
	CHECK(!read_ref(memory).count_known);
	put(DATA, 3);
	ref = read_ref(memory);
	CHECK(ref.dead && ref.count_known && ref.count == 3);
	put(DATA, (uint64_t)-2);
	ref = read_ref(memory);
	CHECK(ref.count_known && ref.count == -2);
	/* percpu_ref_exit(), and pointers to nowhere. */
	put(REF + 8, 0);
	CHECK(!read_ref(memory).count_known);
	put(REF + 8, NOWHERE);
	CHECK(!read_ref(memory).count_known);
	put(REF, NOWHERE - COUNTERS);
	put(REF + 8, DATA);
	CHECK(!read_ref(memory).count_known);
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_percpu_ref_read(memory, &layout, &none, NOWHERE, &ref));
}

static void test_disk(struct pa_memory *memory)
{
	char name[PA_DISK_NAME_MAX];

	MEMBER(gendisk, disk_name, 0, 32);
	MEMBER(gendisk, private_data, 64, 8);
	put(DISK, 0x306d656d70); /* "pmem0" */
	put(DISK + 64, PGMAP - 200);
	put(PGMAP - 8, DISK);
	CHECK_OK(pa_pmem_disk_name(memory, &layout, PGMAP, name));
	CHECK(!strcmp(name, "pmem0"));
	/* A disk of something else: its data do not have the pgmap. */
	put(DISK + 64, PGMAP + 8);
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_pmem_disk_name(memory, &layout, PGMAP, name));
	put(DISK + 64, 8);
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_pmem_disk_name(memory, &layout, PGMAP, name));
	/* No disk at all. */
	put(PGMAP - 8, 77);
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_pmem_disk_name(memory, &layout, PGMAP, name));
	put(PGMAP - 8, NOWHERE);
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_pmem_disk_name(memory, &layout, PGMAP, name));
	/* Not a byte that is no text gets out, and no name without an end. */
	put(PGMAP - 8, DISK);
	put(DISK + 64, PGMAP - 200);
	for (size_t i = 0; i < 32; i += 8)
		put(DISK + i, UINT64_C(0x1b5b1b5b1b5b1b5b));
	CHECK_OK(pa_pmem_disk_name(memory, &layout, PGMAP, name));
	CHECK(strlen(name) == PA_DISK_NAME_MAX - 1 && !strchr(name, 0x1b));
}

static void test_raw(struct pa_memory *memory)
{
	struct pa_raw_hwp raw = { 0 };

	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_raw_hwp_read(&kernel, memory, 64, &raw));
	/* v6.1: in ->private of one of the tails. */
	ENUMERATOR(SUBPAGE_INDEX_HWPOISON, 4);
	kernel.page_format.private_ = 40;
	MEMBER(raw_hwp_page, node, 0, 8);
	MEMBER(raw_hwp_page, page, 8, 8);
	put(page_at(68) + 40, REF);
	put(REF, DATA);
	put(REF + 8, page_at(100));
	put(DATA, 0);
	put(DATA + 8, page_at(77));
	CHECK_OK(pa_raw_hwp_read(&kernel, memory, 64, &raw));
	CHECK(raw.pfns.length == 2 && raw.pfns.items[0] == 100 &&
	      raw.pfns.items[1] == 77);
	pa_raw_hwp_deinit(&raw);
	/* Of itself, or of what is no page: no list. */
	memset(&raw, 0, sizeof(raw));
	put(DATA, REF);
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_raw_hwp_read(&kernel, memory, 64, &raw));
	pa_raw_hwp_deinit(&raw);
	memset(&raw, 0, sizeof(raw));
	put(REF + 8, page_at(100) + 8);
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_raw_hwp_read(&kernel, memory, 64, &raw));
	pa_raw_hwp_deinit(&raw);
	/* An index that is none. */
	memset(&raw, 0, sizeof(raw));
	ENUMERATOR(SUBPAGE_INDEX_HWPOISON, -1);
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_raw_hwp_read(&kernel, memory, 64, &raw));
	pa_raw_hwp_deinit(&raw);
}

int main(void)
{
	struct pa_memory *memory = bytes_start();

	test_idle();
	test_percpu_ref(memory);
	test_disk(memory);
	bytes_end(memory);
	memory = bytes_start();
	test_raw(memory);
	bytes_end(memory);
	return CHECK_DONE();
}
