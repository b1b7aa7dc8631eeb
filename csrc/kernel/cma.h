/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Areas that drivers allocate contiguous ranges from: mm/cma.c. */
#ifndef PA_KERNEL_CMA_H
#define PA_KERNEL_CMA_H

#include "kernel/memory.h"

/* CMA_MAX_NAME; what "cma4294967295" takes is less. */
#define PA_CMA_NAME_MAX 64

/* Name of the area that has @pfn. Empty where none has, or there are none. */
struct pa_error *pa_cma_name(struct pa_memory *memory,
			     const struct pa_layout *layout, uint64_t pfn,
			     char ret[PA_CMA_NAME_MAX]);

#endif
