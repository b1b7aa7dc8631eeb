/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The census: what every page of the machine is, and which list or holder
 * accounts for it.
 *
 * It is built in steps, each a file of its own: first the scan reads every
 * struct page once and gives each a class (census/scan.c), then each holder
 * walks its structures and marks what it finds (buddy.c, pcp.c, lru.c,
 * hugetlb.c ...). Checks compare afterwards; the census judges nothing.
 */
#ifndef PA_CENSUS_CENSUS_H
#define PA_CENSUS_CENSUS_H

#include "base/array.h"
#include "base/job.h"
#include "census/disturbed.h"
#include "kernel/kernel.h"
#include "kernel/memmap.h"
#include "kernel/stack.h"
#include "kernel/task.h"

/*
 * One byte a page: a class in the low six bits and two marks. It is all that
 * is kept of a page that nothing is wrong with.
 */
enum pa_page_class {
	/* Its struct page was not in the target: unknown. */
	PA_CLASS_UNKNOWN,
	/* Not online memory: a hole, an offline or absent section. */
	PA_CLASS_NOT_MEMORY,
	/* Of a pgmap: data, or its altmap and reserve. */
	PA_CLASS_DEVICE,
	PA_CLASS_ALTMAP,
	/* PG_reserved: boot memory and holes. */
	PA_CLASS_RESERVED,
	PA_CLASS_UNINITIALISED,
	/* Refcount 0, untyped, not compound, in no free block seen so far. */
	PA_CLASS_ZERO,
	/* The same, on a per-cpu free list. */
	PA_CLASS_PCP,
	/* The same, taken out of the buddy by a holder that we know. */
	PA_CLASS_TAKEN,
	/* Inside the free block that its head (PA_CLASS_FREE) starts. */
	PA_CLASS_FREE_BODY,
	PA_CLASS_TAIL,
	/* Referenced, not on an LRU. Order 0, or a compound head. */
	PA_CLASS_USED,
	PA_CLASS_USED_HEAD,
	/* PG_lru; unevictable ones apart. Order 0 or a head. */
	PA_CLASS_LRU,
	PA_CLASS_LRU_UNEVICTABLE,
	/* A hugetlb folio's head. */
	PA_CLASS_HUGETLB,
	/* Refcount 0 and typed: slab, offline, unaccepted ... or a head. */
	PA_CLASS_FROZEN,
	PA_CLASS_FROZEN_HEAD,
	/* PA_CLASS_FREE + order: the first page of a free block. */
	PA_CLASS_FREE = 32,
};

#define PA_CLASS_MASK 0x3f
/* Met on the list that it should be on. */
#define PA_MARK_LISTED 0x40
#define PA_MARK_HWPOISON 0x80

/* What the scan saw wrong with one page, or a run of them. */
enum pa_anomaly_kind {
	/* PagePoisoned() or never written. */
	PA_ANOMALY_UNINITIALISED,
	/* a: the flags' links. No such zone, or it doesn't span the pfn. */
	PA_ANOMALY_LINKS,
	/* A free block's head. a: order; out of range or not aligned. */
	PA_ANOMALY_FREE_ORDER,
	/* a: refcount. */
	PA_ANOMALY_FREE_REFERENCED,
	/* Inside a free block. a: the block's pfn, b: order, c: refcount. */
	PA_ANOMALY_FREE_BODY,
	/* a: order; beyond any folio's, or the head is not aligned to it. */
	PA_ANOMALY_COMPOUND_ORDER,
	/* A head. a: nr_pages as stored, b: order. */
	PA_ANOMALY_COMPOUND_NR_PAGES,
	/* A tail by its word. a: the word. It names no head that covers it. */
	PA_ANOMALY_TAIL_HEAD,
	/* In a compound page's range, yet no tail. a: the head's pfn, b: word */
	PA_ANOMALY_NOT_TAIL,
	/* A tail. a: its refcount, b: the head's pfn. */
	PA_ANOMALY_TAIL_REFCOUNT,
	/* A tail. a: its mapping, b: the head's pfn. */
	PA_ANOMALY_TAIL_MAPPING,
	/* Of a pgmap's data, with another zone. a: the flags. */
	PA_ANOMALY_DEVICE_LINKS,
	/* Of a pgmap's data. a: the pgmap that the page names, b: the real. */
	PA_ANOMALY_DEVICE_PGMAP,
	/* ZONE_DEVICE by its flags, valid, and in no pgmap. a: page's pgmap. */
	PA_ANOMALY_DEVICE_DANGLING,
	PA_NR_ANOMALIES,
};

struct pa_anomaly {
	enum pa_anomaly_kind kind;
	/* [pfn, pfn_end): neighbours of one kind and equal values are one. */
	uint64_t pfn, pfn_end;
	uint64_t a, b, c;
};

/* No more than this many of each kind are kept; the rest are counted. */
#define PA_MAX_ANOMALIES 4096

/* A PG_hwpoison page, wherever it is. */
struct pa_poisoned {
	uint64_t pfn;
	enum pa_pfn_state state;
	uint8_t page_class;
	enum pa_page_type type;
	uint32_t refcount;
	uint64_t flags;
	uint64_t private_;
	/* If in a free block: its first pfn and order; else PA_NO_PFN. */
	uint64_t free_pfn;
	uint32_t free_order;
	/* Head of the compound page that it belongs to, or its own pfn. */
	uint64_t head_pfn;
	bool hugetlb;
};

/* A hugetlb folio. */
struct pa_hugetlb_folio {
	uint64_t pfn;
	/* 0 where what it says is impossible. */
	uint32_t order;
	uint32_t refcount;
	uint32_t node;
	uint64_t flags;
	uint64_t private_;
	/* Met on a free list of its hstate, or on the active list. */
	bool on_free_list, on_active_list;
};

/* What a task has more pages in hand by than it has the addresses of. */
enum pa_handled_act {
	/* It splits a folio. */
	PA_HANDLED_SPLITS = 1U << 0,
	/* It frees a range of pages. */
	PA_HANDLED_FREES = 1U << 1,
};

/* A page whose struct page is named on a stack: census/handled.h. */
struct pa_handled {
	uint64_t pfn;
	/* Virtual address of the task_struct. */
	uint64_t task;
	/* Bits of enum pa_handled_act. */
	unsigned int acts;
};

/* What the scan counted in one zone (by the pages' own flags); in pages. */
struct pa_zone_count {
	/* Online pages in valid subsections. */
	uint64_t pages;
	uint64_t reserved;
	/* PageOffline(): given to a balloon, or not yet taken from one. */
	uint64_t offline;
	/* Free blocks by order, and all their pages. */
	uint64_t nr_free[PA_MAX_ORDERS];
	uint64_t free_pages;
	/* Lists: blocks by order and migratetype (buddy.c). */
	uint64_t listed[PA_MAX_ORDERS][PA_MAX_MIGRATE_TYPES];
	/* Pages on per-cpu lists, and what pcp->count says (pcp.c). */
	uint64_t pcp_pages, pcp_count;
	/* Memmap of online pages that was not in the target. */
	uint64_t unread;
	/*
	 * Virtual address of the task_struct of who runs with the zone in
	 * hand; 0: nobody, or who made the kernel panic.
	 */
	uint64_t task;
	/* Its lists changed while they were walked: a running kernel's. */
	bool moved;
};

/* What kind of holder a list or slot is: the rows of census/holder.c. */
enum pa_holder {
	/* Lists that the parts of the census below walk. */
	PA_HOLDER_BUDDY,
	PA_HOLDER_PCP,
	PA_HOLDER_LRU,
	PA_HOLDER_HUGETLB_FREE,
	PA_HOLDER_HUGETLB_ACTIVE,
	PA_HOLDER_COMPOUND_HEAD,
	PA_HOLDER_COMPACT_CACHED,
	/* Holders with a walk of their own: census/holder.h. */
	PA_HOLDER_PAGE_TABLE,
	PA_HOLDER_PAGE_CACHE,
	PA_HOLDER_SWAP_CACHE,
	PA_HOLDER_LRU_BATCH,
	PA_HOLDER_MLOCK_BATCH,
	PA_HOLDER_ISOLATED,
	PA_HOLDER_MMU_GATHER,
	PA_HOLDER_DEFERRED_SPLIT,
	PA_HOLDER_READAHEAD,
	PA_HOLDER_PIPE,
	PA_HOLDER_IO_URING,
	PA_HOLDER_AIO,
	PA_HOLDER_SKB,
	PA_HOLDER_BIO,
	PA_HOLDER_PAGE_FRAG,
	PA_HOLDER_PAGE_POOL,
	PA_HOLDER_VMALLOC,
	PA_NR_HOLDERS,
};

struct pa_accounts;
struct pa_counts;
struct pa_excess;
struct pa_files;
struct pa_holder_result;
struct pa_isolated_census;
struct pa_mapped;
struct pa_page_cache;
struct pa_slabs;
struct pa_page_tables;

/* What a reference's target is: the columns of stale-page-reference. */
enum pa_target {
	PA_TARGET_USABLE,
	PA_TARGET_FREE,
	PA_TARGET_OFFLINE,
	PA_TARGET_ABSENT,
	PA_TARGET_HOLE,
	PA_TARGET_ALTMAP,
	PA_TARGET_DEVICE,
	/* In the memmap, not at a struct page's start. */
	PA_TARGET_MISALIGNED,
	/* Not in the memmap at all. */
	PA_TARGET_OUTSIDE,
	/* Its section's state or its struct page could not be read. */
	PA_TARGET_UNKNOWN,
	PA_NR_TARGETS,
};

extern const char *const pa_target_names[PA_NR_TARGETS];

enum pa_list_fault_kind {
	/* A link that its neighbour does not answer, or no address. */
	PA_FAULT_BROKEN,
	/* More entries than there can be pages. */
	PA_FAULT_ENDLESS,
	/* An entry that is no usable page: @target says what. */
	PA_FAULT_STALE,
	/* An entry of the wrong class for this list: @page_class. */
	PA_FAULT_CLASS,
	/* An entry met on a list before. */
	PA_FAULT_TWICE,
	/* In another zone or node than the list, or of another order. */
	PA_FAULT_WRONG_LIST,
	/* A count that disagrees with the list. a: stored, b: counted. */
	PA_FAULT_COUNT,
};

/* What was wrong with a holder's list. */
struct pa_list_fault {
	enum pa_list_fault_kind kind;
	enum pa_holder holder;
	enum pa_target target;
	uint8_t page_class;
	/* The entry's page if it is one, else PA_NO_PFN. */
	uint64_t pfn;
	/* Address of the list's head, of the entry, and its wrong link. */
	uint64_t head, node, link;
	/* Which list: "Normal order 3 Movable", owned. */
	char *list;
	/* Index in kernel->zones.list, or -1. */
	int zone;
	/* PA_FAULT_COUNT: somebody is in the middle of changing the list. */
	bool busy;
	uint64_t a, b;
};

/* Parts of the census that a check may need. */
enum pa_census_part {
	PA_CENSUS_SCAN,
	PA_CENSUS_BUDDY,
	PA_CENSUS_PCP,
	PA_CENSUS_LRU,
	/* Of what the lists have left over. */
	PA_CENSUS_TAKEN,
	PA_CENSUS_HUGETLB,
	/* Slab pages by cache. */
	PA_CENSUS_SLABS,
	/* What folios say of their mapping. */
	PA_CENSUS_MAPPED,
	/* Of the holders: what they came to, one by one, is in ->holders. */
	PA_CENSUS_HOLDERS,
	/* Stored counts beside what the holders showed. */
	PA_CENSUS_COUNTS,
	/* What else names the folios whose counts disagree. */
	PA_CENSUS_EXCESS,
	PA_NR_CENSUS_PARTS,
};

struct pa_census_part_result {
	/* Why it could not be done at all; owned, NULL if it was. */
	struct pa_error *err;
	/* Lists, nodes or pages that could not be read: partial. */
	uint64_t unreadable;
	double seconds;
};

/* What the earlier reads of a running kernel came to. */
struct pa_earlier {
	/* There was none. */
	bool none;
	/* Of the last one; more are not judged. */
	struct pa_disturbed disturbed;
	/* The least that any of them could not read of each holder. */
	uint64_t unreadable[PA_NR_HOLDERS];
	/* Addresses where the last one met what it could not read. */
	struct pa_disturbed unread;
};

struct pa_census {
	/* Borrowed. */
	const struct pa_kernel *kernel;
	/*
	 * By index in kernel->sections.list: one byte a pfn of the section,
	 * or NULL for a section that nothing is known of: without online or
	 * device memory, or with none of its memmap in the target.
	 */
	uint8_t **classes;
	PA_ARRAY(struct pa_anomaly) anomalies;
	uint64_t nr_anomalies[PA_NR_ANOMALIES];
	PA_ARRAY(struct pa_poisoned) poisoned;
	PA_ARRAY(struct pa_hugetlb_folio) hugetlb;
	PA_ARRAY(struct pa_list_fault) faults;
	/* Of a running kernel: when the free lists were walked, and after all counts. */
	struct pa_zones zones_listed, zones_counted;
	/* NULL: the kernel is not running. Borrowed. */
	const struct pa_earlier *earlier;
	/* ->earlier: what the next read may judge, and what it knows of. */
	struct pa_disturbed disturbed, unread;
	/* census/lru.h, census/hugetlb.h; owned, NULL until built. */
	struct pa_lru_census *lru;
	struct pa_hugetlb_census *hugetlb_pools;
	/* census/account.h, census/slabs.h; owned, NULL until built. */
	struct pa_accounts *accounts;
	struct pa_slabs *slabs;
	/* census/mapped.h, census/page_cache.h; owned, NULL until built. */
	struct pa_mapped *mapped;
	struct pa_page_cache *page_cache;
	/* census/isolated.h; owned, NULL until built. */
	struct pa_isolated_census *isolated;
	/* census/page_table.h; owned, NULL until built. */
	struct pa_page_tables *page_tables;
	/* census/files.h; owned, NULL until a holder asks for files. */
	struct pa_files *files;
	/* By enum pa_holder; owned. */
	struct pa_holder_result *holders;
	/* census/counts.h; owned, NULL until built. */
	struct pa_counts *counts;
	/* census/excess.h; owned, NULL until built. */
	struct pa_excess *excess;
	/* By index in kernel->zones.list. */
	struct pa_zone_count *zones;
	/* Struct pages: read, filtered out of the dump, absent. */
	uint64_t pages_read, pages_excluded, pages_unreadable;
	/*
	 * Pages of slab, page tables and large kmalloc that were filtered out
	 * of the dump: no filter that knows this kernel does that.
	 */
	uint64_t kernel_pages_filtered;
	/* What each CPU was doing. */
	struct pa_cpu_tasks cpu_tasks;
	/* What tasks have on their stacks. */
	struct pa_stacks stacks;
	/* By pfn; and how many tasks' stacks could not be read. */
	PA_ARRAY(struct pa_handled) handled;
	uint64_t stacks_unread;
	/* Who is onlining or offlining memory, if somebody is. */
	struct pa_stack_hit hotplug;
	/* Free pages that a task or a deferred list holds. */
	uint64_t pages_taken;
	/* Entries of lists and slots examined, over all holders. */
	uint64_t references;
	struct pa_census_part_result parts[PA_NR_CENSUS_PARTS];
};

/*
 * Builds the memory map's parts, and with @references those from
 * PA_CENSUS_SLABS on too: everything that refers to pages. @earlier: of a
 * running kernel, else NULL; borrowed. Owned by the caller.
 */
struct pa_error *pa_census_create(const struct pa_kernel *kernel,
				  bool references,
				  const struct pa_earlier *earlier,
				  struct pa_job *job, struct pa_census **ret);
void pa_census_destroy(struct pa_census *census);

/*
 * Whether this read judges @pfn, which it found wrong: in a running kernel only
 * if the one before did, too. It is entered in @disturbed for the next one.
 * False if out of memory.
 */
bool pa_census_judges(const struct pa_census *census,
		      struct pa_disturbed *disturbed, uint64_t pfn, bool *ret);

extern const char *const pa_census_part_names[PA_NR_CENSUS_PARTS];

/* The class byte of @pfn, or NULL where the section has none. */
static inline uint8_t *pa_census_class(const struct pa_census *census,
				       uint64_t pfn)
{
	const struct pa_sections *sections = &census->kernel->sections;
	uint64_t nr = pfn >> sections->pages_shift;

	if (nr >= sections->index_length || !sections->index[nr])
		return NULL;

	uint8_t *classes = census->classes[sections->index[nr] - 1];

	return classes ? &classes[pfn & (sections->pages - 1)] : NULL;
}

/*
 * Whether one of the eight class bytes at @classes is of @class: most are of
 * few, so that a pass over all pages for another gets on eight at a time.
 */
static inline bool pa_classes_have(const uint8_t *classes, uint8_t class)
{
	const uint64_t each = UINT64_C(0x0101010101010101);
	uint64_t differing = (pa_load_u64(classes) & each * PA_CLASS_MASK) ^
			     each * class;

	/* Only a byte of 0 borrows; none has its top bit set before. */
	return (differing - each) & each << 7;
}

/* The same for first pages of free blocks, of whatever order. */
static inline bool pa_classes_have_free(const uint8_t *classes)
{
	return pa_load_u64(classes) &
	       UINT64_C(0x0101010101010101) * PA_CLASS_FREE;
}

/*
 * What a list entry or pointer at a struct page names: @page is the struct
 * page's address. *pfn_ret is PA_NO_PFN if it is outside of the memmap.
 */
enum pa_target pa_census_target(const struct pa_census *census, uint64_t page,
				uint64_t *pfn_ret);

/* The parts, in the order in which they are built. */
struct pa_error *pa_census_scan(struct pa_census *census, struct pa_job *job);
struct pa_error *pa_census_buddy(struct pa_census *census, struct pa_job *job);
struct pa_error *pa_census_pcp(struct pa_census *census, struct pa_job *job);
struct pa_error *pa_census_taken(struct pa_census *census, struct pa_job *job);
struct pa_error *pa_census_lru(struct pa_census *census, struct pa_job *job);
struct pa_error *pa_census_hugetlb(struct pa_census *census,
				   struct pa_job *job);

#endif
