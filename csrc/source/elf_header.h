/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The headers and notes of an ELF core, from a file or from /proc/kcore. */
#ifndef PA_SOURCE_ELF_HEADER_H
#define PA_SOURCE_ELF_HEADER_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "source/elf_notes.h"

/* Reads up to @length bytes at @offset; returns how many there were. */
typedef size_t (*pa_elf_read_fn)(void *arg, uint64_t offset, void *buffer,
				 size_t length);

struct pa_elf_header {
	uint16_t machine;
	uint32_t flags;
	/* Owned. */
	Elf64_Phdr *segments;
	size_t nr_segments;
	struct pa_elf_notes notes;
};

/*
 * Reads the headers of the core @path. Owned by the caller, who ends with
 * pa_elf_header_deinit(); left zeroed on failure.
 *
 * PA_ERROR_FORMAT: not a core of a kernel (a vmlinux, a process) or damaged;
 * PA_ERROR_UNSUPPORTED: of another architecture.
 */
struct pa_error *pa_elf_header_init(struct pa_elf_header *header,
				    const char *path, pa_elf_read_fn read,
				    void *arg);
void pa_elf_header_deinit(struct pa_elf_header *header);

/* "AArch64", ..., or NULL for a machine that has no name here. */
const char *pa_elf_machine_name(uint16_t machine);

/*
 * Physical addresses have at most 52 bits on x86_64. Segments of virtual
 * memory alone have p_paddr = -1 (/proc/kcore's vmalloc area).
 */
#define PA_ELF_PHYS_END (UINT64_C(1) << 52)

#endif
