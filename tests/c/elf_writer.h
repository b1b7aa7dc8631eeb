/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes small ELF vmcores. */
#ifndef PA_TESTS_ELF_WRITER_H
#define PA_TESTS_ELF_WRITER_H

#include "dump.h"

#define NO_PHYS UINT64_MAX

enum {
	ELF_NOTES = 0x8000,
	ELF_DATA = 0x10000,
};

/* An ELF core of these segments; offsets and sizes are as they are given. */
struct elf_segment {
	uint64_t paddr;
	uint64_t offset;
	uint64_t filesz;
	uint64_t memsz;
};

/* Headers at the start, or (@phoff) elsewhere; then the notes. */
static inline struct memory_file elf_write(const struct elf_segment *segments,
					   uint16_t nr, uint64_t phoff)
{
	struct memory_file file = memory_file_create();
	uint8_t notes[4096] = { 0 };
	Elf64_Ehdr ehdr = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = phoff,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (uint16_t)(nr + 1),
	};
	Elf64_Phdr phdr = {
		.p_type = PT_NOTE,
		.p_offset = ELF_NOTES,
		.p_filesz = dump_notes(notes),
	};

	memory_file_write(&file, 0, &ehdr, sizeof(ehdr));
	memory_file_write(&file, ELF_NOTES, notes, phdr.p_filesz);
	memory_file_write(&file, phoff, &phdr, sizeof(phdr));
	for (uint16_t i = 0; i < nr; i++) {
		phdr = (Elf64_Phdr){
			.p_type = PT_LOAD,
			.p_offset = segments[i].offset,
			.p_paddr = segments[i].paddr,
			.p_filesz = segments[i].filesz,
			.p_memsz = segments[i].memsz,
		};
		memory_file_write(&file, phoff + (i + 1u) * sizeof(phdr), &phdr,
				  sizeof(phdr));
	}
	return file;
}

static inline void elf_write_memory(const struct memory_file *file,
				    uint64_t offset, uint64_t phys,
				    uint64_t length)
{
	uint8_t *bytes = malloc(length);

	CHECK_FATAL(bytes);
	dump_fill(bytes, phys, length);
	memory_file_write(file, offset, bytes, length);
	free(bytes);
}

#endif
