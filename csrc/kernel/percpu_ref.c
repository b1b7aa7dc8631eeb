// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/percpu_ref.h"

/* Macros on all kernels: include/linux/percpu-refcount.h. */
#define PERCPU_REF_ATOMIC 1
#define PERCPU_REF_DEAD 2
#define PERCPU_REF_FLAGS UINT64_C(3)
#define PERCPU_COUNT_BIAS PA_BIT(63)

bool pa_percpu_ref_known(const struct pa_layout *layout)
{
	return PA_HAS(layout, percpu_ref, percpu_count_ptr) &&
	       PA_M(layout, percpu_ref, percpu_count_ptr)->size == 8;
}

/* What the CPUs have counted; each may be negative. */
static struct pa_error *sum_cpus(struct pa_memory *memory,
				 const struct pa_cpus *cpus, uint64_t ptr,
				 uint64_t *count)
{
	struct pa_error *err = NULL;

	pa_array_for_each(cpu, &cpus->list) {
		uint64_t value;

		err = pa_memory_read_u64(memory, cpu->offset + ptr, &value);
		if (err)
			return err;
		*count += value;
	}
	return NULL;
}

static struct pa_error *read_count(struct pa_memory *memory,
				   const struct pa_layout *layout,
				   const struct pa_cpus *cpus, uint64_t ptr,
				   struct pa_percpu_ref *ref)
{
	uint64_t data, count;
	struct pa_error *err;

	if (!PA_HAS(layout, percpu_ref, data) ||
	    !PA_HAS(layout, percpu_ref_data, count))
		return NULL;
	err = pa_memory_read_u64(
		memory, ref->address + PA_OFFSETOF(layout, percpu_ref, data),
		&data);
	/* percpu_ref_exit() leaves a count in there, and the pointer NULL. */
	if (err || !data)
		return err;
	err = pa_memory_read_u64(
		memory, data + PA_OFFSETOF(layout, percpu_ref_data, count),
		&count);
	if (!err && !ref->atomic)
		err = sum_cpus(memory, cpus, ptr & ~PERCPU_REF_FLAGS, &count);
	if (err)
		return err;
	if (!ref->atomic)
		count -= PERCPU_COUNT_BIAS;
	/*
	 * percpu_ref_switch_to_atomic_rcu() takes the bias away at last, with
	 * what the CPUs have: until then it is somewhere about that.
	 */
	if (count > PERCPU_COUNT_BIAS / 2 &&
	    count < PERCPU_COUNT_BIAS + PERCPU_COUNT_BIAS / 2)
		return NULL;
	ref->count = (int64_t)count;
	ref->count_known = true;
	return NULL;
}

struct pa_error *pa_percpu_ref_read(struct pa_memory *memory,
				    const struct pa_layout *layout,
				    const struct pa_cpus *cpus,
				    uint64_t address, struct pa_percpu_ref *ret)
{
	uint64_t ptr;
	struct pa_error *err = pa_memory_read_u64(
		memory,
		address + PA_OFFSETOF(layout, percpu_ref, percpu_count_ptr),
		&ptr);

	if (err)
		return err;
	*ret = (struct pa_percpu_ref){
		.address = address,
		.dead = ptr & PERCPU_REF_DEAD,
		.atomic = ptr & PERCPU_REF_ATOMIC,
	};
	err = read_count(memory, layout, cpus, ptr, ret);
	if (!pa_error_is_target(err))
		return err;
	pa_error_destroy(err);
	return NULL;
}
