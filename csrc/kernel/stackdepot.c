// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/stackdepot.h"

#include <inttypes.h>

/* DEPOT_STACK_ALIGN: records start at multiples of 16 bytes. */
#define RECORD_SHIFT 4
/* DEPOT_POOLS_CAP, which v7's stack_max_pools may be above. */
#define MAX_POOLS 8192
#define MAX_RECORD_BYTES 4096

/* A bit field of union handle_parts. */
static uint32_t part(const struct pa_member *member, uint32_t handle)
{
	uint32_t shift = member->offset * 8 + member->bit_offset;

	if (!member->known || !member->bit_size || shift > 31)
		return 0;
	return (uint32_t)(handle >> shift & PA_MASK(member->bit_size));
}

/*
 * The table of pools: an array that was called stack_slabs before v6.3 (commit
 * 961c949b012f), and since v7 one of stack_max_pools that is allocated at boot.
 */
static struct pa_error *find_pools(const struct pa_layout *layout,
				   struct pa_memory *memory,
				   uint64_t *pools_ret, uint64_t *nr_ret)
{
	uint32_t nr = MAX_POOLS;
	struct pa_error *err = NULL;

	if (!PA_HAS_SYM(layout, stack_pools)) {
		*pools_ret = PA_SYM(layout, stack_slabs);
	} else if (!PA_HAS_SYM(layout, stack_max_pools)) {
		*pools_ret = PA_SYM(layout, stack_pools);
	} else {
		err = pa_memory_read_u32(memory,
					 PA_SYM(layout, stack_max_pools), &nr);
		if (!err)
			err = pa_memory_read_u64(
				memory, PA_SYM(layout, stack_pools), pools_ret);
	}
	if (!err)
		*nr_ret = nr;
	return err;
}

/* The record of @handle in the pool of number @index, if it is there. */
static struct pa_error *read_record(const struct pa_layout *layout,
				    struct pa_memory *memory, uint32_t handle,
				    uint64_t index, struct pa_stack_trace *ret)
{
	uint32_t entries = PA_OFFSETOF(layout, stack_record, entries);
	uint8_t bytes[MAX_RECORD_BYTES];
	uint64_t pools, nr, pool, size;
	struct pa_error *err = find_pools(layout, memory, &pools, &nr);

	if (err)
		return err;
	if (index >= nr)
		return pa_error_at(PA_ERROR_CORRUPT, handle,
				   "stack handle %#" PRIx32
				   " is of pool %" PRIu64 " of %" PRIu64,
				   handle, index, nr);
	err = pa_memory_read_u64(memory, pools + index * 8, &pool);
	if (err)
		return err;

	uint64_t record =
		pool +
		((uint64_t)part(PA_M(layout, handle_parts, offset), handle)
		 << RECORD_SHIFT);

	if (!pa_is_kernel_address(pool) || !pa_is_kernel_address(record))
		return pa_error_at(PA_ERROR_CORRUPT, pool,
				   "stack handle %#" PRIx32
				   " is of a pool that is not there",
				   handle);
	err = pa_memory_read(memory, record, entries, bytes);
	if (err)
		return err;

	uint32_t extra =
		PA_HAS(layout, handle_parts, extra) ?
			part(PA_M(layout, handle_parts, extra), UINT32_MAX)
				<< (PA_OFFSETOF(layout, handle_parts, extra) *
					    8 +
				    PA_M(layout, handle_parts, extra)
					    ->bit_offset) :
			0;

	size = PA_GET(layout, bytes, stack_record, size);
	if (PA_GET(layout, bytes, stack_record, handle) != (handle & ~extra) ||
	    !size || size > PA_MAX_FRAMES)
		return pa_error_at(PA_ERROR_CORRUPT, record,
				   "no stack trace of handle %#" PRIx32,
				   handle);

	struct pa_stack_trace trace = { .nr = (uint32_t)size };

	err = pa_memory_read(memory, record + entries, size * 8, trace.entries);
	if (!err)
		*ret = trace;
	return err;
}

static bool is_usable(const struct pa_layout *layout)
{
	uint32_t entries = PA_OFFSETOF(layout, stack_record, entries);

	return (PA_HAS_SYM(layout, stack_slabs) ||
		PA_HAS_SYM(layout, stack_pools)) &&
	       PA_HAS(layout, handle_parts, offset) &&
	       PA_HAS(layout, stack_record, size) &&
	       PA_HAS(layout, stack_record, handle) &&
	       PA_HAS(layout, stack_record, entries) &&
	       entries <= MAX_RECORD_BYTES &&
	       PA_OFFSETOF(layout, stack_record, size) + 4 <= entries &&
	       PA_OFFSETOF(layout, stack_record, handle) + 4 <= entries;
}

struct pa_error *pa_stackdepot_fetch(const struct pa_kernel *kernel,
				     struct pa_memory *memory, uint32_t handle,
				     struct pa_stack_trace *ret)
{
	const struct pa_layout *layout = kernel->layout;

	if (!is_usable(layout))
		return pa_error_create(
			PA_ERROR_MISSING,
			"the kernel was built without a stack depot");
	if (PA_HAS(layout, handle_parts, slabindex))
		return read_record(layout, memory, handle,
				   part(PA_M(layout, handle_parts, slabindex),
					handle),
				   ret);
	if (PA_HAS(layout, handle_parts, pool_index_plus_1))
		return read_record(layout, memory, handle,
				   (uint64_t)part(PA_M(layout, handle_parts,
						       pool_index_plus_1),
						  handle) -
					   1,
				   ret);
	/*
	 * Commit 3ee34eabac2a of v6.9 made it the index + 1 and left its name,
	 * which said so one release later: the record itself tells.
	 */
	uint64_t index = part(PA_M(layout, handle_parts, pool_index), handle);
	struct pa_error *err = read_record(layout, memory, handle, index, ret);

	if (!pa_error_is_target(err) || !index)
		return err;
	pa_error_destroy(err);
	return read_record(layout, memory, handle, index - 1, ret);
}
