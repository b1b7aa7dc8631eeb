/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stale-page-reference: words of kernel memory that no holder accounts for. */
#ifndef PA_CHECKS_STALE_WORD_H
#define PA_CHECKS_STALE_WORD_H

#include "checks/check.h"

/*
 * A finding for each unusable page that words name. What other findings of the
 * check, which come before, say of the page gets the words as evidence.
 */
struct pa_error *pa_check_stale_words(struct pa_check_context *context,
				      struct pa_check_result *result);

/* Evidence: what a reference's target is, and its section. */
void pa_check_add_target(struct pa_check_context *context, struct pa_finding *f,
			 enum pa_target target, uint64_t pfn);

#endif
