// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/cma.h"

#include <inttypes.h>
#include <stdio.h>

/* CONFIG_CMA_AREAS, and CMA_MAX_RANGES, of any kernel that there is. */
#define MAX_AREAS 1024
#define MAX_RANGES 64

/* Whether the range at @address, of the two members, has the pfn. */
static struct pa_error *has_pfn(struct pa_memory *memory, uint64_t address,
				const struct pa_member *start,
				const struct pa_member *count, uint64_t pfn,
				bool *ret)
{
	uint64_t base, nr;
	struct pa_error *err =
		pa_memory_read_u64(memory, address + start->offset, &base);

	if (!err)
		err = pa_memory_read_u64(memory, address + count->offset, &nr);
	if (!err)
		*ret = pfn >= base && pfn - base < nr;
	return err;
}

/* An area is one range, or several (v6.15). */
static struct pa_error *area_has_pfn(struct pa_memory *memory,
				     const struct pa_layout *layout,
				     uint64_t area, uint64_t pfn, bool *ret)
{
	const struct pa_member *ranges = PA_M(layout, cma, ranges);
	struct pa_error *err;
	uint32_t nr;

	*ret = false;
	if (!ranges->known)
		return has_pfn(memory, area, PA_M(layout, cma, base_pfn),
			       PA_M(layout, cma, count), pfn, ret);
	err = pa_memory_read_u32(memory,
				 area + PA_OFFSETOF(layout, cma, nranges), &nr);
	nr = pa_min(nr, pa_min(ranges->length, MAX_RANGES));
	for (uint32_t i = 0; !err && !*ret && i < nr; i++)
		err = has_pfn(memory,
			      area + ranges->offset +
				      (uint64_t)i * ranges->element_size,
			      PA_M(layout, cma_memrange, base_pfn),
			      PA_M(layout, cma_memrange, count), pfn, ret);
	return err;
}

static struct pa_error *read_name(struct pa_memory *memory,
				  const struct pa_layout *layout, uint64_t area,
				  uint32_t index, char ret[PA_CMA_NAME_MAX])
{
	const struct pa_member *name = PA_M(layout, cma, name);
	char text[PA_CMA_NAME_MAX] = "";
	struct pa_error *err = NULL;

	/* A pointer before v5.9. */
	if (name->known && name->length)
		err = pa_memory_read(memory, area + name->offset,
				     pa_min(name->size, PA_CMA_NAME_MAX - 1),
				     text);
	if (err)
		return err;
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	if (*text)
		memcpy(ret, text, PA_CMA_NAME_MAX);
	else
		snprintf(ret, PA_CMA_NAME_MAX, "cma%" PRIu32, index);
	return NULL;
}

static bool knows_areas(const struct pa_layout *layout)
{
	if (!PA_HAS_SYM(layout, cma_areas) ||
	    !PA_HAS_SYM(layout, cma_area_count) || !PA_HAS_TYPE(layout, cma))
		return false;
	if (PA_HAS(layout, cma, ranges))
		return PA_HAS(layout, cma, nranges) &&
		       PA_HAS(layout, cma_memrange, base_pfn) &&
		       PA_HAS(layout, cma_memrange, count);
	return PA_HAS(layout, cma, base_pfn) && PA_HAS(layout, cma, count);
}

struct pa_error *pa_cma_name(struct pa_memory *memory,
			     const struct pa_layout *layout, uint64_t pfn,
			     char ret[PA_CMA_NAME_MAX])
{
	uint64_t area;
	uint32_t nr;
	bool found = false;
	struct pa_error *err;

	memset(ret, 0, PA_CMA_NAME_MAX);
	if (!knows_areas(layout))
		return NULL;
	area = PA_SYM(layout, cma_areas);
	err = pa_memory_read_u32(memory, PA_SYM(layout, cma_area_count), &nr);
	for (uint32_t i = 0; !err && i < pa_min(nr, MAX_AREAS); i++) {
		err = area_has_pfn(memory, layout, area, pfn, &found);
		if (!err && found)
			return read_name(memory, layout, area, i, ret);
		area += PA_SIZEOF(layout, cma);
	}
	return err;
}
