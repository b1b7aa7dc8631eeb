/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VMCOREINFO note: "KEY=VALUE" lines that the kernel writes for dump tools
 * (kernel/vmcore_info.c, formerly kernel/crash_core.c).
 */
#ifndef PA_SOURCE_VMCOREINFO_H
#define PA_SOURCE_VMCOREINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value of @key ("OSRELEASE", "SYMBOL(prb)"): false if there is none. */
bool pa_vmcoreinfo_string(const char *vmcoreinfo, const char *key,
			  const char **value_ret, size_t *length_ret);
/* Numbers: decimal, as NUMBER(), LENGTH(), SIZE() and OFFSET() have them. */
bool pa_vmcoreinfo_number(const char *vmcoreinfo, const char *key,
			  int64_t *ret);
/* Hexadecimal without 0x: KERNELOFFSET. */
bool pa_vmcoreinfo_hex(const char *vmcoreinfo, const char *key, uint64_t *ret);
/* SYMBOL(@name): the run-time address of a variable or function. */
bool pa_vmcoreinfo_symbol(const char *vmcoreinfo, const char *name,
			  uint64_t *ret);

#endif
