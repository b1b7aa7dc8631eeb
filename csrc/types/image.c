// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/image.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "source/vmcoreinfo.h"

/* __START_KERNEL_map (arch/x86/include/asm/page_64_types.h), 1 GiB at most. */
#define X86_64_START UINT64_C(0xffffffff80000000)
#define X86_64_SIZE UINT64_C(0x40000000)

struct pa_error *pa_image_find(const struct pa_source_info *info,
			       struct pa_image *ret)
{
	int64_t phys_base;

	if (!info->vmcoreinfo)
		return pa_error_create(
			PA_ERROR_MISSING,
			"the target has no VMCOREINFO note, which tells where the kernel is");
	if (info->machine != EM_X86_64 && info->machine != EM_NONE)
		return pa_error_create(
			PA_ERROR_UNSUPPORTED,
			"the target is of another architecture than x86_64");
	if (!pa_vmcoreinfo_number(info->vmcoreinfo, "NUMBER(phys_base)",
				  &phys_base))
		return pa_error_create(PA_ERROR_MISSING,
				       "VMCOREINFO lacks NUMBER(phys_base)");
	/* __pa_symbol(): negative where loaded below the link address. */
	*ret = (struct pa_image){
		.start = X86_64_START,
		.end = X86_64_START + X86_64_SIZE,
		.phys = (uint64_t)phys_base,
	};
	return NULL;
}

struct pa_error *pa_image_read(const struct pa_image *image,
			       struct pa_reader *reader, uint64_t address,
			       uint64_t length, void *buffer)
{
	if (address < image->start || address >= image->end ||
	    length > image->end - address)
		return pa_error_at(PA_ERROR_CORRUPT, address,
				   "0x%" PRIx64 " is not in the kernel image",
				   address);
	return pa_reader_read(reader, address - image->start + image->phys,
			      length, buffer);
}

struct pa_error *pa_image_read_new(const struct pa_image *image,
				   struct pa_reader *reader, uint64_t address,
				   size_t length, uint8_t **ret)
{
	pa_auto_free uint8_t *data = malloc(length);
	struct pa_error *err;

	if (!data)
		return &pa_error_no_memory;
	err = pa_image_read(image, reader, address, length, data);
	if (!err)
		*ret = pa_take(data);
	return err;
}
