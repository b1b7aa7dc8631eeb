// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/place.h"

#include <stdlib.h>

#include "kernel/stack.h"
#include "types/kallsyms_tables.h"

#define PAGE_BYTES UINT64_C(4096)

const char *const pa_place_names[PA_NR_PLACE_KINDS] = {
	[PA_PLACE_UNKNOWN] = "unknown",
	[PA_PLACE_REGISTER] = "register",
	[PA_PLACE_STACK] = "stack",
	[PA_PLACE_SLAB] = "slab",
	[PA_PLACE_PER_CPU] = "per-cpu",
	[PA_PLACE_IMAGE] = "kernel image",
	[PA_PLACE_VMALLOC] = "vmalloc",
	[PA_PLACE_PAGE] = "page",
	[PA_PLACE_NOT_KERNEL] = "not kernel memory",
};

static struct pa_error *read_symbols(struct pa_places *places,
				     struct pa_memory *memory)
{
	const struct pa_kernel *kernel = places->census->kernel;
	struct pa_error *err;

	places->kallsyms = kernel->kallsyms;
	if (places->kallsyms)
		return NULL;
	err = pa_kallsyms_from_target(memory->reader, kernel->layout,
				      &places->own_kallsyms);
	places->kallsyms = places->own_kallsyms;
	/* Names are worth having, not more. */
	if (err && err->code != PA_ERROR_NO_MEMORY &&
	    err->code != PA_ERROR_CANCELLED) {
		pa_error_destroy(err);
		err = NULL;
	}
	return err;
}

static struct pa_error *read_per_cpu(struct pa_places *places,
				     struct pa_memory *memory)
{
	const struct pa_layout *layout = places->census->kernel->layout;
	uint32_t unit;

	if (!PA_HAS_SYM(layout, __per_cpu_start) ||
	    !PA_HAS_SYM(layout, __per_cpu_end))
		return NULL;
	places->per_cpu_start = PA_SYM(layout, __per_cpu_start);
	places->per_cpu_bytes =
		PA_SYM(layout, __per_cpu_end) - places->per_cpu_start;
	if (!PA_HAS_SYM(layout, pcpu_unit_size))
		return NULL;

	/* Behind the static part is what modules and others were given. */
	struct pa_error *err = pa_memory_read_u32(
		memory, PA_SYM(layout, pcpu_unit_size), &unit);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (!err && unit > places->per_cpu_bytes && unit <= PA_BIT(30))
		places->per_cpu_bytes = unit;
	return err;
}

static void find_image(struct pa_places *places)
{
	const struct pa_layout *layout = places->census->kernel->layout;

	places->image_start = PA_SYM(layout, _text);
	places->image_end = PA_HAS_SYM(layout, _end) ? PA_SYM(layout, _end) : 0;
	places->text_start = places->image_start;
	places->text_end = PA_HAS_SYM(layout, _etext) ? PA_SYM(layout, _etext) :
							0;
}

struct pa_error *pa_places_create(const struct pa_census *census,
				  struct pa_memory *memory,
				  struct pa_places **ret)
{
	struct pa_places *places = calloc(1, sizeof(*places));

	if (!places)
		return &pa_error_no_memory;
	places->census = census;
	find_image(places);

	struct pa_error *err =
		pa_kernel_tables_init(census->kernel, memory, &places->tables);

	if (!err)
		err = pa_stack_pages_init(census, &places->tables, memory,
					  &places->stacks);
	if (!err)
		err = read_per_cpu(places, memory);
	if (!err)
		err = read_symbols(places, memory);
	if (err) {
		pa_places_destroy(places);
		return err;
	}
	*ret = places;
	return NULL;
}

void pa_places_destroy(struct pa_places *places)
{
	if (!places)
		return;
	pa_kernel_tables_deinit(&places->tables);
	pa_stack_pages_deinit(&places->stacks);
	pa_kallsyms_destroy(places->own_kallsyms);
	free(places);
}

bool pa_place_is_text(const struct pa_places *places, uint64_t va)
{
	const struct pa_kernel_mapping *mapping;

	if (va >= places->text_start && va < places->text_end)
		return true;
	mapping = pa_kernel_mapping_find(&places->tables, va);
	return mapping && mapping->executable;
}

uint64_t pa_place_head(const struct pa_census *census, uint64_t pfn)
{
	while (pfn) {
		const uint8_t *byte = pa_census_class(census, pfn);

		if (!byte || (*byte & PA_CLASS_MASK) != PA_CLASS_TAIL)
			break;
		pfn--;
	}
	return pfn;
}

/* The address in the kernel's image, or 0. */
static uint64_t image_address(const struct pa_places *places, uint64_t phys)
{
	const struct pa_address_space *space = &places->census->kernel->space;
	uint64_t va = phys - space->image_phys + space->image_start;

	return va >= places->image_start && va < places->image_end ? va : 0;
}

uint64_t pa_place_address(const struct pa_places *places, uint64_t phys)
{
	uint64_t va = image_address(places, phys);
	const struct pa_kernel_mapping *mapping;

	if (va)
		return va;
	mapping = pa_kernel_mapping_of(&places->tables, phys);
	if (mapping)
		return mapping->va + (phys - mapping->phys);
	return places->census->kernel->space.direct_start + phys;
}

/* Words looked at on either side: a frame is seldom larger. */
#define MAX_FRAME_WORDS 512

/* The first return address from @va on, going up or down; 0 if none. */
static struct pa_error *find_return(const struct pa_places *places,
				    struct pa_memory *memory, uint64_t va,
				    uint64_t low, uint64_t high, bool up,
				    uint64_t *ret)
{
	*ret = 0;
	for (int i = 0; i < MAX_FRAME_WORDS; i++) {
		uint64_t word;

		if (up ? va + 16 > high : va < low + 8)
			return NULL;
		va = up ? va + 8 : va - 8;

		struct pa_error *err = pa_memory_read_u64(memory, va, &word);

		if (err)
			return err;
		if (pa_place_is_text(places, word)) {
			*ret = word;
			return NULL;
		}
	}
	return NULL;
}

static struct pa_error *find_on_stack(const struct pa_places *places,
				      struct pa_memory *memory,
				      const struct pa_stack_page *page,
				      struct pa_place *place)
{
	uint64_t inside = place->phys % PAGE_BYTES;
	uint64_t va = pa_align_down(page->va + inside, 8);
	struct pa_error *err;

	place->kind = PA_PLACE_STACK;
	place->address = page->va + inside;
	place->dead = !pa_stack_page_is_live(page, place->address);
	place->start = page->base;
	place->end = page->end;
	place->task = page->task;
	if (place->task)
		pa_task_name(places->census->kernel, memory, place->task,
			     &place->pid, place->comm);
	if (place->dead)
		return NULL;
	err = find_return(places, memory, va, page->live, page->live_end, false,
			  &place->frame);
	if (!err)
		err = find_return(places, memory, va, page->live,
				  page->live_end, true, &place->caller);
	return err;
}

/* Of which CPU's part of the first per-cpu chunk it is, if it is. */
static bool find_per_cpu(const struct pa_places *places, struct pa_place *place)
{
	const struct pa_kernel *kernel = places->census->kernel;
	uint64_t va = kernel->space.direct_start + place->phys;

	for (size_t i = 0; i < kernel->cpus.list.length; i++) {
		const struct pa_cpu *cpu = &kernel->cpus.list.items[i];
		uint64_t start = places->per_cpu_start + cpu->offset;

		if (va - start >= places->per_cpu_bytes)
			continue;
		place->kind = PA_PLACE_PER_CPU;
		place->address = va;
		place->cpu = cpu->nr;
		place->per_cpu = va - cpu->offset;
		place->start = start;
		place->end = start + places->per_cpu_bytes;
		return true;
	}
	return false;
}

/* The vmalloc area, as far as its guard pages. */
static bool find_mapped(const struct pa_places *places, struct pa_place *place)
{
	const struct pa_kernel_tables *tables = &places->tables;
	const struct pa_kernel_mapping *items = tables->mappings.items;
	const struct pa_kernel_mapping *mapping =
		pa_kernel_mapping_of(tables, place->phys);

	if (!mapping)
		return false;
	place->kind = mapping->va >= places->image_end && places->image_end ?
			      PA_PLACE_IMAGE :
			      PA_PLACE_VMALLOC;
	place->address = mapping->va + (place->phys - mapping->phys);

	const struct pa_kernel_mapping *first = mapping, *last = mapping;

	while (first > items && first[-1].va + first[-1].bytes == first->va)
		first--;
	while (last + 1 < items + tables->mappings.length &&
	       last->va + last->bytes == last[1].va)
		last++;
	place->start = first->va;
	place->end = last->va + last->bytes;
	return true;
}

/* What the struct page says, as far as it can be read. */
static struct pa_error *read_page(const struct pa_kernel *kernel,
				  struct pa_memory *memory,
				  struct pa_place *place)
{
	const struct pa_page_format *f = &kernel->page_format;
	uint32_t word;
	uint64_t flags;
	uint64_t page = pa_pfn_to_page(kernel, place->head_pfn);
	struct pa_error *err =
		pa_memory_read_u32(memory, page + f->type, &word);

	if (!err)
		err = pa_memory_read_u64(memory, page + f->flags, &flags);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (!err)
		place->page_type = flags & f->flag.slab ? PA_PAGE_SLAB :
							  pa_page_type(f, word);
	return err;
}

static bool is_kernel_class(uint8_t class)
{
	return class == PA_CLASS_RESERVED || class == PA_CLASS_USED ||
	       class == PA_CLASS_USED_HEAD || class == PA_CLASS_FROZEN ||
	       class == PA_CLASS_FROZEN_HEAD || class == PA_CLASS_ZERO;
}

static struct pa_error *find_page(const struct pa_places *places,
				  struct pa_memory *memory,
				  struct pa_place *place)
{
	const struct pa_census *census = places->census;
	const struct pa_address_space *space = &census->kernel->space;
	uint64_t pfn = place->phys >> space->page_shift;
	const uint8_t *byte;
	struct pa_error *err;

	place->head_pfn = pa_place_head(census, pfn);
	byte = pa_census_class(census, place->head_pfn);
	if (!byte)
		return NULL;
	if (!is_kernel_class(*byte & PA_CLASS_MASK)) {
		place->kind = PA_PLACE_NOT_KERNEL;
		return NULL;
	}
	err = read_page(census->kernel, memory, place);
	if (err)
		return err;
	place->start =
		space->direct_start + (place->head_pfn << space->page_shift);
	place->end = space->direct_start + ((pfn + 1) << space->page_shift);
	if (place->page_type == PA_PAGE_SLAB)
		place->kind = PA_PLACE_SLAB;
	else if (find_per_cpu(places, place) || find_mapped(places, place))
		return NULL;
	else
		place->kind = PA_PLACE_PAGE;
	return NULL;
}

/* Whether it is in a slab that the census knows. */
static struct pa_error *find_object(const struct pa_places *places,
				    struct pa_memory *memory,
				    struct pa_place *place, bool *ret)
{
	struct pa_slab_place slab = {};
	struct pa_error *err;

	*ret = false;
	if (!places->census->slabs)
		return NULL;
	err = pa_slabs_place(places->census, memory, place->address, &slab);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		err = NULL;
		slab.allocated = true;
	}
	if (err || !slab.slab)
		return err;
	*ret = true;
	place->kind = PA_PLACE_SLAB;
	place->cache = slab.cache;
	place->start = slab.object;
	place->end = slab.object + (slab.cache ? slab.cache->size : 0);
	place->dead = !slab.allocated;
	return NULL;
}

struct pa_error *pa_place_find(const struct pa_places *places,
			       struct pa_memory *memory, uint64_t phys,
			       struct pa_place *ret)
{
	const struct pa_address_space *space = &places->census->kernel->space;
	struct pa_place place = {
		.phys = phys,
		.address = space->direct_start + phys,
	};
	const struct pa_stack_page *stack =
		pa_stack_pages_find(&places->stacks, phys >> space->page_shift);
	uint64_t image = image_address(places, phys);
	struct pa_error *err = NULL;
	bool found = false;

	if (stack)
		err = find_on_stack(places, memory, stack, &place);
	else if (image && !find_per_cpu(places, &place)) {
		place.kind = PA_PLACE_IMAGE;
		place.address = image;
		place.start = places->image_start;
		place.end = places->image_end;
	} else if (place.kind == PA_PLACE_UNKNOWN) {
		err = find_object(places, memory, &place, &found);
		if (!err && !found)
			err = find_page(places, memory, &place);
	}
	if (!err)
		*ret = place;
	return err;
}
