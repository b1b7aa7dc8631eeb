// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/lruvec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "types/layout.h"

#define LIST_HEAD_BYTES 16
/* Hostile sizes must not make us allocate without end. */
#define MAX_LRUVEC_BYTES 65536
#define MAX_GENS 16
#define MAX_ZONES 16
/* The low bits of memcg_data that are flags: MEMCG_DATA_KMEM and others. */
#define MEMCG_DATA_FLAGS 7

/*
 * The generations' lists: struct lru_gen_struct of v6.1, renamed to
 * lru_gen_folio in v6.3 (commit 391655fe08d1) with its lists renamed to folios
 * (commit 6df1b2212950, which stable v6.1 has without the former).
 */
static bool init_gens(const struct pa_layout *layout,
		      struct pa_lruvec_format *f)
{
	const struct pa_member *lists;
	uint32_t enabled;

	f->nr_gens = 0;
	if (!PA_HAS(layout, lruvec, lrugen))
		return true;
	if (PA_HAS(layout, lru_gen_folio, folios)) {
		lists = PA_M(layout, lru_gen_folio, folios);
		enabled = PA_OFFSETOF(layout, lru_gen_folio, enabled);
	} else {
		lists = PA_HAS(layout, lru_gen_struct, folios) ?
				PA_M(layout, lru_gen_struct, folios) :
				PA_M(layout, lru_gen_struct, lists);
		enabled = PA_OFFSETOF(layout, lru_gen_struct, enabled);
	}
	f->nr_zones = PA_M(layout, pglist_data, node_zones)->length;
	if (!lists->known || !f->nr_zones || f->nr_zones > MAX_ZONES)
		return false;
	f->nr_gens = lists->size / LIST_HEAD_BYTES / PA_LRU_TYPES / f->nr_zones;
	f->gen_lists = PA_OFFSETOF(layout, lruvec, lrugen) + lists->offset;
	f->gen_enabled = PA_OFFSETOF(layout, lruvec, lrugen) + enabled;
	return f->nr_gens && f->nr_gens <= MAX_GENS &&
	       f->gen_lists + lists->size <= f->size &&
	       f->gen_enabled < f->size;
}

static void init_memcg_word(const struct pa_layout *layout,
			    const struct pa_memcgs *memcgs,
			    struct pa_lruvec_format *f)
{
	f->memcg_word = PA_MEMCG_WORD_NONE;
	if (!memcgs->enabled)
		return;
	if (PA_HAS(layout, page, memcg_data)) {
		f->memcg_data = PA_OFFSETOF(layout, page, memcg_data);
		f->memcg_word = PA_MEMCG_WORD_MEMCG;
	} else if (PA_HAS(layout, page, mem_cgroup)) {
		f->memcg_data = PA_OFFSETOF(layout, page, mem_cgroup);
		f->memcg_word = PA_MEMCG_WORD_MEMCG;
	}
	/*
	 * Where each node of a memory cgroup has an obj_cgroup, folios name
	 * that, so that a removed cgroup's folios become its parent's.
	 */
	if (f->memcg_word && PA_HAS(layout, mem_cgroup_per_node, objcg) &&
	    PA_HAS(layout, obj_cgroup, memcg)) {
		f->memcg_word = PA_MEMCG_WORD_OBJCG;
		f->objcg_memcg = PA_OFFSETOF(layout, obj_cgroup, memcg);
	}
}

static struct pa_error *init_format(const struct pa_layout *layout,
				    const struct pa_memcgs *memcgs,
				    struct pa_lruvec_format *f)
{
	f->size = PA_SIZEOF(layout, lruvec);
	f->lists = PA_OFFSETOF(layout, lruvec, lists);
	f->nr_lists = PA_M(layout, lruvec, lists)->length;
	f->active = (uint32_t)PA_ENUM(layout, LRU_ACTIVE_ANON) -
		    (uint32_t)PA_ENUM(layout, LRU_INACTIVE_ANON);
	f->file = (uint32_t)PA_ENUM(layout, LRU_INACTIVE_FILE);
	f->unevictable = (uint32_t)PA_ENUM(layout, LRU_UNEVICTABLE);
	/* Commit 07ca76067308: lruvec_init() poisons the list's head. */
	f->unevictable_linked = !PA_HAS(layout, folio, mlock_count);
	f->lock_in_lruvec = PA_HAS(layout, lruvec, lru_lock);
	f->lock_in_node = !f->lock_in_lruvec &&
			  PA_HAS(layout, pglist_data, lru_lock);
	if (f->lock_in_lruvec)
		f->lock = PA_OFFSETOF(layout, lruvec, lru_lock);
	else if (f->lock_in_node)
		f->lock = PA_OFFSETOF(layout, pglist_data, lru_lock);
	if (!f->size || f->size > MAX_LRUVEC_BYTES || !f->nr_lists ||
	    f->nr_lists > 16 ||
	    f->lists + f->nr_lists * LIST_HEAD_BYTES > f->size || !f->active ||
	    !f->file || f->unevictable >= f->nr_lists ||
	    (f->lock_in_lruvec && f->lock + 4 > f->size) ||
	    !init_gens(layout, f))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct lruvec is not usable");
	init_memcg_word(layout, memcgs, f);
	if (f->memcg_data + 8 > PA_SIZEOF(layout, page))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct page's memory cgroup lies "
				       "outside of it");
	return NULL;
}

struct reading {
	struct pa_memory *memory;
	const struct pa_layout *layout;
	const struct pa_memcgs *memcgs;
	struct pa_lruvecs *lruvecs;
	uint8_t *bytes;
};

/* Empty is both links at the head: one alone is a broken list. */
static bool is_empty(const uint8_t *bytes, uint32_t offset, uint64_t head)
{
	return pa_load_u64(bytes + offset) == head &&
	       pa_load_u64(bytes + offset + 8) == head;
}

static bool add_lists(struct reading *r, uint32_t index)
{
	struct pa_lruvecs *lruvecs = r->lruvecs;
	const struct pa_lruvec_format *f = &lruvecs->format;
	uint64_t address = lruvecs->list.items[index].address;

	for (uint32_t i = 0; i < f->nr_lists; i++) {
		uint32_t offset = f->lists + i * LIST_HEAD_BYTES;
		struct pa_lru_list list = {
			.lruvec = index,
			.lru = (uint8_t)i,
			.is_file = i >= f->file && i != f->unevictable,
			.head = address + offset,
		};

		if (i == f->unevictable && !f->unevictable_linked)
			continue;
		if (!is_empty(r->bytes, offset, list.head) &&
		    !pa_array_append(&lruvecs->lists, list))
			return false;
	}
	for (uint32_t i = 0; i < f->nr_gens * PA_LRU_TYPES * f->nr_zones; i++) {
		uint32_t offset = f->gen_lists + i * LIST_HEAD_BYTES;
		struct pa_lru_list list = {
			.lruvec = index,
			.is_gen = true,
			.gen = (uint8_t)(i / f->nr_zones / PA_LRU_TYPES),
			.is_file = i / f->nr_zones % PA_LRU_TYPES,
			.zone = (uint8_t)(i % f->nr_zones),
			.head = address + offset,
		};

		if (!is_empty(r->bytes, offset, list.head) &&
		    !pa_array_append(&lruvecs->lists, list))
			return false;
	}
	return true;
}

static struct pa_error *read_lruvec(struct reading *r, uint64_t address,
				    int64_t memcg, const struct pa_node *node)
{
	struct pa_lruvecs *lruvecs = r->lruvecs;
	const struct pa_lruvec_format *f = &lruvecs->format;
	struct pa_lruvec lruvec = {
		.address = address,
		.memcg = memcg,
		.node = node->id,
	};
	struct pa_error *err =
		pa_memory_read(r->memory, address, f->size, r->bytes);

	if (!err && f->lock_in_node) {
		uint32_t lock;

		err = pa_memory_read_u32(r->memory, node->address + f->lock,
					 &lock);
		lruvec.locked = !err && lock;
	}
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		lruvecs->unreadable++;
		return NULL;
	}
	if (err)
		return err;
	/* The first word of any spinlock: not 0 while held. */
	if (f->lock_in_lruvec)
		lruvec.locked = pa_load_u32(r->bytes + f->lock);
	if (f->nr_gens)
		lruvec.gen_enabled = r->bytes[f->gen_enabled];
	lruvec.first_list = lruvecs->lists.length;
	if (lruvecs->list.length >= UINT32_MAX ||
	    !pa_array_append(&lruvecs->list, lruvec) ||
	    !add_lists(r, (uint32_t)(lruvecs->list.length - 1)))
		return &pa_error_no_memory;
	lruvecs->list.items[lruvecs->list.length - 1].nr_lists =
		lruvecs->lists.length - lruvec.first_list;
	return NULL;
}

/* mem_cgroup_lruvec() of one memory cgroup and node. */
static struct pa_error *read_memcg(struct reading *r, size_t index,
				   const struct pa_node *node)
{
	uint64_t per_node;
	struct pa_error *err = pa_memcg_node(r->memory, r->layout,
					     &r->memcgs->list.items[index],
					     node->id, &per_node);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		r->lruvecs->unreadable++;
		return NULL;
	}
	if (err || !per_node)
		return err;
	return read_lruvec(r,
			   per_node + PA_OFFSETOF(r->layout,
						  mem_cgroup_per_node, lruvec),
			   (int64_t)index, node);
}

static int compare_lists(const void *a, const void *b)
{
	uint64_t x = ((const struct pa_lruvec *)a)->address;
	uint64_t y = ((const struct pa_lruvec *)b)->address;

	return x < y ? -1 : x > y;
}

/* Sorts the lruvecs by address, and tells their lists where they went. */
static bool sort_lruvecs(struct pa_lruvecs *lruvecs)
{
	size_t n = lruvecs->list.length;
	struct pa_lruvec *items = lruvecs->list.items;
	pa_auto_free uint64_t *addresses = calloc(n + 1, sizeof(*addresses));

	if (!addresses)
		return false;
	for (size_t i = 0; i < n; i++)
		addresses[i] = items[i].address;
	if (n)
		qsort(items, n, sizeof(*items), compare_lists);
	pa_array_for_each(list, &lruvecs->lists) {
		const struct pa_lruvec *at =
			pa_lruvec_at(lruvecs, addresses[list->lruvec]);

		list->lruvec = (uint32_t)(at - items);
	}
	return true;
}

struct pa_error *pa_lruvecs_init(struct pa_memory *memory,
				 const struct pa_layout *layout,
				 const struct pa_zones *zones,
				 const struct pa_memcgs *memcgs,
				 struct pa_lruvecs *ret)
{
	struct pa_lruvecs lruvecs = {};
	struct pa_error *err = init_format(layout, memcgs, &lruvecs.format);

	if (err)
		return err;

	pa_auto_free uint8_t *bytes = malloc(lruvecs.format.size);
	struct reading r = {
		.memory = memory,
		.layout = layout,
		.memcgs = memcgs,
		.lruvecs = &lruvecs,
		.bytes = bytes,
	};

	if (!bytes)
		return &pa_error_no_memory;
	for (size_t n = 0; !err && n < zones->nodes.length; n++) {
		const struct pa_node *node = &zones->nodes.items[n];

		if (!memcgs->enabled)
			err = read_lruvec(
				&r,
				node->address + PA_OFFSETOF(layout, pglist_data,
							    __lruvec),
				-1, node);
		for (size_t i = 0; !err && i < memcgs->list.length; i++)
			err = read_memcg(&r, i, node);
	}
	if (!err && !sort_lruvecs(&lruvecs))
		err = &pa_error_no_memory;
	if (err) {
		pa_lruvecs_deinit(&lruvecs);
		return err;
	}
	*ret = lruvecs;
	return NULL;
}

void pa_lruvecs_deinit(struct pa_lruvecs *lruvecs)
{
	pa_array_deinit(&lruvecs->list);
	pa_array_deinit(&lruvecs->lists);
}

const struct pa_lruvec *pa_lruvec_at(const struct pa_lruvecs *lruvecs,
				     uint64_t address)
{
	/* The last one that starts at or before @address. */
	size_t low = pa_bisect(lruvecs->list.items, lruvecs->list.length, it,
			       it->address <= address);

	if (!low || address - lruvecs->list.items[low - 1].address >=
			    lruvecs->format.size)
		return NULL;
	return &lruvecs->list.items[low - 1];
}

static const char *classic_name(const struct pa_lruvec_format *f, uint8_t lru)
{
	static const char *const names[] = { "inactive anon", "active anon",
					     "inactive file", "active file" };

	if (lru == f->unevictable)
		return "unevictable";
	return names[(lru >= f->file ? 2 : 0) +
		     (lru % f->file >= f->active ? 1 : 0)];
}

void pa_lru_list_name(const struct pa_lruvecs *lruvecs,
		      const struct pa_lru_list *list, const char *memcg_path,
		      char *buffer, size_t size)
{
	uint32_t node = lruvecs->list.items[list->lruvec].node;

	if (list->is_gen)
		snprintf(buffer, size,
			 "node %" PRIu32 " %s generation %u %s zone %u", node,
			 memcg_path, list->gen, list->is_file ? "file" : "anon",
			 list->zone);
	else
		snprintf(buffer, size, "node %" PRIu32 " %s %s", node,
			 memcg_path, classic_name(&lruvecs->format, list->lru));
}

struct pa_error *pa_lru_folio_memcg(struct pa_memory *memory,
				    const struct pa_lruvec_format *format,
				    const uint8_t *page, uint64_t *ret)
{
	uint64_t word;

	if (format->memcg_word == PA_MEMCG_WORD_NONE) {
		*ret = 0;
		return NULL;
	}
	word = pa_load_u64(page + format->memcg_data) &
	       ~(uint64_t)MEMCG_DATA_FLAGS;
	if (format->memcg_word == PA_MEMCG_WORD_OBJCG && word)
		return pa_memory_read_u64(memory, word + format->objcg_memcg,
					  ret);
	*ret = word;
	return NULL;
}
