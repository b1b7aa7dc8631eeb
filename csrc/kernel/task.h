/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tasks, and what each CPU was doing when the machine stopped: kernel/fork.c,
 * kernel/sched/core.c.
 */
#ifndef PA_KERNEL_TASK_H
#define PA_KERNEL_TASK_H

#include "kernel/kernel.h"

/* user_regs_struct of x86_64, and places in it. */
#define PA_NR_REGS 27
#define PA_REG_IP 16
#define PA_REG_FLAGS 18
#define PA_REG_SP 19

enum pa_cpu_mode {
	/* The idle task. */
	PA_CPU_IDLE,
	PA_CPU_USER,
	/* A task, in the kernel: maybe in the middle of something. */
	PA_CPU_KERNEL,
	/* Its task could not be read. */
	PA_CPU_UNKNOWN,
};

struct pa_cpu_task {
	uint32_t cpu;
	enum pa_cpu_mode mode;
	/* Virtual address of the task_struct; 0 if unknown. */
	uint64_t task;
	uint32_t pid;
	char comm[16];
	/* Instruction pointer, from the dump's notes; 0 if unknown. */
	uint64_t ip;
	/* All PA_NR_REGS of the note, borrowed from the source; or NULL. */
	const uint64_t *regs;
};

struct pa_cpu_tasks {
	/* The online CPUs. */
	PA_ARRAY(struct pa_cpu_task) list;
};

struct pa_error *pa_cpu_tasks_init(const struct pa_kernel *kernel,
				   struct pa_memory *memory,
				   struct pa_cpu_tasks *ret);
void pa_cpu_tasks_deinit(struct pa_cpu_tasks *tasks);

/*
 * Whether CPU @cpu has its interrupts off, which is in the kernel only; false
 * where that is not known.
 */
bool pa_cpu_tasks_irqs_off(const struct pa_cpu_tasks *tasks, uint32_t cpu);

/* The first CPU that is, or may be, in the kernel; NULL if there is none. */
const struct pa_cpu_task *
pa_cpu_tasks_in_kernel(const struct pa_cpu_tasks *tasks);

/* A running kernel's tasks exit, and their list breaks, while they are read. */
#define PA_LIVE_TRIES 5

/* @task: virtual address of the task_struct. False stops the walk. */
typedef bool (*pa_task_fn)(void *arg, uint64_t task);

/*
 * Every thread of every process, once their list was read; the idle tasks are
 * on none. @unread_ret counts processes that could not be read, or not all of
 * them; a list of tasks that is broken is PA_ERROR_CORRUPT, after those before
 * the break. Of a running kernel it is read again then.
 */
struct pa_error *pa_tasks_visit(const struct pa_kernel *kernel,
				struct pa_memory *memory, pa_task_fn visit,
				void *arg, uint64_t *unread_ret);

/* Pid and name, as far as they can be read. */
void pa_task_name(const struct pa_kernel *kernel, struct pa_memory *memory,
		  uint64_t task, uint32_t *pid_ret, char comm_ret[16]);

#endif
