// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * User pages that block I/O has references to or pins of: direct I/O's. The
 * pages of writeback, readahead and swap belong to others, who wait for the
 * bio; a clone's are its parent's.
 *
 * Bios that wait, are split, or are with a driver that keeps them, are on no
 * list that can be found. They are taken from the slab caches of all bio_sets:
 * an object has a bio at the place where its bio_set says. Those on the stack
 * of a task that waits (__blkdev_direct_IO_simple()) are in a request, or have
 * parts in one.
 */
#include <stdlib.h>

#include "base/map.h"
#include "census/holders.h"
#include "census/in_hand.h"
#include "census/slabs.h"
#include "kernel/bio.h"
#include "kernel/blk_mq.h"
#include "kernel/stack.h"

/* As much code as a function may have, to tell by a return address. */
#define FUNCTION_BYTES 2048
/* Parts of parts: bio_split() of stacked devices. */
#define MAX_PARENTS 16
/* Bios of an item of work. */
#define ITEM_BIOS 64
/* A bio and the structure around it. */
#define MAX_OBJECT_BYTES 8192
/* Bios on bio_dirty_list. */
#define MAX_DIRTY PA_BIT(20)

struct bios {
	PA_ARRAY(struct pa_bio) list;
	/* Of tasks that make bios or drop what they have. */
	struct pa_in_hand in_hand;
	/* Bios that have ended, and wait for bio_dirty_fn() to drop their pages. */
	struct pa_map dirty;
	/* Pages visited, of all bios. */
	uint64_t visited;
};

/* Finding them. */
struct finding {
	struct pa_holder_walk *walk;
	struct bios *bios;
	/* Addresses: of bios that are free, though their slab doesn't say so. */
	struct pa_map free;
	/* Of what could be a bio_set: the index in @sets + 1, or 0. */
	struct pa_map pools;
	PA_ARRAY(struct pa_bio_set) sets;
	/* Caches walked: some of bio_slabs may be merged. */
	struct pa_map caches;
	/* PA_BIO_BY_WAITER */
	PA_ARRAY(struct pa_bio) waited;
	/* Bios in @bios and @waited; and what was walked of block devices. */
	struct pa_map met, walked;
	const struct pa_slab_cache *cache;
	struct pa_error *err;
};

static bool visit_free(void *arg, uint64_t bio)
{
	struct finding *finding = arg;

	if (!pa_map_set(&finding->free, bio, 0))
		finding->err = &pa_error_no_memory;
	return !finding->err;
}

/* The bio_set at @address, of the cache that is walked; NULL if it is none. */
static struct pa_error *find_set(struct finding *finding, uint64_t address,
				 const struct pa_bio_set **ret)
{
	struct pa_holder_walk *walk = finding->walk;
	struct pa_bio_set set;
	uint64_t index = 0;
	struct pa_error *err = NULL;

	*ret = NULL;
	if (!pa_is_kernel_address(address) || address % 8)
		return NULL;
	if (!pa_map_get(&finding->pools, address, &index)) {
		err = pa_bio_set_read(walk->memory, walk->layout, address,
				      &set);
		/* A pointer to something else. */
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			err = NULL;
			set.cache = 0;
		}
		if (err)
			return err;
		if (set.cache == finding->cache->address) {
			if (!pa_array_append(&finding->sets, set))
				return &pa_error_no_memory;
			index = finding->sets.length;
			err = pa_holder_unread(
				walk, pa_bio_set_visit_free(
					      walk->kernel, walk->memory, &set,
					      visit_free, finding));
			if (!err)
				err = finding->err;
		}
		if (!err && !pa_map_set(&finding->pools, address, index))
			err = &pa_error_no_memory;
	}
	if (!err && index)
		*ret = &finding->sets.items[index - 1];
	return err;
}

static struct pa_error *add_bio(struct finding *finding,
				const struct pa_bio *bio)
{
	if (bio->pages == PA_BIO_NO_PAGES ||
	    pa_map_has(&finding->free, bio->address) ||
	    pa_map_has(&finding->met, bio->address))
		return NULL;
	if (!pa_map_set(&finding->met, bio->address, 0))
		return &pa_error_no_memory;
	return (bio->pages == PA_BIO_BY_WAITER ?
			pa_array_append(&finding->waited, *bio) :
			pa_array_append(&finding->bios->list, *bio)) ?
		       NULL :
		       &pa_error_no_memory;
}

/*
 * Sets of one cache have their bios at different offsets. A bio names its set,
 * and that says where in the object it lies.
 */
static struct pa_error *find_in_object(struct finding *finding, uint64_t object,
				       const uint8_t *bytes)
{
	const struct pa_layout *layout = finding->walk->layout;
	uint32_t end = finding->cache->object_size;

	for (uint32_t at = 0; at + PA_SIZEOF(layout, bio) <= end; at += 8) {
		const struct pa_bio_set *set;
		struct pa_bio bio;
		struct pa_error *err = find_set(
			finding, PA_GET(layout, bytes + at, bio, bi_pool),
			&set);

		if (err)
			return err;
		if (!set || set->front_pad != at)
			continue;
		pa_bio_parse(layout, bytes + at, object + at, &bio);
		return add_bio(finding, &bio);
	}
	return NULL;
}

static bool visit_object(void *arg, uint64_t object)
{
	struct finding *finding = arg;
	uint8_t bytes[MAX_OBJECT_BYTES];
	struct pa_error *err = pa_memory_read(finding->walk->memory, object,
					      finding->cache->object_size,
					      bytes);

	if (!err)
		err = find_in_object(finding, object, bytes);
	finding->err = pa_holder_unread(finding->walk, err);
	return !finding->err;
}

static bool visit_cache(void *arg, uint64_t address)
{
	struct finding *finding = arg;
	struct pa_holder_walk *walk = finding->walk;
	const struct pa_slabs *slabs = walk->census->slabs;
	const struct pa_slab_cache *cache = pa_slabs_cache(slabs, address);

	finding->cache = cache;
	if (!cache || pa_map_has(&finding->caches, address))
		return true;
	if (!pa_map_set(&finding->caches, address, 0)) {
		finding->err = &pa_error_no_memory;
		return false;
	}
	if (cache->object_size > MAX_OBJECT_BYTES) {
		walk->unreadable++;
		return true;
	}
	/* What was no set of the cache before may be one of this. */
	pa_map_deinit(&finding->pools);
	finding->err = pa_holder_visit_cache(walk, cache, visit_object, finding,
					     &finding->err);
	return !finding->err;
}

/* A bio of a request, and those of which it is a part. */
static bool visit_request_bio(void *arg, uint64_t address)
{
	struct finding *finding = arg;
	struct pa_holder_walk *walk = finding->walk;
	uint8_t bytes[PA_BIO_MAX_BYTES];
	struct pa_error *err = NULL;

	for (int i = 0; !err && address && i < MAX_PARENTS; i++) {
		struct pa_bio bio;

		err = pa_memory_read(walk->memory, address,
				     PA_SIZEOF(walk->layout, bio), bytes);
		if (err)
			break;
		pa_bio_parse(walk->layout, bytes, address, &bio);
		err = add_bio(finding, &bio);
		address = bio.parent;
	}
	finding->err = pa_holder_unread(walk, err);
	return !finding->err;
}

static bool visit_device(void *arg, uint64_t object)
{
	struct finding *finding = arg;
	struct pa_holder_walk *walk = finding->walk;
	const struct pa_layout *layout = walk->layout;
	uint64_t disk;
	struct pa_error *err = pa_memory_read_u64(
		walk->memory,
		object + PA_OFFSETOF(layout, bdev_inode, bdev) +
			PA_OFFSETOF(layout, block_device, bd_disk),
		&disk);

	if (!err && disk)
		err = pa_disk_visit_bios(walk->memory, layout, disk,
					 &finding->walked, visit_request_bio,
					 finding);
	if (!err)
		err = finding->err;
	finding->err = pa_holder_unread(walk, err);
	return !finding->err;
}

static struct pa_error *find_in_requests(struct finding *finding)
{
	struct pa_holder_walk *walk = finding->walk;
	const struct pa_slab_cache *cache;
	struct pa_error *err;

	if (!pa_blk_mq_knows(walk->layout)) {
		walk->unreadable++;
		return NULL;
	}
	err = pa_slabs_cache_symbol(walk->census, walk->memory,
				    PA_SYM_bdev_cachep, &cache);
	return err ? err :
		     pa_holder_visit_cache(walk, cache, visit_device, finding,
					   &finding->err);
}

/* Bios on the stack of a task that is in __blkdev_direct_IO_simple(). */
static bool visit_stack(struct finding *finding, const struct pa_stack *stack)
{
	uint64_t function =
		PA_SYM(finding->walk->layout, __blkdev_direct_IO_simple);
	bool inside = false;

	for (size_t i = 0; i < stack->nr && !inside; i++)
		inside = stack->words[i] > function &&
			 stack->words[i] - function < FUNCTION_BYTES;
	if (!inside || !stack->address)
		return true;
	pa_array_for_each(bio, &finding->waited) {
		if (bio->address < stack->address ||
		    bio->address - stack->address >= stack->nr * 8)
			continue;
		bio->pages = PA_BIO_GETS;
		if (!pa_array_append(&finding->bios->list, *bio)) {
			finding->err = &pa_error_no_memory;
			return false;
		}
	}
	return true;
}

static struct pa_error *ask_waiters(struct finding *finding)
{
	struct pa_holder_walk *walk = finding->walk;
	const struct pa_stacks *stacks = &walk->census->stacks;

	if (!finding->waited.length ||
	    !PA_HAS_SYM(walk->layout, __blkdev_direct_IO_simple))
		return NULL;
	pa_array_for_each(stack, &stacks->list)
		if (!visit_stack(finding, stack))
			break;
	walk->unreadable += stacks->unread;
	return finding->err;
}

/* bio_check_pages_dirty(): linked by bi_private. */
static struct pa_error *find_dirty(struct finding *finding)
{
	struct pa_holder_walk *walk = finding->walk;
	const struct pa_layout *layout = walk->layout;
	struct pa_map *dirty = &finding->bios->dirty;
	uint64_t at = PA_SYM(layout, bio_dirty_list), bio;
	struct pa_error *err;

	if (!PA_HAS_SYM(layout, bio_dirty_list) ||
	    !PA_HAS(layout, bio, bi_private))
		return NULL;
	for (uint64_t i = 0; i < MAX_DIRTY; i++) {
		err = pa_memory_read_u64(walk->memory, at, &bio);
		if (err)
			return pa_holder_unread(walk, err);
		if (!pa_is_kernel_address(bio) || pa_map_has(dirty, bio))
			return NULL;
		if (!pa_map_set(dirty, bio, 0))
			return &pa_error_no_memory;
		at = bio + PA_OFFSETOF(layout, bio, bi_private);
	}
	return NULL;
}

void pa_bio_destroy(void *state)
{
	struct bios *bios = state;

	pa_array_deinit(&bios->list);
	pa_map_deinit(&bios->dirty);
	pa_in_hand_deinit(&bios->in_hand);
	free(bios);
}

struct pa_error *pa_bio_prepare(struct pa_holder_walk *walk, void **state_ret,
				uint64_t *nr_ret)
{
	struct finding finding = { .walk = walk };
	struct pa_error *err;

	if (!PA_HAS_TYPE(walk->layout, bio))
		return NULL;
	if (!pa_bio_knows(walk->layout))
		return pa_error_create(PA_ERROR_MISSING,
				       "no types or symbols of bios");
	err = pa_slabs_check(walk->census);
	if (err)
		return err;
	finding.bios = calloc(1, sizeof(*finding.bios));
	if (!finding.bios)
		return &pa_error_no_memory;
	err = pa_bio_caches_visit(walk->memory, walk->layout, visit_cache,
				  &finding);
	if (!err)
		err = finding.err;
	if (!err)
		err = find_in_requests(&finding);
	if (!err)
		err = ask_waiters(&finding);
	if (!err)
		err = find_dirty(&finding);
	if (!err)
		err = pa_in_hand_init(walk->census, walk->memory,
				      PA_IN_HAND_BIOS, &finding.bios->in_hand);
	pa_map_deinit(&finding.met);
	pa_map_deinit(&finding.walked);
	pa_map_deinit(&finding.free);
	pa_map_deinit(&finding.pools);
	pa_map_deinit(&finding.caches);
	pa_array_deinit(&finding.sets);
	pa_array_deinit(&finding.waited);
	if (err) {
		pa_bio_destroy(finding.bios);
		return err;
	}
	*state_ret = finding.bios;
	*nr_ret = (finding.bios->list.length + ITEM_BIOS - 1) / ITEM_BIOS;
	return NULL;
}

struct item {
	struct pa_holder_walk *walk;
	const struct pa_bio *bio;
	/* Somebody has it in hand: nobody knows which pages it has. */
	bool unsure;
	uint64_t visited;
};

static bool visit_page(void *arg, uint64_t index, uint64_t slot, uint64_t page)
{
	struct item *item = arg;
	struct pa_reference ref = {
		.holder = PA_HOLDER_BIO,
		.kind = item->unsure			? PA_REF_UNSURE :
			item->bio->pages == PA_BIO_PINS ? PA_REF_PIN :
							  PA_REF_GET,
		.count = 1,
		.slot = slot,
		.owner = item->bio->address,
		.index = index,
	};

	item->visited++;
	return pa_refer_page(item->walk, page, &ref);
}

static bool visit_this(void *arg, uint64_t bio)
{
	uint64_t *wanted = arg;

	if (bio == *wanted)
		*wanted = 0;
	return *wanted;
}

/*
 * Of a running kernel: a bio that was freed since it was found, to the slab,
 * where others write over it, or to what its set keeps. Its vectors may be
 * anything by now.
 */
static bool is_gone(struct pa_holder_walk *walk, const struct pa_bio *bio)
{
	uint8_t bytes[PA_BIO_MAX_BYTES];
	uint64_t wanted = bio->address;
	struct pa_bio_set set;
	struct pa_bio now;
	struct pa_error *err = pa_memory_read(walk->memory, bio->address,
					      PA_SIZEOF(walk->layout, bio),
					      bytes);

	if (!err) {
		pa_bio_parse(walk->layout, bytes, bio->address, &now);
		if (now.vecs != bio->vecs || now.nr_vecs != bio->nr_vecs ||
		    now.pages != bio->pages || now.pool != bio->pool ||
		    now.ended)
			return true;
		err = pa_bio_set_read(walk->memory, walk->layout, bio->pool,
				      &set);
	}
	if (!err)
		err = pa_bio_set_visit_free(walk->kernel, walk->memory, &set,
					    visit_this, &wanted);
	pa_error_destroy(err);
	return !wanted;
}

struct pa_error *pa_bio_item(struct pa_holder_walk *walk, uint64_t index)
{
	const struct pa_sections *sections = &walk->kernel->sections;
	struct bios *bios = walk->state;
	size_t end = pa_min((index + 1) * ITEM_BIOS, bios->list.length);

	for (size_t i = index * ITEM_BIOS; i < end; i++) {
		const struct pa_bio *bio = &bios->list.items[i];
		uint64_t bio_end = bio->address + PA_SIZEOF(walk->layout, bio);
		struct item item = {
			.walk = walk,
			.bio = bio,
			.unsure = pa_in_hand_find(&bios->in_hand, bio->address,
						  bio_end) ||
				  pa_map_has(&bios->dirty, bio->address) ||
				  (bio->ended && bio->reaped),
		};

		if (bio->ended && !item.unsure)
			continue;
		/* No more pages are in flight than there are. */
		if (__atomic_load_n(&bios->visited, __ATOMIC_RELAXED) >
		    sections->list.length * sections->pages) {
			walk->unreadable++;
			continue;
		}

		struct pa_error *err = pa_bio_visit_pages(
			walk->kernel, walk->memory, bio, visit_page, &item);

		__atomic_fetch_add(&bios->visited, item.visited,
				   __ATOMIC_RELAXED);
		/* Its vectors may be those of a bio that is no more. */
		if (pa_error_is_target(err) &&
		    (item.unsure ||
		     (walk->kernel->source->info.live && is_gone(walk, bio)))) {
			pa_error_destroy(err);
			err = NULL;
		}
		err = pa_holder_unread(walk, err);
		if (!err)
			err = walk->err;
		if (err)
			return err;
	}
	return NULL;
}
