// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/slabs.h"

#include <stdlib.h>

struct pa_error *pa_census_slabs(struct pa_census *census, struct pa_job *job)
{
	(void)job;
	census->slabs = calloc(1, sizeof(*census->slabs));
	return census->slabs ? NULL : &pa_error_no_memory;
}

void pa_slabs_destroy(struct pa_slabs *slabs)
{
	if (!slabs)
		return;
	pa_array_deinit(&slabs->list);
	pa_array_deinit(&slabs->by_cache);
	pa_array_deinit(&slabs->caches);
	free(slabs);
}
