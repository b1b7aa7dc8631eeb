/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Block devices over persistent memory: drivers/nvdimm/pmem.c. */
#ifndef PA_KERNEL_PMEM_H
#define PA_KERNEL_PMEM_H

#include "kernel/memory.h"

/* DISK_NAME_LEN: "pmem0". */
#define PA_DISK_NAME_MAX 32

/*
 * Name of the disk whose driver has the pgmap at @pgmap inside of its struct
 * pmem_device. PA_ERROR_MISSING where it is no such pgmap.
 */
struct pa_error *pa_pmem_disk_name(struct pa_memory *memory,
				   const struct pa_layout *layout,
				   uint64_t pgmap, char ret[PA_DISK_NAME_MAX]);

#endif
