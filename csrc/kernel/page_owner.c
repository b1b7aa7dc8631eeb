// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/page_owner.h"

#include "kernel/page_ext.h"

/* Far above any release's struct page_owner (64 bytes) and its offset. */
#define MAX_OWNER_BYTES 256
#define MAX_OFFSET 4096

/* A number of the record, where this kernel has it. */
#define NUMBER(layout, bytes, member)                        \
	(PA_HAS(layout, page_owner, member) ?                \
		 PA_GET(layout, bytes, page_owner, member) : \
		 0)

static struct pa_error *is_on(const struct pa_layout *layout,
			      struct pa_memory *memory)
{
	uint32_t enabled;

	if (!PA_HAS_SYM(layout, page_owner_ops) ||
	    !PA_HAS(layout, page_owner, handle) ||
	    !PA_HAS(layout, page_ext, flags) ||
	    !PA_HAS(layout, page_ext_operations, offset) ||
	    !PA_HAS_ENUM(layout, PAGE_EXT_OWNER))
		return pa_error_create(
			PA_ERROR_MISSING,
			"the kernel was built without page_owner");
	if (!PA_HAS_SYM(layout, page_owner_inited))
		return NULL;

	/* A static key: its count, atomic_t, comes first. */
	struct pa_error *err = pa_memory_read_u32(
		memory, PA_SYM(layout, page_owner_inited), &enabled);

	if (!err && !enabled)
		err = pa_error_create(
			PA_ERROR_MISSING,
			"the kernel was not booted with page_owner=on");
	return err;
}

/* Where the records of page_owner lie in those of page_ext. */
static struct pa_error *read_offset(const struct pa_layout *layout,
				    struct pa_memory *memory, uint64_t *ret)
{
	uint64_t ops = PA_SYM(layout, page_owner_ops);
	uint64_t offset;
	struct pa_error *err = pa_memory_read_u64(
		memory, ops + PA_OFFSETOF(layout, page_ext_operations, offset),
		&offset);

	if (!err && offset > MAX_OFFSET)
		err = pa_error_at(PA_ERROR_CORRUPT, ops,
				  "page_owner_ops.offset is out of range");
	if (!err)
		*ret = offset;
	return err;
}

static void decode(const struct pa_layout *layout, const uint8_t *bytes,
		   struct pa_page_owner *ret)
{
	ret->order = (uint32_t)NUMBER(layout, bytes, order);
	ret->gfp_mask = (uint32_t)NUMBER(layout, bytes, gfp_mask);
	ret->migrate_reason =
		(int16_t)NUMBER(layout, bytes, last_migrate_reason);
	ret->alloc.handle = (uint32_t)NUMBER(layout, bytes, handle);
	ret->free.handle = (uint32_t)NUMBER(layout, bytes, free_handle);
	ret->alloc.time_ns = NUMBER(layout, bytes, ts_nsec);
	ret->free.time_ns = NUMBER(layout, bytes, free_ts_nsec);
	ret->alloc.pid = (uint32_t)NUMBER(layout, bytes, pid);
	ret->alloc.tgid = (uint32_t)NUMBER(layout, bytes, tgid);
	ret->free.pid = (uint32_t)NUMBER(layout, bytes, free_pid);
	ret->free.tgid = (uint32_t)NUMBER(layout, bytes, free_tgid);
	ret->has_times = PA_HAS(layout, page_owner, ts_nsec);
	ret->has_alloc_task = PA_HAS(layout, page_owner, pid);
	ret->has_free_task = PA_HAS(layout, page_owner, free_pid);
	if (PA_HAS(layout, page_owner, comm)) {
		memcpy(ret->comm, bytes + PA_OFFSETOF(layout, page_owner, comm),
		       pa_min(sizeof(ret->comm) - 1,
			      PA_M(layout, page_owner, comm)->size));
		ret->comm[sizeof(ret->comm) - 1] = '\0';
	}
}

struct pa_error *pa_page_owner_read(const struct pa_kernel *kernel,
				    struct pa_memory *memory, uint64_t pfn,
				    struct pa_page_owner *ret)
{
	const struct pa_layout *layout = kernel->layout;
	uint32_t size = PA_SIZEOF(layout, page_owner);
	struct pa_page_owner owner = { .migrate_reason = -1 };
	uint8_t bytes[MAX_OWNER_BYTES];
	uint64_t ext, flags, offset;
	struct pa_error *err = is_on(layout, memory);

	if (!err && (!size || size > sizeof(bytes)))
		err = pa_error_create(PA_ERROR_MISSING,
				      "struct page_owner is not usable");
	if (!err)
		err = pa_page_ext_find(kernel, memory, pfn, &ext);
	if (!err && !ext) {
		*ret = owner;
		return NULL;
	}
	if (!err)
		err = pa_memory_read_u64(
			memory, ext + PA_OFFSETOF(layout, page_ext, flags),
			&flags);
	if (!err)
		err = read_offset(layout, memory, &offset);
	if (!err)
		err = pa_memory_read(memory, ext + offset, size, bytes);
	if (err)
		return err;
	/*
	 * What is not valid is zeros, or the owner of a page that was there
	 * before: __dump_page_owner() does not show it, either.
	 */
	owner.known = flags >> (PA_ENUM(layout, PAGE_EXT_OWNER) & 63) & 1;
	if (owner.known) {
		owner.allocated =
			PA_HAS_ENUM(layout, PAGE_EXT_OWNER_ALLOCATED) &&
			flags >> (PA_ENUM(layout, PAGE_EXT_OWNER_ALLOCATED) &
				  63) &
				1;
		decode(layout, bytes, &owner);
	}
	*ret = owner;
	return NULL;
}

const char *pa_migrate_reason(const struct pa_layout *layout, int32_t reason)
{
	static const struct {
		enum pa_enumerator_id id;
		const char *name;
	} reasons[] = {
		{ PA_ENUM_MR_COMPACTION, "compaction" },
		{ PA_ENUM_MR_MEMORY_FAILURE, "memory failure" },
		{ PA_ENUM_MR_MEMORY_HOTPLUG, "memory hotplug" },
		{ PA_ENUM_MR_SYSCALL, "syscall" },
		{ PA_ENUM_MR_MEMPOLICY_MBIND, "mbind" },
		{ PA_ENUM_MR_NUMA_MISPLACED, "NUMA balancing" },
		{ PA_ENUM_MR_CONTIG_RANGE, "contiguous allocation" },
		{ PA_ENUM_MR_LONGTERM_PIN, "long-term pin" },
		{ PA_ENUM_MR_DEMOTION, "demotion" },
		{ PA_ENUM_MR_DAMON, "DAMON" },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (layout->enumerators[reasons[i].id].known &&
		    layout->enumerators[reasons[i].id].value == reason)
			return reasons[i].name;
	return NULL;
}
