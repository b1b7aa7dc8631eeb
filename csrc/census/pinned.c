// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/pinned.h"

#include <string.h>

#include "kernel/list.h"

#define MAX_MODULES 10000
/* MODULE_NAME_LEN of the names below, and more. */
#define NAME_BYTES 32
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

void pa_pinned_set_aside(const struct pa_kernel *kernel,
			 struct pa_counts *counts, size_t first)
{
	struct pa_pinned *pinned = &counts->pinned;
	size_t kept = first;

	if (!pinned->driver)
		return;
	for (size_t i = first; i < counts->list.length; i++) {
		const struct pa_discrepancy *d = &counts->list.items[i];
		uint64_t pins = pa_whole_pins(&kernel->mapcount_format, d);

		if (!pins) {
			counts->list.items[kept++] = *d;
			continue;
		}
		counts->nr_discrepancies--;
		counts->pins += pins;
		pinned->folios++;
		pinned->pages += PA_BIT(d->order);
		pinned->pins += pins;
		pinned->first_pfn = pa_min(pinned->first_pfn, d->pfn);
	}
	counts->list.length = kept;
}
