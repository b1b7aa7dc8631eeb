// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/kfence.h"

/* CONFIG_KFENCE_NUM_OBJECTS goes to 65535, struct kfence_metadata is 4 KiB. */
#define MAX_OBJECTS 65535
#define MAX_BYTES 8192

static bool is_known(const struct pa_layout *layout)
{
	uint32_t bytes = PA_SIZEOF(layout, kfence_metadata);

	return PA_HAS_SYM(layout, __kfence_pool) &&
	       PA_HAS_SYM(layout, kfence_metadata) &&
	       PA_HAS(layout, kfence_metadata, state) &&
	       PA_HAS(layout, kfence_metadata, addr) &&
	       PA_HAS(layout, kfence_metadata, cache) &&
	       PA_HAS_ENUM(layout, KFENCE_OBJECT_ALLOCATED) && bytes &&
	       bytes <= MAX_BYTES;
}

struct pa_error *pa_kfence_object_read(const struct pa_kernel *kernel,
				       struct pa_memory *memory,
				       const struct pa_kfence *kfence,
				       uint32_t index,
				       struct pa_kfence_object *ret)
{
	const struct pa_layout *layout = kernel->layout;
	uint32_t bytes = PA_SIZEOF(layout, kfence_metadata);
	uint8_t metadata[MAX_BYTES];
	struct pa_error *err = pa_memory_read(
		memory, kfence->metadata + (uint64_t)index * bytes, bytes,
		metadata);

	if (err)
		return err;
	*ret = (struct pa_kfence_object){
		.address = PA_GET(layout, metadata, kfence_metadata, addr),
		.cache = PA_GET(layout, metadata, kfence_metadata, cache),
		.allocated = PA_GET(layout, metadata, kfence_metadata, state) ==
			     (uint64_t)PA_ENUM(layout, KFENCE_OBJECT_ALLOCATED),
	};
	return NULL;
}

struct pa_error *pa_kfence_init(const struct pa_kernel *kernel,
				struct pa_memory *memory, struct pa_kfence *ret)
{
	const struct pa_layout *layout = kernel->layout;
	unsigned int shift = kernel->space.page_shift;
	struct pa_kfence kfence = { 0 };
	struct pa_error *err;

	*ret = kfence;
	if (!is_known(layout))
		return NULL;
	err = pa_memory_read_u64(memory, PA_SYM(layout, __kfence_pool),
				 &kfence.pool);
	kfence.metadata = PA_SYM(layout, kfence_metadata);
	/* An array until v6.6 allocated it at boot, by a second pointer. */
	if (!err && PA_HAS_SYM(layout, kfence_metadata_init))
		err = pa_memory_read_u64(memory, kfence.metadata,
					 &kfence.metadata);
	if (err || !kfence.pool || !kfence.metadata)
		return err;
	/* An object's address always lies in the page of its number. */
	for (; kfence.nr < MAX_OBJECTS; kfence.nr++) {
		uint64_t page = kfence.pool +
				(((uint64_t)kfence.nr + 1) << (shift + 1));
		struct pa_kfence_object object;

		err = pa_kfence_object_read(kernel, memory, &kfence, kfence.nr,
					    &object);
		/* Behind the array may be nothing. */
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			err = NULL;
			break;
		}
		if (err)
			return err;
		if (pa_align_down(object.address, PA_BIT(shift)) != page)
			break;
	}
	if (kfence.nr)
		*ret = kfence;
	return NULL;
}
