/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /proc/kallsyms: the running kernel's symbols as text. Before v6.0 (commit
 * 5fd8fea935a1) VMCOREINFO does not say where the tables are that it is made
 * of.
 */
#ifndef PA_TYPES_KALLSYMS_PROC_H
#define PA_TYPES_KALLSYMS_PROC_H

#include <stdio.h>

#include "source/source.h"
#include "types/kallsyms.h"

/*
 * The symbols in lines "ffffffff81000000 T _text"; those of modules, which name
 * them behind, are left out. Owned by the caller. PA_ERROR_MISSING: the reader
 * may not see addresses (kptr_restrict); PA_ERROR_FORMAT: these are no such
 * lines.
 */
struct pa_error *pa_kallsyms_from_text(FILE *file, struct pa_kallsyms **ret);

/*
 * Those of the kernel that we run on, if @info is its: where VMCOREINFO has the
 * same symbols, each at the same address. PA_ERROR_MISSING if it is not.
 */
struct pa_error *pa_kallsyms_from_proc(const struct pa_source_info *info,
				       struct pa_kallsyms **ret);

#endif
