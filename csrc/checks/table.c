// SPDX-License-Identifier: LGPL-2.1-or-later
/* The one table of checks. */
#include "checks/families.h"

#define ZONES PA_NEEDS_PART(PA_PART_ZONES)
#define PGMAPS PA_NEEDS_PART(PA_PART_PGMAPS)
#define SCAN (ZONES | PA_NEEDS_CENSUS(PA_CENSUS_SCAN))
#define BUDDY (SCAN | PA_NEEDS_CENSUS(PA_CENSUS_BUDDY))
#define LISTS                                     \
	(BUDDY | PA_NEEDS_CENSUS(PA_CENSUS_PCP) | \
	 PA_NEEDS_CENSUS(PA_CENSUS_TAKEN))

#define COUNTS                                     \
	(SCAN | PA_NEEDS_CENSUS(PA_CENSUS_TAKEN) | \
	 PA_NEEDS_CENSUS(PA_CENSUS_HOLDERS) |      \
	 PA_NEEDS_CENSUS(PA_CENSUS_COUNTS) |       \
	 PA_NEEDS_CENSUS(PA_CENSUS_EXCESS))

const struct pa_check pa_checks[PA_NR_CHECKS] = {
	[PA_CHECK_SECTION_STATE] = {
		.id = "section-state",
		.summary = "a memory section's flags, memory map, subsection "
			   "map and memory block contradict each other",
		.doc = "Each mem_section's PRESENT, HAS_MEM_MAP, ONLINE and "
		       "EARLY bits, its coded memory map, its subsection map "
		       "and the state of its memory_block must tell one "
		       "story. Memory blocks may be larger than a section and "
		       "have absent sections inside. Rests on mm/sparse.c "
		       "(section_activate(), section_deactivate()) and "
		       "drivers/base/memory.c.",
		.run = pa_check_section_state,
	},
	[PA_CHECK_MEMMAP_UNINITIALISED] = {
		.id = "memmap-uninitialised",
		.summary = "a page of an online section has a struct page that "
			   "was never initialised",
		.doc = "The struct page of an online page that lies in a zone "
		       "holds the poison of page_init_poison(), or zeros: it "
		       "was never set up (memmap_init_range()), or was taken "
		       "down while still in use.",
		.run = pa_check_memmap_uninitialised,
		.needs = SCAN,
	},
	[PA_CHECK_PAGE_LINKS] = {
		.id = "page-links",
		.summary = "node and zone in page->flags don't match where the "
			   "page lies",
		.doc = "page_zone() and page_to_nid() of every online page in "
		       "a valid subsection must name a zone that spans the "
		       "page's pfn. Reserved pages of holes are linked to a "
		       "neighbouring zone (init_unavailable_range()).",
		.run = pa_check_page_links,
		.needs = SCAN,
	},
	[PA_CHECK_ZONE_DEVICE_TAINT] = {
		.id = "zone-device-taint",
		.summary = "an online section holds live device memory without "
			   "SECTION_TAINT_ZONE_DEVICE",
		.doc = "Without the taint pfn_to_online_page() takes device "
		       "memory that shares a section with RAM for RAM (commit "
		       "1f90a3477df3, v5.12). On older kernels each range for "
		       "which it gives a wrong answer is listed as info.",
		.run = pa_check_zone_device_taint,
		.needs = PGMAPS,
	},
	[PA_CHECK_ZONE_ACCOUNTING] = {
		.id = "zone-accounting",
		.summary = "a zone's page counters disagree with a recount",
		.doc = "spanned, present and managed pages, nr_free of each "
		       "order and NR_FREE_PAGES (per-cpu deltas included) "
		       "against the memory map and the free lists. Blocks of "
		       "MIGRATE_ISOLATE are not in NR_FREE_PAGES.",
		.run = pa_check_zone_accounting,
		.needs = BUDDY,
	},
	[PA_CHECK_BUDDY_STRUCTURE] = {
		.id = "buddy-structure",
		.summary = "the buddy allocator's free blocks and lists "
			   "contradict each other",
		.doc = "A free page on no list or on the wrong one, of an "
		       "impossible order, with references, or buddies that "
		       "__free_one_page() would have merged; a broken list; "
		       "the same for per-cpu lists.",
		.run = pa_check_buddy_structure,
		.needs = LISTS,
	},
	[PA_CHECK_ISOLATED_PAGEBLOCK] = {
		.id = "isolated-pageblock",
		.summary = "isolated pageblocks disagree with their zone's "
			   "count",
		.doc = "zone->nr_isolate_pageblock against the pageblocks of "
		       "online sections that are isolated "
		       "(set_migratetype_isolate()). A leaked isolation takes "
		       "memory away from the allocator.",
		.run = pa_check_isolated_pageblock,
		.needs = ZONES,
	},
	[PA_CHECK_LOST_FREE_PAGES] = {
		.id = "lost-free-pages",
		.summary = "pages without references that no list, holder or "
			   "offline state accounts for",
		.doc = "A run of pages of refcount 0 that is on no free list "
		       "and not the rest of a non-compound allocation: memory "
		       "that nothing returns until reboot.",
		.run = pa_check_lost_free_pages,
		.needs = LISTS,
	},
	[PA_CHECK_LRU_STRUCTURE] = {
		.id = "lru-structure",
		.summary = "folios and LRU lists contradict each other",
		.doc = "A folio with PG_lru on no list, on the wrong lruvec, "
		       "type or generation, or a broken list. Unevictable "
		       "folios are on no list since v5.18.",
		.run = pa_check_lru_structure,
		.needs = SCAN | PA_NEEDS_CENSUS(PA_CENSUS_LRU),
	},
	[PA_CHECK_HUGETLB_POOL] = {
		.id = "hugetlb-pool",
		.summary = "the hugetlb pool's counters and lists contradict "
			   "each other",
		.doc = "nr, free, surplus and reserved huge pages of each "
		       "hstate and node against its free and active lists and "
		       "the memory map.",
		.run = pa_check_hugetlb_pool,
		.needs = SCAN | PA_NEEDS_CENSUS(PA_CENSUS_HUGETLB),
	},
	[PA_CHECK_STALE_PAGE_REFERENCE] = {
		.id = "stale-page-reference",
		.summary = "something refers to a page that must not be used: "
			   "offline, removed, a hole, device or altmap memory",
		.doc = "Free lists, per-cpu lists, LRU lists, hugetlb lists, "
		       "compound heads and compaction's hints that name a "
		       "page which pfn_to_online_page() would have refused. "
		       "Any other word of kernel memory in use that is the "
		       "address of such a struct page is told as a hint: in "
		       "objects, on stacks, in registers and static data; "
		       "with debug info also numbers that are pfns by the "
		       "names of their members or variables. What tasks in "
		       "compaction, range allocation and their like have in "
		       "hand is a suspect, what compaction has passed a hint. "
		       "Altmap memory whose errors were handled, as the log "
		       "says, is told of, too (info).",
		.run = pa_check_stale_page_reference,
		.needs = SCAN | PA_NEEDS_CENSUS(PA_CENSUS_HOLDERS),
	},
	[PA_CHECK_COMPOUND_STRUCTURE] = {
		.id = "compound-structure",
		.summary = "the head and tails of a compound page contradict "
			   "each other",
		.doc = "Order, page count and alignment of every head; head "
		       "link, reference count and mapping of every tail "
		       "(prep_compound_page()). The shared tails of optimised "
		       "hugetlb folios are read as such.",
		.run = pa_check_compound_structure,
		.needs = SCAN,
	},
	[PA_CHECK_MAPCOUNT_MISMATCH] = {
		.id = "mapcount-mismatch",
		.summary = "a folio's mapcounts disagree with the page tables",
		.doc = "Each mapcount that this kernel keeps (of each page, "
		       "entire, _large_mapcount, _nr_pages_mapped) against "
		       "every page table of every mm. A folio that says to be "
		       "mapped and is not can never be freed, split or "
		       "migrated; one that is mapped and says not is freed "
		       "under its users. Rests on mm/rmap.c.",
		.run = pa_check_mapcount_mismatch,
		.needs = COUNTS,
	},
	[PA_CHECK_SOFT_OFFLINE_LEAK] = {
		.id = "soft-offline-leak",
		.summary = "memory error handling took a reference and never "
			   "put it",
		.doc = "A device page, or one whose soft offlining failed as "
		       "the log says, has exactly the reference too many "
		       "that get_user_pages() takes in madvise(), and "
		       "nothing in the kernel's memory names it. The device "
		       "then cannot be torn down, or its files not be "
		       "truncated: the waiting task is named (fixed by "
		       "dad4e5b39086, v5.11).",
		.run = pa_check_soft_offline_leak,
		.needs = COUNTS,
	},
	[PA_CHECK_DEVICE_PAGE_REFERENCE] = {
		.id = "device-page-reference",
		.summary = "a device page has references that nothing "
			   "accounts for",
		.doc = "_refcount of fsdax and devdax pages above their idle "
		       "count (1 or 0, by type and kernel, and one less once "
		       "an old kernel tears the pgmap down) and what maps, "
		       "caches or pins them. Teardown and truncation wait for "
		       "such a page, or go on under its holder. Pages that "
		       "somebody waits for are told of though their holders "
		       "are known (info), with the task and its stack.",
		.run = pa_check_device_page_reference,
		.needs = COUNTS | PGMAPS,
	},
	[PA_CHECK_REFCOUNT_LEAK] = {
		.id = "refcount-leak",
		.summary = "a folio has more references than anything accounts "
			   "for",
		.doc = "_refcount (and pincount) of LRU, isolated and hugetlb "
		       "folios against everything that was found to hold "
		       "them: page tables, page cache and swap cache, "
		       "batches, pipes, pins and more. Where something in "
		       "the kernel's memory still names the page it is named "
		       "too, and the finding is milder: info where that may be "
		       "I/O under way, a virtual CPU, who pinned it, or a holder "
		       "that could not be walked at all "
		       "(may_hold). One info for all is told of pins where a "
		       "driver is loaded that keeps no pages (VFIO, iommufd, "
		       "RDMA, vDPA), of extent buffers of btrfs, and of pages "
		       "of graphics objects. "
		       "Rests on "
		       "folio_expected_ref_count().",
		.run = pa_check_refcount_leak,
		.needs = COUNTS,
	},
	[PA_CHECK_REFCOUNT_UNDERFLOW] = {
		.id = "refcount-underflow",
		.summary = "a folio has fewer references than hold it",
		.doc = "The next put_page() of one of its holders frees it "
		       "under the others.",
		.run = pa_check_refcount_underflow,
		.needs = COUNTS,
	},
	[PA_CHECK_COUNTER_DRIFT] = {
		.id = "counter-drift",
		.summary = "a counter of pages disagrees with a recount",
		.doc = "NR_ISOLATED_*, NR_ANON_MAPPED, NR_FILE_MAPPED, THPs, "
		       "NR_SHMEM*, LRU sizes, NR_PAGETABLE and pins acquired "
		       "less released, per-cpu deltas included, against the "
		       "pages themselves, and each mm's pgtables_bytes "
		       "against its page tables. NR_SHMEM, NR_SHMEM_THPS, "
		       "NR_FILE_THPS and pins are compared over all nodes: "
		       "a huge page that moves is left behind in its old "
		       "node's. Fewer pins than there are is info where the "
		       "kernel has folio_add_pin(), which counts none. Before "
		       "v6.12 each THP that is moved out of memory going "
		       "offline leaves NR_ISOLATED_ANON or _FILE short by "
		       "511: a true defect, and named. A "
		       "drift that wrong mapcounts explain is not told again.",
		.run = pa_check_counter_drift,
		.needs = COUNTS,
	},
	[PA_CHECK_PAGE_LOCK] = {
		.id = "page-lock",
		.summary = "a locked page is waited for, and nobody works on "
			   "it",
		.doc = "A task waits for a page's lock, and no task, bio or "
		       "other object in use names the page: whoever locked "
		       "it may have forgotten it. What only hardware knows "
		       "looks the same: info.",
		.run = pa_check_page_lock,
		.needs = COUNTS,
	},
	[PA_CHECK_HWPOISON_IN_BUDDY] = {
		.id = "hwpoison-in-buddy",
		.summary = "a poisoned page is on a free list or inside a free "
			   "block",
		.doc = "The allocation that meets it hands it out, or drops "
		       "its whole block. Kernels before v5.11 leave poisoned "
		       "free pages there by design: info. Newer ones flag a "
		       "page before they take it off: info while a task is "
		       "found in memory_failure() with it.",
		.run = pa_check_hwpoison_in_buddy,
		.needs = SCAN | PA_NEEDS_CENSUS(PA_CENSUS_PCP),
	},
	[PA_CHECK_HWPOISON_NEIGHBOUR_LEAK] = {
		.id = "hwpoison-neighbour-leak",
		.summary = "the healthy pages round a poisoned one are lost",
		.doc = "check_new_pages() drops the whole block of an "
		       "allocation that meets a poisoned page. The rest of "
		       "the block belongs to nobody; unpoisoning or offlining "
		       "and onlining does not return it.",
		.run = pa_check_hwpoison_neighbour_leak,
		.needs = LISTS,
	},
	[PA_CHECK_HWPOISON_ACCOUNTING] = {
		.id = "hwpoison-accounting",
		.summary = "poisoned pages and their counters disagree",
		.doc = "num_poisoned_pages, memory_block.nr_hwpoison and "
		       "mf_stats against the pages flagged, those on the "
		       "raw_hwp_list of hugetlb folios included. Only what is "
		       "exact is judged; other differences are info, and so is "
		       "what a task explains that is handling an error: a page "
		       "is flagged first and counted last.",
		.run = pa_check_hwpoison_accounting,
		.needs = SCAN,
	},
	[PA_CHECK_HWPOISON_MAPPED] = {
		.id = "hwpoison-mapped",
		.summary = "a poisoned page of ordinary memory is mapped",
		.doc = "memory_failure() unmaps what it poisons "
		       "(hwpoison_user_mappings()). Where the log says that "
		       "it failed, or ignored the page, that line is told and "
		       "the finding is info.",
		.run = pa_check_hwpoison_mapped,
		.needs = COUNTS,
	},
	[PA_CHECK_PGMAP_DANGLING] = {
		.id = "pgmap-dangling",
		.summary = "device pages and pgmaps disagree",
		.doc = "A ZONE_DEVICE page in a valid subsection whose pgmap "
		       "is not in pgmap_array, or is not the one that holds "
		       "its pfn; an altmap whose arithmetic is wrong.",
		.run = pa_check_pgmap_dangling,
		.needs = SCAN | PGMAPS,
	},
};

const enum pa_check_id pa_check_order[PA_NR_CHECKS] = {
	PA_CHECK_SECTION_STATE,
	PA_CHECK_MEMMAP_UNINITIALISED,
	PA_CHECK_PAGE_LINKS,
	PA_CHECK_ZONE_DEVICE_TAINT,
	PA_CHECK_COMPOUND_STRUCTURE,
	PA_CHECK_HWPOISON_IN_BUDDY,
	PA_CHECK_HWPOISON_NEIGHBOUR_LEAK,
	PA_CHECK_LOST_FREE_PAGES,
	PA_CHECK_BUDDY_STRUCTURE,
	PA_CHECK_LRU_STRUCTURE,
	PA_CHECK_HUGETLB_POOL,
	PA_CHECK_STALE_PAGE_REFERENCE,
	PA_CHECK_MAPCOUNT_MISMATCH,
	PA_CHECK_SOFT_OFFLINE_LEAK,
	PA_CHECK_DEVICE_PAGE_REFERENCE,
	PA_CHECK_REFCOUNT_LEAK,
	PA_CHECK_REFCOUNT_UNDERFLOW,
	PA_CHECK_HWPOISON_ACCOUNTING,
	PA_CHECK_HWPOISON_MAPPED,
	PA_CHECK_PGMAP_DANGLING,
	PA_CHECK_ISOLATED_PAGEBLOCK,
	PA_CHECK_PAGE_LOCK,
	PA_CHECK_COUNTER_DRIFT,
	/* Last: its drifts may be what others have explained. */
	PA_CHECK_ZONE_ACCOUNTING,
};
