// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/elf_notes.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

/* struct elf_prstatus of x86_64 (include/linux/elfcore.h). */
#define PRSTATUS_PID_OFFSET 32
#define PRSTATUS_REG_OFFSET 112

struct note {
	const char *name;
	uint32_t name_bytes;
	uint32_t type;
	const uint8_t *desc;
	uint32_t desc_bytes;
};

static bool note_is_named(const struct note *note, const char *name)
{
	size_t length = strlen(name);

	/* With its NUL; some writers leave that out. */
	return (note->name_bytes == length ||
		(note->name_bytes == length + 1 && !note->name[length])) &&
	       !memcmp(note->name, name, length);
}

char *pa_vmcoreinfo_copy(const uint8_t *bytes, size_t length)
{
	size_t used = strnlen((const char *)bytes, length);
	char *copy = malloc(used + 1);

	if (copy) {
		memcpy(copy, bytes, used);
		copy[used] = 0;
	}
	return copy;
}

static struct pa_error *add_note(struct pa_elf_notes *notes,
				 const struct note *note)
{
	if (note_is_named(note, "VMCOREINFO")) {
		if (notes->vmcoreinfo)
			return NULL;
		notes->vmcoreinfo =
			pa_vmcoreinfo_copy(note->desc, note->desc_bytes);
		return notes->vmcoreinfo ? NULL : &pa_error_no_memory;
	}
	if (note_is_named(note, "QEMU")) {
		notes->from_hypervisor = true;
		return NULL;
	}
	if (!note_is_named(note, "CORE"))
		return NULL;
	if (note->type == NT_AUXV || note->type == NT_FILE)
		notes->of_process = true;
	if (note->type != NT_PRSTATUS)
		return NULL;

	struct pa_cpu_note cpu;

	if (note->desc_bytes < PRSTATUS_REG_OFFSET + sizeof(cpu.regs))
		return NULL;
	cpu.pid = pa_load_u32(note->desc + PRSTATUS_PID_OFFSET);
	memcpy(cpu.regs, note->desc + PRSTATUS_REG_OFFSET, sizeof(cpu.regs));
	return pa_array_append(&notes->cpus, cpu) ? NULL : &pa_error_no_memory;
}

struct pa_error *pa_elf_notes_add(struct pa_elf_notes *notes,
				  const uint8_t *bytes, size_t length)
{
	uint64_t at = 0;

	while (length - at >= sizeof(Elf64_Nhdr)) {
		struct note note = {
			.name_bytes = pa_load_u32(bytes + at),
			.desc_bytes = pa_load_u32(bytes + at + 4),
			.type = pa_load_u32(bytes + at + 8),
		};
		uint64_t name = at + sizeof(Elf64_Nhdr);
		uint64_t desc = name + pa_align_up(note.name_bytes, 4);

		if (desc > length || length - desc < note.desc_bytes)
			break;
		note.name = (const char *)bytes + name;
		note.desc = bytes + desc;

		struct pa_error *err = add_note(notes, &note);

		if (err)
			return err;
		/* The last note's padding may be missing. */
		at = pa_min(desc + pa_align_up(note.desc_bytes, 4), length);
	}
	return NULL;
}

void pa_elf_notes_deinit(struct pa_elf_notes *notes)
{
	free(notes->vmcoreinfo);
	notes->vmcoreinfo = NULL;
	pa_array_deinit(&notes->cpus);
}

void pa_elf_notes_move(struct pa_elf_notes *notes, struct pa_source_info *info)
{
	if (!info->vmcoreinfo) {
		info->vmcoreinfo = notes->vmcoreinfo;
		notes->vmcoreinfo = NULL;
	}
	free(info->cpus.items);
	info->cpus.items = notes->cpus.items;
	info->cpus.length = notes->cpus.length;
	info->cpus.capacity = notes->cpus.capacity;
	notes->cpus.items = NULL;
	notes->cpus.length = notes->cpus.capacity = 0;
	info->from_hypervisor = notes->from_hypervisor;
}
