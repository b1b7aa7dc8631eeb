// SPDX-License-Identifier: LGPL-2.1-or-later
/* The running kernel through /proc/kcore (fs/proc/kcore.c). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "source/elf_header.h"
#include "source/internal.h"

#define PAGE_BYTES UINT64_C(4096)

/* __START_KERNEL_map: from here on addresses are those of the kernel image. */
#define KERNEL_TEXT UINT64_C(0xffffffff80000000)

struct kcore_source {
	struct pa_source base;
	int fd;
	/* Owned; for readers to open, and for messages. */
	char *path;
	/* Settled; from = offset in the file. */
	struct pa_pieces table;
};

struct kcore_reader {
	struct pa_reader base;
	/*
	 * Its own open file: the kernel copies by way of a page that belongs to
	 * the file (private_data, since df04abfd181a "fs/proc/kcore.c: Add
	 * bounce buffer for ktext data"), and kclist_lock lets two reads of one
	 * file run at once. Each may then return what the other has read.
	 */
	int fd;
	size_t hint;
};

static void kcore_destroy(struct pa_source *base)
{
	struct kcore_source *source = (struct kcore_source *)base;

	pa_source_info_deinit(&base->info);
	pa_array_deinit(&source->table);
	if (source->fd >= 0)
		close(source->fd);
	free(source->path);
	free(source);
}

static struct pa_error *kcore_reader_create(struct pa_source *base,
					    struct pa_reader **ret)
{
	struct kcore_source *source = (struct kcore_source *)base;
	struct kcore_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return &pa_error_no_memory;
	reader->fd = open(source->path, O_RDONLY | O_CLOEXEC);
	if (reader->fd < 0) {
		int error = errno;

		free(reader);
		return pa_error_os(error, source->path);
	}
	reader->base.source = base;
	*ret = &reader->base;
	return NULL;
}

static void kcore_reader_destroy(struct pa_reader *base)
{
	close(((struct kcore_reader *)base)->fd);
	free(base);
}

/* How many bytes there were, or -errno. */
static ssize_t kcore_pread(int fd, void *buffer, size_t length, uint64_t offset)
{
	ssize_t n;

	if (offset > INT64_MAX)
		return -EFAULT;
	do
		n = pread(fd, buffer, length, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/*
 * One large read: the cost of /proc/kcore is that of each call. A read that
 * meets memory which went away (EFAULT) gives what came before it; then that
 * page is unreadable.
 */
static struct pa_error *kcore_run(struct pa_reader *base, uint64_t phys,
				  uint64_t length, uint8_t *buffer,
				  struct pa_run *ret)
{
	struct kcore_reader *reader = (struct kcore_reader *)base;
	struct kcore_source *source = (struct kcore_source *)base->source;
	const struct pa_piece *piece;
	struct pa_run run;

	pa_table_run(&source->table, phys, length, &reader->hint, &run, &piece);
	if (!piece) {
		*ret = run;
		return NULL;
	}

	uint64_t offset = piece->from + (phys - piece->start);
	ssize_t n = kcore_pread(reader->fd, buffer, run.length, offset);

	if (n == -ENOMEM)
		return &pa_error_no_memory;
	/* Lockdown may be switched on while we run. */
	if (n == -EPERM || n == -EACCES)
		return pa_error_os((int)-n, source->path);
	if (n <= 0) {
		uint64_t page = PAGE_BYTES - phys % PAGE_BYTES;

		/* A large read may fail as a whole, small ones in part. */
		if (run.length > page) {
			n = kcore_pread(reader->fd, buffer, page, offset);
			run.length = page;
		}
		if (n <= 0) {
			run.presence = PA_UNREADABLE;
			*ret = run;
			return NULL;
		}
	}
	run.length = (uint64_t)n;
	run.data = buffer;
	*ret = run;
	return NULL;
}

static const struct pa_source_ops kcore_ops = {
	.destroy = kcore_destroy,
	.reader_create = kcore_reader_create,
	.reader_destroy = kcore_reader_destroy,
	.run = kcore_run,
};

static size_t read_kcore(void *arg, uint64_t offset, void *buffer,
			 size_t length)
{
	const struct kcore_source *source = arg;
	size_t done = 0;

	while (done < length) {
		if (offset > UINT64_MAX - done)
			break;

		ssize_t n = kcore_pread(source->fd, (uint8_t *)buffer + done,
					length - done, offset + done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static struct pa_error *kcore_init(struct kcore_source *source,
				   struct pa_elf_header *header)
{
	struct pa_source_info *info = &source->base.info;
	struct pa_error *err;

	for (size_t i = 0; i < header->nr_segments; i++) {
		const Elf64_Phdr *phdr = &header->segments[i];
		uint64_t end;

		/* The vmalloc area and the memmap have p_paddr = -1. */
		if (phdr->p_type != PT_LOAD ||
		    phdr->p_paddr >= PA_ELF_PHYS_END || !phdr->p_memsz ||
		    phdr->p_memsz > PA_ELF_PHYS_END - phdr->p_paddr ||
		    __builtin_add_overflow(phdr->p_offset, phdr->p_memsz, &end))
			continue;
		/* Both show the kernel image; the direct map is larger. */
		if (!pa_array_append(
			    &source->table,
			    (struct pa_piece){
				    .start = phdr->p_paddr,
				    .end = phdr->p_paddr + phdr->p_memsz,
				    .from = phdr->p_offset,
				    .rank = phdr->p_vaddr >= KERNEL_TEXT,
				    .tag = PA_PRESENT,
			    }))
			return &pa_error_no_memory;
	}
	err = pa_pieces_settle(&source->table);
	for (size_t i = 0; i < source->table.length && !err; i++)
		err = pa_source_add_range(info, source->table.items[i].start,
					  source->table.items[i].end);
	if (err)
		return err;
	info->format = PA_SOURCE_KCORE;
	strcpy(info->format_name, "/proc/kcore");
	info->live = true;
	info->complete = true;
	info->dump_level = -1;
	info->machine = header->machine;
	pa_elf_notes_move(&header->notes, info);
	return NULL;
}

struct pa_error *pa_source_kcore(int fd, const char *path,
				 struct pa_source **ret)
{
	struct kcore_source *source = calloc(1, sizeof(*source));
	struct pa_elf_header header;
	struct pa_error *err;
	char first;

	if (!source) {
		close(fd);
		return &pa_error_no_memory;
	}
	source->base.ops = &kcore_ops;
	source->fd = fd;
	source->path = strdup(path);
	if (!source->path) {
		kcore_destroy(&source->base);
		return &pa_error_no_memory;
	}

	ssize_t n = kcore_pread(fd, &first, 1, 0);

	if (n != 1) {
		err = n < 0 ? pa_error_os((int)-n, path) :
			      pa_error_create(PA_ERROR_FORMAT,
					      "%s: the file is empty", path);
		kcore_destroy(&source->base);
		return err;
	}
	err = pa_elf_header_init(&header, path, read_kcore, source);
	if (!err) {
		err = kcore_init(source, &header);
		pa_elf_header_deinit(&header);
	}
	if (err) {
		kcore_destroy(&source->base);
		return err;
	}
	*ret = &source->base;
	return NULL;
}
