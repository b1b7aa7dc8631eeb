// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/aside.h"

#include <string.h>

#include "kernel/list.h"

#define MAX_MODULES 10000
/* MODULE_NAME_LEN of the names below, and more. */
#define NAME_BYTES 32
/* What there is of a struct extent_buffer, and more. */
#define MAX_BUFFER_BYTES 512
#define UNREAD "a module that could not be read"

static const struct {
	const char *module;
	/* A function of it: where it is no module. */
	enum pa_symbol_id symbol;
} drivers[] = {
	{ "vfio_iommu_type1", PA_SYM_vfio_iommu_type1_ioctl },
	{ "iommufd", PA_SYM_iommufd_fops_ioctl },
	{ "ib_uverbs", PA_SYM_ib_umem_get },
	{ "vhost_vdpa", PA_SYM_vhost_vdpa_unlocked_ioctl },
};

#define NR_DRIVERS (sizeof(drivers) / sizeof(drivers[0]))

struct modules {
	struct pa_memory *memory;
	const struct pa_layout *layout;
	const char *driver;
	struct pa_error *err;
};

static bool visit_module(void *arg, uint64_t node)
{
	struct modules *modules = arg;
	const struct pa_layout *layout = modules->layout;
	uint64_t name = node - PA_OFFSETOF(layout, module, list) +
			PA_OFFSETOF(layout, module, name);
	char bytes[NAME_BYTES];

	modules->err =
		pa_memory_read(modules->memory, name, sizeof(bytes), bytes);
	if (modules->err)
		return false;
	for (size_t i = 0; i < NR_DRIVERS; i++)
		if (!strncmp(bytes, drivers[i].module, sizeof(bytes)))
			modules->driver = drivers[i].module;
	return !modules->driver;
}

static struct pa_error *find_module(const struct pa_kernel *kernel,
				    struct modules *modules)
{
	const struct pa_layout *layout = kernel->layout;
	struct pa_list_result result;
	struct pa_error *err;

	if (!PA_HAS(layout, module, list) || !PA_HAS(layout, module, name))
		return NULL;
	if (!PA_HAS_SYM(layout, modules)) {
		modules->driver = UNREAD;
		return NULL;
	}
	err = pa_kernel_memory(kernel, &modules->memory);
	if (!err)
		err = pa_list_walk(modules->memory, PA_SYM(layout, modules),
				   MAX_MODULES, visit_module, modules, &result);
	pa_memory_destroy(modules->memory);
	if (err)
		return err;
	if (!modules->driver && result.end != PA_LIST_WHOLE)
		modules->driver = UNREAD;
	if (!pa_error_is_target(modules->err))
		return modules->err;
	pa_error_destroy(modules->err);
	return NULL;
}

struct pa_error *pa_pinner_find(const struct pa_kernel *kernel,
				const char **ret)
{
	struct modules modules = { .layout = kernel->layout };
	struct pa_error *err;

	for (size_t i = 0; i < NR_DRIVERS; i++) {
		if (kernel->layout->symbols[drivers[i].symbol].known) {
			*ret = drivers[i].module;
			return NULL;
		}
	}
	err = find_module(kernel, &modules);
	*ret = modules.driver;
	return err;
}

static int64_t excess(const struct pa_discrepancy *d, enum pa_count count)
{
	return d->counts[count].stored - d->counts[count].counted;
}

uint64_t pa_whole_pins(const struct pa_mapcount_format *f,
		       const struct pa_discrepancy *d)
{
	uint32_t refcount = UINT32_C(1) << PA_COUNT_REFCOUNT;
	uint32_t pincount = UINT32_C(1) << PA_COUNT_PINCOUNT;
	int64_t refs = excess(d, PA_COUNT_REFCOUNT);

	/* Of device memory's references another check tells. */
	if (d->kind == PA_FOLIO_DEVICE || !(d->wrong & refcount) ||
	    d->wrong & ~(refcount | pincount) || refs <= 0)
		return 0;
	if (pa_has_pincount(f, d->order))
		return excess(d, PA_COUNT_PINCOUNT) == refs ? (uint64_t)refs :
							      0;
	return refs % PA_PIN_BIAS ? 0 : (uint64_t)refs / PA_PIN_BIAS;
}

/* What is known of the mapping looked at last: most folios come in rows. */
struct looked_at {
	uint64_t mapping;
	bool btrfs, unevictable;
};

/* What the target lacks says nothing. */
static struct pa_error *keep_ours(struct pa_error *err)
{
	if (!pa_error_is_target(err))
		return err;
	pa_error_destroy(err);
	return NULL;
}

static struct pa_error *read_unevictable(struct pa_memory *memory,
					 const struct pa_layout *layout,
					 struct looked_at *l)
{
	uint64_t flags = 0;
	struct pa_error *err = NULL;

	if (!PA_HAS(layout, address_space, flags) ||
	    !PA_HAS_ENUM(layout, AS_UNEVICTABLE))
		return NULL;
	err = pa_memory_read_u64(
		memory, l->mapping + PA_OFFSETOF(layout, address_space, flags),
		&flags);
	l->unevictable = flags & PA_BIT(PA_ENUM(layout, AS_UNEVICTABLE));
	return keep_ours(err);
}

static struct pa_error *read_btrfs(struct pa_memory *memory,
				   const struct pa_layout *layout,
				   struct looked_at *l)
{
	uint64_t at = l->mapping;
	char name[NAME_BYTES] = "";
	struct pa_error *err;

	if (!PA_HAS(layout, super_block, s_type) ||
	    !PA_HAS(layout, file_system_type, name))
		return NULL;
	err = pa_memory_read_u64(
		memory, at + PA_OFFSETOF(layout, address_space, host), &at);
	if (!err)
		err = pa_memory_read_u64(
			memory, at + PA_OFFSETOF(layout, inode, i_sb), &at);
	if (!err)
		err = pa_memory_read_u64(
			memory, at + PA_OFFSETOF(layout, super_block, s_type),
			&at);
	if (!err)
		err = pa_memory_read_u64(
			memory,
			at + PA_OFFSETOF(layout, file_system_type, name), &at);
	if (!err)
		err = pa_memory_read_string(memory, at, name, sizeof(name));
	l->btrfs = !err && !strcmp(name, "btrfs");
	return keep_ours(err);
}

static struct pa_error *look_at(struct pa_folio_counter *c, uint64_t mapping,
				struct looked_at *l)
{
	struct pa_memory *memory = c->memmap->memory;
	const struct pa_layout *layout = c->kernel->layout;
	struct pa_error *err;

	if (l->mapping == mapping)
		return NULL;
	*l = (struct looked_at){ .mapping = mapping };
	err = read_btrfs(memory, layout, l);
	return err ? err : read_unevictable(memory, layout, l);
}

/* Whether @d's folio's private points to an extent buffer, which names it. */
static struct pa_error *has_extent_buffer(struct pa_folio_counter *c,
					  const struct pa_discrepancy *d,
					  bool *ret)
{
	const struct pa_page_format *f = &c->kernel->page_format;
	uint64_t wanted = pa_pfn_to_page(c->kernel, d->pfn), word = 0;
	struct pa_memory_page near = { 0 };
	const uint8_t *page;
	uint64_t buffer;
	struct pa_error *err = pa_memmap_page(c->memmap, d->pfn, 1, &page);

	*ret = false;
	if (err)
		return keep_ours(err);
	buffer = pa_page_private(f, page);
	if (!pa_is_kernel_address(buffer) || buffer & 7)
		return NULL;
	for (uint32_t at = 0; !err && !*ret && at < MAX_BUFFER_BYTES; at += 8) {
		err = pa_memory_read_near(c->memmap->memory, &near, buffer + at,
					  sizeof(word), &word);
		*ret = !err && word == wanted;
	}
	return keep_ours(err);
}

static struct pa_error *aside_kind(struct pa_folio_counter *c,
				   const struct pa_discrepancy *d,
				   struct looked_at *l, enum pa_aside_kind *ret)
{
	const struct pa_page_format *f = &c->kernel->page_format;
	int64_t refs = excess(d, PA_COUNT_REFCOUNT);
	struct pa_error *err = NULL;
	bool found;

	*ret = PA_NR_ASIDE_KINDS;
	if (c->census->counts->pinner &&
	    pa_whole_pins(&c->kernel->mapcount_format, d)) {
		*ret = PA_ASIDE_PINNED;
		return NULL;
	}
	if (d->wrong != UINT32_C(1) << PA_COUNT_REFCOUNT || refs <= 0)
		return NULL;
	if (d->kind == PA_FOLIO_SHMEM && !d->maps && !d->entire &&
	    refs <= (int64_t)PA_BIT(d->order)) {
		err = look_at(c, d->mapping, l);
		if (l->unevictable)
			*ret = PA_ASIDE_GRAPHICS;
	} else if (d->kind == PA_FOLIO_FILE && d->flags & f->flag.private_ &&
		   refs == 1) {
		err = look_at(c, d->mapping, l);
		if (!err && l->btrfs) {
			err = has_extent_buffer(c, d, &found);
			if (found)
				*ret = PA_ASIDE_EXTENT_BUFFER;
		}
	}
	return err;
}

struct pa_error *pa_set_aside(struct pa_folio_counter *c, size_t first)
{
	struct pa_counts *counts = &c->counts;
	struct looked_at l = { 0 };
	struct pa_error *err = NULL;
	size_t kept = first;

	for (size_t i = first; !err && i < counts->list.length; i++) {
		const struct pa_discrepancy *d = &counts->list.items[i];
		enum pa_aside_kind kind;

		err = aside_kind(c, d, &l, &kind);
		if (kind == PA_NR_ASIDE_KINDS) {
			counts->list.items[kept++] = *d;
			continue;
		}

		struct pa_aside *aside = &counts->asides[kind];
		uint64_t refs = (uint64_t)excess(d, PA_COUNT_REFCOUNT);

		if (kind == PA_ASIDE_PINNED) {
			refs = pa_whole_pins(&c->kernel->mapcount_format, d);
			counts->pins += refs;
		}
		if (!aside->folios || d->pfn < aside->first_pfn)
			aside->first_pfn = d->pfn;
		counts->nr_discrepancies--;
		aside->folios++;
		aside->pages += PA_BIT(d->order);
		aside->refs += refs;
	}
	counts->list.length = kept;
	return err;
}
