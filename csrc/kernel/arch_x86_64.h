/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The functions of pa_arch_x86_64 that have files of their own. */
#ifndef PA_KERNEL_ARCH_X86_64_H
#define PA_KERNEL_ARCH_X86_64_H

#include "kernel/arch.h"

void pa_x86_64_setup_entries(const struct pa_layout *layout,
			     const struct pa_address_space *space,
			     struct pa_page_table_format *format);
void pa_x86_64_decode_entry(const struct pa_page_table_format *format,
			    unsigned int level, uint64_t value,
			    struct pa_entry *ret);

#endif
