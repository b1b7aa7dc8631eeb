/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the target itself tells of its types: no debug info needed. And whether
 * debug info that was given is its own.
 */
#ifndef PA_TYPES_TARGET_H
#define PA_TYPES_TARGET_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "source/source.h"
#include "types/kallsyms.h"
#include "types/layout.h"

/*
 * A layout from the target's BTF and kallsyms. PA_ERROR_MISSING, with what is
 * missing or damaged, where debug info is needed instead. @kallsyms_ret may be
 * NULL; else it receives the symbols, owned by the caller.
 */
struct pa_error *pa_layout_from_target(struct pa_reader *reader,
				       struct pa_layout *ret,
				       struct pa_kallsyms **kallsyms_ret);

/* vmlinux's BTF, [__start_BTF, __stop_BTF): owned by the caller. */
struct pa_error *pa_target_btf(struct pa_reader *reader,
			       const struct pa_layout *layout,
			       uint8_t **data_ret, size_t *length_ret);

/* VMCOREINFO's KERNELOFFSET: how far KASLR moved the kernel; 0 if not said. */
uint64_t pa_target_kaslr_offset(const struct pa_source_info *info);

/*
 * NULL if the vmlinux at @path is the target's kernel, as far as one can tell:
 * by build id where VMCOREINFO has it (since v5.13), else by linux_banner,
 * else by release. PA_ERROR_MISSING if it is another one's.
 */
struct pa_error *pa_target_check_vmlinux(struct pa_reader *reader,
					 const char *path);

/*
 * The same by the addresses of symbols, that VMCOREINFO has some of; @layout
 * is from the vmlinux at @path, with KASLR applied.
 */
struct pa_error *pa_target_check_symbols(const struct pa_source_info *info,
					 const struct pa_layout *layout,
					 const char *path);

#endif
