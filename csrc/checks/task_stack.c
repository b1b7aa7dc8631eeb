// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/task_stack.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"

/* A function is no larger, as far as the linker's symbols tell. */
#define FUNCTION_BYTES 4096
#define MAX_FRAMES 24
/* call *disp32(%rip) is the longest call that the kernel is built of. */
#define CALL_BYTES 6

struct walk {
	struct pa_check_context *c;
	const struct pa_places *places;
	FILE *out;
	unsigned int frames;
	struct pa_error *err;
};

/* Whether the bytes before @va are those of a call. */
static bool follows_call(struct walk *walk, uint64_t va)
{
	uint8_t bytes[CALL_BYTES];
	struct pa_error *err = pa_memory_read(walk->c->memmap->memory,
					      va - sizeof(bytes), sizeof(bytes),
					      bytes);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return false;
	}
	walk->err = err;
	return !err &&
	       (bytes[1] == 0xe8 || (bytes[0] == 0xff && bytes[1] == 0x15) ||
		(bytes[4] == 0xff && (bytes[5] & 0x38) == 0x10));
}

static bool print_stack(struct walk *walk, const struct pa_stack *stack)
{
	const struct pa_kallsyms *kallsyms = walk->places->kallsyms;

	/* Registers tell nothing of who called. */
	if (!stack->address)
		return true;
	for (size_t i = 0; i < stack->nr && walk->frames < MAX_FRAMES; i++) {
		uint64_t va = stack->words[i];
		struct pa_symbol_at at;

		if (va < CALL_BYTES || !pa_place_is_text(walk->places, va) ||
		    !pa_kallsyms_find_address(kallsyms, va, &at) ||
		    !at.offset || !follows_call(walk, va)) {
			if (walk->err)
				return false;
			continue;
		}
		fprintf(walk->out, "%s%s+0x%" PRIx64,
			walk->frames++ ? "\n" : "", at.name, at.offset);
	}
	return true;
}

struct pa_error *pa_check_add_stack(struct pa_check_context *c,
				    const struct pa_places *places,
				    struct pa_finding *f, uint64_t task)
{
	pa_auto_free char *text = NULL;
	size_t length;
	struct walk walk = { .c = c, .places = places };
	struct pa_error *err;

	if (!places->kallsyms)
		return NULL;
	walk.out = open_memstream(&text, &length);
	if (!walk.out)
		return &pa_error_no_memory;
	pa_array_for_each(stack, &c->census->stacks.list)
		if (stack->task == task && !print_stack(&walk, stack))
			break;
	err = walk.err;
	if (fclose(walk.out) && !err)
		err = &pa_error_no_memory;
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (!err && walk.frames)
		pa_finding_text(f, "stack", "%s", text);
	return err;
}

struct search {
	uint64_t function, start, end;
	/* Of the task whose stack is being looked at, which may be in pieces. */
	uint64_t task;
	bool in_function, has_address;
};

static bool is_found(struct search *search, const struct pa_stack *stack)
{
	if (stack->task != search->task) {
		search->task = stack->task;
		search->in_function = search->has_address = false;
	}
	for (size_t i = 0; i < stack->nr; i++) {
		uint64_t word = stack->words[i];

		search->in_function |= word > search->function &&
				       word - search->function < FUNCTION_BYTES;
		search->has_address |= word >= search->start &&
				       word < search->end;
	}
	return search->in_function && search->has_address;
}

void pa_check_find_task(struct pa_check_context *c, enum pa_symbol_id function,
			uint64_t start, uint64_t end, struct pa_stack_hit *ret)
{
	const struct pa_symbol *symbol = &c->kernel->layout->symbols[function];
	struct search search = {
		.function = symbol->address,
		.start = start,
		.end = end,
	};

	*ret = (struct pa_stack_hit){ 0 };
	if (!symbol->known)
		return;
	pa_array_for_each(stack, &c->census->stacks.list)
		if (is_found(&search, stack)) {
			ret->task = stack->task;
			pa_task_name(c->kernel, c->memmap->memory, ret->task,
				     &ret->pid, ret->comm);
			return;
		}
}
