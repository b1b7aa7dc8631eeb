// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/memcg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "kernel/list.h"
#include "types/layout.h"

/* Far more than MEM_CGROUP_ID_MAX: removed ones give their id back. */
#define MAX_MEMCGS (UINT32_C(1) << 20)
#define MAX_DEPTH 64

/*
 * mem_cgroup_disabled(): the boot option cgroup_disable=memory turns the
 * subsystem's static key off.
 */
static struct pa_error *find_root(struct pa_memory *memory,
				  const struct pa_layout *layout, uint64_t *ret)
{
	uint32_t enabled = 1;
	struct pa_error *err = NULL;

	if (!PA_HAS_TYPE(layout, mem_cgroup) ||
	    !PA_HAS_SYM(layout, root_mem_cgroup)) {
		*ret = 0;
		return NULL;
	}
	if (!PA_HAS(layout, mem_cgroup, css) ||
	    !PA_HAS(layout, mem_cgroup, nodeinfo) ||
	    !PA_HAS(layout, mem_cgroup_per_node, lruvec) ||
	    !PA_HAS(layout, cgroup_subsys_state, children) ||
	    !PA_HAS(layout, cgroup_subsys_state, sibling))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct mem_cgroup is not usable");
	if (PA_HAS_SYM(layout, memory_cgrp_subsys_enabled_key))
		err = pa_memory_read_u32(
			memory,
			PA_SYM(layout, memory_cgrp_subsys_enabled_key) +
				PA_OFFSETOF(layout, static_key, enabled),
			&enabled);
	if (err)
		return err;
	if (!enabled) {
		*ret = 0;
		return NULL;
	}
	return pa_memory_read_u64(memory, PA_SYM(layout, root_mem_cgroup), ret);
}

struct children {
	struct pa_memory *memory;
	const struct pa_layout *layout;
	struct pa_memcgs *memcgs;
	size_t parent;
	/* Ours: out of memory. */
	bool failed;
};

static bool css_online(struct pa_memory *memory, const struct pa_layout *layout,
		       uint64_t css)
{
	uint32_t flags;
	struct pa_error *err;

	if (!PA_HAS(layout, cgroup_subsys_state, flags) ||
	    !PA_HAS_ENUM(layout, CSS_ONLINE))
		return true;
	err = pa_memory_read_u32(
		memory, css + PA_OFFSETOF(layout, cgroup_subsys_state, flags),
		&flags);
	if (err) {
		pa_error_destroy(err);
		return true;
	}
	return flags & (uint64_t)PA_ENUM(layout, CSS_ONLINE);
}

static bool add_memcg(struct children *c, uint64_t css)
{
	struct pa_memcg memcg = {
		.address = css - PA_OFFSETOF(c->layout, mem_cgroup, css),
		.parent = c->parent,
		.online = css_online(c->memory, c->layout, css),
	};

	c->failed = !pa_array_append(&c->memcgs->list, memcg);
	return !c->failed;
}

static bool visit_child(void *arg, uint64_t node)
{
	struct children *c = arg;
	uint64_t css =
		node - PA_OFFSETOF(c->layout, cgroup_subsys_state, sibling);

	/*
	 * A node answers for its neighbours, so it is on one list only; the
	 * root is on none, and the only way into a circle.
	 */
	if (css - PA_OFFSETOF(c->layout, mem_cgroup, css) ==
	    c->memcgs->list.items[0].address)
		return false;
	return add_memcg(c, css);
}

static int compare_address(const void *a, const void *b, void *arg)
{
	const struct pa_memcg *items = arg;
	uint64_t x = items[*(const uint32_t *)a].address;
	uint64_t y = items[*(const uint32_t *)b].address;

	return x < y ? -1 : x > y;
}

/*
 * css_release_work_fn() takes a css off its parent's list when the last
 * reference is gone; charged pages hold references, so that every memory
 * cgroup with pages is in the tree, removed or not.
 */
static struct pa_error *walk_tree(struct children *c)
{
	struct pa_memcgs *memcgs = c->memcgs;
	uint64_t children =
		PA_OFFSETOF(c->layout, mem_cgroup, css) +
		PA_OFFSETOF(c->layout, cgroup_subsys_state, children);

	for (size_t i = 0; i < memcgs->list.length; i++) {
		struct pa_list_result result;
		struct pa_error *err;

		c->parent = i;
		err = pa_list_walk(c->memory,
				   memcgs->list.items[i].address + children,
				   MAX_MEMCGS - memcgs->list.length,
				   visit_child, c, &result);
		if (!err && c->failed)
			err = &pa_error_no_memory;
		if (err)
			return err;
		if (result.end == PA_LIST_UNREADABLE)
			memcgs->unreadable++;
		else if (result.end != PA_LIST_WHOLE)
			memcgs->corrupt++;
		if (result.end == PA_LIST_ENDLESS)
			break;
	}
	memcgs->by_address =
		calloc(memcgs->list.length, sizeof(*memcgs->by_address));
	if (!memcgs->by_address)
		return &pa_error_no_memory;
	for (size_t i = 0; i < memcgs->list.length; i++)
		memcgs->by_address[i] = (uint32_t)i;
	qsort_r(memcgs->by_address, memcgs->list.length,
		sizeof(*memcgs->by_address), compare_address,
		memcgs->list.items);
	return NULL;
}

struct pa_error *pa_memcgs_init(struct pa_memory *memory,
				const struct pa_layout *layout,
				struct pa_memcgs *ret)
{
	struct pa_memcgs memcgs = {};
	struct children c = {
		.memory = memory,
		.layout = layout,
		.memcgs = &memcgs,
	};
	uint64_t root;
	struct pa_error *err = find_root(memory, layout, &root);

	if (err)
		return err;
	memcgs.enabled = root;
	if (root) {
		if (add_memcg(&c, root + PA_OFFSETOF(layout, mem_cgroup, css)))
			err = walk_tree(&c);
		else
			err = &pa_error_no_memory;
	}
	if (err) {
		pa_memcgs_deinit(&memcgs);
		return err;
	}
	*ret = memcgs;
	return NULL;
}

void pa_memcgs_deinit(struct pa_memcgs *memcgs)
{
	pa_array_deinit(&memcgs->list);
	free(memcgs->by_address);
	memcgs->by_address = NULL;
}

const struct pa_memcg *pa_memcg_find(const struct pa_memcgs *memcgs,
				     uint64_t address)
{
	const struct pa_memcg *items = memcgs->list.items, *memcg;
	size_t nr = memcgs->list.length;
	size_t low = pa_bisect(memcgs->by_address, nr, it,
			       items[*it].address < address);

	if (low == nr)
		return NULL;
	memcg = &items[memcgs->by_address[low]];
	return memcg->address == address ? memcg : NULL;
}

/* css->cgroup->kn->name: what the directory in cgroupfs is called. */
static struct pa_error *read_name(struct pa_memory *memory,
				  const struct pa_layout *layout,
				  const struct pa_memcg *memcg, char *buffer,
				  size_t size)
{
	uint64_t at = memcg->address + PA_OFFSETOF(layout, mem_cgroup, css) +
		      PA_OFFSETOF(layout, cgroup_subsys_state, cgroup);
	struct pa_error *err = pa_memory_read_u64(memory, at, &at);

	if (!err)
		err = pa_memory_read_u64(
			memory, at + PA_OFFSETOF(layout, cgroup, kn), &at);
	if (!err)
		err = pa_memory_read_u64(
			memory, at + PA_OFFSETOF(layout, kernfs_node, name),
			&at);
	if (!err)
		err = pa_memory_read_string(memory, at, buffer, size);
	return err;
}

void pa_memcg_path(struct pa_memory *memory, const struct pa_layout *layout,
		   const struct pa_memcgs *memcgs, const struct pa_memcg *memcg,
		   char *buffer, size_t size)
{
	bool known = PA_HAS(layout, cgroup_subsys_state, cgroup) &&
		     PA_HAS(layout, cgroup, kn) &&
		     PA_HAS(layout, kernfs_node, name);
	/* Built from its end, which says most. */
	char path[256];
	size_t at = sizeof(path) - 1;

	path[at] = '\0';
	for (int depth = 0; depth < MAX_DEPTH; depth++) {
		size_t index = (size_t)(memcg - memcgs->list.items);
		char name[128] = "?";

		if (memcg->parent == index)
			break;
		if (known)
			pa_error_destroy(read_name(memory, layout, memcg, name,
						   sizeof(name)));

		size_t length = strlen(name);

		pa_text_make_printable(name);
		if (length + 1 > at)
			break;
		at -= length;
		memcpy(path + at, name, length);
		path[--at] = '/';
		memcg = &memcgs->list.items[memcg->parent];
	}
	snprintf(buffer, size, "%s", path[at] ? path + at : "/");
}

struct pa_error *pa_memcg_node(struct pa_memory *memory,
			       const struct pa_layout *layout,
			       const struct pa_memcg *memcg, uint32_t node,
			       uint64_t *ret)
{
	return pa_memory_read_u64(
		memory,
		memcg->address + PA_OFFSETOF(layout, mem_cgroup, nodeinfo) +
			(uint64_t)node * 8,
		ret);
}
