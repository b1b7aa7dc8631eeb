/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where bytes come from: physical memory of the dumped or running machine.
 *
 * A source is opened once, then shared by all threads, read-only. Each thread
 * reads through a reader of its own. Nothing is ever written to a target.
 */
#ifndef PA_SOURCE_SOURCE_H
#define PA_SOURCE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/array.h"
#include "base/error.h"

/* The three answers to "what is at this address?". */
enum pa_presence {
	PA_PRESENT,
	/* Memory of the machine that was filtered out of the dump. */
	PA_EXCLUDED,
	/* No memory there that the target knows of, or reading it failed. */
	PA_UNREADABLE,
};

/* Bytes [phys, phys + length) all have one presence. */
struct pa_run {
	enum pa_presence presence;
	uint64_t length;
	/*
	 * If present: borrowed until the reader's next call (it is either in
	 * the caller's buffer or in a mapping of the file).
	 */
	const uint8_t *data;
};

struct pa_phys_range {
	uint64_t start;
	uint64_t end;
};

/* Registers of one CPU, as a note of the dump has them. */
struct pa_cpu_note {
	/* pr_pid: the task's pid, or what a hypervisor put there. */
	uint32_t pid;
	/* struct elf_prstatus's pr_reg, user_regs_struct order. */
	uint64_t regs[27];
};

enum pa_source_format {
	PA_SOURCE_ELF,
	PA_SOURCE_KDUMP,
	PA_SOURCE_KCORE,
	PA_SOURCE_CALLBACK,
};

/* Facts about the target; shared, read-only after open. */
struct pa_source_info {
	enum pa_source_format format;
	/* For people: "ELF vmcore", "kdump (zlib, flattened)", ... */
	char format_name[64];
	bool live;
	/* False if the file says or shows that it was cut short. */
	bool complete;
	/* Why not complete, or "". */
	char incomplete_reason[128];
	/* makedumpfile's -d, or -1 where the format does not say. */
	int dump_level;
	/* ELF e_machine, or EM_NONE if unknown. */
	uint16_t machine;
	/* The VMCOREINFO note, NUL-terminated; NULL if there is none. Owned. */
	char *vmcoreinfo;
	/* Physical memory that the target speaks of; sorted, disjoint. */
	PA_ARRAY(struct pa_phys_range) ranges;
	PA_ARRAY(struct pa_cpu_note) cpus;
	/* True if the ELF notes carry registers of a hypervisor (QEMU). */
	bool from_hypervisor;
};

struct pa_source;
struct pa_reader;

struct pa_source_ops {
	void (*destroy)(struct pa_source *source);
	struct pa_error *(*reader_create)(struct pa_source *source,
					  struct pa_reader **ret);
	void (*reader_destroy)(struct pa_reader *reader);
	struct pa_error *(*run)(struct pa_reader *reader, uint64_t phys,
				uint64_t length, uint8_t *buffer,
				struct pa_run *ret);
	/* Optional. */
	void (*expect)(struct pa_source *source, uint64_t phys,
		       uint64_t length);
};

/* First member of each format's own source. */
struct pa_source {
	const struct pa_source_ops *ops;
	struct pa_source_info info;
};

/* First member of each format's own reader. */
struct pa_reader {
	struct pa_source *source;
};

/*
 * Opens vmcore file(s), recognising the format: an ELF vmcore, a
 * kdump-compressed file (plain, flattened or a --split set: all its parts), or
 * /proc/kcore. The source is owned by the caller and must outlive its readers.
 *
 * PA_ERROR_OS, PA_ERROR_FORMAT (not a dump, or damaged), PA_ERROR_UNSUPPORTED
 * (a dump of another architecture or kind), each with a sentence that says
 * what was found.
 */
struct pa_error *pa_source_open(const char *const *paths, size_t nr_paths,
				struct pa_source **ret);

/*
 * Reads @length bytes of physical memory at @phys into @buffer. @presence says
 * for the whole of [phys, phys + length) what it is; @buffer counts only if
 * present. Called from many threads at once.
 */
typedef struct pa_error *(*pa_read_phys_fn)(void *arg, uint64_t phys,
					    uint64_t length, uint8_t *buffer,
					    enum pa_presence *presence);

/*
 * Memory through a callback (a drgn Program). @vmcoreinfo is copied, may be
 * NULL. @arg is borrowed for the source's life.
 */
struct pa_error *pa_source_callback(pa_read_phys_fn read, void *arg,
				    const char *vmcoreinfo, bool live,
				    uint16_t machine, struct pa_source **ret);

void pa_source_destroy(struct pa_source *source);

/*
 * A hint: soon all of [phys, phys + length) will be read, in large pieces. For
 * stretches of some MiB, and not for very many of them; before any reader is
 * at work.
 */
static inline void pa_source_expect(struct pa_source *source, uint64_t phys,
				    uint64_t length)
{
	if (source->ops->expect)
		source->ops->expect(source, phys, length);
}

/* One per thread; owned by the caller. */
static inline struct pa_error *pa_reader_create(struct pa_source *source,
						struct pa_reader **ret)
{
	return source->ops->reader_create(source, ret);
}

static inline void pa_reader_destroy(struct pa_reader *reader)
{
	if (reader)
		reader->source->ops->reader_destroy(reader);
}

/*
 * The longest run from @phys of one presence, at most @length (> 0) bytes and
 * at least one. @buffer has room for @length bytes; data may or may not use
 * it. Absent memory is a result here, not an error.
 */
static inline struct pa_error *pa_reader_run(struct pa_reader *reader,
					     uint64_t phys, uint64_t length,
					     uint8_t *buffer,
					     struct pa_run *ret)
{
	return reader->source->ops->run(reader, phys, length, buffer, ret);
}

/*
 * The same without bytes: only whether they are there. For files (ELF and
 * kdump) alone; others would have to read.
 */
static inline struct pa_error *pa_reader_presence(struct pa_reader *reader,
						  uint64_t phys,
						  uint64_t length,
						  struct pa_run *ret)
{
	return reader->source->ops->run(reader, phys, length, NULL, ret);
}

/*
 * All of [phys, phys + length) into @buffer, or PA_ERROR_UNREADABLE or
 * PA_ERROR_EXCLUDED with the first address that is absent.
 */
struct pa_error *pa_reader_read(struct pa_reader *reader, uint64_t phys,
				uint64_t length, void *buffer);

#endif
