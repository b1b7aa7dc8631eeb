/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A dump file, mapped read-only. makedumpfile's flattened format (a stream of
 * "these bytes belong at this offset" records, made for pipes) is undone here:
 * offsets are always those of the file that the stream describes.
 */
#ifndef PA_SOURCE_FILE_H
#define PA_SOURCE_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "source/pieces.h"

struct pa_file {
	int fd;
	/* Owned; for messages. */
	char *path;
	/*
	 * The file as it lies on disk; never touched beyond @map_size, nor
	 * where pa_file_ready() does not say so.
	 */
	const uint8_t *map;
	uint64_t map_size;
	/* A bit per 64 KiB of the map: found ready before. */
	_Atomic uint64_t *ready;
	/* Size of the file that is meant. */
	uint64_t size;
	bool flattened;
	/* A flattened file that ends before its end mark. */
	bool cut_short;
	/* Of a flattened file: what lies where in the map. */
	struct pa_pieces pieces;
};

/*
 * Takes over @fd, a regular file or block device, also on failure. Owned by the
 * caller, shared by all threads.
 */
struct pa_error *pa_file_create(int fd, const char *path, struct pa_file **ret);
void pa_file_destroy(struct pa_file *file);

/*
 * How many of the @length bytes at @map_offset of the map can be touched. A bad
 * disk, a full tmpfs or a file that is being truncated would raise SIGBUS.
 */
uint64_t pa_file_ready(const struct pa_file *file, uint64_t map_offset,
		       uint64_t length);

/*
 * Where the bytes at @offset lie in the map: false if the file does not have
 * them. *@length (at most what it was) says for how many bytes that holds.
 * @hint as in pa_pieces_find().
 */
bool pa_file_locate(const struct pa_file *file, uint64_t offset,
		    uint64_t *length, size_t *hint, uint64_t *map_offset_ret);

/* The same for the bytes themselves, ready to be touched, or NULL. */
const uint8_t *pa_file_span(const struct pa_file *file, uint64_t offset,
			    uint64_t *length, size_t *hint);

/* Copies up to @length bytes; returns how many there were. */
size_t pa_file_read(const struct pa_file *file, uint64_t offset, void *buffer,
		    size_t length);

/*
 * All @length bytes at @offset in one piece: borrowed from the map, or, where
 * they are scattered, a copy (*@copy_ret, owned by the caller, else NULL). The
 * caller has made sure that they lie within the file's size.
 */
struct pa_error *pa_file_view(const struct pa_file *file, uint64_t offset,
			      uint64_t length, const uint8_t **ret,
			      void **copy_ret);

/* The file without flattening, in an unlinked temporary file. */
struct pa_error *pa_file_rearrange(const struct pa_file *file, int *fd_ret);

#endif
