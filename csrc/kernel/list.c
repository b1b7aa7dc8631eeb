// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/list.h"

/* struct list_head is { next, prev } on every kernel. */
enum way { FORWARD, BACK };

static struct pa_error *walk(struct pa_memory *memory, uint64_t head,
			     uint64_t limit, enum way way,
			     pa_list_visit_fn visit, void *arg,
			     struct pa_list_result *ret)
{
	struct pa_list_result result = { .end = PA_LIST_WHOLE, .node = head };
	uint64_t links[2] = { 0 };
	struct pa_error *err =
		pa_memory_read(memory, head, sizeof(links), links);
	uint64_t last = links[!way];

	while (!err) {
		uint64_t next = links[way];

		result.link = next;
		if (next == head) {
			if (last != result.node)
				result.end = PA_LIST_BROKEN;
			break;
		}
		if (!pa_is_kernel_address(next) || next & 7) {
			result.end = PA_LIST_BROKEN;
			break;
		}
		if (result.length >= limit) {
			result.end = PA_LIST_ENDLESS;
			break;
		}
		err = pa_memory_read(memory, next, sizeof(links), links);
		if (err)
			break;
		if (links[!way] != result.node) {
			/* Name the entry that disagrees with its neighbour. */
			result.end = PA_LIST_BROKEN;
			break;
		}
		result.node = next;
		result.length++;
		if (!visit(arg, next)) {
			result.end = PA_LIST_STOPPED;
			break;
		}
	}
	if (pa_error_is_target(err)) {
		result.end = PA_LIST_UNREADABLE;
		pa_error_destroy(err);
		err = NULL;
	}
	if (!err)
		*ret = result;
	return err;
}

struct pa_error *pa_list_walk(struct pa_memory *memory, uint64_t head,
			      uint64_t limit, pa_list_visit_fn visit, void *arg,
			      struct pa_list_result *ret)
{
	return walk(memory, head, limit, FORWARD, visit, arg, ret);
}

struct pa_error *pa_list_walk_back(struct pa_memory *memory, uint64_t head,
				   uint64_t limit, pa_list_visit_fn visit,
				   void *arg, struct pa_list_result *ret)
{
	return walk(memory, head, limit, BACK, visit, arg, ret);
}
