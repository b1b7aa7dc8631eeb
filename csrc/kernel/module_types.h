/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Types that only loaded modules know: their split BTF (kernel/bpf/btf.c). */
#ifndef PA_KERNEL_MODULE_TYPES_H
#define PA_KERNEL_MODULE_TYPES_H

#include "source/source.h"
#include "types/layout.h"

/*
 * Adds to @layout, before it is shared, the types that it lacks and that a
 * loaded module's BTF has. What of that can't be read stays unknown: errors
 * are ours only.
 */
struct pa_error *pa_module_types_add(struct pa_source *source,
				     struct pa_layout *layout);

#endif
