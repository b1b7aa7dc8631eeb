// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/elf_header.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"

/* More than any dump has; what is above is damage, and would cost memory. */
#define MAX_SEGMENTS (UINT64_C(1) << 22)
#define MAX_NOTE_BYTES (UINT64_C(64) << 20)
/* Read notes in steps: a damaged size must not allocate all of the above. */
#define NOTE_STEP_BYTES (UINT64_C(256) << 10)

const char *pa_elf_machine_name(uint16_t machine)
{
	switch (machine) {
	case EM_386:
		return "32-bit x86";
	case EM_X86_64:
		return "x86_64";
	case EM_AARCH64:
		return "AArch64";
	case EM_ARM:
		return "32-bit Arm";
	case EM_PPC:
		return "32-bit PowerPC";
	case EM_PPC64:
		return "ppc64";
	case EM_S390:
		return "s390x";
	case EM_RISCV:
		return "RISC-V";
	case EM_MIPS:
		return "MIPS";
	case EM_IA_64:
		return "IA-64";
	case EM_SPARCV9:
		return "sparc64";
	case 258:
		return "LoongArch";
	default:
		return NULL;
	}
}

static struct pa_error *check_ident(const char *path, const Elf64_Ehdr *ehdr)
{
	bool big = ehdr->e_ident[EI_DATA] == ELFDATA2MSB;
	/* These two lie at the same place in 32-bit headers. */
	uint16_t type = ehdr->e_type, machine = ehdr->e_machine;

	if (big) {
		type = __builtin_bswap16(type);
		machine = __builtin_bswap16(machine);
	} else if (ehdr->e_ident[EI_DATA] != ELFDATA2LSB) {
		return pa_error_create(
			PA_ERROR_FORMAT,
			"%s: an ELF file with a damaged header (byte order %u)",
			path, ehdr->e_ident[EI_DATA]);
	}
	switch (type) {
	case ET_CORE:
		break;
	case ET_EXEC:
	case ET_DYN:
		return pa_error_create(
			PA_ERROR_FORMAT,
			"%s: an ELF executable (a vmlinux?), not a vmcore; "
			"give the dump as the target and a vmlinux with -s",
			path);
	case ET_REL:
		return pa_error_create(
			PA_ERROR_FORMAT,
			"%s: an ELF object file (a kernel module?), not a "
			"vmcore; give the dump as the target and modules "
			"with -s",
			path);
	default:
		return pa_error_create(PA_ERROR_FORMAT,
				       "%s: an ELF file of type %u, not a "
				       "vmcore",
				       path, type);
	}
	if (machine != EM_X86_64) {
		const char *name = pa_elf_machine_name(machine);

		if (name)
			return pa_error_create(
				PA_ERROR_UNSUPPORTED,
				"%s: a dump of a machine of architecture %s; "
				"only x86_64 is supported",
				path, name);
		return pa_error_create(
			PA_ERROR_UNSUPPORTED,
			"%s: a dump of a machine of architecture number %u; "
			"only x86_64 is supported",
			path, machine);
	}
	if (big)
		return pa_error_create(PA_ERROR_UNSUPPORTED,
				       "%s: a big-endian dump; only x86_64 "
				       "is supported",
				       path);
	if (ehdr->e_ident[EI_CLASS] != ELFCLASS64)
		return pa_error_create(PA_ERROR_UNSUPPORTED,
				       "%s: a 32-bit ELF core, which cannot "
				       "hold an x86_64 kernel",
				       path);
	return NULL;
}

static struct pa_error *damaged(const char *path, const char *what)
{
	return pa_error_create(PA_ERROR_FORMAT,
			       "%s: an ELF core that is damaged or cut short "
			       "(%s)",
			       path, what);
}

static struct pa_error *read_segments(struct pa_elf_header *header,
				      const char *path, const Elf64_Ehdr *ehdr,
				      pa_elf_read_fn read, void *arg)
{
	uint64_t count = ehdr->e_phnum;

	if (count == PN_XNUM) {
		/* More than fit: the first section header has the number. */
		Elf64_Shdr shdr;

		if (!ehdr->e_shoff || read(arg, ehdr->e_shoff, &shdr,
					   sizeof(shdr)) != sizeof(shdr))
			return damaged(path, "no section header for the "
					     "number of segments");
		count = shdr.sh_info;
	}
	if (!count || count > MAX_SEGMENTS)
		return damaged(path, count ? "too many segments" :
					     "it has no segments");
	if (ehdr->e_phentsize != sizeof(Elf64_Phdr))
		return damaged(path, "wrong size of program headers");

	/*
	 * The last byte first, so that a damaged number costs no memory. The
	 * table may lie anywhere: QEMU 7.2 and later put it behind the section
	 * headers.
	 */
	size_t bytes = count * sizeof(Elf64_Phdr);
	uint64_t end;
	uint8_t last;

	if (__builtin_add_overflow(ehdr->e_phoff, bytes, &end) ||
	    read(arg, end - 1, &last, 1) != 1)
		return damaged(path, "its program headers are missing");
	header->segments = malloc(bytes);
	if (!header->segments)
		return &pa_error_no_memory;
	header->nr_segments = count;
	if (read(arg, ehdr->e_phoff, header->segments, bytes) != bytes)
		return damaged(path, "its program headers are missing");
	return NULL;
}

static struct pa_error *read_notes(struct pa_elf_header *header,
				   pa_elf_read_fn read, void *arg)
{
	uint64_t budget = MAX_NOTE_BYTES;

	for (size_t i = 0; i < header->nr_segments; i++) {
		const Elf64_Phdr *phdr = &header->segments[i];

		if (phdr->p_type != PT_NOTE)
			continue;

		uint64_t wanted = pa_min(phdr->p_filesz, budget);
		pa_auto_free uint8_t *bytes = NULL;
		size_t length = 0;

		budget -= wanted;
		if (phdr->p_offset > UINT64_MAX - wanted)
			continue;
		while (length < wanted) {
			size_t step = pa_min(wanted - length, NOTE_STEP_BYTES);
			uint8_t *grown = realloc(bytes, length + step);

			if (!grown)
				return &pa_error_no_memory;
			bytes = grown;

			size_t got = read(arg, phdr->p_offset + length,
					  bytes + length, step);

			length += got;
			if (got < step)
				break;
		}

		struct pa_error *err =
			pa_elf_notes_add(&header->notes, bytes, length);

		if (err)
			return err;
	}
	return NULL;
}

static struct pa_error *header_read(struct pa_elf_header *header,
				    const char *path, pa_elf_read_fn read,
				    void *arg)
{
	Elf64_Ehdr ehdr = { 0 };
	struct pa_error *err;
	size_t nr_physical = 0;

	/* A 32-bit header is shorter, but is refused before that matters. */
	if (read(arg, 0, &ehdr, sizeof(ehdr)) < sizeof(Elf32_Ehdr))
		return damaged(path, "its header is incomplete");
	err = check_ident(path, &ehdr);
	if (err)
		return err;
	header->machine = ehdr.e_machine;
	header->flags = ehdr.e_flags;
	err = read_segments(header, path, &ehdr, read, arg);
	if (err)
		return err;
	err = read_notes(header, read, arg);
	if (err)
		return err;
	if (header->notes.of_process && !header->notes.vmcoreinfo)
		return pa_error_create(PA_ERROR_FORMAT,
				       "%s: the core dump of a process, not "
				       "of a kernel",
				       path);
	for (size_t i = 0; i < header->nr_segments; i++) {
		const Elf64_Phdr *phdr = &header->segments[i];

		if (phdr->p_type == PT_LOAD && phdr->p_paddr < PA_ELF_PHYS_END)
			nr_physical++;
	}
	if (!nr_physical)
		return damaged(path, "it has no physical memory");
	return NULL;
}

struct pa_error *pa_elf_header_init(struct pa_elf_header *header,
				    const char *path, pa_elf_read_fn read,
				    void *arg)
{
	*header = (struct pa_elf_header){ 0 };

	struct pa_error *err = header_read(header, path, read, arg);

	if (err)
		pa_elf_header_deinit(header);
	return err;
}

void pa_elf_header_deinit(struct pa_elf_header *header)
{
	free(header->segments);
	pa_elf_notes_deinit(&header->notes);
	*header = (struct pa_elf_header){ 0 };
}
