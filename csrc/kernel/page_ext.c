// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/page_ext.h"

#include <inttypes.h>

/*
 * PAGE_EXT_INVALID, since v5.19 (commit b1d5488a2529): the section is going
 * offline and its records are about to be freed.
 */
#define INVALID UINT64_C(1)
/* Far above what all features together take (up to 88 bytes). */
#define MAX_RECORD_BYTES 4096

struct pa_error *pa_page_ext_find(const struct pa_kernel *kernel,
				  struct pa_memory *memory, uint64_t pfn,
				  uint64_t *ret)
{
	const struct pa_layout *layout = kernel->layout;
	const struct pa_section *section =
		pa_pfn_to_section(&kernel->sections, pfn);
	uint64_t size;

	if (!PA_HAS(layout, mem_section, page_ext) ||
	    !PA_HAS_SYM(layout, page_ext_size))
		return pa_error_create(PA_ERROR_MISSING,
				       "the kernel was built without page_ext");
	if (!section || !section->page_ext || section->page_ext & INVALID) {
		*ret = 0;
		return NULL;
	}

	struct pa_error *err = pa_memory_read_u64(
		memory, PA_SYM(layout, page_ext_size), &size);

	if (err)
		return err;
	if (!size || size > MAX_RECORD_BYTES)
		return pa_error_at(PA_ERROR_CORRUPT,
				   PA_SYM(layout, page_ext_size),
				   "page_ext_size is %" PRIu64, size);
	/*
	 * lookup_page_ext(): what the section names is where the record of pfn
	 * 0 would be, far outside of any mapping.
	 */
	uint64_t address = section->page_ext + size * pfn;

	if (!pa_is_kernel_address(address))
		return pa_error_at(PA_ERROR_CORRUPT, address,
				   "the section's page_ext is no address");
	*ret = address;
	return NULL;
}
