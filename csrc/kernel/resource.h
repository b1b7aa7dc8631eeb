/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The resource tree, /proc/iomem: kernel/resource.c. */
#ifndef PA_KERNEL_RESOURCE_H
#define PA_KERNEL_RESOURCE_H

#include "kernel/memory.h"

/* What is kept of a resource's name: "namespace0.0", "dax1.0". */
#define PA_RESOURCE_NAME_MAX 48

/*
 * Name of the innermost resource that holds a physical address: of memory that
 * a driver has claimed, its device. Empty where there is none.
 */
struct pa_error *pa_resource_name(struct pa_memory *memory,
				  const struct pa_layout *layout, uint64_t phys,
				  char ret[PA_RESOURCE_NAME_MAX]);

/* Room for the names of a few, outermost first: more are cut off. */
#define PA_RESOURCE_PATH_MAX 160

/*
 * Who has claimed a physical address: "virtio0 / System RAM (virtio_mem)".
 * Empty where nobody has.
 */
struct pa_error *pa_resource_path(struct pa_memory *memory,
				  const struct pa_layout *layout, uint64_t phys,
				  char ret[PA_RESOURCE_PATH_MAX]);

#endif
