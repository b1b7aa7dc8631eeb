/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Debug info files: what they are, and which kernel they belong to. */
#ifndef PA_TYPES_ELF_FILE_H
#define PA_TYPES_ELF_FILE_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "types/layout.h"
#include "types/wanted.h"

/* An open ELF file; zero to initialise but for fd, which is -1. */
struct pa_elf_file {
	int fd;
	Elf *elf;
	/* Borrowed from the caller of pa_elf_file_open(). */
	const char *path;
};

/*
 * Opens a vmlinux, or its separate debug file. Anything else (a directory, a
 * compressed kernel image, a module, a core dump, another architecture's file)
 * is refused in one sentence.
 */
struct pa_error *pa_elf_file_open(const char *path, struct pa_elf_file *ret);
void pa_elf_file_deinit(struct pa_elf_file *file);

#define pa_auto_elf_file pa_cleanup(pa_elf_file_deinit)

/* A build id is 20 bytes (SHA-1) in practice; in hexadecimal with a NUL. */
#define PA_BUILD_ID_MAX 64
#define PA_BUILD_ID_TEXT_MAX (2 * PA_BUILD_ID_MAX + 1)

/* "" if the file has none. */
void pa_elf_file_build_id(const struct pa_elf_file *file,
			  char ret[PA_BUILD_ID_TEXT_MAX]);

/*
 * The symbols that the table wants, as the file has them (KASLR not applied).
 * PA_ERROR_MISSING if there is no symbol table.
 */
struct pa_error *pa_elf_file_symbols(const struct pa_elf_file *file,
				     const struct pa_wanted *wanted,
				     struct pa_layout *layout);

/*
 * Moves the symbols from link-time to run-time addresses. Per-cpu symbols of
 * kernels that link their per-cpu section at 0 (x86_64 before v6.15) are
 * offsets, and don't move.
 */
void pa_layout_slide(struct pa_layout *layout, uint64_t kaslr_offset);

/* The build id of the ELF file at @path: what VMCOREINFO's BUILD-ID must be. */
struct pa_error *pa_elf_build_id(const char *path,
				 char ret[PA_BUILD_ID_TEXT_MAX]);

/*
 * The kernel's linux_banner ("Linux version ..."), owned by the caller, and its
 * link-time address; NULL where the file does not hold it (a separate debug
 * file has no data).
 */
struct pa_error *pa_elf_linux_banner(const char *path, char **ret,
				     uint64_t *address_ret);

#endif
