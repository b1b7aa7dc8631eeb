/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes small dumps into unnamed files, for the tests of csrc/source/. */
#ifndef PA_TESTS_DUMP_H
#define PA_TESTS_DUMP_H

#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "source/source.h"

#define PAGE 4096

/* A file in memory, and the path by which to open it. */
struct memory_file {
	int fd;
	char path[32];
};

static inline struct memory_file memory_file_create(void)
{
	struct memory_file file = { .fd = memfd_create("dump", MFD_CLOEXEC) };

	CHECK_FATAL(file.fd >= 0);
	snprintf(file.path, sizeof(file.path), "/proc/self/fd/%d", file.fd);
	return file;
}

static inline void memory_file_write(const struct memory_file *file,
				     uint64_t offset, const void *bytes,
				     size_t length)
{
	CHECK_FATAL(pwrite(file->fd, bytes, length, (off_t)offset) ==
		    (ssize_t)length);
}

static inline struct memory_file memory_file_of(const void *bytes,
						size_t length)
{
	struct memory_file file = memory_file_create();

	if (length)
		memory_file_write(&file, 0, bytes, length);
	return file;
}

static inline struct pa_error *memory_file_open(const struct memory_file *file,
						struct pa_source **ret)
{
	const char *path = file->path;

	return pa_source_open(&path, 1, ret);
}

/* The byte that these dumps have at a physical address. */
static inline uint8_t dump_byte(uint64_t phys)
{
	return (uint8_t)(phys * 31 + (phys >> 12) * 7 + (phys >> 20));
}

static inline void dump_fill(uint8_t *bytes, uint64_t phys, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		bytes[i] = dump_byte(phys + i);
}

/* Appends one note; returns the offset behind it. */
static inline size_t dump_note(uint8_t *at, size_t offset, const char *name,
			       uint32_t type, const void *desc, uint32_t length)
{
	Elf64_Nhdr nhdr = {
		.n_namesz = (uint32_t)strlen(name) + 1,
		.n_descsz = length,
		.n_type = type,
	};

	memcpy(at + offset, &nhdr, sizeof(nhdr));
	offset += sizeof(nhdr);
	memcpy(at + offset, name, nhdr.n_namesz);
	offset += (nhdr.n_namesz + 3) & ~3u;
	memcpy(at + offset, desc, length);
	return offset + ((length + 3) & ~3u);
}

#define DUMP_VMCOREINFO "OSRELEASE=6.1.0\nPAGESIZE=4096\n"

/* VMCOREINFO and the registers of two CPUs; returns their length. */
static inline size_t dump_notes(uint8_t *notes)
{
	uint8_t prstatus[336] = { 0 };
	size_t length = 0;

	for (uint8_t cpu = 0; cpu < 2; cpu++) {
		prstatus[32] = (uint8_t)(100 + cpu);
		prstatus[112 + 16 * 8] = (uint8_t)(0x40 + cpu);
		length = dump_note(notes, length, "CORE", NT_PRSTATUS, prstatus,
				   sizeof(prstatus));
	}
	return dump_note(notes, length, "VMCOREINFO", 0, DUMP_VMCOREINFO,
			 sizeof(DUMP_VMCOREINFO) - 1);
}

static inline void dump_check_facts(const struct pa_source *source)
{
	const struct pa_source_info *info = &source->info;

	CHECK(info->machine == EM_X86_64);
	CHECK(info->vmcoreinfo && !strcmp(info->vmcoreinfo, DUMP_VMCOREINFO));
	CHECK(info->cpus.length == 2);
	for (size_t i = 0; i < info->cpus.length; i++) {
		CHECK(info->cpus.items[i].pid == 100 + i);
		CHECK(info->cpus.items[i].regs[16] == 0x40 + i);
	}
}

/*
 * Reads [phys, phys + length) run by run, checks lengths and contents, and
 * returns the bytes that had this presence.
 */
static inline uint64_t dump_count(struct pa_source *source, uint64_t phys,
				  uint64_t length, enum pa_presence presence)
{
	struct pa_reader *reader;
	uint8_t *buffer = malloc(length);
	uint64_t count = 0;

	CHECK_FATAL(buffer);
	CHECK_OK(pa_reader_create(source, &reader));
	for (uint64_t done = 0; done < length;) {
		struct pa_run run = { 0 };

		CHECK_OK(pa_reader_run(reader, phys + done, length - done,
				       buffer, &run));
		CHECK_FATAL(run.length && run.length <= length - done);
		if (run.presence == presence)
			count += run.length;
		if (run.presence == PA_PRESENT) {
			bool same = true;

			for (uint64_t i = 0; i < run.length; i++)
				same &= run.data[i] ==
					dump_byte(phys + done + i);
			CHECK(same);
		}
		done += run.length;
	}
	pa_reader_destroy(reader);
	free(buffer);
	return count;
}

#endif
