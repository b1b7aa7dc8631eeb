// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/account.h"

#include <stdlib.h>

const char *const pa_reference_kind_names[PA_NR_REFERENCE_KINDS] = {
	[PA_REF_LINK] = "link",
	[PA_REF_GET] = "get",
	[PA_REF_PIN] = "pin",
	[PA_REF_MAP] = "map",
	[PA_REF_MAP_ENTIRE] = "map-entire",
	[PA_REF_MAP_UNCOUNTED] = "map-uncounted",
	[PA_REF_UNSURE] = "unsure",
};

struct pa_error *pa_accounts_init(const struct pa_kernel *kernel,
				  struct pa_accounts *ret)
{
	ret->kernel = kernel;
	ret->sections = calloc(kernel->sections.list.length + 1,
			       sizeof(*ret->sections));
	return ret->sections ? NULL : &pa_error_no_memory;
}

void pa_accounts_deinit(struct pa_accounts *accounts)
{
	if (!accounts->sections)
		return;
	for (size_t i = 0; i < accounts->kernel->sections.list.length; i++) {
		free(accounts->sections[i].maps);
		free(accounts->sections[i].refs);
		free(accounts->sections[i].pins);
		free(accounts->sections[i].entire);
	}
	free(accounts->sections);
	accounts->sections = NULL;
}

/* The column at @where, made by whichever thread comes first. */
static void *column(void *where, uint64_t nr, size_t size)
{
	void **slot = where;
	void *found = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

	if (found)
		return found;

	void *made = calloc(nr, size);

	if (!made)
		return NULL;
	if (__atomic_compare_exchange_n(slot, &found, made, false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return made;
	free(made);
	return found;
}

static bool add_u32(uint32_t **where, uint64_t nr, uint64_t index,
		    uint32_t count)
{
	uint32_t *counts = column(where, nr, sizeof(*counts));

	if (!counts)
		return false;
	__atomic_fetch_add(&counts[index], count, __ATOMIC_RELAXED);
	return true;
}

static bool add_pins(uint16_t **where, uint64_t nr, uint64_t index,
		     uint32_t count)
{
	uint16_t *counts = column(where, nr, sizeof(*counts));

	if (!counts)
		return false;

	uint16_t old = __atomic_load_n(&counts[index], __ATOMIC_RELAXED), new;

	do {
		new = (uint16_t)pa_min(UINT64_C(0xffff), (uint64_t)old + count);
	} while (!__atomic_compare_exchange_n(&counts[index], &old, new, true,
					      __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	return true;
}

bool pa_account_add(struct pa_accounts *accounts, uint64_t pfn,
		    enum pa_reference_kind kind, uint32_t count)
{
	const struct pa_sections *sections = &accounts->kernel->sections;
	struct pa_account *account =
		(struct pa_account *)pa_account_find(accounts, pfn);
	uint64_t index = pfn & (sections->pages - 1);

	if (!account)
		return true;
	switch (kind) {
	case PA_REF_GET:
	case PA_REF_MAP_UNCOUNTED:
		return add_u32(&account->refs, sections->pages, index, count);
	case PA_REF_PIN:
		return add_pins(&account->pins, sections->pages, index, count);
	case PA_REF_MAP:
		return add_u32(&account->maps, sections->pages, index, count);
	case PA_REF_MAP_ENTIRE:
		return add_u32(&account->entire,
			       sections->pages >> PA_ENTIRE_SHIFT,
			       index >> PA_ENTIRE_SHIFT, count);
	case PA_REF_LINK:
	case PA_REF_UNSURE:
	case PA_NR_REFERENCE_KINDS:
		break;
	}
	return true;
}
