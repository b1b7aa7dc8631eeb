/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accounts: how many mappings and references the holders showed, page by page.
 *
 * Columns of numbers by section, each made when something is first entered:
 * eight bytes a page of sections in use, ten where something is pinned. They
 * are entered at the very page that a slot or a page table entry names, head
 * or tail; a folio's total is the sum over its pages. Many threads add at
 * once; nothing is read before all have ended.
 */
#ifndef PA_CENSUS_ACCOUNT_H
#define PA_CENSUS_ACCOUNT_H

#include "kernel/kernel.h"

/* What one slot or entry does to a page's counts. */
enum pa_reference_kind {
	/* Names the page and holds nothing: LRU lists, rmap, hints. */
	PA_REF_LINK,
	/* One of _refcount. */
	PA_REF_GET,
	/* FOLL_PIN: the bias on order 0, one of _refcount and pincount else. */
	PA_REF_PIN,
	/* A page table's lowest entry: one of _mapcount and _refcount. */
	PA_REF_MAP,
	/* A leaf above it that maps a whole folio: one of the entire mapcount. */
	PA_REF_MAP_ENTIRE,
	/* One of _refcount and none of a mapcount (device exclusive, v6.1). */
	PA_REF_MAP_UNCOUNTED,
	/*
	 * One of _refcount or none any more: its owner is dropping a batch of
	 * them, one after the other. Enters no column.
	 */
	PA_REF_UNSURE,
	PA_NR_REFERENCE_KINDS,
};

/* "map-entire": stable, they are in reports. */
extern const char *const pa_reference_kind_names[PA_NR_REFERENCE_KINDS];

/* A section's columns; each NULL until something was entered in it. */
struct pa_account {
	/* PTE maps, by pfn. */
	uint32_t *maps;
	/* References other than by mappings and pins, by pfn. */
	uint32_t *refs;
	/* FOLL_PIN pins by pfn; stays at UINT16_MAX once it got there. */
	uint16_t *pins;
	/*
	 * Entire maps, by the leaf table entry's span of pages (512): of the
	 * one that the mapping names.
	 */
	uint32_t *entire;
};

struct pa_accounts {
	/* Borrowed. */
	const struct pa_kernel *kernel;
	/* By index in kernel->sections.list. */
	struct pa_account *sections;
};

/* Pages of the smallest leaf above a page: log2. */
#define PA_ENTIRE_SHIFT 9

struct pa_error *pa_accounts_init(const struct pa_kernel *kernel,
				  struct pa_accounts *ret);
void pa_accounts_deinit(struct pa_accounts *accounts);

/*
 * Enters @count of @kind at @pfn, which is in a section; false if out of
 * memory. Safe on any number of threads.
 */
bool pa_account_add(struct pa_accounts *accounts, uint64_t pfn,
		    enum pa_reference_kind kind, uint32_t count);

/* The columns of @pfn's section; NULL if there is none. */
static inline const struct pa_account *
pa_account_find(const struct pa_accounts *accounts, uint64_t pfn)
{
	const struct pa_sections *sections = &accounts->kernel->sections;
	uint64_t nr = pfn >> sections->pages_shift;

	if (nr >= sections->index_length || !sections->index[nr])
		return NULL;
	return &accounts->sections[sections->index[nr] - 1];
}

#endif
