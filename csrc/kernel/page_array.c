// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/page_array.h"

#include <inttypes.h>

/* 1 TiB of pages: io_validate_user_buf_range()'s limit. */
#define MAX_PAGES PA_BIT(28)
/* Pointers that are read at once. */
#define NR_AT_ONCE 512

struct pa_error *pa_page_array_visit(struct pa_memory *memory, uint64_t array,
				     uint64_t nr, pa_page_array_fn visit,
				     void *arg)
{
	uint64_t pages[NR_AT_ONCE];

	if (nr > MAX_PAGES)
		return pa_error_at(PA_ERROR_CORRUPT, array,
				   "array of %" PRIu64 " pages at 0x%" PRIx64,
				   nr, array);
	for (uint64_t done = 0; done < nr; done += NR_AT_ONCE) {
		uint64_t slot = array + done * 8;
		uint64_t part = pa_min(nr - done, NR_AT_ONCE);
		struct pa_error *err =
			pa_memory_read(memory, slot, part * 8, pages);

		if (err)
			return err;
		for (uint64_t i = 0; i < part; i++)
			if (pages[i] &&
			    !visit(arg, done + i, slot + i * 8, pages[i]))
				return NULL;
	}
	return NULL;
}
