// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/in_hand.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "census/slabs.h"
#include "kernel/stack.h"

/* No machine has so many tasks in there. */
#define MAX_WORDS PA_BIT(24)
/*
 * From a stack to what names pages: io_sqe_buffers_register() has an array of
 * nodes, each of which names a buffer (v6.13).
 */
#define MAX_DEPTH 2
/* Larger ones are no slab's (KMALLOC_MAX_CACHE_SIZE). */
#define MAX_OBJECT 8192

static const enum pa_symbol_id dropping[] = {
	PA_SYM_io_buffer_unmap,
	PA_SYM___io_sqe_buffers_unregister,
	PA_SYM_io_rsrc_data_free,
	PA_SYM_io_rsrc_buf_put,
	PA_SYM_io_rsrc_put_work,
	PA_SYM_io_rsrc_node_ref_zero,
	PA_SYM_io_release_ubuf,
	PA_SYM_io_free_rsrc_node,
	PA_SYM___io_remove_buffers,
	PA_SYM_io_put_bl,
	PA_SYM_io_destroy_buffers,
	PA_SYM_io_free_region,
	PA_SYM_io_ring_exit_work,
	/* No file has the ring any more, and exit_work is not set yet. */
	PA_SYM_io_uring_release,
	PA_SYM_io_ring_ctx_wait_and_kill,
	PA_SYM_aio_free_ring,
	PA_SYM_free_ioctx,
	/* No inode has the pipe any more: put_pipe_info(). */
	PA_SYM_free_pipe_info,
	PA_SYM_unpin_user_pages,
	PA_SYM_unpin_user_pages_dirty_lock,
};

static const enum pa_symbol_id taking[] = {
	PA_SYM___get_user_pages,
	PA_SYM___gup_longterm_locked,
	PA_SYM_internal_get_user_pages_fast,
	PA_SYM_gup_fast_fallback,
	PA_SYM_get_user_pages,
	PA_SYM_get_user_pages_fast,
	PA_SYM_get_user_pages_unlocked,
	PA_SYM_get_user_pages_remote,
	PA_SYM_pin_user_pages,
	PA_SYM_pin_user_pages_fast,
	PA_SYM_pin_user_pages_unlocked,
	PA_SYM_pin_user_pages_remote,
	PA_SYM_iov_iter_extract_pages,
	PA_SYM_iov_iter_extract_bvecs,
	/* Pages are in an array behind the vectors until they are in these. */
	PA_SYM_bio_iov_iter_get_pages,
	/*
	 * A bio on the stack, with vectors of its own: what no request has any
	 * more, or not yet, or what another device's has in parts.
	 */
	PA_SYM___blkdev_direct_IO_simple,
	/* What is in dio->pages[] comes into a bio one after the other. */
	PA_SYM___blockdev_direct_IO,
	PA_SYM_do_blockdev_direct_IO,
	/* A bio without an end_io: bio_map_user_iov(). */
	PA_SYM_sg_io,
	/* In ia->ap until the server has answered. */
	PA_SYM_fuse_direct_io,
	PA_SYM_iov_iter_get_pages,
	PA_SYM_iov_iter_get_pages2,
	PA_SYM_iov_iter_get_pages_alloc,
	PA_SYM___iov_iter_get_pages_alloc,
	PA_SYM_io_pin_pages,
	PA_SYM_io_sqe_buffer_register,
	PA_SYM_io_sqe_buffers_register,
	PA_SYM___io_uaddr_map,
	PA_SYM_io_create_region,
	PA_SYM_ioctx_alloc,
};

/*
 * Until bio_init(), a new bio says what it was before; bio_release_pages()
 * leaves all that it drops in its vectors.
 */
static const enum pa_symbol_id bios[] = {
	PA_SYM_bio_alloc_bioset,
	PA_SYM_bio_release_pages,
	PA_SYM___bio_release_pages,
	PA_SYM_bio_put,
	PA_SYM_blkdev_bio_end_io,
	PA_SYM_blkdev_bio_end_io_async,
	PA_SYM_iomap_dio_bio_end_io,
	PA_SYM_dio_bio_end_io,
	PA_SYM_dio_bio_end_aio,
	/* It has ended, and nobody was told yet. */
	PA_SYM_blk_update_request,
	PA_SYM_bio_endio,
	PA_SYM_bio_dirty_fn,
};

/*
 * skb_release_data() leaves all that it drops in the fragments, and nothing in
 * a socket buffer with one user says that it is done with.
 */
static const enum pa_symbol_id skbs[] = {
	PA_SYM_skb_release_data,
	PA_SYM___kfree_skb,
	PA_SYM____pskb_trim,
	PA_SYM___pskb_pull_tail,
	PA_SYM_skb_shift,
	PA_SYM_skb_copy_ubufs,
	PA_SYM_pskb_expand_head,
	/* They take references before nr_frags says so, or after. */
	PA_SYM_skb_split,
	PA_SYM_skb_try_coalesce,
	PA_SYM_skb_zerocopy,
	PA_SYM___pskb_copy_fclone,
	PA_SYM_pskb_extract,
};

#define SET(array)                                      \
	{                                               \
		array, sizeof(array) / sizeof(array[0]) \
	}

/* What all of those are about; PA_IN_HAND_ALL: those that take, besides. */
static const struct {
	const enum pa_symbol_id *functions;
	size_t nr;
} sets[] = {
	[PA_IN_HAND_DROPPING] = SET(dropping),
	[PA_IN_HAND_BIOS] = SET(bios),
	[PA_IN_HAND_SKBS] = SET(skbs),
	[PA_IN_HAND_ALL] = SET(taking),
};

struct collect {
	const struct pa_census *census;
	enum pa_in_hand_tasks tasks;
	struct pa_in_hand *in_hand;
	/* Objects that were looked into. */
	struct pa_map met;
	bool failed;
};

static bool is_in(const struct collect *collect, const struct pa_stack *stack,
		  enum pa_in_hand_tasks tasks)
{
	return pa_stack_is_in(collect->census->kernel->layout, stack,
			      sets[tasks].functions, sets[tasks].nr);
}

static bool is_of_interest(const struct collect *collect,
			   const struct pa_stack *stack)
{
	return is_in(collect, stack, collect->tasks) ||
	       (collect->tasks == PA_IN_HAND_ALL &&
		is_in(collect, stack, PA_IN_HAND_DROPPING));
}

static bool add(struct collect *collect, bool of_interest, uint64_t address,
		uint64_t task)
{
	const struct pa_in_hand_word word = { address, task };
	struct pa_in_hand *in_hand = collect->in_hand;

	if (!pa_is_kernel_address(address))
		return true;
	if (in_hand->words.length + in_hand->others.length >= MAX_WORDS)
		return false;
	collect->failed = of_interest ?
				  !pa_array_append(&in_hand->words, word) :
				  !pa_array_append(&in_hand->others, word);
	return !collect->failed;
}

static bool visit(struct collect *collect, const struct pa_stack *stack)
{
	/* Registers come first: their frames are in the next piece. */
	bool wanted = !stack->address || is_of_interest(collect, stack);

	if (!wanted && collect->tasks != PA_IN_HAND_ALL)
		return true;
	for (size_t i = 0; i < stack->nr; i++)
		if (!add(collect, wanted, stack->words[i], stack->task))
			return false;
	return true;
}

/* Objects of the general caches: arrays, and what arrays name. */
static struct pa_error *look_into(struct collect *collect,
				  struct pa_memory *memory,
				  struct pa_in_hand_word word)
{
	uint64_t words[MAX_OBJECT / 8];
	struct pa_slab_place place;
	struct pa_error *err =
		pa_slabs_place(collect->census, memory, word.address, &place);

	if (err || !place.slab || !place.allocated || !place.cache ||
	    strncmp(place.cache->name, "kmalloc", 7) ||
	    place.cache->object_size > MAX_OBJECT ||
	    pa_map_has(&collect->met, place.object))
		return err;
	if (!pa_map_set(&collect->met, place.object, 0))
		return &pa_error_no_memory;
	err = pa_memory_read(memory, place.object, place.cache->object_size,
			     words);
	for (size_t i = 0; !err && i < place.cache->object_size / 8; i++)
		if (!add(collect, true, words[i], word.task))
			break;
	return err ? err : collect->failed ? &pa_error_no_memory : NULL;
}

static struct pa_error *look_deeper(struct collect *collect,
				    struct pa_memory *memory)
{
	struct pa_error *err = NULL;
	size_t i = 0;

	for (int depth = 0; !err && depth < MAX_DEPTH; depth++)
		for (size_t end = collect->in_hand->words.length;
		     !err && i < end; i++) {
			err = look_into(collect, memory,
					collect->in_hand->words.items[i]);
			if (pa_error_is_target(err)) {
				pa_error_destroy(err);
				err = NULL;
			}
		}
	return err;
}

static int compare(const void *a, const void *b)
{
	const struct pa_in_hand_word *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->task < y->task ? -1 : x->task > y->task;
}

struct pa_error *pa_in_hand_init(const struct pa_census *census,
				 struct pa_memory *memory,
				 enum pa_in_hand_tasks tasks,
				 struct pa_in_hand *ret)
{
	struct collect collect = {
		.census = census,
		.tasks = tasks,
		.in_hand = ret,
	};
	struct pa_error *err;

	pa_array_for_each(stack, &census->stacks.list)
		if (!visit(&collect, stack))
			break;
	err = collect.failed ? &pa_error_no_memory : NULL;
	if (!err && tasks == PA_IN_HAND_ALL && census->slabs)
		err = look_deeper(&collect, memory);
	pa_map_deinit(&collect.met);
	if (ret->words.length)
		qsort(ret->words.items, ret->words.length,
		      sizeof(*ret->words.items), compare);
	if (ret->others.length)
		qsort(ret->others.items, ret->others.length,
		      sizeof(*ret->others.items), compare);
	return err;
}

void pa_in_hand_deinit(struct pa_in_hand *in_hand)
{
	pa_array_deinit(&in_hand->words);
	pa_array_deinit(&in_hand->others);
}

/* The first of sorted words in [start, end): its task; 0: none is. */
static uint64_t find(const struct pa_in_hand_word *words, size_t nr,
		     uint64_t start, uint64_t end)
{
	size_t low = pa_bisect(words, nr, it, it->address < start);

	return low < nr && words[low].address < end ? words[low].task : 0;
}

uint64_t pa_in_hand_find(const struct pa_in_hand *in_hand, uint64_t start,
			 uint64_t end)
{
	return find(in_hand->words.items, in_hand->words.length, start, end);
}

/*
 * Objects that live as long as the call that has them: ext4_mb_new_blocks() has
 * the pages of a group's bitmap and buddy in one.
 */
static bool is_of_one_call(const struct pa_slab_cache *cache)
{
	return cache && !strcmp(cache->name, "ext4_allocation_context");
}

uint64_t pa_in_hand_place(const struct pa_in_hand *in_hand,
			  const struct pa_place *place)
{
	uint64_t task = 0;

	switch (place->kind) {
	case PA_PLACE_SLAB:
		if (is_of_one_call(place->cache))
			task = find(in_hand->others.items,
				    in_hand->others.length, place->start,
				    place->end);
		return task ? task :
			      pa_in_hand_find(in_hand, place->start,
					      place->end);
	case PA_PLACE_VMALLOC:
	case PA_PLACE_PAGE:
		return pa_in_hand_find(in_hand, place->start, place->end);
	default:
		return 0;
	}
}
