/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ELF notes of a vmcore: VMCOREINFO, registers, and who wrote them. */
#ifndef PA_SOURCE_ELF_NOTES_H
#define PA_SOURCE_ELF_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "source/source.h"

struct pa_elf_notes {
	/* NUL-terminated, owned; NULL if there is none. */
	char *vmcoreinfo;
	struct {
		struct pa_cpu_note *items;
		size_t length;
		size_t capacity;
	} cpus;
	/* A "QEMU" note: the registers are the hypervisor's. */
	bool from_hypervisor;
	/* Notes that only the core of a process has. */
	bool of_process;
};

/*
 * Adds what @length bytes of notes say to @notes (zeroed at first). Damaged
 * notes end the walk without an error: what came before them counts.
 */
struct pa_error *pa_elf_notes_add(struct pa_elf_notes *notes,
				  const uint8_t *bytes, size_t length);
void pa_elf_notes_deinit(struct pa_elf_notes *notes);

/* Moves what was found into a source's facts; @notes is empty then. */
void pa_elf_notes_move(struct pa_elf_notes *notes, struct pa_source_info *info);

/* A NUL-terminated copy of a VMCOREINFO of at most @length bytes, or NULL. */
char *pa_vmcoreinfo_copy(const uint8_t *bytes, size_t length);

#endif
