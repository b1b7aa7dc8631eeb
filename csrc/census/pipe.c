// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages in pipes: written, spliced or given with vmsplice(). The pipes are
 * those of open files and the private ones that tasks keep for sendfile().
 */
#include "kernel/pipe.h"

#include "census/files.h"
#include "census/holders.h"

struct pipes {
	/* Virtual addresses of pipe_inode_infos. */
	PA_ARRAY(uint64_t) list;
};

struct collect {
	struct pa_holder_walk *walk;
	struct pipes *pipes;
	struct pa_error *err;
};

/*
 * splice_direct_to_actor() keeps a pipe for the task's life. do_exit() frees it
 * without clearing the pointer, but not before exit_notify() has set
 * exit_state.
 */
static bool visit_task(void *arg, uint64_t task)
{
	struct collect *collect = arg;
	struct pa_memory *memory = collect->walk->memory;
	const struct pa_layout *layout = collect->walk->layout;
	uint64_t pipe;
	uint32_t state = 0;
	struct pa_error *err = pa_memory_read_u64(
		memory, task + PA_OFFSETOF(layout, task_struct, splice_pipe),
		&pipe);

	if (!err && pipe)
		err = pa_memory_read_u32(memory,
					 task + PA_OFFSETOF(layout, task_struct,
							    exit_state),
					 &state);
	if (!err && pipe && !state &&
	    !pa_array_append(&collect->pipes->list, pipe))
		err = &pa_error_no_memory;
	collect->err = pa_holder_unread(collect->walk, err);
	return !collect->err;
}

static struct pa_error *add_tasks(struct pa_holder_walk *walk,
				  struct pipes *pipes)
{
	struct collect collect = { .walk = walk, .pipes = pipes };
	uint64_t unread = 0;
	struct pa_error *err;

	if (!PA_HAS(walk->layout, task_struct, splice_pipe) ||
	    !PA_HAS(walk->layout, task_struct, exit_state)) {
		walk->unreadable++;
		return NULL;
	}
	err = pa_tasks_visit(walk->kernel, walk->memory, visit_task, &collect,
			     &unread);
	walk->unreadable += unread;
	return collect.err ? collect.err : pa_holder_unread(walk, err);
}

struct pa_error *pa_pipe_prepare(struct pa_holder_walk *walk, void **state_ret,
				 uint64_t *nr_ret)
{
	const struct pa_files *files;
	struct pipes *pipes;
	struct pa_error *err;

	if (!pa_pipe_knows(walk->layout))
		return pa_error_create(PA_ERROR_MISSING,
				       "no types or symbols of pipes");
	err = pa_files_get(walk, PA_OPEN_PIPE, &files);
	if (err)
		return err;
	pipes = calloc(1, sizeof(*pipes));
	if (!pipes)
		return &pa_error_no_memory;
	err = pa_array_extend(&pipes->list, &files->objects[PA_OPEN_PIPE]) ?
		      add_tasks(walk, pipes) :
		      &pa_error_no_memory;
	if (err) {
		pa_pipe_destroy(pipes);
		return err;
	}
	*state_ret = pipes;
	*nr_ret = pipes->list.length;
	return NULL;
}

struct item {
	struct pa_holder_walk *walk;
	uint64_t pipe;
};

static bool visit_page(void *arg, const struct pa_pipe_page *page)
{
	struct item *item = arg;
	struct pa_reference ref = {
		.holder = PA_HOLDER_PIPE,
		.kind = page->referenced ? PA_REF_GET : PA_REF_LINK,
		.count = 1,
		.slot = page->slot,
		.owner = item->pipe,
		.index = page->index,
	};

	return pa_refer_page(item->walk, page->page, &ref);
}

struct pa_error *pa_pipe_item(struct pa_holder_walk *walk, uint64_t index)
{
	const struct pipes *pipes = walk->state;
	struct item item = { walk, pipes->list.items[index] };

	return pa_pipe_visit(walk->kernel, walk->memory, item.pipe, visit_page,
			     &item);
}

void pa_pipe_destroy(void *state)
{
	struct pipes *pipes = state;

	pa_array_deinit(&pipes->list);
	free(pipes);
}
