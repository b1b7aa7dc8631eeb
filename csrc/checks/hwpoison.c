// SPDX-License-Identifier: LGPL-2.1-or-later
/* Poisoned pages: mm/memory-failure.c, check_new_pages() in page_alloc.c. */
#include <inttypes.h>

#include "census/orphans.h"
#include "census/poisoned.h"
#include "checks/coverage.h"
#include "checks/families.h"
#include "kernel/raw_hwp.h"

/* False, with the status set, on a kernel without memory failure handling. */
static bool has_poison(struct pa_check_context *c,
		       struct pa_check_result *result)
{
	if (c->kernel->page_format.flag.hwpoison)
		return true;
	pa_check_status(result, PA_NOT_APPLICABLE,
			"the kernel has no CONFIG_MEMORY_FAILURE");
	return false;
}

static void add_poisoned(struct pa_check_context *c, struct pa_finding *f,
			 const struct pa_poisoned *p)
{
	pa_finding_hex(f, "page", pa_pfn_to_page(c->kernel, p->pfn));
	pa_finding_hex(f, "flags", p->flags);
	pa_finding_number(f, "refcount", (int64_t)p->refcount);
}

/*
 * Before v5.11 memory_failure() left a free page in the buddy, for
 * check_new_pages() to drop it (MF_DELAYED; commit 17e395b60f5b changed that
 * and took MF_MSG_BUDDY_2ND away).
 */
static bool leaves_in_buddy(const struct pa_kernel *kernel)
{
	return PA_HAS_ENUM(kernel->layout, MF_MSG_BUDDY_2ND);
}

struct pa_error *pa_check_hwpoison_in_buddy(struct pa_check_context *c,
					    struct pa_check_result *result)
{
	const struct pa_census *census = c->census;
	bool design = leaves_in_buddy(c->kernel);

	if (!has_poison(c, result))
		return NULL;
	pa_check_scan_coverage(c, result);
	result->examined = census->poisoned.length;
	for (size_t i = 0; i < census->poisoned.length; i++) {
		const struct pa_poisoned *p = &census->poisoned.items[i];
		const uint8_t *byte = pa_census_class(census, p->pfn);
		bool pcp = byte && (*byte & PA_CLASS_MASK) == PA_CLASS_PCP;
		struct pa_finding *f;

		if (p->free_pfn == PA_NO_PFN && !pcp)
			continue;
		f = pa_finding_add(
			c->findings, PA_CHECK_HWPOISON_IN_BUDDY,
			design ? PA_INFO : PA_BUG, p->pfn, p->pfn + 1,
			"a poisoned page is %s: %s",
			pcp ? "on a per-cpu free list" : "in a free block",
			design ? "this kernel leaves it there, and the "
				 "allocation that meets it loses the whole "
				 "block" :
				 "an allocation hands it out, or loses the "
				 "whole block");
		add_poisoned(c, f, p);
		if (p->free_pfn != PA_NO_PFN) {
			pa_finding_hex(f, "block_pfn", p->free_pfn);
			pa_finding_number(f, "block_order", p->free_order);
			pa_finding_number(
				f, "block_bytes",
				(int64_t)(PA_BIT(p->free_order)
					  << c->kernel->space.page_shift));
		}
	}
	return NULL;
}

/* One lost run with poison in it: each block was dropped on its own. */
static struct pa_error *report_leak(void *arg, uint64_t start, uint64_t end)
{
	struct pa_check_context *c = arg;
	const struct pa_census *census = c->census;
	uint32_t max_order = c->kernel->page_format.max_buddy_order;

	for (size_t i = pa_poisoned_from(census, start);
	     i < census->poisoned.length && census->poisoned.items[i].pfn < end;
	     i++) {
		const struct pa_poisoned *p = &census->poisoned.items[i];
		uint32_t order =
			pa_orphans_block_order(p->pfn, start, end, max_order);
		uint64_t block = pa_align_down(p->pfn, PA_BIT(order));
		uint64_t poisoned = 0;

		/* free_pages_prepare() drops a single poisoned page itself. */
		if (!order)
			continue;
		while (i + poisoned < census->poisoned.length &&
		       census->poisoned.items[i + poisoned].pfn <
			       block + PA_BIT(order))
			poisoned++;

		uint64_t bytes = (PA_BIT(order) - poisoned)
				 << c->kernel->space.page_shift;
		struct pa_finding *f = pa_finding_add(
			c->findings, PA_CHECK_HWPOISON_NEIGHBOUR_LEAK, PA_BUG,
			block, block + PA_BIT(order),
			"%" PRIu64 " bytes round the poisoned pfn 0x%" PRIx64
			" are lost: the allocation of order %u that met it "
			"dropped its block, and neither unpoisoning nor "
			"offlining returns it",
			bytes, p->pfn, order);

		pa_finding_number(f, "bytes", (int64_t)bytes);
		pa_finding_hex(f, "poisoned_pfn", p->pfn);
		pa_finding_number(f, "poisoned_pages", (int64_t)poisoned);
		pa_finding_number(f, "order", order);
		add_poisoned(c, f, p);
		i += poisoned - 1;
	}
	return NULL;
}

struct pa_error *
pa_check_hwpoison_neighbour_leak(struct pa_check_context *c,
				 struct pa_check_result *result)
{
	const struct pa_census *census = c->census;

	if (!has_poison(c, result))
		return NULL;
	pa_check_scan_coverage(c, result);
	result->examined = census->poisoned.length;
	if (census->parts[PA_CENSUS_PCP].unreadable ||
	    census->parts[PA_CENSUS_TAKEN].unreadable) {
		pa_check_status(result, PA_SKIPPED,
				"the per-cpu lists could not be read");
		return NULL;
	}
	return pa_orphans_visit(census, report_leak, c);
}

/* Pages flagged, by where they are. */
struct poison_count {
	/* System RAM, hugetlb left out. */
	uint64_t flagged;
	uint64_t hugetlb;
	uint64_t device;
	/* Of those hugetlb folios: pages on their raw_hwp_list. */
	uint64_t raw;
	/* Folios whose list could not be read, or that has lost entries. */
	uint64_t raw_unknown;
};

/* HPG_raw_hwp_unreliable: there was no memory for an entry. */
static bool is_unreliable(const struct pa_census *census, uint64_t head_pfn)
{
	const struct pa_layout *layout = census->kernel->layout;

	if (!PA_HAS_ENUM(layout, HPG_raw_hwp_unreliable))
		return true;
	for (size_t i = 0; i < census->hugetlb.length; i++)
		if (census->hugetlb.items[i].pfn == head_pfn)
			return census->hugetlb.items[i].private_ >>
				       PA_ENUM(layout, HPG_raw_hwp_unreliable) &
			       1;
	return true;
}

/* folio_set_hugetlb_hwpoison(): each entry is counted once. */
static struct pa_error *count_raw(struct pa_check_context *c,
				  struct poison_count *count)
{
	const struct pa_census *census = c->census;
	struct pa_error *err = NULL;

	for (size_t i = 0; !err && i < census->poisoned.length; i++) {
		const struct pa_poisoned *p = &census->poisoned.items[i];
		struct pa_raw_hwp raw = { 0 };

		if (!p->hugetlb || p->pfn != p->head_pfn)
			continue;
		err = pa_raw_hwp_read(c->kernel, c->memmap->memory, p->pfn,
				      &raw);
		if (err || is_unreliable(census, p->pfn))
			count->raw_unknown++;
		else
			count->raw += raw.pfns.length;
		pa_raw_hwp_deinit(&raw);
		if (pa_error_is_target(err) ||
		    (err && err->code == PA_ERROR_MISSING)) {
			pa_error_destroy(err);
			err = NULL;
		}
	}
	return err;
}

static struct poison_count count_poisoned(const struct pa_census *census)
{
	struct poison_count count = { 0 };

	for (size_t i = 0; i < census->poisoned.length; i++) {
		const struct pa_poisoned *p = &census->poisoned.items[i];

		if (p->state == PA_PFN_DEVICE)
			count.device++;
		else if (p->hugetlb)
			count.hugetlb++;
		else
			count.flagged++;
	}
	return count;
}

/* memory_block.nr_hwpoison against the total and the block's own pages. */
static uint64_t check_blocks(struct pa_check_context *c)
{
	const struct pa_kernel *kernel = c->kernel;
	const struct pa_census *census = c->census;
	uint64_t total = 0;

	for (size_t i = 0; i < kernel->blocks.list.length; i++) {
		const struct pa_block *block = &kernel->blocks.list.items[i];
		uint64_t flagged = 0, pfn, end;

		total += block->nr_hwpoison;
		if (!pa_block_range(kernel, block, &pfn, &end))
			continue;
		for (size_t j = pa_poisoned_from(census, pfn);
		     j < census->poisoned.length &&
		     census->poisoned.items[j].pfn < end;
		     j++) {
			const struct pa_poisoned *p =
				&census->poisoned.items[j];

			flagged += p->state != PA_PFN_DEVICE && !p->hugetlb;
		}
		if (flagged <= block->nr_hwpoison)
			continue;

		struct pa_finding *f = pa_finding_add(
			c->findings, PA_CHECK_HWPOISON_ACCOUNTING, PA_BUG, pfn,
			end,
			"memory block %" PRIu64 " counts %" PRIu64
			" poisoned pages and has %" PRIu64,
			block->id, block->nr_hwpoison, flagged);

		pa_finding_number(f, "nr_hwpoison",
				  (int64_t)block->nr_hwpoison);
		pa_finding_number(f, "flagged", (int64_t)flagged);
		pa_finding_hex(f, "memory_block", block->address);
	}
	return total;
}

/* update_per_node_mf_stats(): each event has exactly one outcome. */
static struct pa_error *check_node_stats(struct pa_check_context *c)
{
	const struct pa_layout *layout = c->kernel->layout;
	uint64_t stats_at, size;
	uint8_t bytes[64];

	if (!PA_HAS(layout, pglist_data, mf_stats) ||
	    !PA_HAS(layout, memory_failure_stats, total))
		return NULL;
	stats_at = PA_OFFSETOF(layout, pglist_data, mf_stats);
	size = PA_SIZEOF(layout, memory_failure_stats);
	if (size > sizeof(bytes))
		return NULL;
	for (size_t i = 0; i < c->kernel->zones.nodes.length; i++) {
		const struct pa_node *node = &c->kernel->zones.nodes.items[i];
		struct pa_error *err = pa_memory_read(c->memmap->memory,
						      node->address + stats_at,
						      size, bytes);

		if (err)
			return err;
#define STAT(name) PA_GET(layout, bytes, memory_failure_stats, name)
		uint64_t total = STAT(total);
		uint64_t sum = STAT(ignored) + STAT(failed) + STAT(delayed) +
			       STAT(recovered);
#undef STAT

		if (total == sum)
			continue;

		struct pa_finding *f = pa_finding_add(
			c->findings, PA_CHECK_HWPOISON_ACCOUNTING, PA_BUG,
			PA_NO_PFN, PA_NO_PFN,
			"node %u: mf_stats counts %" PRIu64
			" memory failures, their outcomes add up to %" PRIu64,
			node->id, total, sum);

		pa_finding_number(f, "total", (int64_t)total);
		pa_finding_number(f, "sum", (int64_t)sum);
		pa_finding_hex(f, "mf_stats", node->address + stats_at);
	}
	return NULL;
}

/* True if it is too low. */
static bool check_total(struct pa_check_context *c, uint64_t total,
			const struct poison_count *count)
{
	uint64_t known = count->flagged + count->raw;
	/* Where the lists are not known, a folio counts as one page. */
	uint64_t all = known + count->raw_unknown + count->device;
	struct pa_finding *f = NULL;

	if (known > total)
		f = pa_finding_add(c->findings, PA_CHECK_HWPOISON_ACCOUNTING,
				   PA_BUG, PA_NO_PFN, PA_NO_PFN,
				   "%" PRIu64
				   " pages of RAM are flagged or listed as "
				   "poisoned, num_poisoned_pages is %" PRIu64,
				   known, total);
	else if (total > all)
		f = pa_finding_add(
			c->findings, PA_CHECK_HWPOISON_ACCOUNTING, PA_INFO,
			PA_NO_PFN, PA_NO_PFN,
			"num_poisoned_pages is %" PRIu64 ", %" PRIu64
			" pages are flagged or listed: the rest is poison of "
			"device memory, or was never flagged",
			total, all);
	if (!f)
		return false;
	pa_finding_number(f, "num_poisoned_pages", (int64_t)total);
	pa_finding_number(f, "flagged", (int64_t)count->flagged);
	pa_finding_number(f, "flagged_hugetlb", (int64_t)count->hugetlb);
	pa_finding_number(f, "raw_hugetlb_pages", (int64_t)count->raw);
	pa_finding_number(f, "flagged_device", (int64_t)count->device);
	return known > total;
}

struct pa_error *pa_check_hwpoison_accounting(struct pa_check_context *c,
					      struct pa_check_result *result)
{
	const struct pa_kernel *kernel = c->kernel;
	struct poison_count count = count_poisoned(c->census);
	uint64_t total;

	if (!has_poison(c, result))
		return NULL;
	pa_check_scan_coverage(c, result);
	result->examined = c->census->poisoned.length;
	if (!PA_HAS_SYM(kernel->layout, num_poisoned_pages)) {
		pa_check_status(result, PA_SKIPPED,
				"no symbol num_poisoned_pages");
		return NULL;
	}

	struct pa_error *err = pa_memory_read_u64(
		c->memmap->memory, PA_SYM(kernel->layout, num_poisoned_pages),
		&total);

	if (err)
		return err;

	err = count_raw(c, &count);
	if (err)
		return err;

	bool too_low = check_total(c, total, &count);

	if (!kernel->parts[PA_PART_BLOCKS] && kernel->blocks.has_nr_hwpoison) {
		uint64_t blocks = check_blocks(c);

		if (blocks > total && !too_low) {
			struct pa_finding *f = pa_finding_add(
				c->findings, PA_CHECK_HWPOISON_ACCOUNTING,
				PA_BUG, PA_NO_PFN, PA_NO_PFN,
				"the memory blocks count %" PRIu64
				" poisoned pages, num_poisoned_pages is %" PRIu64,
				blocks, total);

			pa_finding_number(f, "blocks", (int64_t)blocks);
			pa_finding_number(f, "num_poisoned_pages",
					  (int64_t)total);
		}
	}
	return check_node_stats(c);
}
