/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unwinding of a sleeping task's stack by the kernel's own ORC tables, as far
 * as do_syscall_64(): arch/x86/kernel/unwind_orc.c (commit ee9f8fce9964).
 *
 * Between that function's frame and what it calls is a random number of bytes
 * that nobody clears (randomize_kstack_offset, commit fe950f602033): what
 * earlier system calls have left there is no more in use than what lies below
 * the stack pointer.
 */
#ifndef PA_KERNEL_ORC_H
#define PA_KERNEL_ORC_H

#include "base/map.h"
#include "kernel/kernel.h"

struct pa_orc {
	const struct pa_layout *layout;
	/* Borrowed. */
	struct pa_memory *memory;
	/* Virtual addresses of orc_unwind_ip and orc_unwind, and their length. */
	uint64_t ips, entries;
	uint64_t nr;
	/* ORC_REG_SP and ORC_TYPE_CALL, which releases number differently. */
	uint32_t sp, call;
	/* Bytes of struct orc_entry by instruction; 0: there are none. */
	struct pa_map met;
};

/* PA_ERROR_MISSING where the kernel has no such tables. @ret is zeroed before. */
struct pa_error *pa_orc_init(const struct pa_kernel *kernel,
			     struct pa_memory *memory, struct pa_orc *ret);
void pa_orc_deinit(struct pa_orc *orc);

/*
 * Of @nr words of a stack, which lie at @address and begin with a struct
 * inactive_task_frame, how many are frames of what do_syscall_64() has called,
 * with the return to it; @nr where the task is in no system call, or a frame is
 * of another kind than that of a call. Errors are our own.
 */
struct pa_error *pa_orc_called(struct pa_orc *orc, const uint64_t *words,
			       size_t nr, uint64_t address, size_t *ret);

#endif
