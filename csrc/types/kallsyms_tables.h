/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's own symbol tables, in its image in the target. */
#ifndef PA_TYPES_KALLSYMS_TABLES_H
#define PA_TYPES_KALLSYMS_TABLES_H

#include "base/error.h"
#include "source/source.h"
#include "types/kallsyms.h"
#include "types/layout.h"

/*
 * The kernel's symbols from the tables that VMCOREINFO points to (since v6.0),
 * else @layout, which may be NULL; else of a running kernel from
 * /proc/kallsyms, of a dump from tables that are searched for. Owned by the
 * caller. PA_ERROR_MISSING where the target lacks them.
 */
struct pa_error *pa_kallsyms_from_target(struct pa_reader *reader,
					 const struct pa_layout *layout,
					 struct pa_kallsyms **ret);

#endif
