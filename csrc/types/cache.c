// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/cache.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* To be changed when a filler gives another answer for the same table. */
#define CACHE_VERSION 4
#define CACHE_MAGIC UINT64_C(0x7365707974206170) /* "pa types" */

/* All of the file is 64-bit words: these, then the entries. */
enum { WORD_MAGIC, WORD_TABLE, WORD_CHECKSUM, NR_HEADER_WORDS };

#define NR_WORDS                                                 \
	(NR_HEADER_WORDS + 2 * PA_NR_TYPES + 7 * PA_NR_MEMBERS + \
	 2 * PA_NR_ENUMERATORS + (3 + 2 * PA_NR_PIECES) * PA_NR_SYMBOLS)

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ ((const uint8_t *)bytes)[i]) *
		       UINT64_C(1099511628211);
	return hash;
}

static uint64_t table_hash(void)
{
	uint64_t version = CACHE_VERSION;

	return hash_bytes(pa_wanted_table_hash(), &version, sizeof(version));
}

/* The build id of a module's file, whatever its ELF type; "" if none. */
static void module_build_id(const char *path, char ret[PA_BUILD_ID_TEXT_MAX])
{
	pa_auto_elf_file struct pa_elf_file file = { .path = path };

	ret[0] = '\0';
	file.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file.fd < 0)
		return;
	file.elf = elf_begin(file.fd, ELF_C_READ_MMAP, NULL);
	if (file.elf)
		pa_elf_file_build_id(&file, ret);
}

struct pa_error *pa_cache_path(const struct pa_elf_file *file,
			       const char *const *modules, size_t nr_modules,
			       const char *cache_dir, char **ret)
{
	char id[PA_BUILD_ID_TEXT_MAX];
	char module_id[PA_BUILD_ID_TEXT_MAX];
	uint64_t hash = table_hash();

	*ret = NULL;
	pa_elf_file_build_id(file, id);
	if (!*id)
		return NULL;
	for (size_t i = 0; i < nr_modules; i++) {
		module_build_id(modules[i], module_id);
		if (!*module_id)
			return NULL;
		hash = hash_bytes(hash, module_id, strlen(module_id) + 1);
	}
	if (asprintf(ret, "%s/types-%s-%016" PRIx64, cache_dir, id, hash) < 0) {
		*ret = NULL;
		return &pa_error_no_memory;
	}
	return NULL;
}

static uint64_t checksum(const uint64_t *words)
{
	return hash_bytes(UINT64_C(14695981039346656037),
			  words + NR_HEADER_WORDS,
			  (NR_WORDS - NR_HEADER_WORDS) * sizeof(*words));
}

static void encode(const struct pa_layout *layout, uint64_t *words)
{
	uint64_t *at = words + NR_HEADER_WORDS;

	for (int i = 0; i < PA_NR_TYPES; i++) {
		*at++ = layout->types[i].known;
		*at++ = layout->types[i].size;
	}
	for (int i = 0; i < PA_NR_MEMBERS; i++) {
		const struct pa_member *member = &layout->members[i];

		*at++ = member->known;
		*at++ = member->offset;
		*at++ = member->size;
		*at++ = member->length;
		*at++ = member->element_size;
		*at++ = member->bit_size;
		*at++ = member->bit_offset;
	}
	for (int i = 0; i < PA_NR_ENUMERATORS; i++) {
		*at++ = layout->enumerators[i].known;
		*at++ = (uint64_t)layout->enumerators[i].value;
	}
	for (int i = 0; i < PA_NR_SYMBOLS; i++) {
		*at++ = layout->symbols[i].known;
		*at++ = layout->symbols[i].address;
		*at++ = layout->symbols[i].size;
		for (int j = 0; j < PA_NR_PIECES; j++) {
			*at++ = layout->symbols[i].pieces[j].address;
			*at++ = layout->symbols[i].pieces[j].size;
		}
	}
	words[WORD_MAGIC] = CACHE_MAGIC;
	words[WORD_TABLE] = table_hash();
	words[WORD_CHECKSUM] = checksum(words);
}

static bool decode(const uint64_t *words, struct pa_layout *layout)
{
	const uint64_t *at = words + NR_HEADER_WORDS;

	if (words[WORD_MAGIC] != CACHE_MAGIC ||
	    words[WORD_TABLE] != table_hash() ||
	    words[WORD_CHECKSUM] != checksum(words))
		return false;
	/* Nothing below may depend on the checksum: anyone can compute it. */
	layout->from = PA_TYPES_FROM_DWARF;
	for (int i = 0; i < PA_NR_TYPES; i++, at += 2) {
		if (at[0] > 1 || at[1] > UINT32_MAX)
			return false;
		layout->types[i] = (struct pa_type){
			.known = at[0],
			.size = (uint32_t)at[1],
		};
	}
	for (int i = 0; i < PA_NR_MEMBERS; i++, at += 7) {
		for (int j = 1; j < 5; j++)
			if (at[j] > UINT32_MAX)
				return false;

		const struct pa_type *type =
			&layout->types[pa_member_rows[i].type];

		if (at[0] > 1 || (at[0] && !type->known) || at[5] > 64 ||
		    at[6] > 7 || (at[0] && at[1] + at[2] > type->size))
			return false;
		layout->members[i] = (struct pa_member){
			.known = at[0],
			.offset = (uint32_t)at[1],
			.size = (uint32_t)at[2],
			.length = (uint32_t)at[3],
			.element_size = (uint32_t)at[4],
			.bit_size = (uint8_t)at[5],
			.bit_offset = (uint8_t)at[6],
		};
	}
	for (int i = 0; i < PA_NR_ENUMERATORS; i++, at += 2) {
		if (at[0] > 1)
			return false;
		layout->enumerators[i] = (struct pa_enumerator){
			.known = at[0],
			.value = (int64_t)at[1],
		};
	}
	for (int i = 0; i < PA_NR_SYMBOLS; i++) {
		if (at[0] > 1)
			return false;
		layout->symbols[i] = (struct pa_symbol){
			.known = at[0],
			.address = at[1],
			.size = at[2],
		};
		at += 3;
		for (int j = 0; j < PA_NR_PIECES; j++, at += 2)
			layout->symbols[i].pieces[j] =
				(struct pa_piece){ at[0], at[1] };
	}
	return true;
}

static bool read_all(int fd, void *buffer, size_t length)
{
	while (length) {
		ssize_t n = read(fd, buffer, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		buffer = (char *)buffer + n;
		length -= (size_t)n;
	}
	return true;
}

static bool write_all(int fd, const void *buffer, size_t length)
{
	while (length) {
		ssize_t n = write(fd, buffer, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		buffer = (const char *)buffer + n;
		length -= (size_t)n;
	}
	return true;
}

bool pa_cache_load(const char *path, struct pa_layout *ret)
{
	pa_auto_fd int fd =
		open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	pa_auto_free uint64_t *words = malloc(NR_WORDS * sizeof(*words));
	pa_auto_free struct pa_layout *layout = calloc(1, sizeof(*layout));
	struct stat st;

	if (fd < 0 || !words || !layout || fstat(fd, &st))
		return false;
	/* What others could have written is not ours to believe. */
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_mode & (S_IWGRP | S_IWOTH) ||
	    st.st_size != (off_t)(NR_WORDS * sizeof(*words)))
		return false;
	if (!read_all(fd, words, NR_WORDS * sizeof(*words)) ||
	    !decode(words, layout))
		return false;
	*ret = *layout;
	return true;
}

/* All that are missing, as the XDG rules have it; the next step tells if not. */
static void make_directories(char *path)
{
	for (char *at = path + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(path, 0700);
		*at = '/';
	}
	mkdir(path, 0700);
}

void pa_cache_store(const char *path, const struct pa_layout *layout)
{
	pa_auto_free uint64_t *words = malloc(NR_WORDS * sizeof(*words));
	pa_auto_free char *temporary = NULL;
	const char *slash = strrchr(path, '/');

	if (!words || !slash)
		return;
	encode(layout, words);

	pa_auto_free char *directory = strndup(path, (size_t)(slash - path));

	if (!directory || asprintf(&temporary, "%s.XXXXXX", path) < 0) {
		temporary = NULL;
		return;
	}
	make_directories(directory);

	/* Readable and writable by us alone. */
	pa_auto_fd int fd = mkostemp(temporary, O_CLOEXEC);

	if (fd < 0)
		return;
	if (!write_all(fd, words, NR_WORDS * sizeof(*words)) ||
	    rename(temporary, path))
		unlink(temporary);
}
