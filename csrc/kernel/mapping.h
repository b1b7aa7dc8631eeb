/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* struct address_space, and the inode that it belongs to: include/linux/fs.h. */
#ifndef PA_KERNEL_MAPPING_H
#define PA_KERNEL_MAPPING_H

#include "kernel/memory.h"
#include "types/layout.h"

struct pa_mapping {
	/* Virtual addresses of the address_space and of its inode. */
	uint64_t address, host;
	/* i_pages.xa_head. */
	uint64_t head;
	uint64_t nrpages;
};

/* PA_ERROR_MISSING where struct address_space can't be what we know. */
struct pa_error *pa_mapping_check(const struct pa_layout *layout);

/* Of the bytes of the struct address_space at @address. */
void pa_mapping_load(const struct pa_layout *layout, const uint8_t *bytes,
		     uint64_t address, struct pa_mapping *ret);

struct pa_error *pa_mapping_read(struct pa_memory *memory,
				 const struct pa_layout *layout,
				 uint64_t address, struct pa_mapping *ret);

/*
 * Whether @mapping is the one that its host has, as in nearly all file systems:
 * the host's own, or its i_mapping. *dax_ret: the host is IS_DAX().
 */
struct pa_error *pa_mapping_is_hosts(struct pa_memory *memory,
				     const struct pa_layout *layout,
				     const struct pa_mapping *mapping,
				     bool *ret, bool *dax_ret);

#endif
