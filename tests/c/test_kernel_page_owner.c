// SPDX-License-Identifier: LGPL-2.1-or-later
/* page_ext, page_owner and the stack depot of hand-made memory. */
#include <string.h>

#include "bytes.h"
#include "kernel/page_ext.h"
#include "kernel/page_owner.h"
#include "kernel/stackdepot.h"

/* Where things are. */
#define EXT_SIZE_AT (BASE + 0)
#define OPS (BASE + 64)
#define INITED (BASE + 128)
#define MAX_POOLS_AT (BASE + 136)
#define POOLS (BASE + 256)
#define POOLS_POINTER (BASE + 144)
#define POOL (BASE + 16384)
#define EXT (BASE + 32768)

#define SECTION_PAGES 64
#define SECTION 5
#define PFN (SECTION * SECTION_PAGES + 7)
#define EXT_BYTES 72

/* Of union handle_parts. */
#define FIELD(name, bit, bits)                                              \
	layout.members[PA_MEMBER_handle_parts__##name] = (struct pa_member) \
	{                                                                   \
		.known = true, .offset = (bit) / 8, .size = 4,              \
		.bit_offset = (bit) % 8, .bit_size = (bits)                 \
	}
#define FORGET(id) layout.members[PA_MEMBER_##id].known = false

static struct pa_section section = {
	.nr = SECTION,
	.page_ext = EXT - EXT_BYTES * SECTION * SECTION_PAGES,
};
static uint32_t section_index[SECTION + 1] = { [SECTION] = 1 };
/* The records of v6.12. */
static void make_owner(void)
{
	uint64_t ext = EXT + 7 * EXT_BYTES, owner = ext + 8;

	MEMBER(mem_section, page_ext, 0, 8);
	MEMBER(page_ext, flags, 0, 8);
	MEMBER(page_ext_operations, offset, 8, 8);
	layout.enumerators[PA_ENUM_PAGE_EXT_OWNER] =
		(struct pa_enumerator){ true, 0 };
	layout.enumerators[PA_ENUM_PAGE_EXT_OWNER_ALLOCATED] =
		(struct pa_enumerator){ true, 1 };
	layout.enumerators[PA_ENUM_MR_SYSCALL] =
		(struct pa_enumerator){ true, 3 };
	layout.types[PA_TYPE_page_owner] = (struct pa_type){ true, 64 };
	MEMBER(page_owner, order, 0, 2);
	MEMBER(page_owner, last_migrate_reason, 2, 2);
	MEMBER(page_owner, gfp_mask, 4, 4);
	MEMBER(page_owner, handle, 8, 4);
	MEMBER(page_owner, free_handle, 12, 4);
	MEMBER(page_owner, ts_nsec, 16, 8);
	MEMBER(page_owner, free_ts_nsec, 24, 8);
	MEMBER(page_owner, comm, 32, 16);
	MEMBER(page_owner, pid, 48, 4);
	MEMBER(page_owner, tgid, 52, 4);
	MEMBER(page_owner, free_pid, 56, 4);
	MEMBER(page_owner, free_tgid, 60, 4);
	SYMBOL(page_ext_size, EXT_SIZE_AT);
	SYMBOL(page_owner_ops, OPS);
	SYMBOL(page_owner_inited, INITED);
	put(EXT_SIZE_AT, EXT_BYTES);
	put(OPS + 8, 8);
	put_bytes(INITED, 1, 4);
	put(ext, 3);
	put_bytes(owner + 0, 9, 2);
	put_bytes(owner + 2, 3, 2);
	put_bytes(owner + 4, 0x140cca, 4);
	put_bytes(owner + 8, 0x20001, 4);
	put_bytes(owner + 12, 0x40001, 4);
	put(owner + 16, 123456789);
	put(owner + 24, 23456789);
	/* Not terminated. */
	memset(memory_bytes + (owner + 32 - BASE), 'x', 16);
	put_bytes(owner + 48, 77, 4);
	put_bytes(owner + 52, 76, 4);
	put_bytes(owner + 56, 55, 4);
	put_bytes(owner + 60, 54, 4);
}

static void test_owner(struct pa_memory *memory)
{
	struct pa_page_owner owner;
	uint64_t ext;

	CHECK_OK(pa_page_ext_find(&kernel, memory, PFN, &ext));
	CHECK(ext == EXT + 7 * EXT_BYTES);
	CHECK_OK(pa_page_owner_read(&kernel, memory, PFN, &owner));
	CHECK(owner.known && owner.allocated);
	CHECK(owner.order == 9 && owner.gfp_mask == 0x140cca);
	CHECK(owner.migrate_reason == 3);
	CHECK(!strcmp(pa_migrate_reason(&layout, 3), "syscall"));
	CHECK(!pa_migrate_reason(&layout, -1));
	CHECK(owner.alloc.handle == 0x20001 && owner.free.handle == 0x40001);
	CHECK(owner.alloc.time_ns == 123456789);
	CHECK(owner.free.time_ns == 23456789);
	CHECK(owner.alloc.pid == 77 && owner.alloc.tgid == 76);
	CHECK(owner.free.pid == 55 && owner.free.tgid == 54);
	CHECK(!strcmp(owner.comm, "xxxxxxxxxxxxxxx"));
	CHECK(owner.has_times && owner.has_alloc_task && owner.has_free_task);

	/* Freed. */
	put(EXT + 7 * EXT_BYTES, 1);
	CHECK_OK(pa_page_owner_read(&kernel, memory, PFN, &owner));
	CHECK(owner.known && !owner.allocated && owner.order == 9);
	/* Its neighbour was never allocated. */
	CHECK_OK(pa_page_owner_read(&kernel, memory, PFN + 1, &owner));
	CHECK(!owner.known && !owner.allocated && owner.migrate_reason == -1);

	/* v5.10 records less. */
	FORGET(page_owner__ts_nsec);
	FORGET(page_owner__pid);
	FORGET(page_owner__free_pid);
	FORGET(page_owner__comm);
	layout.types[PA_TYPE_page_owner].size = 16;
	CHECK_OK(pa_page_owner_read(&kernel, memory, PFN, &owner));
	CHECK(owner.known && owner.order == 9 && !owner.comm[0]);
	CHECK(!owner.has_times && !owner.has_alloc_task &&
	      !owner.has_free_task);
	CHECK(!owner.alloc.time_ns && !owner.alloc.pid && !owner.free.pid);
}

static void test_no_owner(struct pa_memory *memory)
{
	uint64_t base = section.page_ext;
	struct pa_page_owner owner;
	uint64_t ext = 1;

	/* No section; one without records; one that is going offline. */
	CHECK_OK(pa_page_owner_read(&kernel, memory, 1, &owner));
	CHECK(!owner.known);
	section.page_ext = 0;
	CHECK_OK(pa_page_ext_find(&kernel, memory, PFN, &ext));
	CHECK(!ext);
	section.page_ext = base | 1;
	CHECK_OK(pa_page_owner_read(&kernel, memory, PFN, &owner));
	CHECK(!owner.known);
	/* No address, and one that is not mapped. */
	section.page_ext = 4096;
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_page_owner_read(&kernel, memory, PFN, &owner));
	section.page_ext = base + SIZE;
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_page_owner_read(&kernel, memory, PFN, &owner));
	section.page_ext = base;

	put(EXT_SIZE_AT, UINT64_C(1) << 40);
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_page_owner_read(&kernel, memory, PFN, &owner));
	put(EXT_SIZE_AT, EXT_BYTES);
	put(OPS + 8, UINT64_C(1) << 40);
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_page_owner_read(&kernel, memory, PFN, &owner));
	put(OPS + 8, 8);
	put_bytes(INITED, 0, 4);
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_page_owner_read(&kernel, memory, PFN, &owner));
	put_bytes(INITED, 1, 4);
	layout.types[PA_TYPE_page_owner].size = 4096;
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_page_owner_read(&kernel, memory, PFN, &owner));
	FORGET(mem_section__page_ext);
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_page_ext_find(&kernel, memory, PFN, &ext));
	layout.symbols[PA_SYM_page_owner_ops].known = false;
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_page_owner_read(&kernel, memory, PFN, &owner));
}

/* A record of @handle with @nr entries from 0xffffffff81000000 on. */
static void make_record(uint64_t at, uint32_t handle, uint32_t nr)
{
	put_bytes(at + 20, nr, 4);
	put_bytes(at + 24, handle, 4);
	for (uint32_t i = 0; i < nr; i++)
		put(at + 32 + i * 8, UINT64_C(0xffffffff81000000) + i);
}

static bool is_trace(const struct pa_stack_trace *trace, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		if (trace->entries[i] != UINT64_C(0xffffffff81000000) + i)
			return false;
	return trace->nr == nr;
}

/* Pool 3, 16 * 5 bytes into it. */
static void test_depot(struct pa_memory *memory)
{
	struct pa_stack_trace trace;
	uint32_t handle = 4 | 5 << 17;

	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_stackdepot_fetch(&kernel, memory, handle, &trace));
	MEMBER(stack_record, size, 20, 4);
	MEMBER(stack_record, handle, 24, 4);
	MEMBER(stack_record, entries, 32, 512);

	/* v7: the table is allocated. */
	FIELD(pool_index_plus_1, 0, 17);
	FIELD(offset, 17, 10);
	FIELD(extra, 27, 5);
	SYMBOL(stack_pools, POOLS_POINTER);
	SYMBOL(stack_max_pools, MAX_POOLS_AT);
	put(POOLS_POINTER, POOLS);
	put_bytes(MAX_POOLS_AT, 4, 4);
	put(POOLS + 3 * 8, POOL);
	make_record(POOL + 80, handle, 6);
	CHECK_OK(pa_stackdepot_fetch(&kernel, memory, handle, &trace));
	CHECK(is_trace(&trace, 6));
	/* With bits that are the user's. */
	CHECK_OK(pa_stackdepot_fetch(&kernel, memory, handle | 0x18000000,
				     &trace));
	CHECK(is_trace(&trace, 6));
	/* The same record is not another handle's; no pool; beyond them. */
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_stackdepot_fetch(&kernel, memory, 4 | 6 << 17, &trace));
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_stackdepot_fetch(&kernel, memory, 3 | 5 << 17, &trace));
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_stackdepot_fetch(&kernel, memory, 5 | 5 << 17, &trace));
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_stackdepot_fetch(&kernel, memory, 5 << 17, &trace));
	/* So many frames are none. */
	put_bytes(POOL + 80 + 20, PA_MAX_FRAMES + 1, 4);
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_stackdepot_fetch(&kernel, memory, handle, &trace));
	make_record(POOL + 80, handle, PA_MAX_FRAMES);
	CHECK_OK(pa_stackdepot_fetch(&kernel, memory, handle, &trace));
	CHECK(is_trace(&trace, PA_MAX_FRAMES));

	/* v6.12: an array. */
	layout.symbols[PA_SYM_stack_max_pools].known = false;
	SYMBOL(stack_pools, POOLS);
	CHECK_OK(pa_stackdepot_fetch(&kernel, memory, handle, &trace));
	CHECK(is_trace(&trace, PA_MAX_FRAMES));

	/* v6.9: the index + 1 without saying so; v6.8: the index. */
	FORGET(handle_parts__pool_index_plus_1);
	FIELD(pool_index, 0, 17);
	CHECK_OK(pa_stackdepot_fetch(&kernel, memory, handle, &trace));
	CHECK(is_trace(&trace, PA_MAX_FRAMES));
	handle = 3 | 5 << 17;
	make_record(POOL + 80, handle, 7);
	CHECK_OK(pa_stackdepot_fetch(&kernel, memory, handle, &trace));
	CHECK(is_trace(&trace, 7));
	FORGET(handle_parts__pool_index);

	/* v5.10: other widths, another name, no bits of the user's. */
	layout.symbols[PA_SYM_stack_pools].known = false;
	FORGET(handle_parts__extra);
	SYMBOL(stack_slabs, POOLS);
	FIELD(slabindex, 0, 21);
	FIELD(offset, 21, 10);
	handle = 3 | 5 << 21 | UINT32_C(1) << 31;
	make_record(POOL + 80, handle, 16);
	CHECK_OK(pa_stackdepot_fetch(&kernel, memory, handle, &trace));
	CHECK(is_trace(&trace, 16));
	/* Slabs are at most 8192. */
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_stackdepot_fetch(&kernel, memory,
					8192 | UINT32_C(1) << 31, &trace));
}

int main(void)
{
	struct pa_memory *memory = bytes_start();

	kernel.sections.pages_shift = 6;
	kernel.sections.pages = SECTION_PAGES;
	kernel.sections.list.items = &section;
	kernel.sections.list.length = 1;
	kernel.sections.index = section_index;
	kernel.sections.index_length = SECTION + 1;
	make_owner();
	test_owner(memory);
	test_no_owner(memory);
	test_depot(memory);
	bytes_end(memory);
	return CHECK_DONE();
}
