// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/census.h"

#include <stdlib.h>

#include "census/counts.h"
#include "census/excess.h"
#include "census/files.h"
#include "census/holder.h"
#include "census/hugetlb.h"
#include "census/isolated.h"
#include "census/lru.h"
#include "census/mapped.h"
#include "census/page_cache.h"
#include "census/page_table.h"
#include "census/slabs.h"

const char *const pa_target_names[PA_NR_TARGETS] = {
	[PA_TARGET_USABLE] = "usable",
	[PA_TARGET_FREE] = "free",
	[PA_TARGET_OFFLINE] = "in an offline section",
	[PA_TARGET_ABSENT] = "in an absent or removed section",
	[PA_TARGET_HOLE] = "in a subsection hole",
	[PA_TARGET_ALTMAP] = "altmap metadata",
	[PA_TARGET_DEVICE] = "ZONE_DEVICE memory",
	[PA_TARGET_MISALIGNED] = "not at a struct page's start",
	[PA_TARGET_OUTSIDE] = "outside of the memory map",
	[PA_TARGET_UNKNOWN] = "unknown",
};

const char *const pa_census_part_names[PA_NR_CENSUS_PARTS] = {
	[PA_CENSUS_SCAN] = "memory map",
	[PA_CENSUS_BUDDY] = "buddy",
	[PA_CENSUS_PCP] = "per-cpu lists",
	[PA_CENSUS_LRU] = "LRU",
	[PA_CENSUS_TAKEN] = "pages in transit",
	[PA_CENSUS_HUGETLB] = "hugetlb",
	[PA_CENSUS_SLABS] = "slabs",
	[PA_CENSUS_MAPPED] = "mappings named by folios",
	[PA_CENSUS_HOLDERS] = "holders",
	[PA_CENSUS_COUNTS] = "counts",
	[PA_CENSUS_EXCESS] = "what else names folios",
};

enum pa_target pa_census_target(const struct pa_census *census, uint64_t page,
				uint64_t *pfn_ret)
{
	static const enum pa_target targets[PA_NR_PFN_STATES] = {
		[PA_PFN_ABSENT] = PA_TARGET_ABSENT,
		[PA_PFN_HOLE] = PA_TARGET_HOLE,
		[PA_PFN_OFFLINE] = PA_TARGET_OFFLINE,
		[PA_PFN_DEVICE] = PA_TARGET_DEVICE,
		[PA_PFN_ALTMAP] = PA_TARGET_ALTMAP,
		[PA_PFN_ONLINE] = PA_TARGET_USABLE,
		[PA_PFN_UNKNOWN] = PA_TARGET_UNKNOWN,
	};
	uint64_t pfn;
	bool aligned = pa_page_to_pfn(census->kernel, page, &pfn);

	*pfn_ret = pfn;
	if (pfn == PA_NO_PFN)
		return PA_TARGET_OUTSIDE;
	if (!aligned)
		return PA_TARGET_MISALIGNED;

	enum pa_target target = targets[pa_pfn_state(census->kernel, pfn)];

	if (target != PA_TARGET_USABLE)
		return target;

	const uint8_t *byte = pa_census_class(census, pfn);
	uint8_t class = byte ? *byte & PA_CLASS_MASK : PA_CLASS_UNKNOWN;

	if (class == PA_CLASS_UNKNOWN)
		return PA_TARGET_UNKNOWN;
	if (class >= PA_CLASS_FREE || class == PA_CLASS_FREE_BODY ||
	    class == PA_CLASS_PCP)
		return PA_TARGET_FREE;
	return PA_TARGET_USABLE;
}

bool pa_census_judges(const struct pa_census *census,
		      struct pa_disturbed *disturbed, uint64_t pfn, bool *ret)
{
	*ret = !census->earlier ||
	       pa_disturbed_has(&census->earlier->disturbed, pfn);
	return !census->earlier || pa_disturbed_add(disturbed, pfn);
}

void pa_census_destroy(struct pa_census *census)
{
	if (!census)
		return;
	if (census->classes)
		for (size_t i = 0; i < census->kernel->sections.list.length;
		     i++)
			free(census->classes[i]);
	free(census->classes);
	free(census->zones);
	pa_zones_deinit(&census->zones_listed);
	pa_zones_deinit(&census->zones_counted);
	pa_cpu_tasks_deinit(&census->cpu_tasks);
	pa_array_deinit(&census->anomalies);
	pa_array_deinit(&census->poisoned);
	pa_array_deinit(&census->hugetlb);
	pa_stacks_deinit(&census->stacks);
	pa_array_deinit(&census->handled);
	pa_array_for_each(fault, &census->faults)
		free(fault->list);
	pa_array_deinit(&census->faults);
	pa_disturbed_deinit(&census->disturbed);
	pa_disturbed_deinit(&census->unread);
	pa_lru_census_destroy(census->lru);
	pa_hugetlb_census_destroy(census->hugetlb_pools);
	pa_slabs_destroy(census->slabs);
	pa_mapped_destroy(census->mapped);
	pa_page_cache_destroy(census->page_cache);
	pa_isolated_census_destroy(census->isolated);
	pa_files_destroy(census->files);
	pa_page_tables_destroy(census->page_tables);
	pa_excess_destroy(census->excess);
	pa_counts_destroy(census->counts);
	if (census->accounts)
		pa_accounts_deinit(census->accounts);
	free(census->accounts);
	for (int i = 0; census->holders && i < PA_NR_HOLDERS; i++)
		pa_error_destroy(census->holders[i].err);
	free(census->holders);
	for (int i = 0; i < PA_NR_CENSUS_PARTS; i++)
		pa_error_destroy(census->parts[i].err);
	free(census);
}

/* The parts, each with what builds it; holders come after the scan. */
static struct pa_error *(*const part_builders[PA_NR_CENSUS_PARTS])(
	struct pa_census *census, struct pa_job *job) = {
	[PA_CENSUS_SCAN] = pa_census_scan,
	[PA_CENSUS_BUDDY] = pa_census_buddy,
	[PA_CENSUS_PCP] = pa_census_pcp,
	[PA_CENSUS_LRU] = pa_census_lru,
	[PA_CENSUS_TAKEN] = pa_census_taken,
	[PA_CENSUS_HUGETLB] = pa_census_hugetlb,
	[PA_CENSUS_SLABS] = pa_census_slabs,
	[PA_CENSUS_MAPPED] = pa_census_mapped,
	[PA_CENSUS_HOLDERS] = pa_census_holders,
	[PA_CENSUS_COUNTS] = pa_census_counts,
	[PA_CENSUS_EXCESS] = pa_census_excess,
};

struct pa_error *pa_census_create(const struct pa_kernel *kernel,
				  bool references,
				  const struct pa_earlier *earlier,
				  struct pa_job *job, struct pa_census **ret)
{
	struct pa_census *census = calloc(1, sizeof(*census));

	if (!census)
		return &pa_error_no_memory;
	census->kernel = kernel;
	census->earlier = earlier;
	census->classes =
		calloc(kernel->sections.list.length, sizeof(*census->classes));
	census->zones =
		calloc(kernel->zones.list.length + 1, sizeof(*census->zones));
	if (!census->classes || !census->zones) {
		pa_census_destroy(census);
		return &pa_error_no_memory;
	}

	int end = references ? PA_NR_CENSUS_PARTS : PA_CENSUS_SLABS;

	for (int i = 0; i < end; i++) {
		struct pa_census_part_result *part = &census->parts[i];
		double start = pa_job_clock();
		struct pa_error *err = part_builders[i](census, job);

		part->seconds = pa_job_clock() - start;
		/* What the target lacks is the part's; the rest is ours. */
		if (pa_error_is_target(err) ||
		    (err && err->code == PA_ERROR_MISSING)) {
			part->err = err;
			continue;
		}
		if (err) {
			pa_census_destroy(census);
			return err;
		}
	}
	*ret = census;
	return NULL;
}
