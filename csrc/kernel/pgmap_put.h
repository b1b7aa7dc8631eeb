/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How far memunmap_pages() has come that puts each page: mm/memremap.c. */
#ifndef PA_KERNEL_PGMAP_PUT_H
#define PA_KERNEL_PGMAP_PUT_H

#include "kernel/kernel.h"

/* Fills in ->put_end of the ranges of @pgmaps, @kernel's own. */
struct pa_error *pa_pgmaps_find_put(const struct pa_kernel *kernel,
				    struct pa_pgmaps *pgmaps);

#endif
