// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/memmap.h"

#include <stdlib.h>

/* As much of the memmap as one large leaf of the vmemmap holds. */
#define BUFFER_BYTES PA_BIT(21)

struct pa_error *pa_memmap_create(const struct pa_kernel *kernel,
				  struct pa_memmap **ret)
{
	struct pa_memmap *memmap = calloc(1, sizeof(*memmap));

	if (!memmap)
		return &pa_error_no_memory;
	memmap->kernel = kernel;
	memmap->buffer = malloc(BUFFER_BYTES);

	struct pa_error *err =
		memmap->buffer ? pa_kernel_memory(kernel, &memmap->memory) :
				 &pa_error_no_memory;

	if (err) {
		pa_memmap_destroy(memmap);
		return err;
	}
	*ret = memmap;
	return NULL;
}

void pa_memmap_destroy(struct pa_memmap *memmap)
{
	if (!memmap)
		return;
	pa_memory_destroy(memmap->memory);
	free(memmap->buffer);
	free(memmap);
}

/*
 * Makes [va, va_end) a stretch of the memmap that is physically contiguous,
 * starting at @va and going on to @end at most.
 */
static struct pa_error *translate(struct pa_memmap *memmap, uint64_t va,
				  uint64_t end)
{
	struct pa_translation at = { 0 };
	struct pa_error *err;

	memmap->va = va;
	memmap->va_end = va;
	do {
		err = pa_memory_translate(memmap->memory, memmap->va_end, &at);
		if (pa_error_is_target(err)) {
			/* An absent page table: what it maps is unknown. */
			pa_error_destroy(err);
			err = NULL;
			at.mapped = false;
			at.length = PA_BIT(memmap->kernel->space.page_shift) -
				    (memmap->va_end &
				     PA_MASK(memmap->kernel->space.page_shift));
		}
		if (err)
			return err;
		if (memmap->va_end == va) {
			memmap->mapped = at.mapped;
			memmap->phys = at.phys;
		} else if (at.mapped != memmap->mapped ||
			   (at.mapped &&
			    at.phys != memmap->phys + (memmap->va_end - va))) {
			break;
		}
		memmap->va_end +=
			pa_min(at.length, UINT64_MAX - memmap->va_end);
	} while (memmap->va_end < end);
	return NULL;
}

/* One struct page that two runs of memory share. */
static struct pa_error *split_page(struct pa_memmap *memmap, uint64_t pfn,
				   struct pa_memmap_run *ret)
{
	uint32_t size = memmap->kernel->page_format.size;
	struct pa_error *err = pa_memory_read(
		memmap->memory, pa_pfn_to_page(memmap->kernel, pfn), size,
		memmap->buffer);

	*ret = (struct pa_memmap_run){ .presence = PA_PRESENT,
				       .pfn = pfn,
				       .nr = 1,
				       .pages = memmap->buffer };
	if (pa_error_is_absent(err)) {
		ret->presence = err->code == PA_ERROR_EXCLUDED ? PA_EXCLUDED :
								 PA_UNREADABLE;
		ret->pages = NULL;
		pa_error_destroy(err);
		err = NULL;
	}
	return err;
}

struct pa_error *pa_memmap_run(struct pa_memmap *memmap, uint64_t pfn,
			       uint64_t nr, struct pa_memmap_run *ret)
{
	const struct pa_kernel *kernel = memmap->kernel;
	uint32_t size = kernel->page_format.size;
	uint64_t va = pa_pfn_to_page(kernel, pfn);

	nr = pa_min(nr, BUFFER_BYTES / size);

	uint64_t end = va + nr * size;

	/* vmemmap_base can't be right: struct pages beyond all addresses. */
	if (end < va) {
		*ret = (struct pa_memmap_run){
			.presence = PA_UNREADABLE,
			.pfn = pfn,
			.nr = nr,
		};
		return NULL;
	}
	if (va < memmap->va || va >= memmap->va_end) {
		struct pa_error *err = translate(memmap, va, end);

		if (err)
			return err;
	}

	uint64_t length = pa_min(end, memmap->va_end) - va;

	if (!memmap->mapped) {
		*ret = (struct pa_memmap_run){
			.presence = PA_UNREADABLE,
			.pfn = pfn,
			.nr = pa_max(length / size, 1),
		};
		return NULL;
	}
	/* Struct pages of odd sizes can lie across two leaves. */
	if (length < size)
		return split_page(memmap, pfn, ret);

	struct pa_run run;
	struct pa_error *err = pa_reader_run(memmap->memory->reader,
					     memmap->phys + (va - memmap->va),
					     length - length % size,
					     memmap->buffer, &run);

	if (err)
		return err;
	if (run.length < size)
		return split_page(memmap, pfn, ret);
	*ret = (struct pa_memmap_run){
		.presence = run.presence,
		.pfn = pfn,
		.nr = run.length / size,
		.pages = run.data,
	};
	return NULL;
}

struct pa_error *pa_memmap_page(struct pa_memmap *memmap, uint64_t pfn,
				uint64_t nr, const uint8_t **ret)
{
	const struct pa_kernel *kernel = memmap->kernel;
	uint64_t bytes = nr * kernel->page_format.size;

	if (bytes > sizeof(memmap->page))
		return pa_error_create(PA_ERROR_INVALID,
				       "too many struct pages at once");

	struct pa_error *err = pa_memory_read(memmap->memory,
					      pa_pfn_to_page(kernel, pfn),
					      bytes, memmap->page);

	if (!err)
		*ret = memmap->page;
	return err;
}
