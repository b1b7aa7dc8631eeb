/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The BTF filler: types from the BPF Type Format that kernels carry in their
 * own read-only data (include/uapi/linux/btf.h).
 */
#ifndef PA_TYPES_BTF_H
#define PA_TYPES_BTF_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "types/layout.h"
#include "types/wanted.h"

struct pa_btf;

/*
 * Indexes @length bytes at @data, borrowed for the result's life. @base is
 * vmlinux's BTF if this is a module's, whose ids and strings continue it
 * (split BTF); else NULL. It is borrowed too.
 *
 * PA_ERROR_FORMAT if it is no BTF or damaged. Whatever the bytes, what later
 * walks them stays inside and ends.
 */
struct pa_error *pa_btf_create(const uint8_t *data, size_t length,
			       const struct pa_btf *base, struct pa_btf **ret);
void pa_btf_destroy(struct pa_btf *btf);

static inline void pa_cleanup_btf(struct pa_btf **btf)
{
	pa_btf_destroy(*btf);
}

#define pa_auto_btf pa_cleanup(pa_cleanup_btf)

/*
 * Fills types, members and enumerators that @layout does not know yet from
 * this BTF (not from its base).
 */
void pa_btf_fill(const struct pa_btf *btf, const struct pa_wanted *wanted,
		 struct pa_layout *layout);

/*
 * Adds what only a module's types tell: @base is vmlinux's BTF, @split the
 * module's (struct btf's data, as btf_modules lists them).
 */
struct pa_error *pa_layout_add_btf(struct pa_layout *layout,
				   const uint8_t *base, size_t base_length,
				   const uint8_t *split, size_t split_length);

#endif
