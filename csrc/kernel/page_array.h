/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arrays of pointers to struct page: "struct page **pages". */
#ifndef PA_KERNEL_PAGE_ARRAY_H
#define PA_KERNEL_PAGE_ARRAY_H

#include "kernel/memory.h"

/* @page: what the pointer at @slot, number @index, says. False stops. */
typedef bool (*pa_page_array_fn)(void *arg, uint64_t index, uint64_t slot,
				 uint64_t page);

/*
 * The @nr pointers at @array that are not NULL. Those of a longer array than
 * anything needs are PA_ERROR_CORRUPT.
 */
struct pa_error *pa_page_array_visit(struct pa_memory *memory, uint64_t array,
				     uint64_t nr, pa_page_array_fn visit,
				     void *arg);

#endif
