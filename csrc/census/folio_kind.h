/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a folio is, and what that means for its references. */
#ifndef PA_CENSUS_FOLIO_KIND_H
#define PA_CENSUS_FOLIO_KIND_H

#include "census/counts.h"

/* What the head's struct page @page says, of class @class. */
enum pa_folio_kind pa_folio_kind(const struct pa_page_format *f,
				 const uint8_t *page, uint8_t class);

/* Whether all that may hold such a folio is known to us; @d has its refs. */
bool pa_folio_holders_known(const struct pa_kernel *kernel,
			    const struct pa_discrepancy *d);

/* References that the folio has by itself, held by no slot. */
uint64_t pa_folio_own_refs(const struct pa_kernel *kernel,
			   const struct pa_discrepancy *d);

#endif
