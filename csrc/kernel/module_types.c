// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/module_types.h"

#include "kernel/list.h"
#include "types/btf.h"
#include "types/target.h"

#define MAX_MODULES 10000
/* A large driver's is 1 MB. */
#define MAX_BTF_BYTES ((uint64_t)64 << 20)
/* Of all modules: all of a distribution's have less. */
#define MAX_BTFS_BYTES ((uint64_t)256 << 20)

struct add {
	struct pa_memory *memory;
	struct pa_layout *layout;
	const struct pa_wanted *wanted;
	const struct pa_btf *base;
	/* struct btf of vmlinux: what a module's must be split from. */
	uint64_t vmlinux;
	/* What may be read yet. */
	uint64_t left_bytes;
	struct pa_error *err;
};

static bool has_rows(const struct pa_layout *layout)
{
	return PA_HAS_SYM(layout, btf_modules) &&
	       PA_HAS_SYM(layout, btf_vmlinux) &&
	       PA_HAS(layout, btf_module, list) &&
	       PA_HAS(layout, btf_module, btf) && PA_HAS(layout, btf, data) &&
	       PA_HAS(layout, btf, data_size) && PA_HAS(layout, btf, base_btf);
}

static struct pa_error *read_member(struct pa_memory *memory, uint64_t object,
				    const struct pa_member *member,
				    uint64_t *ret)
{
	uint8_t bytes[8] = {};
	uint32_t size = member->size < 8 ? member->size : 8;
	struct pa_error *err =
		pa_memory_read(memory, object + member->offset, size, bytes);

	if (!err)
		*ret = pa_load_uint(bytes, size);
	return err;
}

/* A copy of a struct btf's data; NULL if it is not split from vmlinux's. */
static struct pa_error *read_btf(struct add *add, uint64_t address,
				 uint8_t **data_ret, uint64_t *size_ret)
{
	const struct pa_layout *layout = add->layout;
	uint64_t base, data, size = 0;
	struct pa_error *err;

	*data_ret = NULL;
	err = read_member(add->memory, address, PA_M(layout, btf, base_btf),
			  &base);
	if (!err)
		err = read_member(add->memory, address, PA_M(layout, btf, data),
				  &data);
	if (!err)
		err = read_member(add->memory, address,
				  PA_M(layout, btf, data_size), &size);
	if (err || base != add->vmlinux || !size || size > MAX_BTF_BYTES ||
	    size > add->left_bytes)
		return err;
	add->left_bytes -= size;

	pa_auto_free uint8_t *bytes = malloc(size);

	if (!bytes)
		return &pa_error_no_memory;
	err = pa_memory_read(add->memory, data, size, bytes);
	if (err)
		return err;
	*size_ret = size;
	*data_ret = pa_take(bytes);
	return NULL;
}

static struct pa_error *add_module(struct add *add, uint64_t module)
{
	pa_auto_free uint8_t *data = NULL;
	pa_auto_btf struct pa_btf *split = NULL;
	uint64_t address, size;
	struct pa_error *err;

	err = read_member(add->memory, module,
			  PA_M(add->layout, btf_module, btf), &address);
	if (!err)
		err = read_btf(add, address, &data, &size);
	if (err || !data)
		return err;
	err = pa_btf_create(data, size, add->base, &split);
	if (!err)
		pa_btf_fill(split, add->wanted, add->layout);
	return err;
}

/* Of the target, or what it holds: the types stay unknown. */
static struct pa_error *keep_ours(struct pa_error *err)
{
	if (!err || err->code == PA_ERROR_NO_MEMORY ||
	    err->code == PA_ERROR_CANCELLED || err->code == PA_ERROR_OS)
		return err;
	pa_error_destroy(err);
	return NULL;
}

static bool visit_module(void *arg, uint64_t node)
{
	struct add *add = arg;

	add->err = keep_ours(add_module(
		add, node - PA_OFFSETOF(add->layout, btf_module, list)));
	return !add->err;
}

static struct pa_error *add_modules(struct add *add)
{
	pa_auto_free uint8_t *data = NULL;
	pa_auto_wanted struct pa_wanted *wanted = NULL;
	pa_auto_btf struct pa_btf *base = NULL;
	struct pa_list_result result;
	size_t length;
	struct pa_error *err;

	err = pa_memory_read_u64(add->memory, PA_SYM(add->layout, btf_vmlinux),
				 &add->vmlinux);
	if (!err)
		err = pa_target_btf(add->memory->reader, add->layout, &data,
				    &length);
	if (!err)
		err = pa_btf_create(data, length, NULL, &base);
	if (!err)
		err = pa_wanted_create(&wanted);
	if (err)
		return err;
	add->base = base;
	add->wanted = wanted;
	err = pa_list_walk(add->memory, PA_SYM(add->layout, btf_modules),
			   MAX_MODULES, visit_module, add, &result);
	if (!err)
		return add->err;
	pa_error_destroy(add->err);
	return err;
}

struct pa_error *pa_module_types_add(struct pa_source *source,
				     struct pa_layout *layout)
{
	const struct pa_arch *arch = &pa_arch_x86_64;
	struct pa_address_space space;
	struct add add = { .layout = layout, .left_bytes = MAX_BTFS_BYTES };
	struct pa_error *err;

	if (!has_rows(layout))
		return NULL;
	err = arch->setup(source->info.vmcoreinfo, layout, &space);
	if (!err)
		err = pa_memory_create(source, arch, &space, &add.memory);
	if (!err)
		err = arch->setup_regions(add.memory, layout, &space);
	if (!err)
		err = add_modules(&add);
	pa_memory_destroy(add.memory);
	return keep_ours(err);
}
