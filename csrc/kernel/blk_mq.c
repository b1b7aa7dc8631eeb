// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/blk_mq.h"

#include <inttypes.h>

#include "kernel/xarray.h"

/* BLK_MQ_MAX_DEPTH is 10240. */
#define MAX_TAGS 65536
#define MAX_HW_QUEUES 8192
/* Bios merged into one request. */
#define MAX_BIOS 65536

struct walk {
	struct pa_memory *memory;
	const struct pa_layout *layout;
	struct pa_map *walked;
	pa_bio_visit_fn visit;
	void *arg;
	bool stopped;
	struct pa_error *err;
};

bool pa_blk_mq_knows(const struct pa_layout *layout)
{
	return PA_HAS(layout, bdev_inode, bdev) &&
	       PA_HAS(layout, block_device, bd_disk) &&
	       PA_HAS(layout, gendisk, queue) &&
	       PA_HAS(layout, request_queue, nr_hw_queues) &&
	       (PA_HAS(layout, request_queue, queue_hw_ctx) ||
		PA_HAS(layout, request_queue, hctx_table)) &&
	       PA_HAS(layout, blk_mq_hw_ctx, tags) &&
	       PA_HAS(layout, blk_mq_hw_ctx, sched_tags) &&
	       PA_HAS(layout, blk_mq_tags, nr_tags) &&
	       PA_HAS(layout, blk_mq_tags, static_rqs) &&
	       PA_HAS(layout, request, bio);
}

/* False if @address was walked before. */
static bool enter(struct walk *walk, uint64_t address)
{
	if (pa_map_has(walk->walked, address))
		return false;
	if (!pa_map_set(walk->walked, address, 0))
		walk->err = &pa_error_no_memory;
	return !walk->err;
}

/* A request that is none at the time has no bio: blk_update_request(). */
static struct pa_error *walk_request(struct walk *walk, uint64_t request)
{
	const struct pa_layout *layout = walk->layout;
	uint64_t bio;
	struct pa_error *err = pa_memory_read_u64(
		walk->memory, request + PA_OFFSETOF(layout, request, bio),
		&bio);

	for (uint32_t i = 0; !err && bio && !walk->stopped; i++) {
		if (!pa_is_kernel_address(bio) || i >= MAX_BIOS)
			return pa_error_at(PA_ERROR_CORRUPT, request,
					   "no request at 0x%" PRIx64, request);
		walk->stopped = !walk->visit(walk->arg, bio);
		err = pa_memory_read_u64(
			walk->memory, bio + PA_OFFSETOF(layout, bio, bi_next),
			&bio);
	}
	return err;
}

static struct pa_error *walk_tags(struct walk *walk, uint64_t tags)
{
	const struct pa_layout *layout = walk->layout;
	uint64_t requests;
	uint32_t nr;
	struct pa_error *err;

	if (!tags || !enter(walk, tags))
		return walk->err;
	err = pa_memory_read_u32(
		walk->memory, tags + PA_OFFSETOF(layout, blk_mq_tags, nr_tags),
		&nr);
	if (!err)
		err = pa_memory_read_u64(walk->memory,
					 tags + PA_OFFSETOF(layout, blk_mq_tags,
							    static_rqs),
					 &requests);
	if (!err && nr > MAX_TAGS)
		err = pa_error_at(PA_ERROR_CORRUPT, tags,
				  "no blk_mq_tags at 0x%" PRIx64, tags);
	for (uint32_t i = 0; !err && i < nr && !walk->stopped; i++) {
		uint64_t request;

		err = pa_memory_read_u64(walk->memory,
					 requests + (uint64_t)i * 8, &request);
		if (!err && request)
			err = walk_request(walk, request);
	}
	return err;
}

/* @hctx: a hardware queue. Its scheduler, if any, has requests of its own. */
static struct pa_error *walk_hctx(struct walk *walk, uint64_t hctx)
{
	const uint32_t offsets[] = {
		PA_OFFSETOF(walk->layout, blk_mq_hw_ctx, tags),
		PA_OFFSETOF(walk->layout, blk_mq_hw_ctx, sched_tags),
	};
	struct pa_error *err = NULL;

	for (int i = 0; !err && i < 2; i++) {
		uint64_t tags;

		err = pa_memory_read_u64(walk->memory, hctx + offsets[i],
					 &tags);
		if (!err)
			err = walk_tags(walk, tags);
	}
	return err;
}

static bool visit_hctx(void *arg, const struct pa_xarray_entry *entry)
{
	struct walk *walk = arg;

	walk->err = walk_hctx(walk, entry->entry);
	return !walk->err && !walk->stopped;
}

static struct pa_error *walk_queue(struct walk *walk, uint64_t queue)
{
	const struct pa_layout *layout = walk->layout;
	struct pa_xarray_result result;
	uint64_t array;
	uint32_t nr;
	struct pa_error *err;

	if (PA_HAS(layout, request_queue, hctx_table)) {
		err = pa_xarray_walk(walk->memory, layout,
				     queue + PA_OFFSETOF(layout, request_queue,
							 hctx_table),
				     visit_hctx, walk, &result);
		if (!err && !walk->err && (result.unreadable || result.corrupt))
			err = pa_error_at(PA_ERROR_UNREADABLE, queue,
					  "the hardware queues of 0x%" PRIx64
					  " could not be read",
					  queue);
		return err ? err : walk->err;
	}
	err = pa_memory_read_u32(
		walk->memory,
		queue + PA_OFFSETOF(layout, request_queue, nr_hw_queues), &nr);
	if (!err)
		err = pa_memory_read_u64(walk->memory,
					 queue + PA_OFFSETOF(layout,
							     request_queue,
							     queue_hw_ctx),
					 &array);
	if (!err && nr > MAX_HW_QUEUES)
		err = pa_error_at(PA_ERROR_CORRUPT, queue,
				  "no request_queue at 0x%" PRIx64, queue);
	/* Drivers that take bios have none. */
	for (uint32_t i = 0; !err && array && i < nr && !walk->stopped; i++) {
		uint64_t hctx;

		err = pa_memory_read_u64(walk->memory, array + (uint64_t)i * 8,
					 &hctx);
		if (!err && hctx)
			err = walk_hctx(walk, hctx);
	}
	return err;
}

struct pa_error *pa_disk_visit_bios(struct pa_memory *memory,
				    const struct pa_layout *layout,
				    uint64_t disk, struct pa_map *walked,
				    pa_bio_visit_fn visit, void *arg)
{
	struct walk walk = {
		.memory = memory,
		.layout = layout,
		.walked = walked,
		.visit = visit,
		.arg = arg,
	};
	uint64_t queue;
	struct pa_error *err;

	if (!enter(&walk, disk))
		return walk.err;
	err = pa_memory_read_u64(
		memory, disk + PA_OFFSETOF(layout, gendisk, queue), &queue);
	if (!err && queue && enter(&walk, queue))
		err = walk_queue(&walk, queue);
	return err ? err : walk.err;
}
