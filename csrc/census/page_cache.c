// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The page cache: mm/filemap.c. Each slot of an address_space's xarray that
 * names a folio holds references for the indices that it covers: one for each
 * base page (__filemap_add_folio()), or one for a huge page where hugetlbfs
 * counts indices in those (before v6.7, commit a08c7193e4f1). v5.10 has the
 * head in as many slots as the page has base pages.
 */
#include "census/page_cache.h"

#include <stdlib.h>

#include "census/holders.h"
#include "census/mapped.h"
#include "kernel/super_block.h"
#include "kernel/xarray.h"

/* fs/dax.c: what a DAX entry's value has below the pfn. */
#define DAX_SHIFT 4
#define DAX_PMD PA_BIT(1)
#define DAX_ZERO_PAGE PA_BIT(2)
#define DAX_EMPTY PA_BIT(3)

struct entries {
	struct pa_holder_walk *walk;
	bool dax;
	/* DAX entries are in nrpages (v5.13), not in nrexceptional. */
	bool dax_counted;
	struct pa_cached_mapping *counted;
};

/*
 * A DAX entry holds nothing of the pages that it names: those are held by page
 * tables, if by anybody.
 */
static bool refer_dax(struct entries *e, const struct pa_xarray_entry *entry)
{
	struct pa_holder_walk *walk = e->walk;
	uint64_t value = entry->entry >> 1;
	uint64_t nr = entry->last - entry->first + 1;
	struct pa_reference ref = {
		.holder = walk->holder,
		.kind = PA_REF_LINK,
		.count = 1,
		.slot = entry->slot,
		.owner = e->counted->address,
		.index = entry->first,
	};

	if (value & (DAX_ZERO_PAGE | DAX_EMPTY))
		return true;
	if (!(value & DAX_PMD) ||
	    nr > PA_BIT(walk->kernel->page_format.max_order))
		nr = 1;
	ref.pfn = value >> DAX_SHIFT;
	/* Only who asks about its pages wants to know of each. */
	if (!walk->watch || !pa_watch_has(walk->watch, ref.pfn, nr))
		nr = 1;
	for (uint64_t i = 0; i < nr; i++, ref.pfn++, ref.index++)
		if (!pa_refer(walk, &ref))
			return false;
	return true;
}

static bool visit_entry(void *arg, const struct pa_xarray_entry *entry)
{
	struct entries *e = arg;
	struct pa_holder_walk *walk = e->walk;
	uint64_t nr = entry->last - entry->first + 1;
	struct pa_reference ref = {
		.holder = walk->holder,
		.kind = PA_REF_GET,
		.slot = entry->slot,
		.owner = e->counted->address,
		.index = entry->first,
	};

	if (entry->entry & 1) {
		e->counted->values++;
		if (!e->dax)
			return true;
		if (e->dax_counted)
			e->counted->counted += nr;
		return refer_dax(e, entry);
	}
	/* No folio is that large: not one entry, but damage. */
	if (nr > PA_BIT(walk->kernel->page_format.max_order)) {
		e->counted->unreadable++;
		return true;
	}
	ref.count = (uint32_t)nr;
	e->counted->counted += nr;
	return pa_refer_page(walk, entry->entry, &ref);
}

struct pa_error *pa_page_cache_walk(struct pa_holder_walk *walk,
				    uint64_t mapping, bool dax,
				    struct pa_cached_mapping *counted)
{
	const struct pa_layout *layout = walk->layout;
	struct entries e = {
		.walk = walk,
		.dax = dax,
		.dax_counted = !PA_HAS(layout, address_space, nrexceptional),
		.counted = counted,
	};
	struct pa_xarray_result result = { 0 };
	struct pa_error *err = pa_xarray_walk(
		walk->memory, layout,
		mapping + PA_OFFSETOF(layout, address_space, i_pages),
		visit_entry, &e, &result);

	counted->unreadable += result.unreadable + result.corrupt;
	walk->unreadable += counted->unreadable;
	return err;
}

/* Finding the mappings. */
struct finding {
	struct pa_holder_walk *walk;
	struct pa_page_cache *cache;
	/* i_mapping where it is not the inode's own. */
	PA_ARRAY(uint64_t) others;
	/* Mappings of the lists, sorted; those found since come behind. */
	size_t listed;
	/* Our own failure. */
	struct pa_error *err;
};

static struct pa_error *add_mapping(struct finding *f,
				    const struct pa_mapping *mapping, bool dax,
				    bool unlisted)
{
	struct pa_cached_mapping cached = {
		.address = mapping->address,
		.host = mapping->host,
		.nrpages = mapping->nrpages,
		.dax = dax,
		.unlisted = unlisted,
	};

	return pa_array_append(&f->cache->mappings, cached) ?
		       NULL :
		       &pa_error_no_memory;
}

static bool visit_inode(void *arg, const struct pa_inode *inode)
{
	struct finding *f = arg;
	struct pa_holder_walk *walk = f->walk;
	const struct pa_mapping *data = &inode->data;

	if (inode->i_mapping != data->address &&
	    pa_is_kernel_address(inode->i_mapping) &&
	    !pa_array_append(&f->others, inode->i_mapping))
		f->err = &pa_error_no_memory;
	/* Most inodes have nothing in the cache. */
	if (!f->err && (data->head || data->nrpages)) {
		bool hosts, dax = false;

		f->err = pa_holder_unread(
			walk, pa_mapping_is_hosts(walk->memory, walk->layout,
						  data, &hosts, &dax));
		if (!f->err)
			f->err = add_mapping(f, data, dax, false);
	}
	return !f->err;
}

static int compare_mappings(const void *a, const void *b)
{
	const struct pa_cached_mapping *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->unlisted - y->unlisted;
}

static void sort_mappings(struct pa_page_cache *cache)
{
	size_t kept = 0;

	if (cache->mappings.length)
		qsort(cache->mappings.items, cache->mappings.length,
		      sizeof(*cache->mappings.items), compare_mappings);
	pa_array_for_each(mapping, &cache->mappings)
		if (!kept ||
		    cache->mappings.items[kept - 1].address != mapping->address)
			cache->mappings.items[kept++] = *mapping;
	cache->mappings.length = kept;
}

/* Whether an entry is the page that is looked for. */
struct lookup {
	uint64_t page;
	bool found;
};

static bool look(void *arg, const struct pa_xarray_entry *entry)
{
	struct lookup *lookup = arg;

	lookup->found = entry->entry == lookup->page;
	return !lookup->found;
}

/*
 * A mapping that is on no list: an inode's that is being evicted, or one that
 * a file system keeps beside (metadata of GFS2 and NILFS2) and whose host has
 * another: that one must have the folio that names it.
 */
static struct pa_error *add_unlisted(struct finding *f, uint64_t address,
				     uint64_t pfn)
{
	struct pa_holder_walk *walk = f->walk;
	struct lookup lookup = { .page = pa_pfn_to_page(walk->kernel, pfn) };
	struct pa_xarray_result result;
	struct pa_mapping mapping;
	bool hosts = false, dax = false;
	struct pa_error *err =
		pa_mapping_read(walk->memory, walk->layout, address, &mapping);

	if (!err && !mapping.head && !mapping.nrpages)
		return NULL;
	if (!err)
		err = pa_mapping_is_hosts(walk->memory, walk->layout, &mapping,
					  &hosts, &dax);
	if (!err && !hosts && pfn != PA_NO_PFN)
		err = pa_xarray_walk(walk->memory, walk->layout,
				     address + PA_OFFSETOF(walk->layout,
							   address_space,
							   i_pages),
				     look, &lookup, &result);
	if (err)
		return err;
	if (hosts || lookup.found)
		return add_mapping(f, &mapping, dax, true);
	f->cache->strangers++;
	return NULL;
}

static const struct pa_cached_mapping *
find_in(const struct pa_page_cache *cache, size_t length, uint64_t address)
{
	size_t low = pa_bisect(cache->mappings.items, length, it,
			       it->address < address);

	if (low == length || cache->mappings.items[low].address != address)
		return NULL;
	return &cache->mappings.items[low];
}

static struct pa_error *find_unlisted(struct finding *f)
{
	const struct pa_mapped *mapped = f->walk->census->mapped;
	struct pa_error *err = NULL;

	pa_array_for_each(other, &f->others) {
		if (find_in(f->cache, f->listed, *other))
			continue;
		err = pa_holder_unread(f->walk,
				       add_unlisted(f, *other, PA_NO_PFN));
		if (err)
			return err;
	}
	if (!mapped)
		return NULL;
	pa_array_for_each(named, &mapped->named) {
		if (find_in(f->cache, f->listed, named->address))
			continue;
		err = add_unlisted(f, named->address, named->pfn);
		/* It names nothing that there is. */
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			f->cache->strangers++;
			err = NULL;
		}
		if (err)
			return err;
	}
	return NULL;
}

static struct pa_error *find_mappings(struct pa_holder_walk *walk,
				      struct pa_page_cache *cache)
{
	struct finding f = { .walk = walk, .cache = cache };
	struct pa_inodes_result result = { 0 };
	struct pa_error *err = pa_inodes_visit(walk->memory, walk->layout,
					       visit_inode, &f, &result);

	if (!err)
		err = f.err;
	if (!err) {
		sort_mappings(cache);
		f.listed = cache->mappings.length;
		err = find_unlisted(&f);
	}
	pa_array_deinit(&f.others);
	if (err)
		return err;
	sort_mappings(cache);
	walk->unreadable += result.unreadable;
	cache->super_blocks = result.super_blocks;
	cache->inodes = result.inodes;
	return NULL;
}

struct pa_error *pa_page_cache_prepare(struct pa_holder_walk *walk,
				       void **state_ret, uint64_t *nr_ret)
{
	struct pa_census *census = walk->census;
	struct pa_error *err = NULL;

	*state_ret = NULL;
	if (!census->page_cache) {
		struct pa_page_cache *cache = calloc(1, sizeof(*cache));

		err = cache ? find_mappings(walk, cache) : &pa_error_no_memory;
		if (err) {
			pa_page_cache_destroy(cache);
			return err;
		}
		census->page_cache = cache;
	}
	*nr_ret = census->page_cache->mappings.length;
	return NULL;
}

struct pa_error *pa_page_cache_item(struct pa_holder_walk *walk, uint64_t index)
{
	struct pa_cached_mapping *mapping =
		&walk->census->page_cache->mappings.items[index];
	struct pa_cached_mapping again = { .address = mapping->address };

	/* Each is one thread's, and counted once. */
	return pa_page_cache_walk(walk, mapping->address, mapping->dax,
				  walk->watch ? &again : mapping);
}

const struct pa_cached_mapping *
pa_page_cache_find(const struct pa_page_cache *cache, uint64_t address)
{
	return find_in(cache, cache->mappings.length, address);
}

void pa_page_cache_destroy(struct pa_page_cache *cache)
{
	if (!cache)
		return;
	pa_array_deinit(&cache->mappings);
	free(cache);
}
