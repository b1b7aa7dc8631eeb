// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/page_pool.h"

/* PP_SIGNATURE: 0x40 + POISON_POINTER_DELTA, which is x86's. */
#define SIGNATURE UINT64_C(0xdead000000000040)
/*
 * PP_MAGIC_MASK leaves out the two lowest bits, and those of the DMA mapping's
 * number (v6.16, and in stable v6.12).
 */
#define SIGNATURE_MASK (~(UINT64_C(0xffffffff) << 7 | 3))

bool pa_page_is_pools(struct pa_memmap *memmap, uint64_t pfn)
{
	const struct pa_kernel *kernel = memmap->kernel;
	const struct pa_layout *layout = kernel->layout;
	const uint8_t *page;
	struct pa_error *err;

	if (!PA_HAS(layout, page, pp_magic))
		return false;
	err = pa_memmap_page(memmap, pfn, 1, &page);
	if (!err && pa_page_is_tail(&kernel->page_format, page)) {
		uint64_t head = pa_page_head(&kernel->page_format, page,
					     pa_pfn_to_page(kernel, pfn));

		if (!pa_page_to_pfn(kernel, head, &pfn))
			return false;
		err = pa_memmap_page(memmap, pfn, 1, &page);
	}
	if (err) {
		pa_error_destroy(err);
		return false;
	}
	return (PA_GET(layout, page, page, pp_magic) & SIGNATURE_MASK) ==
	       SIGNATURE;
}
