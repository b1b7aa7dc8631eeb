/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where in the kernel image its symbol tables are, found by their form: for
 * kernels whose VMCOREINFO does not tell (before v6.0, commit 5fd8fea935a1).
 */
#ifndef PA_TYPES_KALLSYMS_SEARCH_H
#define PA_TYPES_KALLSYMS_SEARCH_H

#include <stdint.h>

#include "base/error.h"
#include "source/source.h"
#include "types/image.h"

/* Run-time addresses; 0 where a form of the tables has none. */
struct pa_kallsyms_places {
	uint64_t names;
	uint64_t num_syms;
	uint64_t token_table;
	uint64_t token_index;
	uint64_t offsets;
	uint64_t relative_base;
	uint64_t addresses;
};

/*
 * Looks behind @start, the address of _stext, as write_src() of
 * scripts/kallsyms.c lays the tables out from v4.20 to v6.1: the addresses,
 * kallsyms_num_syms, kallsyms_names, kallsyms_markers, kallsyms_token_table and
 * kallsyms_token_index, each aligned to 8 bytes. Each must fit the others; what
 * symbols they hold is not looked at. PA_ERROR_MISSING if there are none.
 */
struct pa_error *pa_kallsyms_search(const struct pa_image *image,
				    struct pa_reader *reader, uint64_t start,
				    struct pa_kallsyms_places *ret);

#endif
