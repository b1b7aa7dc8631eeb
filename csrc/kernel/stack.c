// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/stack.h"

#include "kernel/list.h"

/* THREAD_SIZE of x86_64; twice that with KASAN, whose lower half is dead. */
#define STACK_BYTES UINT64_C(16384)
/* No function that we look for is longer. */
#define FUNCTION_BYTES 4096
/* A bound on tasks: PID_MAX_LIMIT. */
#define MAX_TASKS PA_BIT(22)

struct search {
	const struct pa_kernel *kernel;
	struct pa_memory *memory;
	const enum pa_symbol_id *functions;
	size_t nr_functions;
	struct pa_stack_hit hit;
	uint64_t unread;
	uint64_t tasks;
	struct pa_error *err;
};

/* task_struct.on_cpu: an int, or a byte on the newest kernels. */
static struct pa_error *read_on_cpu(struct search *search, uint64_t task,
				    bool *ret)
{
	const struct pa_member *member =
		PA_M(search->kernel->layout, task_struct, on_cpu);
	uint8_t bytes[8];
	struct pa_error *err = NULL;

	*ret = false;
	if (!member->known || member->size > sizeof(bytes))
		return NULL;
	err = pa_memory_read(search->memory, task + member->offset,
			     member->size, bytes);
	if (!err)
		*ret = pa_load_uint(bytes, member->size);
	return err;
}

/* The index of the function that @address is in, or nr_functions. */
static size_t function_at(const struct search *search, uint64_t address)
{
	for (size_t i = 0; i < search->nr_functions; i++) {
		const struct pa_symbol *symbol =
			&search->kernel->layout->symbols[search->functions[i]];

		if (symbol->known && address > symbol->address &&
		    address - symbol->address < FUNCTION_BYTES)
			return i;
	}
	return search->nr_functions;
}

static struct pa_error *search_task(struct search *search, uint64_t task)
{
	const struct pa_layout *layout = search->kernel->layout;
	uint64_t words[STACK_BYTES / 8];
	uint64_t stack, sp;
	bool on_cpu = false;
	struct pa_error *err = pa_memory_read_u64(
		search->memory, task + PA_OFFSETOF(layout, task_struct, stack),
		&stack);

	if (!err)
		err = pa_memory_read_u64(search->memory,
					 task + PA_OFFSETOF(layout, task_struct,
							    thread__sp),
					 &sp);
	if (!err)
		err = read_on_cpu(search, task, &on_cpu);
	/* A zombie has none any more (finish_task_switch()). */
	if (err || !stack)
		return err;
	/* What a running task has saved is old: all of its stack, then. */
	if (on_cpu || sp < stack || sp >= stack + STACK_BYTES)
		sp = stack;
	sp &= ~UINT64_C(7);

	uint64_t nr = (stack + STACK_BYTES - sp) / 8;

	err = pa_memory_read(search->memory, sp, nr * 8, words);
	for (uint64_t i = 0; !err && i < nr; i++) {
		size_t function = function_at(search, words[i]);

		if (function == search->nr_functions)
			continue;
		search->hit.task = task;
		search->hit.function = function;
		err = pa_memory_read_u32(search->memory,
					 task + PA_OFFSETOF(layout, task_struct,
							    pid),
					 &search->hit.pid);
		if (!err)
			err = pa_memory_read(
				search->memory,
				task + PA_OFFSETOF(layout, task_struct, comm),
				sizeof(search->hit.comm) - 1, search->hit.comm);
		break;
	}
	return err;
}

/* True while the search goes on. */
static bool visit_task(struct search *search, uint64_t task)
{
	struct pa_error *err = search_task(search, task);

	search->tasks++;
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		search->unread++;
		err = NULL;
	}
	search->err = err;
	return !err && !search->hit.task;
}

static bool visit_thread(void *arg, uint64_t node)
{
	struct search *search = arg;

	return visit_task(search, node - PA_OFFSETOF(search->kernel->layout,
						     task_struct, thread_node));
}

/* All threads of the process whose leader's tasks member is at @node. */
static bool visit_process(void *arg, uint64_t node)
{
	struct search *search = arg;
	const struct pa_layout *layout = search->kernel->layout;
	uint64_t leader = node - PA_OFFSETOF(layout, task_struct, tasks);
	struct pa_list_result result;
	uint64_t signal;

	search->err = pa_memory_read_u64(
		search->memory,
		leader + PA_OFFSETOF(layout, task_struct, signal), &signal);
	if (!search->err)
		search->err =
			pa_list_walk(search->memory,
				     signal + PA_OFFSETOF(layout, signal_struct,
							  thread_head),
				     MAX_TASKS, visit_thread, search, &result);
	if (pa_error_is_target(search->err)) {
		pa_error_destroy(search->err);
		search->err = NULL;
		search->unread++;
	}
	return !search->err && !search->hit.task;
}

struct pa_error *pa_stacks_find(const struct pa_kernel *kernel,
				struct pa_memory *memory,
				const enum pa_symbol_id *functions,
				size_t nr_functions, struct pa_stack_hit *ret,
				uint64_t *unread_ret)
{
	struct search search = {
		.kernel = kernel,
		.memory = memory,
		.functions = functions,
		.nr_functions = nr_functions,
	};
	struct pa_list_result result;
	struct pa_error *err = pa_list_walk(
		memory,
		PA_SYM(kernel->layout, init_task) +
			PA_OFFSETOF(kernel->layout, task_struct, tasks),
		MAX_TASKS, visit_process, &search, &result);

	if (!err)
		err = search.err;
	if (err)
		return err;
	if (result.end != PA_LIST_WHOLE && result.end != PA_LIST_STOPPED)
		return pa_error_at(PA_ERROR_CORRUPT, result.node,
				   "the list of tasks is broken");
	*ret = search.hit;
	*unread_ret = search.unread;
	return NULL;
}
