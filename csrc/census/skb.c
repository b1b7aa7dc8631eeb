// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages that socket buffers hold: their fragments, and the head where that is
 * one. Socket buffers are on queues without number, so that they are taken from
 * their slab caches.
 *
 * Clones share the head and all behind it (struct skb_shared_info), which the
 * last one of them gives back: skb_release_data().
 */
#include <stdlib.h>

#include "base/map.h"
#include "census/holders.h"
#include "census/in_hand.h"
#include "census/slabs.h"
#include "kernel/page_pool.h"
#include "kernel/skb.h"

/* Heads of an item of work. */
#define ITEM_HEADS 256
/* NAPI_SKB_CACHE_SIZE is 64 or 128. */
#define MAX_NAPI_CACHE 1024

struct held {
	struct pa_skb skb;
	/* Maybe it is free. */
	bool unsure;
};

struct skbs {
	/* One socket buffer of each head. */
	PA_ARRAY(struct held) list;
	struct pa_in_hand in_hand;
};

/* Finding them. */
struct finding {
	struct pa_holder_walk *walk;
	struct skbs *skbs;
	/* Shared infos met, 1: maybe of a free one; free ones of no slab. */
	struct pa_map seen, free;
	/* Objects are struct sk_buff_fclones. */
	bool pairs;
	/* Those of which one socket buffer is free, and each has a head. */
	PA_ARRAY(uint64_t) halves;
	struct pa_error *err;
};

/*
 * Free socket buffers that a CPU keeps for itself: napi_skb_cache_put(), and
 * those allocated in bulk.
 */
static struct pa_error *find_free(struct finding *finding)
{
	struct pa_holder_walk *walk = finding->walk;
	const struct pa_layout *layout = walk->layout;
	const struct pa_member *array =
		PA_M(layout, napi_alloc_cache, skb_cache);

	if (!PA_HAS_SYM(layout, napi_alloc_cache) || !array->known ||
	    array->length > MAX_NAPI_CACHE)
		return NULL;
	for (size_t i = 0; i < walk->kernel->cpus.list.length; i++) {
		uint64_t slots[MAX_NAPI_CACHE];
		uint64_t cache = PA_SYM(layout, napi_alloc_cache) +
				 walk->kernel->cpus.list.items[i].offset;
		uint32_t nr;
		struct pa_error *err = pa_memory_read_u32(
			walk->memory,
			cache + PA_OFFSETOF(layout, napi_alloc_cache,
					    skb_count),
			&nr);

		if (!err && nr > array->length)
			nr = array->length;
		if (!err && nr)
			err = pa_memory_read(walk->memory,
					     cache + array->offset,
					     (uint64_t)nr * 8, slots);
		if (err) {
			err = pa_holder_unread(walk, err);
			if (err)
				return err;
			continue;
		}
		for (uint32_t j = 0; j < nr; j++)
			if (!pa_map_set(&finding->free, slots[j], 0))
				return &pa_error_no_memory;
	}
	return NULL;
}

/* Whether memory that is in no slab may be a socket buffer's: not if it is free. */
static bool may_have_head(const struct pa_holder_walk *walk, uint64_t head)
{
	const struct pa_address_space *space = &walk->kernel->space;
	const uint8_t *byte;

	/* Of vmalloc(). */
	if (head < space->direct_start || head >= space->direct_end)
		return true;
	byte = pa_census_class(walk->census, (head - space->direct_start) >>
						     space->page_shift);
	if (!byte)
		return false;
	switch (*byte & PA_CLASS_MASK) {
	case PA_CLASS_ZERO:
	case PA_CLASS_PCP:
	case PA_CLASS_TAKEN:
	case PA_CLASS_FREE_BODY:
	case PA_CLASS_LRU:
	case PA_CLASS_LRU_UNEVICTABLE:
		return false;
	default:
		return (*byte & PA_CLASS_MASK) < PA_CLASS_FREE;
	}
}

/*
 * Whether @skb's head is allocated. One of a pair of clones may be free
 * already; what its head pointed to may be anything's since then.
 */
static struct pa_error *has_head(struct pa_holder_walk *walk,
				 const struct pa_skb *skb, bool *ret)
{
	struct pa_slab_place place;
	struct pa_error *err =
		pa_slabs_place(walk->census, walk->memory, skb->head, &place);

	*ret = !err && (place.slab ? place.allocated && !place.offset &&
					     !skb->head_frag :
				     may_have_head(walk, skb->head));
	return err;
}

/* *ret: whether the socket buffer at @address holds something, for all that it says. */
static struct pa_error *read_skb(struct finding *finding, uint64_t address,
				 int64_t fclone, struct pa_skb *skb, bool *ret)
{
	struct pa_holder_walk *walk = finding->walk;
	const struct pa_layout *layout = walk->layout;
	struct pa_skb_shared shared;
	uint64_t unsure;
	struct pa_error *err = pa_skb_read(walk->memory, layout, address, skb);

	*ret = false;
	if (!err &&
	    (skb->fclone != (uint64_t)fclone ||
	     (pa_map_get(&finding->seen, skb->shared, &unsure) && !unsure)))
		return NULL;
	if (!err)
		err = has_head(walk, skb, ret);
	if (!err && *ret)
		err = pa_skb_shared_read(walk->memory, layout, skb->shared,
					 &shared);
	/* Just allocated, or free already: it holds nothing yet, or no more. */
	if (err && err->code == PA_ERROR_CORRUPT) {
		pa_error_destroy(err);
		err = NULL;
		*ret = false;
	}
	return err;
}

static struct pa_error *add_skb(struct finding *finding,
				const struct pa_skb *skb, bool unsure)
{
	const struct held held = { *skb, unsure };

	if (unsure && pa_map_has(&finding->seen, skb->shared))
		return NULL;
	return pa_map_set(&finding->seen, skb->shared, unsure) &&
			       pa_array_append(&finding->skbs->list, held) ?
		       NULL :
		       &pa_error_no_memory;
}

static uint64_t clone_of(const struct finding *finding, uint64_t pair)
{
	return pair + PA_OFFSETOF(finding->walk->layout, sk_buff_fclones, skb2);
}

/*
 * Of a pair either may be free. What a free one says of its head may be true of
 * the other, of anybody who has that head now, or of nobody.
 */
static struct pa_error *add_pair(struct finding *finding, uint64_t pair,
				 bool last)
{
	const struct pa_layout *layout = finding->walk->layout;
	struct pa_skb original, clone;
	bool first, second;
	uint32_t refs;
	struct pa_error *err = pa_memory_read_u32(
		finding->walk->memory,
		pair + PA_OFFSETOF(layout, sk_buff_fclones, fclone_ref), &refs);

	/* The cache may be merged with one of other things. */
	if (err || !refs || refs > 2)
		return err;
	err = read_skb(finding, pair, PA_ENUM(layout, SKB_FCLONE_ORIG),
		       &original, &first);
	if (!err)
		err = read_skb(finding, clone_of(finding, pair),
			       PA_ENUM(layout, SKB_FCLONE_CLONE), &clone,
			       &second);
	if (err)
		return err;
	if (first && second && original.shared == clone.shared)
		second = false;
	if (refs == 1 && first && second && !last)
		return pa_array_append(&finding->halves, pair) ?
			       NULL :
			       &pa_error_no_memory;
	if (first)
		err = add_skb(finding, &original, refs == 1 && second);
	if (!err && second)
		err = add_skb(finding, &clone, refs == 1 && first);
	return err;
}

static struct pa_error *add_single(struct finding *finding, uint64_t address)
{
	const struct pa_layout *layout = finding->walk->layout;
	struct pa_skb skb;
	bool holds;
	struct pa_error *err = read_skb(finding, address,
					PA_ENUM(layout, SKB_FCLONE_UNAVAILABLE),
					&skb, &holds);

	return err || !holds ? err : add_skb(finding, &skb, false);
}

static bool visit_object(void *arg, uint64_t object)
{
	struct finding *finding = arg;
	struct pa_error *err;

	if (pa_map_has(&finding->free, object))
		return true;
	err = finding->pairs ? add_pair(finding, object, false) :
			       add_single(finding, object);
	finding->err = pa_holder_unread(finding->walk, err);
	return !finding->err;
}

static struct pa_error *find_in_cache(struct finding *finding, uint64_t pointer)
{
	struct pa_holder_walk *walk = finding->walk;
	const struct pa_slabs *slabs = walk->census->slabs;
	const struct pa_slab_cache *cache;
	uint64_t address;
	struct pa_error *err =
		pa_memory_read_u64(walk->memory, pointer, &address);

	if (err)
		return err;
	cache = pa_slabs_cache(slabs, address);
	return pa_holder_visit_cache(walk, cache, visit_object, finding,
				     &finding->err);
}

/* Where the kernel names its two caches; 0 if it doesn't. */
static uint64_t cache_pointer(const struct pa_layout *layout, bool pairs)
{
	if (PA_HAS_SYM(layout, net_hotdata) &&
	    PA_HAS(layout, net_hotdata, skbuff_cache))
		return PA_SYM(layout, net_hotdata) +
		       (pairs ? PA_OFFSETOF(layout, net_hotdata,
					    skbuff_fclone_cache) :
				PA_OFFSETOF(layout, net_hotdata, skbuff_cache));
	if (pairs)
		return PA_SYM(layout, skbuff_fclone_cache);
	return PA_HAS_SYM(layout, skbuff_cache) ?
		       PA_SYM(layout, skbuff_cache) :
		       PA_SYM(layout, skbuff_head_cache);
}

static struct pa_error *find_all(struct finding *finding)
{
	const struct pa_layout *layout = finding->walk->layout;
	struct pa_error *err = find_free(finding);

	for (int pairs = 0; !err && pairs < 2; pairs++) {
		finding->pairs = pairs;
		err = find_in_cache(finding, cache_pointer(layout, pairs));
	}
	/* Heads that others have are known by now. */
	for (size_t i = 0; !err && i < finding->halves.length; i++)
		err = pa_holder_unread(
			finding->walk,
			add_pair(finding, finding->halves.items[i], true));
	return err;
}

struct pa_error *pa_skb_prepare(struct pa_holder_walk *walk, void **state_ret,
				uint64_t *nr_ret)
{
	const struct pa_layout *layout = walk->layout;
	struct finding finding = { .walk = walk };
	struct pa_error *err;

	/* Its type is in headers without CONFIG_NET, too; a function is not. */
	if (!PA_HAS_TYPE(layout, sk_buff) || !PA_HAS_SYM(layout, __alloc_skb))
		return NULL;
	if (!pa_skb_knows(layout) || !cache_pointer(layout, false) ||
	    !cache_pointer(layout, true) ||
	    !PA_HAS(layout, sk_buff_fclones, fclone_ref) ||
	    !PA_HAS_ENUM(layout, SKB_FCLONE_CLONE))
		return pa_error_create(PA_ERROR_MISSING,
				       "no types or symbols of sk_buffs");
	err = pa_slabs_check(walk->census);
	if (err)
		return err;
	finding.skbs = calloc(1, sizeof(*finding.skbs));
	if (!finding.skbs)
		return &pa_error_no_memory;
	err = find_all(&finding);
	if (!err && finding.skbs->list.length)
		err = pa_in_hand_init(walk->census, walk->memory,
				      PA_IN_HAND_SKBS, &finding.skbs->in_hand);
	pa_map_deinit(&finding.seen);
	pa_map_deinit(&finding.free);
	pa_array_deinit(&finding.halves);
	if (err) {
		pa_skb_destroy(finding.skbs);
		return err;
	}
	*state_ret = finding.skbs;
	*nr_ret = (finding.skbs->list.length + ITEM_HEADS - 1) / ITEM_HEADS;
	return NULL;
}

/* A page pool's reference is its own, and it counts fragments elsewhere. */
static bool is_pools(struct pa_holder_walk *walk, const struct pa_skb *skb,
		     uint64_t pfn)
{
	return skb->pp_recycle && pa_page_is_pools(walk->memmap, pfn);
}

/* Somebody drops its fragments one by one, or has done so. */
static bool is_in_hand(const struct pa_holder_walk *walk,
		       const struct pa_skb *skb)
{
	const struct skbs *skbs = walk->state;
	const struct pa_layout *layout = walk->layout;

	return pa_in_hand_find(&skbs->in_hand, skb->address,
			       skb->address + PA_SIZEOF(layout, sk_buff)) ||
	       pa_in_hand_find(&skbs->in_hand, skb->shared,
			       skb->shared +
				       PA_SIZEOF(layout, skb_shared_info));
}

static struct pa_error *refer_head(struct pa_holder_walk *walk,
				   const struct pa_skb *skb, uint32_t index,
				   enum pa_reference_kind kind)
{
	const struct pa_address_space *space = &walk->kernel->space;
	struct pa_reference ref = {
		.holder = PA_HOLDER_SKB,
		.kind = kind,
		.count = 1,
		.slot = skb->address + PA_OFFSETOF(walk->layout, sk_buff, head),
		.owner = skb->address,
		.index = index,
	};

	if (!skb->head_frag || skb->head < space->direct_start ||
	    skb->head >= space->direct_end)
		return NULL;
	ref.pfn = (skb->head - space->direct_start) >> space->page_shift;
	if (!is_pools(walk, skb, ref.pfn))
		pa_refer(walk, &ref);
	return walk->err;
}

static struct pa_error *refer_skb(struct pa_holder_walk *walk,
				  const struct held *held)
{
	const struct pa_skb *skb = &held->skb;
	struct pa_skb_shared shared;
	struct pa_error *err = pa_skb_shared_read(walk->memory, walk->layout,
						  skb->shared, &shared);
	enum pa_reference_kind kind = held->unsure || is_in_hand(walk, skb) ?
					      PA_REF_UNSURE :
					      PA_REF_GET;

	if (err)
		return err;
	for (uint32_t i = 0; i < shared.nr_frags && !shared.managed; i++) {
		struct pa_reference ref = {
			.holder = PA_HOLDER_SKB,
			.kind = kind,
			.count = 1,
			.slot = shared.slots[i],
			.owner = skb->address,
			.index = i,
		};
		uint64_t pfn;

		if (!shared.pages[i] ||
		    (pa_page_to_pfn(walk->kernel, shared.pages[i], &pfn) &&
		     is_pools(walk, skb, pfn)))
			continue;
		if (!pa_refer_page(walk, shared.pages[i], &ref))
			return walk->err;
	}
	return refer_head(walk, skb, shared.nr_frags, kind);
}

struct pa_error *pa_skb_item(struct pa_holder_walk *walk, uint64_t index)
{
	const struct skbs *skbs = walk->state;
	size_t end = pa_min((index + 1) * ITEM_HEADS, skbs->list.length);

	for (size_t i = index * ITEM_HEADS; i < end; i++) {
		struct pa_error *err = pa_holder_unread(
			walk, refer_skb(walk, &skbs->list.items[i]));

		if (err)
			return err;
	}
	return NULL;
}

void pa_skb_destroy(void *state)
{
	struct skbs *skbs = state;

	pa_array_deinit(&skbs->list);
	pa_in_hand_deinit(&skbs->in_hand);
	free(skbs);
}
