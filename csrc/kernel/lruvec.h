/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LRU lists: struct lruvec in include/linux/mmzone.h, mm/mmzone.c. */
#ifndef PA_KERNEL_LRUVEC_H
#define PA_KERNEL_LRUVEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "kernel/memcg.h"
#include "kernel/memory.h"
#include "kernel/page.h"
#include "kernel/zone.h"

/* ANON_AND_FILE */
#define PA_LRU_TYPES 2

/* How a folio names the memory cgroup that it is charged to. */
enum pa_memcg_word {
	PA_MEMCG_WORD_NONE,
	/* page->mem_cgroup, or folio->memcg_data and its flag bits. */
	PA_MEMCG_WORD_MEMCG,
	/* Since v7: memcg_data is an obj_cgroup's address. */
	PA_MEMCG_WORD_OBJCG,
};

/* Read-only after pa_lruvec_format_init(). */
struct pa_lruvec_format {
	/* sizeof(struct lruvec) */
	uint32_t size;
	/* Of struct lruvec: lists[] by enum lru_list. */
	uint32_t lists, nr_lists;
	/* enum lru_list's numbers. */
	uint32_t active, file, unevictable;
	/* lists[unevictable] is a list; since v5.18 it is only a size. */
	bool unevictable_linked;
	/* lru_lock of the lruvec or, before v5.11, of the node. */
	bool lock_in_lruvec, lock_in_node;
	uint32_t lock;
	/* Of struct lruvec: lists[gen][type][zone]; nr_gens 0 if there are none. */
	uint32_t gen_lists, gen_enabled, nr_gens, nr_zones;
	/* Of struct page. */
	enum pa_memcg_word memcg_word;
	uint32_t memcg_data;
	/* Of struct obj_cgroup. */
	uint32_t objcg_memcg;
};

struct pa_lruvec {
	/* Virtual address of the struct lruvec. */
	uint64_t address;
	/* Index in memcgs->list, or -1: the node's own. */
	int64_t memcg;
	uint32_t node;
	/* Its lru_lock was held when the machine stopped. */
	bool locked;
	/* lrugen.enabled: folios are added to generations. */
	bool gen_enabled;
	/* Its lists: a stretch of pa_lruvecs.lists. */
	size_t first_list, nr_lists;
};

/* One list of a lruvec. */
struct pa_lru_list {
	/* Index in pa_lruvecs.list. */
	uint32_t lruvec;
	/* A list of a generation, else lists[lru]. */
	bool is_gen;
	uint8_t lru;
	uint8_t gen, zone;
	/* Of a file list: is_file_lru(), LRU_GEN_FILE. */
	bool is_file;
	/* Virtual address of the list_head. */
	uint64_t head;
};

struct pa_lruvecs {
	struct pa_lruvec_format format;
	/* By memory cgroup and node. */
	PA_ARRAY(struct pa_lruvec) list;
	/* Those that are not empty, by lruvec. */
	PA_ARRAY(struct pa_lru_list) lists;
	/* struct lruvecs that could not be read. */
	uint64_t unreadable;
};

struct pa_error *pa_lruvecs_init(struct pa_memory *memory,
				 const struct pa_layout *layout,
				 const struct pa_zones *zones,
				 const struct pa_memcgs *memcgs,
				 struct pa_lruvecs *ret);
void pa_lruvecs_deinit(struct pa_lruvecs *lruvecs);

/* The lruvec in which @address lies, a list's head; NULL if none. Borrowed. */
const struct pa_lruvec *pa_lruvec_at(const struct pa_lruvecs *lruvecs,
				     uint64_t address);

/* "node 0 / inactive_anon", "node 1 /a/b gen 2 file Normal". */
void pa_lru_list_name(const struct pa_lruvecs *lruvecs,
		      const struct pa_lru_list *list, const char *memcg_path,
		      char *buffer, size_t size);

/*
 * folio_memcg() of the page whose bytes are @page: its address; 0 if it is
 * charged to none, which the root's lruvec then holds.
 */
struct pa_error *pa_lru_folio_memcg(struct pa_memory *memory,
				    const struct pa_lruvec_format *format,
				    const uint8_t *page, uint64_t *ret);

/* folio_lru_gen() + 1: 0 on no generation's list. */
static inline uint32_t pa_lru_gen(const struct pa_page_format *f,
				  uint64_t flags)
{
	return (uint32_t)(flags >> f->lru_gen_shift & f->lru_gen_mask);
}

/* folio_lru_list(): enum lru_list by the folio's flags. */
static inline uint32_t pa_lru_index(const struct pa_lruvec_format *format,
				    const struct pa_page_format *f,
				    uint64_t flags)
{
	uint32_t lru = flags & f->flag.swapbacked ? 0 : format->file;

	if (flags & f->flag.unevictable)
		return format->unevictable;
	return flags & f->flag.active ? lru + format->active : lru;
}

#endif
