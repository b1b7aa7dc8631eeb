/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keepers: whoever takes references that no holder shows, and keeps the page's
 * address. It may be a leak all the same.
 */
#ifndef PA_CHECKS_KEEPER_H
#define PA_CHECKS_KEEPER_H

#include "census/counts.h"
#include "census/place.h"
#include "census/search.h"
#include "checks/check.h"

/* Pointers to a folio that may each stand for a reference. */
struct pa_kept {
	/* All of them; those of arrays of pages, and of KVM's virtual CPUs. */
	uint64_t words, array_words, vcpu_words;
};

/* Adds the pointer @hit, which is at @place. */
void pa_kept_add(struct pa_check_context *context,
		 const struct pa_search_hit *hit, const struct pa_place *place,
		 struct pa_kept *kept);

/*
 * Who may have the references that @d's folio has too many, for people; NULL
 * where nothing says so.
 */
const char *pa_keeper_find(struct pa_check_context *context,
			   const struct pa_discrepancy *d,
			   const struct pa_kept *kept);

#endif
