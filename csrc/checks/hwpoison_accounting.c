// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Poisoned pages and their counters: mm/memory-failure.c. Only what is exact is
 * judged: pages that are flagged have been counted.
 */
#include <inttypes.h>

#include "census/poisoned.h"
#include "checks/coverage.h"
#include "checks/families.h"
#include "checks/poison_flight.h"
#include "checks/poison_record.h"
#include "kernel/raw_hwp.h"

/* Pages flagged, by where they are. */
struct poison_count {
	/* Online RAM, hugetlb left out. */
	uint64_t flagged;
	uint64_t hugetlb;
	uint64_t device;
	/* What is left in the memory map of offline sections. */
	uint64_t offline;
	/* Of all those of online RAM: somebody handles their error now. */
	uint64_t in_flight;
	/* Of those hugetlb folios: pages on their raw_hwp_list. */
	uint64_t raw;
	/* Folios whose list could not be read, or that has lost entries. */
	uint64_t raw_unknown;
};

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
		if (err || pa_poison_raw_unreliable(census, p->pfn))
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

static struct poison_count count_poisoned(const struct pa_census *census,
					  const struct pa_poison_flight *flight)
{
	struct poison_count count = { 0 };

	for (size_t i = 0; i < census->poisoned.length; i++) {
		const struct pa_poisoned *p = &census->poisoned.items[i];

		if (p->state == PA_PFN_DEVICE || p->state == PA_PFN_ALTMAP) {
			count.device++;
			continue;
		}
		if (p->state != PA_PFN_ONLINE) {
			count.offline++;
			continue;
		}
		if (p->hugetlb)
			count.hugetlb++;
		else
			count.flagged++;
		count.in_flight += pa_poison_flight_of(flight, p->pfn) != NULL;
	}
	return count;
}

/* memory_block.nr_hwpoison against the total and the block's own pages. */
static uint64_t check_blocks(struct pa_check_context *c,
			     const struct pa_poison_flight *flight)
{
	const struct pa_kernel *kernel = c->kernel;
	const struct pa_census *census = c->census;
	uint64_t total = 0;

	for (size_t i = 0; i < kernel->blocks.list.length; i++) {
		const struct pa_block *block = &kernel->blocks.list.items[i];
		uint64_t flagged = 0, in_flight = 0, pfn, end;
		const struct pa_walker *by = NULL;

		total += block->nr_hwpoison;
		if (!pa_block_range(kernel, block, &pfn, &end))
			continue;
		for (size_t j = pa_poisoned_from(census, pfn);
		     j < census->poisoned.length &&
		     census->poisoned.items[j].pfn < end;
		     j++) {
			const struct pa_poisoned *p =
				&census->poisoned.items[j];

			const struct pa_walker *handler =
				pa_poison_flight_of(flight, p->pfn);

			if (p->state != PA_PFN_ONLINE || p->hugetlb)
				continue;
			flagged++;
			in_flight += handler != NULL;
			by = handler ? handler : by;
		}
		if (flagged <= block->nr_hwpoison)
			continue;
		if (flagged - in_flight > block->nr_hwpoison)
			by = NULL;

		struct pa_finding *f = pa_finding_add(
			c->findings, PA_CHECK_HWPOISON_ACCOUNTING,
			pa_poison_flight_severity(flight, by), pfn, end,
			"memory block %" PRIu64 " counts %" PRIu64
			" poisoned pages and has %" PRIu64,
			block->id, block->nr_hwpoison, flagged);

		pa_finding_number(f, "nr_hwpoison",
				  (int64_t)block->nr_hwpoison);
		pa_finding_number(f, "flagged", (int64_t)flagged);
		pa_finding_hex(f, "memory_block", block->address);
		pa_poison_flight_add(f, by);
	}
	return total;
}

/* update_per_node_mf_stats(): each event has exactly one outcome. */
static struct pa_error *check_node_stats(struct pa_check_context *c,
					 const struct pa_poison_flight *flight)
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

		/* The outcome comes first. */
		uint64_t handlers;
		const struct pa_walker *by =
			pa_poison_flight_any(flight, &handlers);

		if (sum < total || sum - total > handlers)
			by = NULL;

		struct pa_finding *f = pa_finding_add(
			c->findings, PA_CHECK_HWPOISON_ACCOUNTING,
			pa_poison_flight_severity(flight, by), PA_NO_PFN,
			PA_NO_PFN,
			"node %u: mf_stats counts %" PRIu64
			" memory failures, their outcomes add up to %" PRIu64,
			node->id, total, sum);

		pa_finding_number(f, "total", (int64_t)total);
		pa_finding_number(f, "sum", (int64_t)sum);
		pa_finding_hex(f, "mf_stats", node->address + stats_at);
		pa_poison_flight_add(f, by);
	}
	return NULL;
}

/* True if it is too low. */
static bool check_total(struct pa_check_context *c, uint64_t total,
			const struct poison_count *count,
			const struct pa_poison_flight *flight)
{
	uint64_t known = count->flagged + count->raw, handlers;
	/* Where the lists are not known, a folio counts as one page. */
	uint64_t all =
		known + count->raw_unknown + count->device + count->offline;
	const struct pa_walker *by = pa_poison_flight_any(flight, &handlers);
	struct pa_finding *f = NULL;

	if (known > total && known - pa_min(known, count->in_flight) > total)
		by = NULL;
	if (known > total)
		f = pa_finding_add(c->findings, PA_CHECK_HWPOISON_ACCOUNTING,
				   pa_poison_flight_severity(flight, by),
				   PA_NO_PFN, PA_NO_PFN,
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
			"device memory, was never flagged, or lost its flag "
			"when its memory was onlined again",
			total, all);
	if (!f)
		return false;
	pa_finding_number(f, "num_poisoned_pages", (int64_t)total);
	pa_finding_number(f, "flagged", (int64_t)count->flagged);
	pa_finding_number(f, "flagged_hugetlb", (int64_t)count->hugetlb);
	pa_finding_number(f, "raw_hugetlb_pages", (int64_t)count->raw);
	pa_finding_number(f, "flagged_device", (int64_t)count->device);
	pa_finding_number(f, "flagged_offline", (int64_t)count->offline);
	pa_finding_number(f, "being_handled", (int64_t)count->in_flight);
	pa_poison_flight_add(f, by);
	return known > total;
}

/* Counts by block: num_poisoned_pages_sub() takes it off the total first. */
static void check_block_total(struct pa_check_context *c, uint64_t total,
			      uint64_t blocks,
			      const struct pa_poison_flight *flight)
{
	uint64_t handlers;
	const struct pa_walker *by = pa_poison_flight_any(flight, &handlers);
	struct pa_finding *f;

	if (blocks - total > handlers)
		by = NULL;
	f = pa_finding_add(c->findings, PA_CHECK_HWPOISON_ACCOUNTING,
			   pa_poison_flight_severity(flight, by), PA_NO_PFN,
			   PA_NO_PFN,
			   "the memory blocks count %" PRIu64
			   " poisoned pages, num_poisoned_pages is %" PRIu64,
			   blocks, total);
	pa_finding_number(f, "blocks", (int64_t)blocks);
	pa_finding_number(f, "num_poisoned_pages", (int64_t)total);
	pa_poison_flight_add(f, by);
}

static struct pa_error *check_counts(struct pa_check_context *c,
				     const struct pa_poison_flight *flight)
{
	const struct pa_kernel *kernel = c->kernel;
	struct poison_count count = count_poisoned(c->census, flight);
	uint64_t total;
	struct pa_error *err = pa_memory_read_u64(
		c->memmap->memory, PA_SYM(kernel->layout, num_poisoned_pages),
		&total);

	if (!err)
		err = count_raw(c, &count);
	if (err)
		return err;

	bool too_low = check_total(c, total, &count, flight);

	if (!kernel->parts[PA_PART_BLOCKS] && kernel->blocks.has_nr_hwpoison) {
		uint64_t blocks = check_blocks(c, flight);

		if (blocks > total && !too_low)
			check_block_total(c, total, blocks, flight);
	}
	return check_node_stats(c, flight);
}

struct pa_error *pa_check_hwpoison_accounting(struct pa_check_context *c,
					      struct pa_check_result *result)
{
	struct pa_poison_flight flight = { 0 };
	struct pa_error *err;

	if (!pa_check_has_poison(c, result))
		return NULL;
	pa_check_scan_coverage(c, result);
	result->examined = c->census->poisoned.length;
	if (!PA_HAS_SYM(c->kernel->layout, num_poisoned_pages)) {
		pa_check_status(result, PA_SKIPPED,
				"no symbol num_poisoned_pages");
		return NULL;
	}
	err = pa_poison_flight_init(c->census, c->memmap->memory, &flight);
	if (!err)
		err = check_counts(c, &flight);
	pa_poison_flight_deinit(&flight);
	return err;
}
