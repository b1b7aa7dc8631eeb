// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/resource.h"

#include <stdio.h>

/* Of the whole way down: the tree is read as it is found, cycles and all. */
#define MAX_RESOURCES 65536
#define MAX_RESOURCE_BYTES 256

/* A device's window, RAM in it, and what the kernel has of that. */
#define MAX_DEPTH 8

/* Where the names are of the resources that hold @phys, outermost first. */
static struct pa_error *find_names(struct pa_memory *memory,
				   const struct pa_layout *layout,
				   uint64_t phys, uint64_t names[MAX_DEPTH],
				   size_t *nr_ret)
{
	uint64_t root = PA_SYM(layout, iomem_resource), resource = root;
	uint8_t bytes[MAX_RESOURCE_BYTES];
	size_t nr = 0;
	struct pa_error *err;

	if (PA_SIZEOF(layout, resource) > sizeof(bytes))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct resource is not usable");
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
		/* The first is all there is: "PCI mem". */
		if (resource != root) {
			nr -= nr == MAX_DEPTH;
			names[nr++] = PA_GET(layout, bytes, resource, name);
		}
		resource = PA_GET(layout, bytes, resource, child);
	}
	if (resource)
		return pa_error_create(PA_ERROR_CORRUPT,
				       "the resource tree has no end");
	*nr_ret = nr;
	return NULL;
}

static struct pa_error *read_name(struct pa_memory *memory, uint64_t name,
				  char ret[PA_RESOURCE_NAME_MAX])
{
	struct pa_error *err = NULL;

	memset(ret, 0, PA_RESOURCE_NAME_MAX);
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

struct pa_error *pa_resource_name(struct pa_memory *memory,
				  const struct pa_layout *layout, uint64_t phys,
				  char ret[PA_RESOURCE_NAME_MAX])
{
	uint64_t names[MAX_DEPTH];
	size_t nr;
	struct pa_error *err = find_names(memory, layout, phys, names, &nr);

	memset(ret, 0, PA_RESOURCE_NAME_MAX);
	return err || !nr ? err : read_name(memory, names[nr - 1], ret);
}

struct pa_error *pa_resource_path(struct pa_memory *memory,
				  const struct pa_layout *layout, uint64_t phys,
				  char ret[PA_RESOURCE_PATH_MAX])
{
	uint64_t names[MAX_DEPTH];
	size_t nr = 0, used = 0;
	struct pa_error *err = find_names(memory, layout, phys, names, &nr);

	memset(ret, 0, PA_RESOURCE_PATH_MAX);
	for (size_t i = 0; !err && i < nr; i++) {
		char name[PA_RESOURCE_NAME_MAX];

		err = read_name(memory, names[i], name);
		if (!err && used < PA_RESOURCE_PATH_MAX)
			used += (size_t)snprintf(ret + used,
						 PA_RESOURCE_PATH_MAX - used,
						 "%s%s", i ? " / " : "", name);
	}
	return err;
}
