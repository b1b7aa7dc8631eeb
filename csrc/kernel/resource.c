// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/resource.h"

#include <inttypes.h>

/* Of the whole way down: the tree is read as it is found, cycles and all. */
#define MAX_RESOURCES 65536
#define MAX_RESOURCE_BYTES 256

struct pa_error *pa_resource_name(struct pa_memory *memory,
				  const struct pa_layout *layout, uint64_t phys,
				  char ret[PA_RESOURCE_NAME_MAX])
{
	uint64_t resource, name = 0;
	uint8_t bytes[MAX_RESOURCE_BYTES];
	struct pa_error *err = NULL;

	memset(ret, 0, PA_RESOURCE_NAME_MAX);
	if (PA_SIZEOF(layout, resource) > sizeof(bytes))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct resource is not usable");
	resource = PA_SYM(layout, iomem_resource);
	for (uint32_t i = 0; resource && i < MAX_RESOURCES; i++) {
		err = pa_memory_read(memory, resource,
				     PA_SIZEOF(layout, resource), bytes);
		if (err)
			return err;
		if (phys < PA_GET(layout, bytes, resource, start) ||
		    phys > PA_GET(layout, bytes, resource, end)) {
			resource = PA_GET(layout, bytes, resource, sibling);
			continue;
		}
		name = PA_GET(layout, bytes, resource, name);
		resource = PA_GET(layout, bytes, resource, child);
	}
	if (resource)
		return pa_error_create(PA_ERROR_CORRUPT,
				       "the resource tree has no end");
	/* A name may end right before memory that is not there. */
	for (size_t i = 0; name && i < PA_RESOURCE_NAME_MAX - 1; i++) {
		err = pa_memory_read(memory, name + i, 1, ret + i);
		if (err || !ret[i])
			break;
		if (ret[i] < ' ' || ret[i] > '~')
			ret[i] = '?';
	}
	if (err)
		memset(ret, 0, PA_RESOURCE_NAME_MAX);
	return err;
}
