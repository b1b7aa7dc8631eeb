// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/mapping.h"

#define MAX_MAPPING_BYTES 1024
/* S_DAX, a macro: the same number on every kernel. */
#define S_DAX PA_BIT(13)

struct pa_error *pa_mapping_check(const struct pa_layout *layout)
{
	uint32_t size = PA_SIZEOF(layout, address_space);

	if (size <= MAX_MAPPING_BYTES &&
	    PA_OFFSETOF(layout, address_space, i_pages) +
			    PA_SIZEOF(layout, xarray) <=
		    size &&
	    PA_OFFSETOF(layout, address_space, host) + 8 <= size &&
	    PA_OFFSETOF(layout, address_space, nrpages) + 8 <= size)
		return NULL;
	return pa_error_create(PA_ERROR_MISSING,
			       "struct address_space is not usable");
}

void pa_mapping_load(const struct pa_layout *layout, const uint8_t *bytes,
		     uint64_t address, struct pa_mapping *ret)
{
	ret->address = address;
	ret->host = PA_GET(layout, bytes, address_space, host);
	ret->nrpages = PA_GET(layout, bytes, address_space, nrpages);
	ret->head = pa_load_u64(bytes +
				PA_OFFSETOF(layout, address_space, i_pages) +
				PA_OFFSETOF(layout, xarray, xa_head));
}

struct pa_error *pa_mapping_read(struct pa_memory *memory,
				 const struct pa_layout *layout,
				 uint64_t address, struct pa_mapping *ret)
{
	uint8_t bytes[MAX_MAPPING_BYTES];
	struct pa_error *err = pa_mapping_check(layout);

	if (!err)
		err = pa_memory_read(memory, address,
				     PA_SIZEOF(layout, address_space), bytes);
	if (!err)
		pa_mapping_load(layout, bytes, address, ret);
	return err;
}

struct pa_error *pa_mapping_is_hosts(struct pa_memory *memory,
				     const struct pa_layout *layout,
				     const struct pa_mapping *mapping,
				     bool *ret, bool *dax_ret)
{
	uint64_t i_mapping;
	uint32_t flags;
	struct pa_error *err;

	if (!pa_is_kernel_address(mapping->host) || mapping->host & 7) {
		*ret = *dax_ret = false;
		return NULL;
	}
	err = pa_memory_read_u64(
		memory, mapping->host + PA_OFFSETOF(layout, inode, i_mapping),
		&i_mapping);
	if (!err)
		err = pa_memory_read_u32(
			memory,
			mapping->host + PA_OFFSETOF(layout, inode, i_flags),
			&flags);
	if (err)
		return err;
	*dax_ret = flags & S_DAX;
	*ret = i_mapping == mapping->address ||
	       mapping->host + PA_OFFSETOF(layout, inode, i_data) ==
		       mapping->address;
	return NULL;
}
