// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/pmem.h"

/* struct pmem_device is smaller, whatever locks are debugged. */
#define MAX_PMEM_BYTES 4096

/*
 * struct pmem_device is the module's own, whose types need not be known. On all
 * kernels ->disk is its member right before ->pgmap; that it is a disk is
 * certain where the disk's private_data points back to the same pmem_device
 * (pmem_attach_disk()).
 */
struct pa_error *pa_pmem_disk_name(struct pa_memory *memory,
				   const struct pa_layout *layout,
				   uint64_t pgmap, char ret[PA_DISK_NAME_MAX])
{
	const struct pa_member *name = PA_M(layout, gendisk, disk_name);
	uint64_t disk = 0, pmem = 0;
	struct pa_error *err = NULL;
	size_t length;

	memset(ret, 0, PA_DISK_NAME_MAX);
	if (name->known && PA_HAS(layout, gendisk, private_data))
		err = pa_memory_read_u64(memory, pgmap - sizeof(disk), &disk);
	if (!err && pa_is_kernel_address(disk))
		err = pa_memory_read_u64(memory,
					 disk + PA_OFFSETOF(layout, gendisk,
							    private_data),
					 &pmem);
	if (!err && pmem < pgmap && pgmap - pmem < MAX_PMEM_BYTES)
		err = pa_memory_read(memory, disk + name->offset,
				     pa_min(name->size, PA_DISK_NAME_MAX - 1),
				     ret);
	if (err)
		return err;
	length = strlen(ret);
	for (size_t i = 0; i < length; i++)
		if (ret[i] < ' ' || ret[i] > '~')
			ret[i] = '?';
	return length ? NULL :
			pa_error_create(PA_ERROR_MISSING, "no disk of pmem");
}
