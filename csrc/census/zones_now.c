// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/zones_now.h"

struct pa_error *pa_zones_now(const struct pa_census *census,
			      struct pa_zones *ret)
{
	const struct pa_kernel *kernel = census->kernel;
	struct pa_memory *memory;
	struct pa_error *err;

	if (!kernel->source->info.live)
		return NULL;
	err = pa_kernel_memory(kernel, &memory);
	if (err)
		return err;
	err = pa_zones_init(memory, kernel->layout,
			    kernel->source->info.vmcoreinfo, &kernel->cpus,
			    ret);
	pa_memory_destroy(memory);
	if (!err && (ret->list.length != kernel->zones.list.length ||
		     ret->nodes.length != kernel->zones.nodes.length))
		err = pa_error_create(PA_ERROR_CORRUPT,
				      "zones appeared or went meanwhile");
	return err;
}
