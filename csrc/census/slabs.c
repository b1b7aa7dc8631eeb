// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * All slabs, from the memory map: the lists of a cache lack its full slabs.
 *
 * Two passes on all cores: over the sections, for the pages that are slabs,
 * and over the caches that these name, for the free objects that CPUs and
 * nodes have of them.
 */
#include "census/slabs.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "census/handled.h"

/* Pages whose struct pages are read at once: 4 KiB of them. */
#define CHUNK_PAGES 64

/* A slab before its cache is known. */
struct found {
	uint64_t pfn, cache;
	uint8_t order;
	bool kfence;
};

/* What is being built; each item of work writes its own element of an array. */
struct build {
	struct pa_census *census;
	struct pa_slabs *slabs;
	/* By section: its slabs. */
	struct pa_found_list {
		PA_ARRAY(struct found) list;
	} * sections;
	/* By cache. */
	struct pa_slab_stock *stocks;
};

struct worker {
	struct build *build;
	struct pa_memmap *memmap;
	/* Slabs and caches that are none, or could not be read. */
	uint64_t unreadable;
};

static struct pa_error *worker_start(void *arg, void **ret)
{
	struct build *build = arg;
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return &pa_error_no_memory;
	worker->build = build;

	struct pa_error *err =
		pa_memmap_create(build->census->kernel, &worker->memmap);

	if (err) {
		free(worker);
		return err;
	}
	*ret = worker;
	return NULL;
}

static struct pa_error *worker_finish(void *arg, void *state, bool failed)
{
	struct build *build = arg;
	struct worker *worker = state;

	(void)failed;
	build->census->parts[PA_CENSUS_SLABS].unreadable += worker->unreadable;
	pa_memmap_destroy(worker->memmap);
	free(worker);
	return NULL;
}

/*
 * Referenced until v7, and counted as frozen since: a slab's own class depends
 * on its reference count.
 */
static bool may_be_slab(uint8_t byte)
{
	uint8_t class = byte & PA_CLASS_MASK;

	return class == PA_CLASS_USED || class == PA_CLASS_USED_HEAD ||
	       class == PA_CLASS_FROZEN || class == PA_CLASS_FROZEN_HEAD;
}

static bool may_have_slab(const uint8_t *classes)
{
	for (int i = 0; i < CHUNK_PAGES; i += 8)
		if (pa_classes_have(classes + i, PA_CLASS_USED) ||
		    pa_classes_have(classes + i, PA_CLASS_USED_HEAD) ||
		    pa_classes_have(classes + i, PA_CLASS_FROZEN) ||
		    pa_classes_have(classes + i, PA_CLASS_FROZEN_HEAD))
			return true;
	return false;
}

static bool is_slab(const struct pa_page_format *f, const uint8_t *page)
{
	if (f->flag.slab)
		return pa_page_flags(f, page) & f->flag.slab;
	return pa_page_type(f, pa_page_type_word(f, page)) == PA_PAGE_SLAB;
}

static struct pa_error *add_slab(struct worker *worker, size_t section,
				 uint64_t pfn, const uint8_t *page, uint64_t nr)
{
	const struct build *build = worker->build;
	const struct pa_page_format *f = &build->census->kernel->page_format;
	struct found found = {
		.pfn = pfn,
		.cache = pa_slab_cache_address(&build->slabs->format, page),
	};
	uint32_t order = 0;

	if (pa_page_flags(f, page) & f->flag.head) {
		/* Two struct pages tell the order. */
		if (nr < 2) {
			struct pa_error *err =
				pa_memmap_page(worker->memmap, pfn, 2, &page);

			if (err)
				return err;
		}
		order = pa_folio_order(f, page);
	}
	/* Garbage; or it is being made (allocate_slab()) and has no object yet. */
	if (!pa_is_kernel_address(found.cache) || order > f->max_order) {
		worker->unreadable +=
			!pa_handled_find(build->census, pfn, pfn + 1);
		return NULL;
	}
	found.order = (uint8_t)order;
	return pa_array_append(&build->sections[section].list, found) ?
		       NULL :
		       &pa_error_no_memory;
}

static uint64_t direct_address(const struct pa_kernel *kernel, uint64_t pfn)
{
	return kernel->space.direct_start + (pfn << kernel->space.page_shift);
}

static struct pa_error *scan_chunk(struct worker *worker, size_t section,
				   uint64_t start)
{
	const struct pa_census *census = worker->build->census;
	const struct pa_kernel *kernel = census->kernel;
	const struct pa_kfence *kfence = &census->slabs->kfence;
	const struct pa_page_format *f = &kernel->page_format;
	uint64_t end = start + CHUNK_PAGES;

	for (uint64_t pfn = start; pfn < end;) {
		struct pa_memmap_run run;
		struct pa_error *err =
			pa_memmap_run(worker->memmap, pfn, end - pfn, &run);

		if (err)
			return err;
		pfn += run.nr;
		if (run.presence != PA_PRESENT)
			continue;
		for (uint64_t i = 0; i < run.nr; i++) {
			const uint8_t *page = run.pages + i * f->size;

			if (!may_be_slab(
				    *pa_census_class(census, run.pfn + i)) ||
			    !is_slab(f, page) ||
			    pa_kfence_has(kfence,
					  direct_address(kernel, run.pfn + i),
					  kernel->space.page_shift))
				continue;
			err = add_slab(worker, section, run.pfn + i, page,
				       run.nr - i);
			if (pa_error_is_target(err)) {
				pa_error_destroy(err);
				worker->unreadable++;
				err = NULL;
			}
			if (err)
				return err;
		}
	}
	return NULL;
}

static struct pa_error *scan_section(void *state, uint64_t index)
{
	struct worker *worker = state;
	const struct pa_census *census = worker->build->census;
	const struct pa_sections *sections = &census->kernel->sections;
	const uint8_t *classes = census->classes[index];
	uint64_t start = sections->list.items[index].nr
			 << sections->pages_shift;

	for (uint64_t i = 0; classes && i < sections->pages; i += CHUNK_PAGES) {
		struct pa_error *err =
			may_have_slab(classes + i) ?
				scan_chunk(worker, index, start + i) :
				NULL;

		if (err)
			return err;
	}
	return NULL;
}

static struct pa_error *read_cache(struct worker *worker,
				   struct pa_slab_cache *cache,
				   struct pa_slab_stock *stock)
{
	const struct pa_kernel *kernel = worker->build->census->kernel;
	struct pa_memory *memory = worker->memmap->memory;
	struct pa_kmem_cache kmem;
	struct pa_error *err = pa_kmem_cache_read(memory, kernel->layout,
						  cache->address, &kmem);

	if (err)
		return err;
	memcpy(cache->name, kmem.name, sizeof(cache->name));
	cache->size = kmem.size;
	cache->object_size = kmem.object_size;
	cache->red_left_pad = kmem.red_left_pad;
	cache->free_pointer = kmem.free_pointer;
	err = pa_kmem_cache_stock(kernel, memory, &kmem, stock);
	cache->free_unknown = stock->unreadable;
	return err;
}

static struct pa_error *scan_cache(void *state, uint64_t index)
{
	struct worker *worker = state;
	struct pa_slab_cache *cache =
		&worker->build->slabs->caches.items[index];
	struct pa_slab_stock *stock = &worker->build->stocks[index];
	struct pa_error *err = read_cache(worker, cache, stock);

	/* Without a size it is no cache. */
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		cache->size = 0;
		worker->unreadable++;
		return NULL;
	}
	worker->unreadable += stock->unreadable;
	if (stock->objects.length)
		qsort(stock->objects.items, stock->objects.length,
		      sizeof(*stock->objects.items), pa_compare_u64);
	return err;
}

static int compare_found(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

/*
 * KFENCE's objects. Its pool may be boot memory, and what its struct pages say
 * of the cache is of whatever object was there last.
 */
static struct pa_error *add_kfence(struct build *build,
				   struct pa_memory *memory)
{
	const struct pa_kernel *kernel = build->census->kernel;
	const struct pa_sections *sections = &kernel->sections;
	const struct pa_kfence *kfence = &build->slabs->kfence;
	uint64_t pool = (kfence->pool - kernel->space.direct_start) >>
			kernel->space.page_shift;
	uint64_t end = pool + 2 * ((uint64_t)kfence->nr + 1);

	for (uint32_t i = 0; i < kfence->nr; i++) {
		struct pa_kfence_object object;
		struct found found = { .pfn = pool + 2 * ((uint64_t)i + 1),
				       .kfence = true };
		uint64_t nr = found.pfn >> sections->pages_shift;
		struct pa_error *err = pa_kfence_object_read(
			kernel, memory, kfence, i, &object);

		if (err)
			return err;
		if (!object.allocated || !pa_is_kernel_address(object.cache) ||
		    nr >= sections->index_length || !sections->index[nr])
			continue;
		found.cache = object.cache;
		if (!pa_array_append(
			    &build->sections[sections->index[nr] - 1].list,
			    found))
			return &pa_error_no_memory;
	}
	/* In order again. */
	for (uint64_t nr = pool >> sections->pages_shift;
	     kfence->nr && nr < sections->index_length &&
	     nr << sections->pages_shift < end;
	     nr++) {
		struct pa_found_list *section =
			&build->sections[sections->index[nr] - 1];

		if (sections->index[nr] && section->list.length)
			qsort(section->list.items, section->list.length,
			      sizeof(*section->list.items), compare_found);
	}
	return NULL;
}

/* The caches that slabs name, by address. */
static struct pa_error *gather_caches(struct build *build, size_t nr_sections)
{
	struct pa_slabs *slabs = build->slabs;
	struct pa_map seen = { 0 };
	PA_ARRAY(uint64_t) addresses = { 0 };
	uint64_t last = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < nr_sections; i++)
		pa_array_for_each(found, &build->sections[i].list) {
			if (found->cache == last ||
			    pa_map_has(&seen, found->cache))
				continue;
			last = found->cache;
			ok = pa_map_set(&seen, last, 0) &&
			     pa_array_append(&addresses, last);
			if (!ok)
				break;
		}
	if (addresses.length)
		qsort(addresses.items, addresses.length,
		      sizeof(*addresses.items), pa_compare_u64);
	for (size_t i = 0; ok && i < addresses.length; i++) {
		struct pa_slab_cache cache = { .address = addresses.items[i] };

		ok = pa_array_append(&slabs->caches, cache);
	}
	pa_map_deinit(&seen);
	pa_array_deinit(&addresses);
	return ok ? NULL : &pa_error_no_memory;
}

static struct pa_slab_cache *find_cache(const struct pa_slabs *slabs,
					uint64_t address)
{
	size_t low = pa_bisect(slabs->caches.items, slabs->caches.length, it,
			       it->address < address);

	if (low == slabs->caches.length ||
	    slabs->caches.items[low].address != address)
		return NULL;
	return &slabs->caches.items[low];
}

/* Slabs of caches that are none are left out. */
static struct pa_error *fill_list(struct build *build, size_t nr_sections)
{
	struct pa_slabs *slabs = build->slabs;
	struct pa_slab_cache *cache = NULL;

	for (size_t i = 0; i < nr_sections; i++)
		pa_array_for_each(found, &build->sections[i].list) {
			if (!cache || cache->address != found->cache)
				cache = find_cache(slabs, found->cache);
			if (!cache->size)
				continue;

			struct pa_slab slab = {
				.pfn = found->pfn,
				.cache =
					(uint32_t)(cache - slabs->caches.items),
				.order = found->order,
				.kfence = found->kfence,
			};

			if (!pa_array_append(&slabs->list, slab))
				return &pa_error_no_memory;
			cache->nr++;
		}
	return NULL;
}

/* Indices by cache, by counting; the list is by pfn already. */
static struct pa_error *fill_by_cache(struct pa_slabs *slabs)
{
	size_t n = slabs->list.length, next = 0;

	if (n > UINT32_MAX || !pa_array_reserve(&slabs->by_cache, n))
		return &pa_error_no_memory;
	pa_array_for_each(cache, &slabs->caches) {
		cache->first = next;
		next += cache->nr;
		cache->nr = 0;
	}
	for (size_t i = 0; i < n; i++) {
		struct pa_slab_cache *cache =
			&slabs->caches.items[slabs->list.items[i].cache];

		slabs->by_cache.items[cache->first + cache->nr++] = (uint32_t)i;
	}
	slabs->by_cache.length = n;
	return NULL;
}

static struct pa_error *merge_stocks(struct build *build)
{
	struct pa_slabs *slabs = build->slabs;

	for (size_t i = 0; i < slabs->caches.length; i++) {
		struct pa_slab_cache *cache = &slabs->caches.items[i];
		const struct pa_slab_stock *stock = &build->stocks[i];

		cache->first_cpu_slab = slabs->cpu_slabs.length;
		cache->nr_cpu_slabs = stock->cpu_slabs.length;
		cache->first_free = slabs->free_objects.length;
		cache->nr_free = stock->objects.length;
		if (!pa_array_extend(&slabs->cpu_slabs, &stock->cpu_slabs) ||
		    !pa_array_extend(&slabs->free_objects, &stock->objects))
			return &pa_error_no_memory;
	}
	return NULL;
}

static struct pa_error *build_slabs(struct build *build, struct pa_job *job,
				    struct pa_memory *memory)
{
	static const struct pa_work scan_sections = {
		.start = worker_start,
		.item = scan_section,
		.finish = worker_finish,
	};
	static const struct pa_work scan_caches = {
		.start = worker_start,
		.item = scan_cache,
		.finish = worker_finish,
	};
	size_t nr = build->census->kernel->sections.list.length;
	struct pa_slabs *slabs = build->slabs;
	struct pa_error *err;

	build->sections = calloc(nr, sizeof(*build->sections));
	if (!build->sections)
		return &pa_error_no_memory;
	err = pa_kfence_init(build->census->kernel, memory, &slabs->kfence);
	if (err)
		return err;
	pa_job_phase(job, "slabs", nr);
	err = pa_job_run(job, &scan_sections, build, nr);
	if (!err)
		err = add_kfence(build, memory);
	if (!err)
		err = gather_caches(build, nr);
	if (!err && !slabs->caches.length)
		return pa_error_create(PA_ERROR_MISSING,
				       "no slab was found in the memory map");
	if (err)
		return err;
	build->stocks = calloc(slabs->caches.length, sizeof(*build->stocks));
	if (!build->stocks)
		return &pa_error_no_memory;
	pa_job_phase(job, "slab caches", slabs->caches.length);
	err = pa_job_run(job, &scan_caches, build, slabs->caches.length);
	if (!err)
		err = fill_list(build, nr);
	if (!err)
		err = fill_by_cache(slabs);
	return err ? err : merge_stocks(build);
}

struct pa_error *pa_census_slabs(struct pa_census *census, struct pa_job *job)
{
	size_t nr_sections = census->kernel->sections.list.length;

	census->slabs = calloc(1, sizeof(*census->slabs));
	if (!census->slabs)
		return &pa_error_no_memory;

	struct build build = { .census = census, .slabs = census->slabs };
	struct pa_memory *memory = NULL;
	struct pa_error *err = pa_slab_format_init(census->kernel->layout,
						   &census->slabs->format);

	if (!err)
		err = pa_kernel_memory(census->kernel, &memory);
	if (!err)
		err = build_slabs(&build, job, memory);
	pa_memory_destroy(memory);
	for (size_t i = 0; build.stocks && i < census->slabs->caches.length;
	     i++)
		pa_slab_stock_deinit(&build.stocks[i]);
	free(build.stocks);
	for (size_t i = 0; build.sections && i < nr_sections; i++)
		pa_array_deinit(&build.sections[i].list);
	free(build.sections);
	return err;
}

void pa_slabs_destroy(struct pa_slabs *slabs)
{
	if (!slabs)
		return;
	pa_array_deinit(&slabs->list);
	pa_array_deinit(&slabs->by_cache);
	pa_array_deinit(&slabs->caches);
	pa_array_deinit(&slabs->cpu_slabs);
	pa_array_deinit(&slabs->free_objects);
	free(slabs);
}

struct pa_error *pa_slabs_check(const struct pa_census *census)
{
	const struct pa_error *err = census->parts[PA_CENSUS_SLABS].err;

	return err ? pa_error_create(PA_ERROR_MISSING, "no slabs: %s",
				     err->message) :
		     NULL;
}

const struct pa_slab_cache *pa_slabs_cache(const struct pa_slabs *slabs,
					   uint64_t address)
{
	const struct pa_slab_cache *cache = find_cache(slabs, address);

	return cache && cache->nr ? cache : NULL;
}

const struct pa_slab_cache *pa_slabs_cache_named(const struct pa_slabs *slabs,
						 const char *name)
{
	pa_array_for_each(cache, &slabs->caches)
		if (cache->nr && !strcmp(cache->name, name))
			return cache;
	return NULL;
}

struct pa_error *pa_slabs_cache_symbol(const struct pa_census *census,
				       struct pa_memory *memory,
				       enum pa_symbol_id symbol,
				       const struct pa_slab_cache **ret)
{
	const struct pa_symbol *variable =
		&census->kernel->layout->symbols[symbol];
	uint64_t address = 0;
	struct pa_error *err =
		variable->known ? pa_memory_read_u64(memory, variable->address,
						     &address) :
				  NULL;

	if (!err)
		*ret = pa_slabs_cache(census->slabs, address);
	return err;
}
