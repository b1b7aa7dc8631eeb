// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages that are being read ahead: page_cache_ra_unbounded() puts them locked
 * into the page cache and keeps a reference to each, which the file system
 * drops as it takes them one after the other (readahead_folio()). What is left
 * of them the struct readahead_control on the task's stack says.
 */
#include <stdlib.h>

#include "census/holders.h"
#include "kernel/xarray.h"

/* Of struct readahead_control. */
#define MAX_BYTES 128
/* No readahead has more pages. */
#define MAX_PAGES PA_BIT(20)

struct control {
	/* Virtual addresses of the address_space and of the task_struct. */
	uint64_t mapping, task;
	/* Page indices [first, last]. */
	uint64_t first, last;
};

struct controls {
	PA_ARRAY(struct control) list;
};

struct finding {
	struct pa_holder_walk *walk;
	struct controls *controls;
	struct pa_error *err;
};

static struct pa_error *read_member(const struct finding *f, uint64_t address,
				    const struct pa_member *member,
				    uint64_t *ret)
{
	return pa_memory_read_u64(f->walk->memory, address + member->offset,
				  ret);
}

/* *ret: an address_space is at @mapping, its inode's own. */
static struct pa_error *is_mapping(const struct finding *f, uint64_t mapping,
				   bool *ret)
{
	const struct pa_layout *layout = f->walk->layout;
	const struct pa_member *i_mapping = PA_M(layout, inode, i_mapping);
	uint64_t host, back;
	struct pa_error *err = read_member(
		f, mapping, PA_M(layout, address_space, host), &host);

	*ret = false;
	if (!err && pa_is_kernel_address(host) && !(host & 7))
		err = read_member(f, host, i_mapping, &back);
	else
		return err;
	*ret = !err && back == mapping;
	return err;
}

/* What lies at @bytes, on a stack, if it is a struct readahead_control. */
static struct pa_error *look_at(struct finding *f, const uint8_t *bytes,
				uint64_t task)
{
	const struct pa_layout *layout = f->walk->layout;
	uint64_t mapping = PA_GET(layout, bytes, readahead_control, mapping);
	uint64_t file = PA_GET(layout, bytes, readahead_control, file);
	uint64_t index = PA_GET(layout, bytes, readahead_control, _index);
	uint64_t nr = PA_GET(layout, bytes, readahead_control, _nr_pages);
	bool good;

	if (!pa_is_kernel_address(mapping) || mapping & 7 || !nr ||
	    nr > MAX_PAGES || index + nr < index ||
	    (file && (!pa_is_kernel_address(file) || file & 7)))
		return NULL;

	struct pa_error *err = is_mapping(f, mapping, &good);

	/* Words of a stack may look like anything. */
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (err || !good)
		return err;
	return pa_array_append(&f->controls->list,
			       ((struct control){
				       .mapping = mapping,
				       .task = task,
				       .first = index,
				       .last = index + nr - 1,
			       })) ?
		       NULL :
		       &pa_error_no_memory;
}

static bool visit_stack(struct finding *f, const struct pa_stack *stack)
{
	size_t size = (PA_SIZEOF(f->walk->layout, readahead_control) + 7) / 8;

	for (size_t i = 0; stack->address && !f->err && i + size <= stack->nr;
	     i++)
		f->err = look_at(f, (const uint8_t *)&stack->words[i],
				 stack->task);
	return !f->err;
}

static bool is_usable(const struct pa_layout *layout)
{
	const struct pa_member *const members[] = {
		PA_M(layout, readahead_control, file),
		PA_M(layout, readahead_control, mapping),
		PA_M(layout, readahead_control, _index),
		PA_M(layout, readahead_control, _nr_pages),
	};
	uint64_t size = PA_SIZEOF(layout, readahead_control);

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (!members[i]->known ||
		    members[i]->offset + members[i]->size > size)
			return false;
	return size <= MAX_BYTES;
}

struct pa_error *pa_readahead_prepare(struct pa_holder_walk *walk,
				      void **state_ret, uint64_t *nr_ret)
{
	struct finding f = { .walk = walk };

	if (!is_usable(walk->layout))
		return pa_error_create(
			PA_ERROR_MISSING,
			"struct readahead_control is not usable");
	f.controls = calloc(1, sizeof(*f.controls));
	if (!f.controls)
		return &pa_error_no_memory;
	*state_ret = f.controls;
	pa_array_for_each(stack, &walk->census->stacks.list)
		if (!visit_stack(&f, stack))
			break;
	walk->unreadable += walk->census->stacks.unread;
	*nr_ret = f.controls->list.length;
	return f.err;
}

struct entries {
	struct pa_holder_walk *walk;
	const struct control *control;
};

static bool visit_entry(void *arg, const struct pa_xarray_entry *entry)
{
	struct entries *e = arg;
	struct pa_reference ref = {
		.holder = e->walk->holder,
		.kind = PA_REF_UNSURE,
		.count = 1,
		.slot = entry->slot,
		.owner = e->control->task,
		.index = entry->first,
	};

	if (entry->first > e->control->last)
		return false;
	if (entry->last < e->control->first || entry->entry & 1)
		return true;
	return pa_refer_page(e->walk, entry->entry, &ref);
}

struct pa_error *pa_readahead_item(struct pa_holder_walk *walk, uint64_t index)
{
	const struct controls *controls = walk->state;
	const struct control *control = &controls->list.items[index];
	struct entries e = { walk, control };
	struct pa_xarray_result result = { 0 };
	struct pa_error *err = pa_xarray_walk(
		walk->memory, walk->layout,
		control->mapping +
			PA_OFFSETOF(walk->layout, address_space, i_pages),
		visit_entry, &e, &result);

	walk->unreadable += result.unreadable + result.corrupt;
	return err;
}

void pa_readahead_destroy(void *state)
{
	struct controls *controls = state;

	pa_array_deinit(&controls->list);
	free(controls);
}
