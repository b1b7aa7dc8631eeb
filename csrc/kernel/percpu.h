/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CPUs and their per-cpu areas: mm/percpu.c, kernel/cpu.c. */
#ifndef PA_KERNEL_PERCPU_H
#define PA_KERNEL_PERCPU_H

#include "base/array.h"
#include "kernel/memory.h"

struct pa_cpu {
	uint32_t nr;
	/* __per_cpu_offset[nr]: add a per-cpu symbol's value or a pointer. */
	uint64_t offset;
};

/* The possible CPUs, by rising number. */
struct pa_cpus {
	PA_ARRAY(struct pa_cpu) list;
};

struct pa_error *pa_cpus_init(struct pa_memory *memory,
			      const struct pa_layout *layout,
			      struct pa_cpus *ret);
void pa_cpus_deinit(struct pa_cpus *cpus);

#endif
