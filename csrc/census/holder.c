// SPDX-License-Identifier: LGPL-2.1-or-later
/* The one table of holders, and what walks them. */
#include "census/holder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "census/holders.h"

const struct pa_holder_row pa_holders[PA_NR_HOLDERS] = {
	[PA_HOLDER_BUDDY] = { .name = "buddy free list" },
	[PA_HOLDER_PCP] = { .name = "per-cpu free list" },
	[PA_HOLDER_LRU] = { .name = "LRU list" },
	[PA_HOLDER_HUGETLB_FREE] = { .name = "hugetlb free list" },
	[PA_HOLDER_HUGETLB_ACTIVE] = { .name = "hugetlb active list" },
	[PA_HOLDER_COMPOUND_HEAD] = { .name = "compound tail" },
	[PA_HOLDER_COMPACT_CACHED] = { .name = "compaction scanner hint" },
	[PA_HOLDER_PAGE_CACHE] = {
		.name = "page cache",
		.owner = "address_space",
		.index = "index",
		.prepare = pa_page_cache_prepare,
		.item = pa_page_cache_item,
	},
	[PA_HOLDER_SWAP_CACHE] = {
		.name = "swap cache",
		.owner = "address_space or swap_info_struct",
		.index = "slot",
		.prepare = pa_swap_cache_prepare,
		.item = pa_swap_cache_item,
		.destroy = pa_swap_cache_destroy,
	},
	[PA_HOLDER_LRU_BATCH] = {
		.name = "LRU batch",
		.owner = "batch",
		.index = "CPU",
		.prepare = pa_lru_batch_prepare,
		.item = pa_lru_batch_item,
		.destroy = pa_lru_batch_destroy,
	},
	[PA_HOLDER_MLOCK_BATCH] = {
		.name = "mlock batch",
		.owner = "batch",
		.index = "CPU",
		.prepare = pa_lru_batch_prepare,
		.item = pa_mlock_batch_item,
		.destroy = pa_lru_batch_destroy,
	},
	[PA_HOLDER_ISOLATED] = {
		.name = "isolated",
		.owner = "task",
		.index = "list",
		.prepare = pa_isolated_prepare,
		.item = pa_isolated_item,
	},
	[PA_HOLDER_DEFERRED_SPLIT] = {
		.name = "deferred split",
		.owner = "task",
		.index = "list",
		.prepare = pa_deferred_split_prepare,
		.item = pa_deferred_split_item,
		.destroy = pa_deferred_split_destroy,
	},
	[PA_HOLDER_READAHEAD] = {
		.name = "readahead",
		.owner = "task",
		.index = "index",
		.prepare = pa_readahead_prepare,
		.item = pa_readahead_item,
		.destroy = pa_readahead_destroy,
	},
	[PA_HOLDER_MMU_GATHER] = {
		.name = "mmu_gather",
		.owner = "task",
		.index = "mmu_gather",
		.prepare = pa_mmu_gather_prepare,
		.item = pa_mmu_gather_item,
		.destroy = pa_mmu_gather_destroy,
	},
	[PA_HOLDER_PAGE_TABLE] = {
		.name = "page table",
		.owner = "mm",
		.index = "address",
		.prepare = pa_page_table_prepare,
		.item = pa_page_table_item,
		.destroy = pa_page_table_destroy,
	},
	[PA_HOLDER_PIPE] = {
		.name = "pipe buffer",
		.owner = "pipe_inode_info",
		.index = "slot",
		.prepare = pa_pipe_prepare,
		.item = pa_pipe_item,
		.destroy = pa_pipe_destroy,
	},
	[PA_HOLDER_IO_URING] = {
		.name = "io_uring",
		.owner = "io_ring_ctx",
		.index = "buffer or page",
		.prepare = pa_io_uring_prepare,
		.item = pa_io_uring_item,
		.destroy = pa_io_uring_destroy,
	},
	[PA_HOLDER_AIO] = {
		.name = "AIO ring",
		.owner = "kioctx",
		.index = "page",
		.prepare = pa_aio_prepare,
		.item = pa_aio_item,
	},
	[PA_HOLDER_SKB] = {
		.name = "socket buffer",
		.owner = "sk_buff",
		.index = "fragment",
		.prepare = pa_skb_prepare,
		.item = pa_skb_item,
		.destroy = pa_skb_destroy,
	},
	[PA_HOLDER_BIO] = {
		.name = "block I/O",
		.owner = "bio",
		.index = "page",
		.prepare = pa_bio_prepare,
		.item = pa_bio_item,
		.destroy = pa_bio_destroy,
	},
	[PA_HOLDER_PAGE_FRAG] = {
		.name = "page fragments",
		.owner = "CPU's, socket or task",
		.item = pa_page_frag_item,
	},
	[PA_HOLDER_VMALLOC] = {
		.name = "vmalloc area",
		.owner = "vm_struct",
		.index = "page",
		.prepare = pa_vmalloc_prepare,
		.item = pa_vmalloc_item,
		.destroy = pa_vmalloc_destroy,
	},
};

/* Of one holder's stale slots; a broken one has no end of them. */
#define MAX_FAULTS 4096

bool pa_watch_has(const struct pa_watch *watch, uint64_t pfn, uint64_t nr)
{
	/* The first range that ends behind @pfn. */
	size_t low = pa_bisect(watch->ranges.items, watch->ranges.length, it,
			       it->end <= pfn);

	return low < watch->ranges.length &&
	       watch->ranges.items[low].start < pfn + nr;
}

/* Device memory is a fit target only of what maps or caches it. */
static bool may_be_device(enum pa_holder holder)
{
	switch (holder) {
	case PA_HOLDER_BUDDY:
	case PA_HOLDER_PCP:
	case PA_HOLDER_LRU:
	case PA_HOLDER_HUGETLB_FREE:
	case PA_HOLDER_HUGETLB_ACTIVE:
	case PA_HOLDER_SWAP_CACHE:
	case PA_HOLDER_LRU_BATCH:
	case PA_HOLDER_MLOCK_BATCH:
	case PA_HOLDER_ISOLATED:
		return false;
	default:
		return true;
	}
}

static bool is_stale(enum pa_holder holder, enum pa_target target)
{
	switch (target) {
	case PA_TARGET_FREE:
	case PA_TARGET_OFFLINE:
	case PA_TARGET_ABSENT:
	case PA_TARGET_HOLE:
	case PA_TARGET_ALTMAP:
	case PA_TARGET_MISALIGNED:
	case PA_TARGET_OUTSIDE:
		return true;
	case PA_TARGET_DEVICE:
		return !may_be_device(holder);
	default:
		return false;
	}
}

static bool keep_fault(struct pa_holder_walk *walk,
		       const struct pa_reference *ref, enum pa_target target,
		       uint64_t link)
{
	const struct pa_holder_row *row = &pa_holders[ref->holder];
	bool judged = true;
	struct pa_list_fault fault = {
		.kind = PA_FAULT_STALE,
		.holder = ref->holder,
		.target = target,
		.pfn = ref->pfn,
		.head = ref->owner,
		.node = ref->slot,
		.link = link,
		.zone = -1,
	};

	/* What its owner has dropped already may be free, or anything. */
	if (ref->kind == PA_REF_UNSURE)
		return true;
	if (walk->watch)
		return true;
	if (ref->pfn != PA_NO_PFN &&
	    !pa_census_judges(walk->census, &walk->disturbed, ref->pfn,
			      &judged)) {
		walk->err = &pa_error_no_memory;
		return false;
	}
	if (!judged)
		return true;
	if (walk->faults.length >= MAX_FAULTS)
		return true;
	if (asprintf(&fault.list, "%s 0x%" PRIx64 ", %s 0x%" PRIx64,
		     row->owner ? row->owner : "at", ref->owner,
		     row->index ? row->index : "slot", ref->index) < 0 ||
	    !pa_array_append(&walk->faults, fault)) {
		walk->err = &pa_error_no_memory;
		return false;
	}
	return true;
}

static bool enter(struct pa_holder_walk *walk, const struct pa_reference *ref)
{
	bool ok = true;

	if (!walk->watch)
		ok = pa_account_add(walk->census->accounts, ref->pfn, ref->kind,
				    ref->count);
	else if (pa_watch_has(walk->watch, ref->pfn, 1))
		ok = pa_array_append(&walk->seen, *ref);
	if (!ok)
		walk->err = &pa_error_no_memory;
	return ok;
}

bool pa_refer(struct pa_holder_walk *walk, const struct pa_reference *ref)
{
	const uint8_t *byte = pa_census_class(walk->census, ref->pfn);
	uint8_t class = byte ? *byte & PA_CLASS_MASK : PA_CLASS_NOT_MEMORY;

	walk->references++;
	/* Most slots name a page in plain use: nothing to look up. */
	if (class < PA_CLASS_RESERVED || class == PA_CLASS_PCP ||
	    class == PA_CLASS_FREE_BODY || class >= PA_CLASS_FREE) {
		uint64_t page = pa_pfn_to_page(walk->kernel, ref->pfn), pfn;
		enum pa_target target =
			pa_census_target(walk->census, page, &pfn);

		if (is_stale(ref->holder, target) &&
		    !keep_fault(walk, ref, target, page))
			return false;
	}
	return enter(walk, ref);
}

bool pa_refer_page(struct pa_holder_walk *walk, uint64_t page,
		   struct pa_reference *ref)
{
	if (pa_page_to_pfn(walk->kernel, page, &ref->pfn))
		return pa_refer(walk, ref);
	walk->references++;
	return keep_fault(walk, ref,
			  ref->pfn == PA_NO_PFN ? PA_TARGET_OUTSIDE :
						  PA_TARGET_MISALIGNED,
			  page);
}

struct pa_error *pa_holder_unread(struct pa_holder_walk *walk,
				  struct pa_error *err)
{
	const struct pa_earlier *earlier = walk->census->earlier;
	uint64_t address;

	if (!pa_error_is_target(err))
		return err;
	address = err->address;
	pa_error_destroy(err);
	if (!earlier || !address) {
		walk->unreadable++;
		return NULL;
	}
	walk->unreadable += earlier->none ||
			    pa_disturbed_has(&earlier->unread, address);
	return pa_disturbed_add(&walk->unread, address) ? NULL :
							  &pa_error_no_memory;
}

struct pa_error *pa_holder_visit_cache(struct pa_holder_walk *walk,
				       const struct pa_slab_cache *cache,
				       pa_slab_visit_fn visit, void *arg,
				       struct pa_error *const *failure)
{
	const struct pa_slabs *slabs = walk->census->slabs;

	for (size_t i = 0; cache && i < cache->nr; i++) {
		uint32_t index = slabs->by_cache.items[cache->first + i];
		struct pa_error *err = pa_job_check(walk->job);

		if (!err)
			err = pa_holder_unread(
				walk, pa_slab_visit(walk->census, walk->memory,
						    &slabs->list.items[index],
						    visit, arg));
		if (!err)
			err = *failure;
		if (err)
			return err;
	}
	return NULL;
}

/* One pass over one holder. */
struct pass {
	struct pa_census *census;
	struct pa_job *job;
	const struct pa_watch *watch;
	struct pa_references *found;
	enum pa_holder holder;
	void *state;
	struct pa_holder_result result;
};

static struct pa_error *walk_start(void *arg, void **ret)
{
	struct pass *pass = arg;
	struct pa_holder_walk *walk = calloc(1, sizeof(*walk));

	if (!walk)
		return &pa_error_no_memory;
	walk->census = pass->census;
	walk->kernel = pass->census->kernel;
	walk->layout = walk->kernel->layout;
	walk->job = pass->job;
	walk->watch = pass->watch;
	walk->holder = pass->holder;
	walk->state = pass->state;

	struct pa_error *err = pa_kernel_memory(walk->kernel, &walk->memory);

	if (!err)
		err = pa_memmap_create(walk->kernel, &walk->memmap);
	if (err) {
		pa_memory_destroy(walk->memory);
		free(walk);
		return err;
	}
	*ret = walk;
	return NULL;
}

static struct pa_error *walk_item(void *worker, uint64_t index)
{
	struct pa_holder_walk *walk = worker;
	struct pa_error *err = pa_holder_unread(
		walk, pa_holders[walk->holder].item(walk, index));

	return err ? err : walk->err;
}

static struct pa_error *walk_finish(void *arg, void *worker, bool failed)
{
	struct pass *pass = arg;
	struct pa_holder_walk *walk = worker;
	struct pa_error *err = NULL;

	pass->result.references += walk->references;
	pass->result.unreadable += walk->unreadable;
	if (pass->found && !failed &&
	    !pa_array_extend(&pass->found->list, &walk->seen))
		err = &pa_error_no_memory;
	if (!failed &&
	    (!pa_disturbed_extend(&pass->census->disturbed, &walk->disturbed) ||
	     !pa_disturbed_extend(&pass->census->unread, &walk->unread)))
		err = &pa_error_no_memory;
	pa_disturbed_deinit(&walk->disturbed);
	pa_disturbed_deinit(&walk->unread);
	if (!failed && !err &&
	    pa_array_extend(&pass->census->faults, &walk->faults))
		walk->faults.length = 0;
	else if (!failed && walk->faults.length)
		err = &pa_error_no_memory;
	pa_array_for_each(fault, &walk->faults)
		free(fault->list);
	pa_array_deinit(&walk->faults);
	pa_array_deinit(&walk->seen);
	pa_memmap_destroy(walk->memmap);
	pa_memory_destroy(walk->memory);
	free(walk);
	return err;
}

static const struct pa_work holder_work = {
	.start = walk_start,
	.item = walk_item,
	.finish = walk_finish,
};

static struct pa_error *prepare(struct pass *pass, uint64_t *nr_ret)
{
	const struct pa_holder_row *row = &pa_holders[pass->holder];
	void *worker;

	*nr_ret = 1;
	if (!row->prepare)
		return NULL;
	*nr_ret = 0;

	struct pa_error *err = walk_start(pass, &worker);

	if (err)
		return err;
	err = row->prepare(worker, &pass->state, nr_ret);

	struct pa_error *ended = walk_finish(pass, worker, err != NULL);

	return err ? err : ended;
}

static struct pa_error *walk_holder(struct pass *pass)
{
	const struct pa_holder_row *row = &pa_holders[pass->holder];
	double start = pa_job_clock();
	uint64_t nr;

	pa_job_phase(pass->job, row->name, 1);

	struct pa_error *err = prepare(pass, &nr);

	if (!err && nr) {
		pa_job_phase(pass->job, row->name, nr);
		err = pa_job_run(pass->job, &holder_work, pass, nr);
	}
	if (row->destroy && pass->state)
		row->destroy(pass->state);
	pass->state = NULL;
	pass->result.seconds = pa_job_clock() - start;
	/* What the target lacks is this holder's; the rest is ours. */
	if (pa_error_is_target(err) || (err && err->code == PA_ERROR_MISSING)) {
		pass->result.err = err;
		return NULL;
	}
	return err;
}

struct pa_error *pa_census_holders(struct pa_census *census, struct pa_job *job)
{
	struct pa_error *err = NULL;

	census->accounts = calloc(1, sizeof(*census->accounts));
	census->holders = calloc(PA_NR_HOLDERS, sizeof(*census->holders));
	if (!census->accounts || !census->holders)
		return &pa_error_no_memory;
	err = pa_accounts_init(census->kernel, census->accounts);
	for (int i = 0; !err && i < PA_NR_HOLDERS; i++) {
		struct pass pass = {
			.census = census,
			.job = job,
			.holder = (enum pa_holder)i,
		};

		if (!pa_holders[i].item)
			continue;
		err = walk_holder(&pass);
		/* What is the same all the time is in each read. */
		if (census->earlier && !census->earlier->none)
			pass.result.unreadable =
				pa_min(pass.result.unreadable,
				       census->earlier->unreadable[i]);
		census->holders[i] = pass.result;
		census->references += pass.result.references;
		census->parts[PA_CENSUS_HOLDERS].unreadable +=
			pass.result.unreadable + (pass.result.err != NULL);
	}
	return err;
}

static int compare_references(const void *a, const void *b)
{
	const struct pa_reference *x = a, *y = b;

	if (x->pfn != y->pfn)
		return x->pfn < y->pfn ? -1 : 1;
	if (x->holder != y->holder)
		return x->holder < y->holder ? -1 : 1;
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

struct pa_error *pa_holders_find(struct pa_census *census, struct pa_job *job,
				 const struct pa_watch *watch,
				 struct pa_references *ret)
{
	struct pa_error *err = NULL;

	for (int i = 0; !err && i < PA_NR_HOLDERS; i++) {
		struct pass pass = {
			.census = census,
			.job = job,
			.watch = watch,
			.found = ret,
			.holder = (enum pa_holder)i,
		};

		if (!pa_holders[i].item || census->holders[i].err)
			continue;
		err = walk_holder(&pass);
		pa_error_destroy(pass.result.err);
	}
	if (ret->list.length)
		qsort(ret->list.items, ret->list.length,
		      sizeof(*ret->list.items), compare_references);
	return err;
}

void pa_references_deinit(struct pa_references *references)
{
	pa_array_deinit(&references->list);
}
