/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keepers: whoever takes references that no holder shows, and keeps the page's
 * address. It may be a leak all the same.
 */
#ifndef PA_CHECKS_KEEPER_H
#define PA_CHECKS_KEEPER_H

#include "census/counts.h"
#include "census/place.h"
#include "checks/check.h"

/* Whether a pointer to a page, at @place, may stand for a reference. */
bool pa_keeper_names(const struct pa_place *place);

/*
 * Who may have the references that @d's folio has too many, for people, where
 * so many words are such pointers to it; NULL where nothing says so.
 */
const char *pa_keeper_find(struct pa_check_context *context,
			   const struct pa_discrepancy *d, uint64_t words);

#endif
