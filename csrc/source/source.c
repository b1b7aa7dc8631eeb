// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/source.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "source/internal.h"

void pa_source_info_deinit(struct pa_source_info *info)
{
	free(info->vmcoreinfo);
	info->vmcoreinfo = NULL;
	pa_array_deinit(&info->ranges);
	pa_array_deinit(&info->cpus);
}

struct pa_error *pa_source_add_range(struct pa_source_info *info,
				     uint64_t start, uint64_t end)
{
	/*
	 * A damaged bitmap may say that every other page is memory. Past this
	 * many, ranges swallow the gaps between them; reading still tells.
	 */
	const size_t max_ranges = 1 << 20;

	if (info->ranges.length) {
		struct pa_phys_range *last =
			&info->ranges.items[info->ranges.length - 1];

		if (last->end >= start || info->ranges.length >= max_ranges) {
			last->end = pa_max(last->end, end);
			return NULL;
		}
	}
	if (!pa_array_append(&info->ranges,
			     (struct pa_phys_range){ start, end }))
		return &pa_error_no_memory;
	return NULL;
}

void pa_source_incomplete(struct pa_source_info *info, const char *format, ...)
{
	va_list ap;

	if (!info->complete)
		return;
	info->complete = false;
	va_start(ap, format);
	vsnprintf(info->incomplete_reason, sizeof(info->incomplete_reason),
		  format, ap);
	va_end(ap);
}

void pa_table_run(const struct pa_pieces *table, uint64_t phys, uint64_t length,
		  size_t *hint, struct pa_run *ret,
		  const struct pa_piece **piece_ret)
{
	const struct pa_piece *end = table->items + table->length;
	const struct pa_piece *piece = pa_pieces_find(table, phys, hint);
	uint64_t limit = length > UINT64_MAX - phys ? UINT64_MAX :
						      phys + length;
	uint64_t at = phys;

	*piece_ret = NULL;
	ret->data = NULL;
	if (piece && piece->start <= phys) {
		ret->presence = piece->tag;
		if (ret->presence == PA_PRESENT) {
			ret->length = pa_min(limit, piece->end) - phys;
			*piece_ret = piece;
			return;
		}
	} else {
		ret->presence = PA_UNREADABLE;
	}
	/* What is absent may go on over several pieces and gaps. */
	while (at < limit) {
		uint64_t next = piece && piece < end ? piece->start : limit;

		if (next > at) {
			if (ret->presence != PA_UNREADABLE)
				break;
			at = pa_min(next, limit);
			continue;
		}
		if (piece->tag != ret->presence)
			break;
		at = pa_min(piece->end, limit);
		piece++;
	}
	/* The last byte of all is a run, too. */
	ret->length = pa_max(at - phys, 1);
}

static struct pa_error *describe_unknown(const struct pa_file *file)
{
	static const struct {
		const char *magic;
		size_t length;
		const char *name;
	} compressed[] = {
		{ "\x1f\x8b", 2, "gzip" },
		{ "\xfd"
		  "7zXZ",
		  5, "xz" },
		{ "\x28\xb5\x2f\xfd", 4, "zstd" },
		{ "BZh", 3, "bzip2" },
		{ "\x04\x22\x4d\x18", 4, "lz4" },
		{ "PK\x03\x04", 4, "zip" },
	};
	uint8_t head[512];
	size_t length = pa_file_read(file, 0, head, sizeof(head));
	bool text = true;

	for (size_t i = 0; i < sizeof(compressed) / sizeof(*compressed); i++) {
		if (length >= compressed[i].length &&
		    !memcmp(head, compressed[i].magic, compressed[i].length))
			return pa_error_create(PA_ERROR_FORMAT,
					       "%s: a file compressed with %s; "
					       "decompress it first",
					       file->path, compressed[i].name);
	}
	for (size_t i = 0; i < length; i++)
		text &= head[i] >= ' ' || strchr("\t\n\r\f\033", head[i]);
	/* strchr() finds the NUL, too. */
	text &= !memchr(head, 0, length);
	if (text)
		return pa_error_create(PA_ERROR_FORMAT,
				       "%s: a text file, not a vmcore",
				       file->path);
	return pa_error_create(
		PA_ERROR_FORMAT,
		"%s: not a kernel dump of a known format (ELF vmcore, "
		"kdump-compressed file of makedumpfile or QEMU, /proc/kcore)",
		file->path);
}

/* Whatever the path: a bind mount of another machine's /proc is one, too. */
static bool is_kcore(int fd)
{
	struct statfs fs;
	char link[64], target[4096];

	if (fstatfs(fd, &fs) || fs.f_type != PROC_SUPER_MAGIC)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);

	ssize_t length = readlink(link, target, sizeof(target) - 1);

	if (length < 0)
		return false;
	target[length] = 0;

	const char *slash = strrchr(target, '/');

	return slash && !strcmp(slash + 1, "kcore");
}

static struct pa_error *open_file(const char *path, int *fd_ret)
{
	/* A FIFO would block in open(). */
	pa_auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		int errnum = errno;
		const char *slash = strrchr(path, '/');

		if ((errnum == EPERM || errnum == EACCES) && slash &&
		    !strcmp(slash + 1, "kcore"))
			return pa_error_create(
				PA_ERROR_OS,
				"%s: %s: reading the running kernel takes root "
				"with CAP_SYS_RAWIO and a kernel that is not "
				"locked down",
				path, strerrordesc_np(errnum));
		return pa_error_os(errnum, path);
	}
	if (S_ISDIR(st.st_mode))
		return pa_error_create(PA_ERROR_FORMAT,
				       "%s: a directory, not a vmcore", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return pa_error_create(PA_ERROR_FORMAT,
				       "%s: not a regular file, so not a "
				       "vmcore",
				       path);
	*fd_ret = fd;
	fd = -1;
	return NULL;
}

static bool has_magic(const struct pa_file *file, const char *magic,
		      size_t length)
{
	char head[8];

	return pa_file_read(file, 0, head, length) == length &&
	       !memcmp(head, magic, length);
}

static struct pa_error *open_files(struct pa_file **files, size_t nr,
				   struct pa_source **ret)
{
	struct pa_file *first = files[0];

	if (has_magic(first, "KDUMP   ", 8)) {
		for (size_t i = 1; i < nr; i++) {
			if (!has_magic(files[i], "KDUMP   ", 8))
				return pa_error_create(
					PA_ERROR_FORMAT,
					"%s: not a kdump-compressed file as "
					"%s is",
					files[i]->path, first->path);
		}

		/* They are the source's now. */
		struct pa_error *err = pa_source_kdump(files, nr, ret);

		memset(files, 0, nr * sizeof(*files));
		return err;
	}
	if (nr > 1)
		return pa_error_create(PA_ERROR_FORMAT,
				       "%s: not a part of a split "
				       "kdump-compressed dump; give one target",
				       first->path);
	if (has_magic(first, ELFMAG, SELFMAG))
		return pa_source_elf(pa_take(files[0]), ret);
	if (has_magic(first, "DISKDUMP", 8))
		return pa_error_create(PA_ERROR_UNSUPPORTED,
				       "%s: a diskdump of a kernel long before "
				       "5.10",
				       first->path);
	return describe_unknown(first);
}

struct pa_error *pa_source_open(const char *const *paths, size_t nr_paths,
				struct pa_source **ret)
{
	/* A fair number of parts for a --split set. */
	const size_t max_paths = 1024;

	if (!nr_paths || nr_paths > max_paths)
		return pa_error_create(PA_ERROR_INVALID, "%s",
				       nr_paths ? "too many dump files" :
						  "no dump file given");

	pa_auto_free struct pa_file **files = calloc(nr_paths, sizeof(*files));
	struct pa_error *err = NULL;

	if (!files)
		return &pa_error_no_memory;
	for (size_t i = 0; i < nr_paths && !err; i++) {
		int fd = -1;

		err = open_file(paths[i], &fd);
		if (err)
			break;
		if (nr_paths == 1 && is_kcore(fd))
			return pa_source_kcore(fd, paths[i], ret);
		err = pa_file_create(fd, paths[i], &files[i]);
	}
	if (!err)
		err = open_files(files, nr_paths, ret);
	for (size_t i = 0; i < nr_paths; i++)
		pa_file_destroy(files[i]);
	return err;
}

void pa_source_destroy(struct pa_source *source)
{
	if (source)
		source->ops->destroy(source);
}

struct pa_error *pa_reader_read(struct pa_reader *reader, uint64_t phys,
				uint64_t length, void *buffer)
{
	uint8_t *bytes = buffer;

	if (length > UINT64_MAX - phys)
		return pa_error_at(PA_ERROR_UNREADABLE, phys,
				   "physical memory at 0x%llx does not exist",
				   (unsigned long long)phys);
	while (length) {
		struct pa_run run;
		struct pa_error *err =
			pa_reader_run(reader, phys, length, bytes, &run);

		if (err)
			return err;
		if (run.presence == PA_EXCLUDED)
			return pa_error_at(
				PA_ERROR_EXCLUDED, phys,
				"physical memory at 0x%llx was filtered out of "
				"the dump",
				(unsigned long long)phys);
		if (run.presence != PA_PRESENT)
			return pa_error_at(
				PA_ERROR_UNREADABLE, phys,
				"physical memory at 0x%llx is not in the dump",
				(unsigned long long)phys);
		if (run.data != bytes)
			memcpy(bytes, run.data, run.length);
		phys += run.length;
		bytes += run.length;
		length -= run.length;
	}
	return NULL;
}
