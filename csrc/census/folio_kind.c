// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/folio_kind.h"

const char *const pa_folio_kind_names[PA_NR_FOLIO_KINDS] = {
	[PA_FOLIO_UNKNOWN] = "unknown", [PA_FOLIO_ANON] = "anonymous",
	[PA_FOLIO_KSM] = "KSM",		[PA_FOLIO_FILE] = "file",
	[PA_FOLIO_SHMEM] = "shmem",	[PA_FOLIO_TRUNCATED] = "truncated file",
	[PA_FOLIO_HUGETLB] = "hugetlb", [PA_FOLIO_DEVICE] = "device",
};

/* PAGE_MAPPING_ANON, PAGE_MAPPING_MOVABLE; both together: KSM. */
#define MAPPING_ANON 1
#define MAPPING_MOVABLE 2
#define MAPPING_FLAGS 3

enum pa_folio_kind pa_folio_kind(const struct pa_page_format *f,
				 const uint8_t *page, uint8_t class)
{
	uint64_t flags = pa_page_flags(f, page);
	uint64_t mapping = pa_load_u64(page + f->mapping);
	enum pa_page_type type = pa_page_type(f, pa_page_type_word(f, page));

	if (class == PA_CLASS_HUGETLB)
		return PA_FOLIO_HUGETLB;
	if (class == PA_CLASS_DEVICE)
		return PA_FOLIO_DEVICE;
	/* Their words mean other things. */
	if (type != PA_PAGE_UNTYPED || flags & f->flag.slab ||
	    flags & f->flag.reserved)
		return PA_FOLIO_UNKNOWN;
	if ((mapping & MAPPING_FLAGS) == MAPPING_FLAGS)
		return PA_FOLIO_KSM;
	if (mapping & MAPPING_ANON)
		return mapping > MAPPING_FLAGS ? PA_FOLIO_ANON :
						 PA_FOLIO_UNKNOWN;
	if (mapping & MAPPING_MOVABLE)
		return PA_FOLIO_UNKNOWN;
	if (pa_is_kernel_address(mapping))
		return flags & f->flag.swapbacked ? PA_FOLIO_SHMEM :
						    PA_FOLIO_FILE;
	if (!mapping && flags & f->flag.lru)
		return PA_FOLIO_TRUNCATED;
	return PA_FOLIO_UNKNOWN;
}

static const struct pa_pgmap *device_map(const struct pa_kernel *kernel,
					 uint64_t pfn)
{
	const struct pa_pgmap_range *range =
		pa_pgmap_range_at(&kernel->pgmaps, pfn);

	return range && range->pfn <= pfn ?
		       &kernel->pgmaps.maps.items[range->map] :
		       NULL;
}

/* Drivers keep what they like of their own memory (PRIVATE, P2PDMA ...). */
static bool has_known_users(const struct pa_pgmap *map)
{
	return map &&
	       (map->type == PA_PGMAP_FS_DAX || map->type == PA_PGMAP_GENERIC);
}

/*
 * Whether all that may hold such a folio is known to us. A page of the page
 * cache that is on no LRU is in transit; one that only looks like it (its
 * mapping is set by perf_mmap_fault() and drivers) is somebody's.
 */
bool pa_folio_holders_known(const struct pa_kernel *kernel,
			    const struct pa_discrepancy *d)
{
	const struct pa_page_format *f = &kernel->page_format;

	/* Memory failure keeps a reference: checks/hwpoison.c. */
	if (d->flags & f->flag.hwpoison)
		return false;
	switch (d->kind) {
	case PA_FOLIO_ANON:
	case PA_FOLIO_KSM:
	case PA_FOLIO_HUGETLB:
	case PA_FOLIO_TRUNCATED:
		return true;
	case PA_FOLIO_DEVICE:
		return has_known_users(device_map(kernel, d->pfn));
	case PA_FOLIO_FILE:
	case PA_FOLIO_SHMEM:
		return d->flags & f->flag.lru || d->refs >= PA_BIT(d->order);
	default:
		return false;
	}
}

/*
 * The reference of PG_private (buffer heads, iomap, what a file system
 * attached); page_has_private() took PG_private_2 for the same one. Anonymous
 * folios keep their swap entry there, hugetlb folios marks.
 */
uint64_t pa_folio_own_refs(const struct pa_kernel *kernel,
			   const struct pa_discrepancy *d)
{
	const struct pa_page_format *f = &kernel->page_format;
	const struct pa_pgmap_range *range;

	switch (d->kind) {
	case PA_FOLIO_FILE:
	case PA_FOLIO_SHMEM:
	case PA_FOLIO_TRUNCATED:
		return (d->flags & (f->flag.private_ | f->flag.private_2)) != 0;
	case PA_FOLIO_DEVICE:
		range = pa_pgmap_range_at(&kernel->pgmaps, d->pfn);
		return range && range->pfn <= d->pfn ?
			       pa_pgmap_idle_refcount(kernel->layout,
						      &kernel->pgmaps, range,
						      d->pfn) :
			       0;
	default:
		return 0;
	}
}
