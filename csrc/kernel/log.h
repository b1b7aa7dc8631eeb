/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel log: the lockless ring buffer of kernel/printk/
 * printk_ringbuffer.c, of v5.10 and later.
 */
#ifndef PA_KERNEL_LOG_H
#define PA_KERNEL_LOG_H

#include "base/array.h"
#include "base/text.h"
#include "kernel/memory.h"

struct pa_log_record {
	uint64_t seq;
	/* local_clock() when it was printed. */
	uint64_t time_ns;
	/* Where printed: a thread's pid, or PA_LOG_CALLER_CPU | cpu. */
	uint32_t caller_id;
	uint8_t level;
	/* 0 is the kernel; userspace cannot write such records. */
	uint8_t facility;
	/* May hold newlines; borrowed from the log. */
	const char *text;
	uint32_t length;
};

#define PA_LOG_CALLER_CPU UINT32_C(0x80000000)

struct pa_log {
	/* By rising sequence number. */
	PA_ARRAY(struct pa_log_record) records;
	/* Backing of the texts. */
	PA_ARRAY(char) store;
	/* Records whose text the kernel itself has overwritten or not kept. */
	uint64_t nr_lost;
	/* Records that are in no dump, or that contradict themselves. */
	uint64_t nr_unreadable;
};

/*
 * All records that are complete. PA_ERROR_MISSING without CONFIG_PRINTK,
 * PA_ERROR_CORRUPT where the ring can't be one.
 */
struct pa_error *pa_log_read(struct pa_memory *memory,
			     const struct pa_layout *layout,
			     struct pa_log *ret);
void pa_log_deinit(struct pa_log *log);

static inline struct pa_text
pa_log_record_text(const struct pa_log_record *record)
{
	return pa_text(record->text, record->length);
}

#endif
