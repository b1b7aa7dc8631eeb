// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/cleanup.h"

/* makedumpfile.h: the first block, then records of two big-endian numbers. */
#define FLAT_SIGNATURE "makedumpfile\0\0\0"
#define FLAT_HEADER_BYTES 4096
#define FLAT_RECORD_BYTES 16
#define FLAT_TYPE_OFFSET 16
#define FLAT_VERSION_OFFSET 24

/*
 * As much as one fault maps in any case (fault_around_bytes), so that asking
 * costs no more than the faults that it saves.
 */
#define READY_BYTES (UINT64_C(64) << 10)
#define HOST_PAGE_BYTES UINT64_C(4096)

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* False if touching these bytes would raise SIGBUS. @start is aligned. */
static bool populate(const struct pa_file *file, uint64_t start, uint64_t end)
{
	end = pa_min(end, file->map_size);
	if (!madvise((void *)(file->map + start), end - start,
		     MADV_POPULATE_READ))
		return true;
	/* EINVAL: a kernel before 5.14, where one has to take the risk. */
	return errno != EFAULT && errno != EHWPOISON;
}

static bool is_marked(const struct pa_file *file, uint64_t chunk)
{
	return atomic_load_explicit(&file->ready[chunk / 64],
				    memory_order_relaxed) >>
		       (chunk % 64) &
	       1;
}

static void mark(const struct pa_file *file, uint64_t first, uint64_t end)
{
	for (uint64_t chunk = first; chunk < end; chunk++)
		atomic_fetch_or_explicit(&file->ready[chunk / 64],
					 PA_BIT(chunk % 64),
					 memory_order_relaxed);
}

uint64_t pa_file_ready(const struct pa_file *file, uint64_t map_offset,
		       uint64_t length)
{
	uint64_t end = map_offset + length;
	uint64_t chunk = map_offset / READY_BYTES;
	uint64_t last = (end - 1) / READY_BYTES;

	while (chunk <= last && is_marked(file, chunk))
		chunk++;
	if (chunk > last)
		return length;
	/* In all likelihood the rest is fine, and one call does. */
	if (populate(file, chunk * READY_BYTES, (last + 1) * READY_BYTES)) {
		mark(file, chunk, last + 1);
		return length;
	}
	for (; chunk <= last; chunk++) {
		uint64_t at = chunk * READY_BYTES;

		if (is_marked(file, chunk))
			continue;
		if (populate(file, at, at + READY_BYTES)) {
			mark(file, chunk, chunk + 1);
			continue;
		}
		/* Up to the bad page. */
		at = pa_max(at, pa_align_down(map_offset, HOST_PAGE_BYTES));
		while (at < end && populate(file, at, at + HOST_PAGE_BYTES))
			at += HOST_PAGE_BYTES;
		if (at < end && at < (chunk + 1) * READY_BYTES)
			return at > map_offset ? at - map_offset : 0;
	}
	return length;
}

static uint64_t load_be64(const uint8_t *p)
{
	return __builtin_bswap64(pa_load_u64(p));
}

static bool is_flattened(const struct pa_file *file)
{
	return file->map_size >= FLAT_HEADER_BYTES &&
	       pa_file_ready(file, 0, FLAT_HEADER_BYTES) == FLAT_HEADER_BYTES &&
	       !memcmp(file->map, FLAT_SIGNATURE, sizeof(FLAT_SIGNATURE)) &&
	       load_be64(file->map + FLAT_TYPE_OFFSET) == 1 &&
	       load_be64(file->map + FLAT_VERSION_OFFSET) == 1;
}

/*
 * Bytes may be written again by a later record (headers are, at the end), so
 * later ones rank first.
 */
static struct pa_error *read_records(struct pa_file *file)
{
	uint64_t at = FLAT_HEADER_BYTES;
	uint32_t rank = UINT32_MAX;

	file->flattened = true;
	file->size = 0;
	file->cut_short = true;
	while (file->map_size - at >= FLAT_RECORD_BYTES &&
	       pa_file_ready(file, at, FLAT_RECORD_BYTES) ==
		       FLAT_RECORD_BYTES) {
		int64_t offset = (int64_t)load_be64(file->map + at);
		int64_t length = (int64_t)load_be64(file->map + at + 8);
		uint64_t left, end;

		if (offset < 0 || length < 0) {
			file->cut_short = offset != -1;
			break;
		}
		at += FLAT_RECORD_BYTES;
		left = file->map_size - at;
		if (__builtin_add_overflow((uint64_t)offset, (uint64_t)length,
					   &end))
			break;
		/* The true size, also where the last bytes are missing. */
		file->size = pa_max(file->size, end);
		if (length && left &&
		    !pa_array_append(
			    &file->pieces,
			    (struct pa_piece){
				    .start = (uint64_t)offset,
				    .end = (uint64_t)offset +
					   pa_min((uint64_t)length, left),
				    .from = at,
				    .rank = rank--,
			    }))
			return &pa_error_no_memory;
		if ((uint64_t)length > left)
			break;
		at += (uint64_t)length;
	}
	if (!file->pieces.length)
		return pa_error_create(PA_ERROR_FORMAT,
				       "%s: a flattened dump without contents",
				       file->path);
	return pa_pieces_settle(&file->pieces);
}

struct pa_error *pa_file_create(int fd, const char *path, struct pa_file **ret)
{
	pa_auto_fd int guard = fd;
	struct pa_file *file = calloc(1, sizeof(*file));

	if (!file)
		return &pa_error_no_memory;
	file->fd = -1;
	file->path = strdup(path);
	if (!file->path) {
		pa_file_destroy(file);
		return &pa_error_no_memory;
	}

	/* lseek() rather than fstat(): it knows block devices, too. */
	off_t size = lseek(fd, 0, SEEK_END);

	if (size <= 0) {
		struct pa_error *err =
			size ? pa_error_os(errno, path) :
			       pa_error_create(PA_ERROR_FORMAT,
					       "%s: the file is empty", path);
		pa_file_destroy(file);
		return err;
	}

	void *map = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED) {
		struct pa_error *err = pa_error_os(errno, path);

		pa_file_destroy(file);
		return err;
	}
	file->map = map;
	file->map_size = file->size = (uint64_t)size;
	file->fd = fd;
	guard = -1;
	file->ready = calloc(file->map_size / READY_BYTES / 64 + 1,
			     sizeof(*file->ready));
	if (!file->ready) {
		pa_file_destroy(file);
		return &pa_error_no_memory;
	}
	if (is_flattened(file)) {
		struct pa_error *err = read_records(file);

		if (err) {
			pa_file_destroy(file);
			return err;
		}
	}
	*ret = file;
	return NULL;
}

void pa_file_destroy(struct pa_file *file)
{
	if (!file)
		return;
	if (file->map)
		munmap((void *)file->map, file->map_size);
	if (file->fd >= 0)
		close(file->fd);
	pa_array_deinit(&file->pieces);
	free((void *)file->ready);
	free(file->path);
	free(file);
}

bool pa_file_locate(const struct pa_file *file, uint64_t offset,
		    uint64_t *length, size_t *hint, uint64_t *map_offset_ret)
{
	if (!*length)
		return false;
	if (!file->flattened) {
		if (offset >= file->map_size)
			return false;
		*length = pa_min(*length, file->map_size - offset);
		*map_offset_ret = offset;
		return true;
	}

	const struct pa_piece *piece =
		pa_pieces_find(&file->pieces, offset, hint);

	if (!piece)
		return false;
	if (piece->start > offset) {
		*length = pa_min(*length, piece->start - offset);
		return false;
	}
	*length = pa_min(*length, piece->end - offset);
	*map_offset_ret = piece->from + (offset - piece->start);
	return true;
}

const uint8_t *pa_file_span(const struct pa_file *file, uint64_t offset,
			    uint64_t *length, size_t *hint)
{
	uint64_t map_offset, ready;

	if (!pa_file_locate(file, offset, length, hint, &map_offset))
		return NULL;
	ready = pa_file_ready(file, map_offset, *length);
	if (!ready) {
		*length = pa_min(*length, HOST_PAGE_BYTES -
						  map_offset % HOST_PAGE_BYTES);
		return NULL;
	}
	*length = ready;
	return file->map + map_offset;
}

size_t pa_file_read(const struct pa_file *file, uint64_t offset, void *buffer,
		    size_t length)
{
	size_t hint = 0, done = 0;

	while (done < length) {
		uint64_t part = length - done;
		const uint8_t *data =
			pa_file_span(file, offset + done, &part, &hint);

		if (!data)
			break;
		memcpy((uint8_t *)buffer + done, data, part);
		done += part;
	}
	return done;
}

struct pa_error *pa_file_view(const struct pa_file *file, uint64_t offset,
			      uint64_t length, const uint8_t **ret,
			      void **copy_ret)
{
	uint64_t part = length;
	size_t hint = 0;
	const uint8_t *data = pa_file_span(file, offset, &part, &hint);

	if (data && part == length) {
		*ret = data;
		*copy_ret = NULL;
		return NULL;
	}

	/* Nothing that is viewed can be larger than the stream. */
	if (!file->flattened || length > file->map_size)
		return pa_error_create(PA_ERROR_FORMAT,
				       "%s: the dump is damaged, cut short or "
				       "unreadable",
				       file->path);

	/* Between the records of a flattened file there are zeros. */
	uint8_t *copy = calloc(1, length ? length : 1);

	if (!copy)
		return &pa_error_no_memory;
	for (uint64_t done = 0; done < length; done += part) {
		part = length - done;
		data = pa_file_span(file, offset + done, &part, &hint);
		if (data)
			memcpy(copy + done, data, part);
	}
	*ret = copy;
	*copy_ret = copy;
	return NULL;
}

static int open_temporary_in(const char *directory)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;

	/* Not every file system has O_TMPFILE. */
	char path[4096];
	int length =
		snprintf(path, sizeof(path), "%s/pageaudit-XXXXXX", directory);

	if (length < 0 || (size_t)length >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static int open_temporary(void)
{
	const char *directory = getenv("TMPDIR");

	if (directory && *directory)
		return open_temporary_in(directory);

	/* Not /tmp at first: dumps are large, and that may be memory. */
	int fd = open_temporary_in("/var/tmp");

	return fd < 0 ? open_temporary_in("/tmp") : fd;
}

struct pa_error *pa_file_rearrange(const struct pa_file *file, int *fd_ret)
{
	pa_auto_fd int fd = open_temporary();

	if (fd < 0)
		return pa_error_os(errno,
				   "temporary file for the rearranged dump");
	if (file->size > INT64_MAX || ftruncate(fd, (off_t)file->size))
		return pa_error_os(file->size > INT64_MAX ? EFBIG : errno,
				   "temporary file for the rearranged dump");
	for (size_t i = 0; i < file->pieces.length; i++) {
		const struct pa_piece *piece = &file->pieces.items[i];
		uint64_t length = piece->end - piece->start;

		for (uint64_t done = 0; done < length;) {
			ssize_t n = pwrite(fd, file->map + piece->from + done,
					   length - done,
					   (off_t)(piece->start + done));

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return pa_error_os(
					n ? errno : EIO,
					"temporary file for the rearranged dump");
			done += (uint64_t)n;
		}
	}
	*fd_ret = fd;
	fd = -1;
	return NULL;
}
