/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel image in the target: enough of the architecture to find what the
 * kernel says of itself before anything else is known.
 */
#ifndef PA_TYPES_IMAGE_H
#define PA_TYPES_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "source/source.h"

/* Virtual addresses [start, end) are physical [phys, ...). */
struct pa_image {
	uint64_t start;
	uint64_t end;
	uint64_t phys;
};

/* PA_ERROR_MISSING or PA_ERROR_UNSUPPORTED where it can't be told. */
struct pa_error *pa_image_find(const struct pa_source_info *info,
			       struct pa_image *ret);

struct pa_error *pa_image_read(const struct pa_image *image,
			       struct pa_reader *reader, uint64_t address,
			       uint64_t length, void *buffer);

/* The same into memory of its own, owned by the caller. */
struct pa_error *pa_image_read_new(const struct pa_image *image,
				   struct pa_reader *reader, uint64_t address,
				   size_t length, uint8_t **ret);

#endif
