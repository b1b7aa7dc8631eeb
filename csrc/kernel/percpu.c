// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/percpu.h"

#include <inttypes.h>

/* CONFIG_NR_CPUS is at most 8192 on x86_64. */
#define MAX_CPUS 8192

struct pa_error *pa_cpus_init(struct pa_memory *memory,
			      const struct pa_layout *layout,
			      struct pa_cpus *ret)
{
	struct pa_cpus cpus = { 0 };
	uint64_t mask[MAX_CPUS / 64] = { 0 };
	uint64_t bytes = PA_SIZEOF(layout, cpumask);
	struct pa_error *err = NULL;

	if (!PA_HAS_SYM(layout, __per_cpu_offset) ||
	    !PA_HAS_SYM(layout, __cpu_possible_mask))
		return pa_error_create(PA_ERROR_MISSING,
				       "no symbol __per_cpu_offset or "
				       "__cpu_possible_mask");
	if (!bytes || bytes > sizeof(mask))
		bytes = sizeof(mask[0]);
	err = pa_memory_read(memory, PA_SYM(layout, __cpu_possible_mask), bytes,
			     mask);
	for (uint32_t nr = 0; !err && nr < bytes * 8; nr++) {
		struct pa_cpu cpu = { .nr = nr };

		if (!pa_test_bit(mask, nr))
			continue;
		err = pa_memory_read_u64(memory,
					 PA_SYM(layout, __per_cpu_offset) +
						 (uint64_t)nr * 8,
					 &cpu.offset);
		if (!err && !pa_array_append(&cpus.list, cpu))
			err = &pa_error_no_memory;
	}
	if (!err && !cpus.list.length)
		err = pa_error_create(PA_ERROR_CORRUPT,
				      "__cpu_possible_mask is empty");
	if (err) {
		pa_cpus_deinit(&cpus);
		return err;
	}
	*ret = cpus;
	return NULL;
}

void pa_cpus_deinit(struct pa_cpus *cpus)
{
	pa_array_deinit(&cpus->list);
}
