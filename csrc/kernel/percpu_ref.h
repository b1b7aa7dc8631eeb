/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reference counts spread over CPUs: lib/percpu-refcount.c. */
#ifndef PA_KERNEL_PERCPU_REF_H
#define PA_KERNEL_PERCPU_REF_H

#include "kernel/percpu.h"

struct pa_percpu_ref {
	/* Virtual address of the struct percpu_ref; 0: there is none. */
	uint64_t address;
	/* percpu_ref_kill() was called. */
	bool dead;
	/* Counted in one place; while it switches to that neither count holds. */
	bool atomic;
	/* References, the initial one included. */
	bool count_known;
	int64_t count;
};

/* Whether the kernel has what the function below needs. */
bool pa_percpu_ref_known(const struct pa_layout *layout);

/* The percpu_ref at @address; its count is unknown where it can't be read. */
struct pa_error *pa_percpu_ref_read(struct pa_memory *memory,
				    const struct pa_layout *layout,
				    const struct pa_cpus *cpus,
				    uint64_t address,
				    struct pa_percpu_ref *ret);

#endif
