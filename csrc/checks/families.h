/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks' functions, each in the file of its family; see pa_check_fn. */
#ifndef PA_CHECKS_FAMILIES_H
#define PA_CHECKS_FAMILIES_H

#include "checks/check.h"

#define PA_CHECK_FUNCTION(name)                                 \
	struct pa_error *name(struct pa_check_context *context, \
			      struct pa_check_result *result)

PA_CHECK_FUNCTION(pa_check_section_state);
PA_CHECK_FUNCTION(pa_check_memmap_uninitialised);
PA_CHECK_FUNCTION(pa_check_page_links);
PA_CHECK_FUNCTION(pa_check_zone_device_taint);
PA_CHECK_FUNCTION(pa_check_zone_accounting);
PA_CHECK_FUNCTION(pa_check_buddy_structure);
PA_CHECK_FUNCTION(pa_check_isolated_pageblock);
PA_CHECK_FUNCTION(pa_check_lost_free_pages);
PA_CHECK_FUNCTION(pa_check_lru_structure);
PA_CHECK_FUNCTION(pa_check_hugetlb_pool);
PA_CHECK_FUNCTION(pa_check_stale_page_reference);
PA_CHECK_FUNCTION(pa_check_compound_structure);
PA_CHECK_FUNCTION(pa_check_mapcount_mismatch);
PA_CHECK_FUNCTION(pa_check_soft_offline_leak);
PA_CHECK_FUNCTION(pa_check_device_page_reference);
PA_CHECK_FUNCTION(pa_check_refcount_leak);
PA_CHECK_FUNCTION(pa_check_refcount_underflow);
PA_CHECK_FUNCTION(pa_check_counter_drift);
PA_CHECK_FUNCTION(pa_check_page_lock);
PA_CHECK_FUNCTION(pa_check_hwpoison_in_buddy);
PA_CHECK_FUNCTION(pa_check_hwpoison_neighbour_leak);
PA_CHECK_FUNCTION(pa_check_hwpoison_accounting);
PA_CHECK_FUNCTION(pa_check_hwpoison_mapped);
PA_CHECK_FUNCTION(pa_check_pgmap_dangling);

#endif
