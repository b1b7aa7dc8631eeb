// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/stack.h"

/* THREAD_SIZE of x86_64; twice that with KASAN, whose lower half is dead. */
#define STACK_BYTES UINT64_C(16384)

struct walk {
	const struct pa_kernel *kernel;
	struct pa_memory *memory;
	const struct pa_cpu_tasks *cpus;
	pa_stack_fn visit;
	void *arg;
	bool stopped;
	uint64_t unread;
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

static void visit_words(struct walk *walk, uint64_t task, uint64_t address,
			const uint64_t *words, size_t nr)
{
	const struct pa_stack piece = {
		.task = task, .address = address, .words = words, .nr = nr
	};

	walk->stopped = walk->stopped || !walk->visit(walk->arg, &piece);
}

/* The words of a task's stack from @sp on. */
static struct pa_error *visit_stack(struct walk *walk, uint64_t task,
				    uint64_t stack, uint64_t sp)
{
	uint64_t words[STACK_BYTES / 8];
	struct pa_error *err;

	/* Up: a stack that is not aligned must not become a longer one. */
	sp = (sp + 7) & ~UINT64_C(7);
	err = pa_memory_read(walk->memory, sp, stack + STACK_BYTES - sp, words);
	if (!err)
		visit_words(walk, task, sp, words,
			    (stack + STACK_BYTES - sp) / 8);
	return err;
}

/*
 * An interrupt stack, from @sp on: it ends where its mapping does, or (v5.10
 * without VMAP_STACK) we read on into other per-cpu data.
 */
static struct pa_error *visit_irq_stack(struct walk *walk, uint64_t task,
					uint64_t sp)
{
	uint64_t words[STACK_BYTES / 8];
	uint64_t end = sp + STACK_BYTES, start = sp & ~UINT64_C(7);
	size_t nr = 0;

	sp = start;
	while (sp < end && nr < sizeof(words) / 8) {
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
	visit_words(walk, task, start, words, nr);
	return NULL;
}

static const struct pa_cpu_task *find_cpu(const struct walk *walk,
					  uint64_t task)
{
	for (size_t i = 0; walk->cpus && i < walk->cpus->list.length; i++)
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
	if (cpu->regs)
		visit_words(walk, cpu->task, 0, cpu->regs, PA_NR_REGS);
	if (sp >= stack && sp < stack + STACK_BYTES)
		return visit_stack(walk, cpu->task, stack, sp);
	if (pa_is_kernel_address(sp))
		err = visit_irq_stack(walk, cpu->task, sp);
	/* Where the task's own frames end is not known then. */
	return err ? err : visit_stack(walk, cpu->task, stack, stack);
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
		sp = stack;
	return visit_stack(walk, task, stack, sp);
}

/* True while the walk goes on. */
static bool visit_task(void *arg, uint64_t task)
{
	struct walk *walk = arg;
	const struct pa_cpu_task *cpu = find_cpu(walk, task);
	uint64_t stack;
	struct pa_error *err = pa_memory_read_u64(
		walk->memory,
		task + PA_OFFSETOF(walk->kernel->layout, task_struct, stack),
		&stack);

	/* A zombie has none any more (finish_task_switch()). */
	if (!err && stack)
		err = cpu ? visit_running(walk, cpu, stack) :
			    visit_sleeping(walk, task, stack);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		walk->unread++;
		err = NULL;
	}
	walk->err = err;
	return !err && !walk->stopped;
}

/* The idle tasks are on no list. */
static void visit_idle(struct walk *walk)
{
	for (size_t i = 0; walk->cpus && i < walk->cpus->list.length; i++) {
		const struct pa_cpu_task *cpu = &walk->cpus->list.items[i];

		if (cpu->mode == PA_CPU_IDLE && cpu->task &&
		    !visit_task(walk, cpu->task))
			return;
	}
}

struct pa_error *pa_stacks_visit(const struct pa_kernel *kernel,
				 struct pa_memory *memory,
				 const struct pa_cpu_tasks *cpus,
				 pa_stack_fn visit, void *arg,
				 uint64_t *unread_ret)
{
	struct walk walk = {
		.kernel = kernel,
		.memory = memory,
		.cpus = cpus,
		.visit = visit,
		.arg = arg,
	};
	struct pa_error *err = NULL;
	uint64_t unread = 0;

	visit_idle(&walk);
	if (!walk.err && !walk.stopped)
		err = pa_tasks_visit(kernel, memory, visit_task, &walk,
				     &unread);
	if (!err)
		err = walk.err;
	if (!err)
		*unread_ret = walk.unread + unread;
	return err;
}

struct pa_error *pa_stack_visit(const struct pa_kernel *kernel,
				struct pa_memory *memory,
				const struct pa_cpu_tasks *cpus, uint64_t task,
				pa_stack_fn visit, void *arg)
{
	struct walk walk = {
		.kernel = kernel,
		.memory = memory,
		.cpus = cpus,
		.visit = visit,
		.arg = arg,
	};

	visit_task(&walk, task);
	return walk.err;
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

struct search {
	const struct pa_kernel *kernel;
	const enum pa_symbol_id *functions;
	size_t nr_functions;
	struct pa_stack_hit hit;
};

static bool search_stack(void *arg, const struct pa_stack *stack)
{
	struct search *search = arg;

	for (size_t i = 0; i < stack->nr; i++) {
		size_t function = pa_function_at(search->kernel->layout,
						 search->functions,
						 search->nr_functions,
						 stack->words[i]);

		if (function == search->nr_functions)
			continue;
		search->hit.task = stack->task;
		search->hit.function = function;
		return false;
	}
	return true;
}

struct pa_error *pa_stacks_find(const struct pa_kernel *kernel,
				struct pa_memory *memory,
				const enum pa_symbol_id *functions,
				size_t nr_functions, struct pa_stack_hit *ret,
				uint64_t *unread_ret)
{
	struct search search = {
		.kernel = kernel,
		.functions = functions,
		.nr_functions = nr_functions,
	};
	struct pa_error *err = pa_stacks_visit(
		kernel, memory, NULL, search_stack, &search, unread_ret);

	if (err)
		return err;
	if (search.hit.task)
		pa_task_name(kernel, memory, search.hit.task, &search.hit.pid,
			     search.hit.comm);
	*ret = search.hit;
	return NULL;
}
