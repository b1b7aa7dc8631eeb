// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/stack.h"

#include <string.h>

#include "kernel/orc.h"

/* THREAD_SIZE of x86_64; twice that with KASAN, whose lower half is dead. */
#define STACK_BYTES UINT64_C(16384)

/* 512 MiB: that of a quarter of a million sleepers, who have some 2 KiB each. */
#define MAX_WORDS PA_BIT(26)

struct walk {
	const struct pa_kernel *kernel;
	struct pa_memory *memory;
	const struct pa_cpu_tasks *cpus;
	struct pa_stacks *stacks;
	/* NULL: frames can't be told apart. */
	struct pa_orc *orc;
	struct pa_error *err;
};

/* task_struct.on_cpu: an int, and a byte since v7.0. */
static struct pa_error *read_on_cpu(struct walk *walk, uint64_t task, bool *ret)
{
	const struct pa_member *member =
		PA_M(walk->kernel->layout, task_struct, on_cpu);
	uint8_t bytes[8];
	struct pa_error *err = NULL;

	*ret = false;
	if (!member->known || member->size > sizeof(bytes))
		return NULL;
	err = pa_memory_read(walk->memory, task + member->offset, member->size,
			     bytes);
	if (!err)
		*ret = pa_load_uint(bytes, member->size);
	return err;
}

/* Room for @nr words of a stack; NULL if there is none. */
static uint64_t *make_room(struct walk *walk, size_t nr)
{
	struct pa_stacks *stacks = walk->stacks;

	return pa_array_reserve(&stacks->words, nr) ?
		       stacks->words.items + stacks->words.length :
		       NULL;
}

/* @nr words of that room were filled: they are @task's, from @address on. */
static struct pa_error *keep(struct walk *walk, uint64_t task, uint64_t address,
			     size_t nr)
{
	struct pa_stacks *stacks = walk->stacks;
	const struct pa_stack piece = {
		.task = task,
		.address = address,
		.nr = nr,
	};

	stacks->words.length += nr;
	return pa_array_append(&stacks->list, piece) ? NULL :
						       &pa_error_no_memory;
}

/* The words of a task's stack from @sp on; @sleeps: that is what it has saved. */
static struct pa_error *visit_stack(struct walk *walk, uint64_t task,
				    uint64_t stack, uint64_t sp, bool sleeps)
{
	uint64_t *words = make_room(walk, STACK_BYTES / 8);
	struct pa_error *err;
	size_t nr;

	if (!words)
		return &pa_error_no_memory;
	/* Up: a stack that is not aligned must not become a longer one. */
	sp = (sp + 7) & ~UINT64_C(7);
	err = pa_memory_read(walk->memory, sp, stack + STACK_BYTES - sp, words);
	nr = (stack + STACK_BYTES - sp) / 8;
	if (!err && sleeps && walk->orc)
		err = pa_orc_called(walk->orc, words, nr, sp, &nr);
	return err ? err : keep(walk, task, sp, nr);
}

/*
 * An interrupt stack, from @sp on: it ends where its mapping does, or (v5.10
 * without VMAP_STACK) we read on into other per-cpu data.
 */
static struct pa_error *visit_irq_stack(struct walk *walk, uint64_t task,
					uint64_t sp)
{
	uint64_t *words = make_room(walk, STACK_BYTES / 8);
	uint64_t end = sp + STACK_BYTES, start = sp & ~UINT64_C(7);
	size_t nr = 0;

	if (!words)
		return &pa_error_no_memory;
	sp = start;
	while (sp < end && nr < STACK_BYTES / 8) {
		uint64_t next = pa_min((sp | 4095) + 1, end & ~UINT64_C(7));
		struct pa_error *err;

		if (next <= sp)
			break;
		err = pa_memory_read(walk->memory, sp, next - sp, &words[nr]);
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			break;
		}
		if (err)
			return err;
		nr += (next - sp) / 8;
		sp = next;
	}
	return keep(walk, task, start, nr);
}

static const struct pa_cpu_task *find_cpu(const struct walk *walk,
					  uint64_t task)
{
	for (size_t i = 0; i < walk->cpus->list.length; i++)
		if (walk->cpus->list.items[i].task == task)
			return &walk->cpus->list.items[i];
	return NULL;
}

static struct pa_error *
visit_running(struct walk *walk, const struct pa_cpu_task *cpu, uint64_t stack)
{
	uint64_t sp = cpu->regs ? cpu->regs[PA_REG_SP] : 0;
	struct pa_error *err = NULL;

	if (cpu->mode == PA_CPU_USER)
		return NULL;
	if (cpu->regs) {
		uint64_t *words = make_room(walk, PA_NR_REGS);

		if (!words)
			return &pa_error_no_memory;
		memcpy(words, cpu->regs, PA_NR_REGS * sizeof(*words));
		err = keep(walk, cpu->task, 0, PA_NR_REGS);
	}
	if (err)
		return err;
	if (sp >= stack && sp < stack + STACK_BYTES)
		return visit_stack(walk, cpu->task, stack, sp, false);
	if (pa_is_kernel_address(sp))
		err = visit_irq_stack(walk, cpu->task, sp);
	/* Where the task's own frames end is not known then. */
	return err ? err : visit_stack(walk, cpu->task, stack, stack, false);
}

static struct pa_error *visit_sleeping(struct walk *walk, uint64_t task,
				       uint64_t stack)
{
	bool on_cpu;
	uint64_t sp;
	struct pa_error *err =
		pa_memory_read_u64(walk->memory,
				   task + PA_OFFSETOF(walk->kernel->layout,
						      task_struct, thread__sp),
				   &sp);

	if (!err)
		err = read_on_cpu(walk, task, &on_cpu);
	if (err)
		return err;
	/* What a running task has saved is old: all of its stack, then. */
	if (on_cpu || sp < stack || sp >= stack + STACK_BYTES)
		return visit_stack(walk, task, stack, stack, false);
	return visit_stack(walk, task, stack, sp, true);
}

/* True while the walk goes on. */
static bool visit_task(void *arg, uint64_t task)
{
	struct walk *walk = arg;
	const struct pa_cpu_task *cpu = find_cpu(walk, task);
	uint64_t stack;
	struct pa_error *err;

	if (walk->stacks->words.length >= MAX_WORDS) {
		walk->stacks->unread++;
		return true;
	}
	err = pa_memory_read_u64(walk->memory,
				 task + PA_OFFSETOF(walk->kernel->layout,
						    task_struct, stack),
				 &stack);

	/* A zombie has none any more (finish_task_switch()). */
	if (!err && stack)
		err = cpu ? visit_running(walk, cpu, stack) :
			    visit_sleeping(walk, task, stack);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		walk->stacks->unread++;
		err = NULL;
	}
	walk->err = err;
	return !err;
}

/* The idle tasks are on no list. */
static void visit_idle(struct walk *walk)
{
	for (size_t i = 0; i < walk->cpus->list.length; i++) {
		const struct pa_cpu_task *cpu = &walk->cpus->list.items[i];

		if (cpu->mode == PA_CPU_IDLE && cpu->task &&
		    !visit_task(walk, cpu->task))
			return;
	}
}

static struct pa_error *read_all(struct walk *walk)
{
	struct pa_stacks *stacks = walk->stacks;
	struct pa_error *err = NULL;
	uint64_t unread = 0;

	stacks->list.length = stacks->words.length = 0;
	stacks->unread = 0;
	visit_idle(walk);
	if (!walk->err)
		err = pa_tasks_visit(walk->kernel, walk->memory, visit_task,
				     walk, &unread);
	/* Those before a break are known. */
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		err = NULL;
		unread++;
	}
	stacks->unread += unread;
	return err ? err : walk->err;
}

struct pa_error *pa_stacks_init(const struct pa_kernel *kernel,
				struct pa_memory *memory,
				const struct pa_cpu_tasks *cpus,
				struct pa_stacks *ret)
{
	struct walk walk = {
		.kernel = kernel,
		.memory = memory,
		.cpus = cpus,
		.stacks = ret,
	};
	int tries = kernel->source->info.live ? PA_LIVE_TRIES : 1;
	struct pa_orc orc = { 0 };
	struct pa_error *err = pa_orc_init(kernel, memory, &orc);
	size_t first = 0;

	if (!err) {
		walk.orc = &orc;
	} else if (pa_error_is_target(err) || err->code == PA_ERROR_MISSING) {
		pa_error_destroy(err);
		err = NULL;
	}
	if (err)
		return err;
	do {
		err = read_all(&walk);
	} while (!err && ret->unread && --tries);
	pa_orc_deinit(&orc);
	pa_array_for_each(stack, &ret->list) {
		stack->words = ret->words.items + first;
		first += stack->nr;
	}
	return err;
}

void pa_stacks_deinit(struct pa_stacks *stacks)
{
	pa_array_deinit(&stacks->list);
	pa_array_deinit(&stacks->words);
}

bool pa_is_in_function(const struct pa_layout *layout,
		       enum pa_symbol_id function, uint64_t word)
{
	const struct pa_symbol *symbol = &layout->symbols[function];

	/* What a call that does not return is to return to is behind it. */
	if (symbol->known && word - 1 - symbol->address < symbol->size)
		return true;
	for (int i = 0; i < PA_NR_PIECES; i++)
		if (word - 1 - symbol->pieces[i].address <
		    symbol->pieces[i].size)
			return true;
	return false;
}

size_t pa_function_at(const struct pa_layout *layout,
		      const enum pa_symbol_id *functions, size_t nr,
		      uint64_t word)
{
	for (size_t i = 0; i < nr; i++)
		if (pa_is_in_function(layout, functions[i], word))
			return i;
	return nr;
}

bool pa_stack_is_in(const struct pa_layout *layout,
		    const struct pa_stack *stack,
		    const enum pa_symbol_id *functions, size_t nr)
{
	for (size_t i = 0; i < stack->nr; i++)
		if (pa_function_at(layout, functions, nr, stack->words[i]) < nr)
			return true;
	return false;
}

void pa_stacks_find(const struct pa_stacks *stacks,
		    const struct pa_kernel *kernel, struct pa_memory *memory,
		    const enum pa_symbol_id *functions, size_t nr_functions,
		    struct pa_stack_hit *ret)
{
	*ret = (struct pa_stack_hit){ 0 };
	pa_array_for_each(stack, &stacks->list)
		for (size_t i = 0; !ret->task && i < stack->nr; i++) {
			size_t function =
				pa_function_at(kernel->layout, functions,
					       nr_functions, stack->words[i]);

			if (function == nr_functions)
				continue;
			ret->task = stack->task;
			ret->function = function;
		}
	if (ret->task)
		pa_task_name(kernel, memory, ret->task, &ret->pid, ret->comm);
}
