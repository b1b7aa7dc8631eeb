/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the census keeps of the LRU lists. */
#ifndef PA_CENSUS_LRU_H
#define PA_CENSUS_LRU_H

#include "census/census.h"
#include "kernel/list.h"
#include "kernel/lruvec.h"

/*
 * What of a folio does not go with the list that it is on: bits of
 * pa_list_fault.a where kind is PA_FAULT_WRONG_LIST.
 */
#define PA_LRU_WRONG_NODE PA_BIT(0)
/* pa_list_fault.b: the memory cgroup that the folio is charged to. */
#define PA_LRU_WRONG_MEMCG PA_BIT(1)
#define PA_LRU_WRONG_TYPE PA_BIT(2)
#define PA_LRU_WRONG_ACTIVITY PA_BIT(3)
#define PA_LRU_WRONG_EVICTABLE PA_BIT(4)
#define PA_LRU_WRONG_GENERATION PA_BIT(5)
#define PA_LRU_WRONG_ZONE PA_BIT(6)
#define PA_NR_LRU_WRONGS 7

/* pa_list_fault.a where kind is PA_FAULT_BROKEN: which link is wrong. */
enum pa_lru_link { PA_LRU_LINK_NEXT, PA_LRU_LINK_PREV };

/* How the walk of one list went. */
struct pa_lru_walked {
	enum pa_list_end end;
	/* Folios met, from both ends where it is broken. */
	uint64_t entries;
	/* Of these from the back. */
	uint64_t backward;
	/* The folios' base pages. */
	uint64_t pages;
	/* With PG_lru clear: between the list and isolation. */
	uint64_t detached;
	/* Faults found, though not all are kept. */
	uint64_t faults, faults_kept;
};

/* Why a folio is in a per-cpu batch. */
enum pa_lru_batch_kind {
	/* To be moved from one list to another: it stays on its list. */
	PA_LRU_BATCH_MOVE,
	/* To be put on a list; on none so far. */
	PA_LRU_BATCH_ADD,
	PA_LRU_BATCH_MLOCK,
};

/* A slot of a per-cpu batch. */
struct pa_lru_batched {
	/* Virtual address of the struct page, tag bits taken off. */
	uint64_t page;
	enum pa_lru_batch_kind kind;
	uint32_t cpu;
	/* Virtual addresses of the batch and of the slot. */
	uint64_t batch, slot;
};

/* Slots [start, end) of a batch that are not in use: what was there is gone. */
struct pa_lru_unused {
	uint64_t start, end;
};

struct pa_lru_census {
	struct pa_memcgs memcgs;
	struct pa_lruvecs lruvecs;
	/* By index in lruvecs.lists. */
	struct pa_lru_walked *walked;
	/* By page, then kind. */
	PA_ARRAY(struct pa_lru_batched) batched;
	/* By address. */
	PA_ARRAY(struct pa_lru_unused) unused;
	uint64_t batches_unreadable;
};

/* NULL is allowed. */
void pa_lru_census_destroy(struct pa_lru_census *lru);

/* Fills @lru->batched. Batches that can't be read are counted. */
struct pa_error *pa_lru_batches_read(const struct pa_kernel *kernel,
				     struct pa_memory *memory,
				     struct pa_lru_census *lru);

/* Whether the word at @address is such a slot. */
bool pa_lru_is_unused(const struct pa_lru_census *lru, uint64_t address);

/* The first slot with the struct page at @page; NULL if there is none. */
const struct pa_lru_batched *
pa_lru_batched_find(const struct pa_lru_census *lru, uint64_t page);

#endif
