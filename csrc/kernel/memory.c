// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct pa_error *pa_memory_create(struct pa_source *source,
				  const struct pa_arch *arch,
				  const struct pa_address_space *space,
				  struct pa_memory **ret)
{
	struct pa_memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return &pa_error_no_memory;
	memory->arch = arch;
	memory->space = space;

	struct pa_error *err = pa_reader_create(source, &memory->reader);

	if (err) {
		free(memory);
		return err;
	}
	*ret = memory;
	return NULL;
}

void pa_memory_destroy(struct pa_memory *memory)
{
	if (!memory)
		return;
	pa_reader_destroy(memory->reader);
	free(memory);
}

struct pa_error *pa_memory_table(struct pa_memory *memory, unsigned int level,
				 uint64_t phys, const uint64_t **ret)
{
	struct pa_table_cache *cache = &memory->tables[level];

	if (!cache->valid || cache->phys != phys) {
		cache->valid = false;
		struct pa_error *err = pa_reader_read(memory->reader, phys,
						      sizeof(cache->entries),
						      cache->entries);

		if (err)
			return err;
		cache->phys = phys;
		cache->valid = true;
	}
	*ret = cache->entries;
	return NULL;
}

struct pa_error *pa_memory_translate(struct pa_memory *memory, uint64_t va,
				     struct pa_translation *ret)
{
	const struct pa_address_space *space = memory->space;

	if (va >= space->image_start && va < space->image_end) {
		*ret = (struct pa_translation){
			.mapped = true,
			.phys = va - space->image_start + space->image_phys,
			.length = space->image_end - va,
		};
		return NULL;
	}
	if (va >= space->direct_start && va < space->direct_end) {
		*ret = (struct pa_translation){
			.mapped = true,
			.phys = va - space->direct_start,
			.length = space->direct_end - va,
		};
		return NULL;
	}
	return memory->arch->translate(memory, va, ret);
}

struct pa_error *pa_memory_read(struct pa_memory *memory, uint64_t va,
				uint64_t length, void *buffer)
{
	uint8_t *to = buffer;

	if (length && va + (length - 1) < va)
		return pa_error_at(PA_ERROR_UNREADABLE, va,
				   "address 0x%" PRIx64 " wraps round", va);
	while (length) {
		struct pa_translation at;
		struct pa_error *err = pa_memory_translate(memory, va, &at);

		if (err)
			return err;
		if (!at.mapped)
			return pa_error_at(PA_ERROR_UNREADABLE, va,
					   "kernel address 0x%" PRIx64
					   " is not mapped",
					   va);

		uint64_t part = pa_min(at.length, length);

		err = pa_reader_read(memory->reader, at.phys, part, to);
		if (err)
			return err;
		va += part;
		to += part;
		length -= part;
	}
	return NULL;
}

struct pa_error *pa_memory_read_near(struct pa_memory *memory,
				     struct pa_memory_page *page, uint64_t va,
				     uint64_t length, void *buffer)
{
	uint64_t at = va % sizeof(page->bytes);

	if (at + length > sizeof(page->bytes))
		return pa_memory_read(memory, va, length, buffer);
	if (page->va != va - at) {
		struct pa_error *err;

		page->va = 0;
		err = pa_memory_read(memory, va - at, sizeof(page->bytes),
				     page->bytes);
		/* Of a damaged dump a part of it may be there. */
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			return pa_memory_read(memory, va, length, buffer);
		}
		if (err)
			return err;
		page->va = va - at;
	}
	memcpy(buffer, page->bytes + at, length);
	return NULL;
}

struct pa_error *pa_memory_read_u32(struct pa_memory *memory, uint64_t va,
				    uint32_t *ret)
{
	return pa_memory_read(memory, va, sizeof(*ret), ret);
}

struct pa_error *pa_memory_read_u64(struct pa_memory *memory, uint64_t va,
				    uint64_t *ret)
{
	return pa_memory_read(memory, va, sizeof(*ret), ret);
}

struct pa_error *pa_memory_read_string(struct pa_memory *memory, uint64_t va,
				       char *buffer, uint64_t size)
{
	/* By small steps: the page behind the string may be absent. */
	for (uint64_t i = 0; i + 1 < size; i++) {
		struct pa_error *err =
			pa_memory_read(memory, va + i, 1, &buffer[i]);

		if (err)
			return err;
		if (!buffer[i])
			return NULL;
	}
	buffer[size - 1] = '\0';
	return NULL;
}
