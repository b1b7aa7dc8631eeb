// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/raw_hwp.h"

#include <inttypes.h>

/* As many as a huge page of 1 GiB has pages. */
#define MAX_RAW_PAGES PA_BIT(18)

/* raw_hwp_list_head(): false where the kernel has none. */
static bool find_list(const struct pa_kernel *kernel, uint64_t head_pfn,
		      uint64_t *ret)
{
	const struct pa_layout *layout = kernel->layout;
	uint64_t page = pa_pfn_to_page(kernel, head_pfn);

	if (PA_HAS(layout, folio, _hugetlb_hwpoison))
		*ret = page + PA_OFFSETOF(layout, folio, _hugetlb_hwpoison);
	else if (PA_HAS_ENUM(layout, SUBPAGE_INDEX_HWPOISON) &&
		 PA_ENUM(layout, SUBPAGE_INDEX_HWPOISON) > 0 &&
		 PA_ENUM(layout, SUBPAGE_INDEX_HWPOISON) < 64)
		*ret = page +
		       (uint64_t)PA_ENUM(layout, SUBPAGE_INDEX_HWPOISON) *
			       kernel->page_format.size +
		       kernel->page_format.private_;
	else
		return false;
	return true;
}

struct pa_error *pa_raw_hwp_read(const struct pa_kernel *kernel,
				 struct pa_memory *memory, uint64_t head_pfn,
				 struct pa_raw_hwp *ret)
{
	const struct pa_layout *layout = kernel->layout;
	uint64_t head, next;
	struct pa_error *err;

	if (!find_list(kernel, head_pfn, &head) ||
	    !PA_HAS(layout, raw_hwp_page, page) ||
	    !PA_HAS(layout, raw_hwp_page, node))
		return pa_error_create(PA_ERROR_MISSING,
				       "no raw_hwp_list that is known");
	err = pa_memory_read_u64(memory, head, &next);
	while (!err && next) {
		uint64_t entry = next - PA_OFFSETOF(layout, raw_hwp_page, node);
		uint64_t page, pfn;

		if (!pa_is_kernel_address(next) ||
		    ret->pfns.length >= MAX_RAW_PAGES)
			return pa_error_at(PA_ERROR_CORRUPT, head,
					   "no raw_hwp_list at 0x%" PRIx64,
					   head);
		err = pa_memory_read_u64(
			memory, entry + PA_OFFSETOF(layout, raw_hwp_page, page),
			&page);
		if (!err)
			err = pa_memory_read_u64(memory, next, &next);
		if (err)
			break;
		if (!pa_page_to_pfn(kernel, page, &pfn))
			return pa_error_at(PA_ERROR_CORRUPT, entry,
					   "no raw_hwp_page at 0x%" PRIx64,
					   entry);
		if (!pa_array_append(&ret->pfns, pfn))
			return &pa_error_no_memory;
	}
	return err;
}

void pa_raw_hwp_deinit(struct pa_raw_hwp *raw)
{
	pa_array_deinit(&raw->pfns);
}
