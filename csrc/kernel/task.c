// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/task.h"

#include <string.h>

#include "base/text.h"
#include "kernel/list.h"

/* PF_IDLE of include/linux/sched.h: a macro on all kernels. */
#define PF_IDLE 0x2
/* A bound on tasks: PID_MAX_LIMIT. */
#define MAX_TASKS PA_BIT(22)
/* Places of the x86_64 user_regs_struct. */
#define REG_IP 16
#define REG_CS 17
#define X86_EFLAGS_IF 0x200

/* current_task of a CPU: in pcpu_hot between v6.2 and v6.14. */
static struct pa_error *read_current(const struct pa_kernel *kernel,
				     struct pa_memory *memory,
				     const struct pa_cpu *cpu, uint64_t *ret)
{
	const struct pa_layout *layout = kernel->layout;
	uint64_t at;

	if (PA_HAS_SYM(layout, pcpu_hot))
		at = PA_SYM(layout, pcpu_hot) +
		     PA_OFFSETOF(layout, pcpu_hot, current_task);
	else if (PA_HAS_SYM(layout, current_task))
		at = PA_SYM(layout, current_task);
	else
		return pa_error_create(PA_ERROR_MISSING,
				       "no symbol current_task");
	return pa_memory_read_u64(memory, cpu->offset + at, ret);
}

static struct pa_error *read_task(const struct pa_kernel *kernel,
				  struct pa_memory *memory,
				  const struct pa_cpu *cpu,
				  struct pa_cpu_task *task)
{
	const struct pa_layout *layout = kernel->layout;
	uint32_t flags;
	struct pa_error *err = read_current(kernel, memory, cpu, &task->task);

	if (!err)
		err = pa_memory_read_u32(
			memory,
			task->task + PA_OFFSETOF(layout, task_struct, pid),
			&task->pid);
	if (!err)
		err = pa_memory_read_u32(
			memory,
			task->task + PA_OFFSETOF(layout, task_struct, flags),
			&flags);
	if (!err)
		err = pa_memory_read(
			memory,
			task->task + PA_OFFSETOF(layout, task_struct, comm),
			sizeof(task->comm) - 1, task->comm);
	pa_text_make_printable(task->comm);
	if (!err)
		task->mode = !task->pid || flags & PF_IDLE ? PA_CPU_IDLE :
							     PA_CPU_KERNEL;
	return err;
}

/*
 * The notes of a dump come in the order of the online CPUs, if there is one
 * for each.
 */
static void add_registers(const struct pa_kernel *kernel,
			  struct pa_cpu_tasks *tasks)
{
	const struct pa_source_info *info = &kernel->source->info;

	if (info->cpus.length != tasks->list.length)
		return;
	for (size_t i = 0; i < tasks->list.length; i++) {
		struct pa_cpu_task *task = &tasks->list.items[i];
		const uint64_t *regs = info->cpus.items[i].regs;

		task->regs = regs;
		task->ip = regs[REG_IP];
		if (task->mode == PA_CPU_KERNEL && (regs[REG_CS] & 3) == 3)
			task->mode = PA_CPU_USER;
	}
}

struct pa_error *pa_cpu_tasks_init(const struct pa_kernel *kernel,
				   struct pa_memory *memory,
				   struct pa_cpu_tasks *ret)
{
	const struct pa_layout *layout = kernel->layout;
	struct pa_cpu_tasks tasks = { 0 };
	struct pa_error *err = NULL;

	for (size_t i = 0; !err && i < kernel->cpus.list.length; i++) {
		const struct pa_cpu *cpu = &kernel->cpus.list.items[i];
		struct pa_cpu_task task = { .cpu = cpu->nr,
					    .mode = PA_CPU_UNKNOWN };
		uint64_t online;

		err = pa_memory_read_u64(memory,
					 PA_SYM(layout, __cpu_online_mask) +
						 cpu->nr / 64 * 8,
					 &online);
		if (!err && !(online >> cpu->nr % 64 & 1))
			continue;
		if (!err)
			err = read_task(kernel, memory, cpu, &task);
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			err = NULL;
			task.mode = PA_CPU_UNKNOWN;
		}
		if (!err && !pa_array_append(&tasks.list, task))
			err = &pa_error_no_memory;
	}
	if (err) {
		pa_cpu_tasks_deinit(&tasks);
		return err;
	}
	add_registers(kernel, &tasks);
	*ret = tasks;
	return NULL;
}

void pa_cpu_tasks_deinit(struct pa_cpu_tasks *tasks)
{
	pa_array_deinit(&tasks->list);
}

bool pa_cpu_tasks_irqs_off(const struct pa_cpu_tasks *tasks, uint32_t cpu)
{
	for (size_t i = 0; i < tasks->list.length; i++) {
		const struct pa_cpu_task *task = &tasks->list.items[i];

		if (task->cpu == cpu)
			return task->regs &&
			       !(task->regs[PA_REG_FLAGS] & X86_EFLAGS_IF);
	}
	return false;
}

const struct pa_cpu_task *
pa_cpu_tasks_in_kernel(const struct pa_cpu_tasks *tasks)
{
	for (size_t i = 0; i < tasks->list.length; i++)
		if (tasks->list.items[i].mode == PA_CPU_KERNEL ||
		    tasks->list.items[i].mode == PA_CPU_UNKNOWN)
			return &tasks->list.items[i];
	return NULL;
}

struct walk {
	const struct pa_kernel *kernel;
	struct pa_memory *memory;
	/* The task_structs met. */
	PA_ARRAY(uint64_t) tasks;
	uint64_t unread;
	struct pa_error *err;
};

static bool keep_thread(void *arg, uint64_t node)
{
	struct walk *walk = arg;
	uint64_t task = node - PA_OFFSETOF(walk->kernel->layout, task_struct,
					   thread_node);

	if (!pa_array_append(&walk->tasks, task))
		walk->err = &pa_error_no_memory;
	return !walk->err;
}

/*
 * Whether the process whose leader's tasks member is at @node is on the list
 * still: a running kernel may have taken it off (__unhash_process()) while its
 * threads were looked at.
 */
static bool is_there(struct walk *walk, uint64_t node)
{
	uint64_t prev, back;
	struct pa_error *err =
		pa_memory_read_u64(walk->memory, node + 8, &prev);

	if (!err)
		err = pa_memory_read_u64(walk->memory, prev, &back);
	if (!err)
		return back == node;
	pa_error_destroy(err);
	return false;
}

/* All threads of the process whose leader's tasks member is at @node. */
static bool visit_process(void *arg, uint64_t node)
{
	struct walk *walk = arg;
	const struct pa_layout *layout = walk->kernel->layout;
	uint64_t leader = node - PA_OFFSETOF(layout, task_struct, tasks);
	struct pa_list_result result = { .end = PA_LIST_WHOLE };
	uint64_t signal;
	struct pa_error *err = pa_memory_read_u64(
		walk->memory, leader + PA_OFFSETOF(layout, task_struct, signal),
		&signal);

	if (!err)
		err = pa_list_walk(walk->memory,
				   signal + PA_OFFSETOF(layout, signal_struct,
							thread_head),
				   MAX_TASKS, keep_thread, walk, &result);
	if (err && !pa_error_is_target(err))
		walk->err = err;
	else if (err ||
		 (result.end != PA_LIST_WHOLE && result.end != PA_LIST_STOPPED))
		walk->unread += !walk->kernel->source->info.live ||
				is_there(walk, node);
	if (err != walk->err)
		pa_error_destroy(err);
	return !walk->err;
}

static struct pa_error *collect(struct walk *walk,
				struct pa_list_result *result)
{
	const struct pa_layout *layout = walk->kernel->layout;
	struct pa_error *err;

	walk->tasks.length = 0;
	walk->unread = 0;
	err = pa_list_walk(walk->memory,
			   PA_SYM(layout, init_task) +
				   PA_OFFSETOF(layout, task_struct, tasks),
			   MAX_TASKS, visit_process, walk, result);
	return err ? err : walk->err;
}

struct pa_error *pa_tasks_visit(const struct pa_kernel *kernel,
				struct pa_memory *memory, pa_task_fn visit,
				void *arg, uint64_t *unread_ret)
{
	struct walk walk = { .kernel = kernel, .memory = memory };
	int tries = kernel->source->info.live ? PA_LIVE_TRIES : 1;
	struct pa_list_result result;
	struct pa_error *err;

	do {
		err = collect(&walk, &result);
	} while (!err && --tries &&
		 (result.end != PA_LIST_WHOLE || walk.unread));
	for (size_t i = 0; !err && i < walk.tasks.length; i++)
		if (!visit(arg, walk.tasks.items[i]))
			break;
	pa_array_deinit(&walk.tasks);
	if (err)
		return err;
	if (result.end != PA_LIST_WHOLE)
		return pa_error_at(PA_ERROR_CORRUPT, result.node,
				   "the list of tasks is broken");
	*unread_ret = walk.unread;
	return NULL;
}

void pa_task_name(const struct pa_kernel *kernel, struct pa_memory *memory,
		  uint64_t task, uint32_t *pid_ret, char comm_ret[16])
{
	const struct pa_layout *layout = kernel->layout;

	*pid_ret = 0;
	memset(comm_ret, 0, 16);
	pa_error_destroy(pa_memory_read_u32(
		memory, task + PA_OFFSETOF(layout, task_struct, pid), pid_ret));
	pa_error_destroy(pa_memory_read(
		memory, task + PA_OFFSETOF(layout, task_struct, comm), 15,
		comm_ret));
	pa_text_make_printable(comm_ret);
}
