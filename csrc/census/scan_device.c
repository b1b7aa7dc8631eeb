// SPDX-License-Identifier: LGPL-2.1-or-later
/* The rules for device memory: mm/memremap.c. */
#include "census/scan.h"

struct pa_error *pa_scan_device(struct pa_scanner *s, uint8_t *classes,
				const struct pa_memmap_run *run)
{
	const struct pa_page_format *f = s->format;
	const struct pa_pgmap_range *range =
		pa_pgmap_range_at(&s->kernel->pgmaps, run->pfn);
	uint64_t map = s->kernel->pgmaps.maps.items[range->map].address;

	for (uint64_t i = 0; i < run->nr; i++) {
		const uint8_t *page = run->pages + i * f->size;
		uint64_t flags = pa_page_flags(f, page);
		struct pa_error *err = NULL;

		classes[i] = PA_CLASS_DEVICE;
		if (pa_page_zone(f, flags) != (unsigned int)f->zone_device)
			err = pa_scan_anomaly(s, PA_ANOMALY_DEVICE_LINKS,
					      run->pfn + i, flags, 0, 0);
		else if (!pa_page_is_tail(f, page) &&
			 pa_load_u64(page + f->pgmap) != map)
			err = pa_scan_anomaly(s, PA_ANOMALY_DEVICE_PGMAP,
					      run->pfn + i,
					      pa_load_u64(page + f->pgmap), map,
					      0);
		if (!err && flags & f->flag.hwpoison) {
			struct pa_poisoned poisoned = {
				.pfn = run->pfn + i,
				.state = PA_PFN_DEVICE,
				.page_class = PA_CLASS_DEVICE,
				.refcount = pa_page_refcount(f, page),
				.flags = flags,
				.free_pfn = PA_NO_PFN,
				.head_pfn = run->pfn + i,
			};

			classes[i] |= PA_MARK_HWPOISON;
			if (!pa_array_append(&s->poisoned, poisoned))
				err = &pa_error_no_memory;
		}
		if (err)
			return err;
	}
	return NULL;
}
