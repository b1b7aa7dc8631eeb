// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/orc.h"

#include "kernel/stack.h"

#define ENTRY_BYTES 6
#define MAX_ENTRIES PA_BIT(24)
/* A stack of 16 KiB has no more frames, each of which has a return address. */
#define MAX_FRAMES 512

/* ORC_REG_UNDEFINED and ORC_REG_BP; what else a BP is found by is PREV_SP. */
#define REG_UNDEFINED 0
#define REG_BP 4

struct frame {
	uint64_t ip, sp, bp;
};

/* A stack, or rather the part of it that was read. */
struct words {
	const uint64_t *items;
	size_t nr;
	uint64_t address;
};

static bool word_at(const struct words *words, uint64_t at, uint64_t *ret)
{
	if ((at - words->address) / 8 >= words->nr || at % 8)
		return false;
	*ret = words->items[(at - words->address) / 8];
	return true;
}

static uint32_t field(const struct pa_member *member, uint64_t entry)
{
	uint32_t bits = member->bit_size ? member->bit_size : member->size * 8;

	return (uint32_t)(entry >> (member->offset * 8 + member->bit_offset) &
			  PA_MASK(bits));
}

#define FIELD(orc, member, entry) \
	field(PA_M((orc)->layout, orc_entry, member), (entry))

/* The offsets are of 16 bits, with a sign. */
#define OFFSET(orc, member, entry) \
	((uint64_t)(int64_t)(int16_t)FIELD(orc, member, entry))

/* Each instruction of orc_unwind_ip is told by how far from there it is. */
static struct pa_error *read_ip(struct pa_orc *orc, uint64_t index,
				uint64_t *ret)
{
	uint64_t at = orc->ips + 4 * index;
	uint32_t distance;
	struct pa_error *err = pa_memory_read_u32(orc->memory, at, &distance);

	if (!err)
		*ret = at + (uint64_t)(int64_t)(int32_t)distance;
	return err;
}

/* The last entry whose instruction is not behind @ip: __orc_find(). */
static struct pa_error *search(struct pa_orc *orc, uint64_t ip, uint64_t *ret)
{
	uint64_t low = 0, high = orc->nr;
	struct pa_error *err = NULL;
	uint8_t bytes[8] = { 0 };

	while (!err && high - low > 1) {
		uint64_t middle = low + (high - low) / 2, found = 0;

		err = read_ip(orc, middle, &found);
		if (found <= ip)
			low = middle;
		else
			high = middle;
	}
	if (!err)
		err = pa_memory_read(orc->memory,
				     orc->entries + ENTRY_BYTES * low,
				     ENTRY_BYTES, bytes);
	if (!err)
		*ret = pa_load_u64(bytes);
	return err;
}

/* *@ret: 0 if there is no entry that could be read. */
static struct pa_error *find(struct pa_orc *orc, uint64_t ip, uint64_t *ret)
{
	struct pa_error *err;

	*ret = 0;
	/* A module has tables of its own. */
	if (ip < PA_SYM(orc->layout, _stext) ||
	    ip >= PA_SYM(orc->layout, _etext) || pa_map_get(&orc->met, ip, ret))
		return NULL;
	err = search(orc, ip, ret);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		err = NULL;
	}
	if (!err && !pa_map_set(&orc->met, ip, *ret))
		err = &pa_error_no_memory;
	return err;
}

/*
 * Where a function begins there is but the return address on the stack: that
 * tells how the two are numbered.
 */
static struct pa_error *learn_numbers(struct pa_orc *orc)
{
	uint64_t entry;
	struct pa_error *err = find(orc, PA_SYM(orc->layout, schedule), &entry);

	if (err)
		return err;
	if (FIELD(orc, sp_offset, entry) != 8)
		return pa_error_create(PA_ERROR_MISSING,
				       "no ORC entry of schedule()");
	orc->sp = FIELD(orc, sp_reg, entry);
	orc->call = FIELD(orc, type, entry);
	return NULL;
}

struct pa_error *pa_orc_init(const struct pa_kernel *kernel,
			     struct pa_memory *memory, struct pa_orc *ret)
{
	const struct pa_layout *layout = kernel->layout;
	struct pa_orc orc = { .layout = layout, .memory = memory };
	struct pa_error *err;

	if (!PA_HAS_SYM(layout, __start_orc_unwind_ip) ||
	    !PA_HAS_SYM(layout, __stop_orc_unwind_ip) ||
	    !PA_HAS_SYM(layout, __start_orc_unwind) ||
	    !PA_HAS_SYM(layout, _stext) || !PA_HAS_SYM(layout, _etext) ||
	    !PA_HAS_SYM(layout, schedule) ||
	    !PA_HAS_SYM(layout, do_syscall_64) ||
	    !PA_HAS(layout, orc_entry, sp_offset) ||
	    !PA_HAS(layout, orc_entry, bp_offset) ||
	    !PA_HAS(layout, orc_entry, sp_reg) ||
	    !PA_HAS(layout, orc_entry, bp_reg) ||
	    !PA_HAS(layout, orc_entry, type) ||
	    PA_SIZEOF(layout, orc_entry) != ENTRY_BYTES ||
	    !PA_HAS(layout, inactive_task_frame, bp) ||
	    !PA_HAS(layout, inactive_task_frame, ret_addr))
		return pa_error_create(PA_ERROR_MISSING, "no ORC tables");
	orc.ips = PA_SYM(layout, __start_orc_unwind_ip);
	orc.entries = PA_SYM(layout, __start_orc_unwind);
	orc.nr = (PA_SYM(layout, __stop_orc_unwind_ip) - orc.ips) / 4;
	if (!orc.nr || orc.nr > MAX_ENTRIES)
		return pa_error_create(PA_ERROR_MISSING, "no ORC tables");
	err = learn_numbers(&orc);
	if (err) {
		pa_orc_deinit(&orc);
		return err;
	}
	*ret = orc;
	return NULL;
}

void pa_orc_deinit(struct pa_orc *orc)
{
	pa_map_deinit(&orc->met);
}

/* To the caller's frame; *@ok is false where that is not told. */
static struct pa_error *step(struct pa_orc *orc, const struct words *words,
			     struct frame *frame, bool *ok)
{
	struct frame caller = { .bp = frame->bp };
	uint64_t entry;
	/* What a call returns to may be behind its function. */
	struct pa_error *err = find(orc, frame->ip - 1, &entry);
	uint32_t sp_reg, bp_reg;

	*ok = false;
	if (err || !entry || FIELD(orc, type, entry) != orc->call)
		return err;
	sp_reg = FIELD(orc, sp_reg, entry);
	bp_reg = FIELD(orc, bp_reg, entry);
	if (sp_reg != orc->sp && sp_reg != REG_BP)
		return NULL;
	caller.sp = (sp_reg == REG_BP ? frame->bp : frame->sp) +
		    OFFSET(orc, sp_offset, entry);
	if (caller.sp <= frame->sp ||
	    !word_at(words, caller.sp - 8, &caller.ip))
		return NULL;
	if (bp_reg != REG_UNDEFINED &&
	    !word_at(words,
		     (bp_reg == REG_BP ? frame->bp : caller.sp) +
			     OFFSET(orc, bp_offset, entry),
		     &caller.bp))
		return NULL;
	*frame = caller;
	*ok = true;
	return NULL;
}

struct pa_error *pa_orc_called(struct pa_orc *orc, const uint64_t *words,
			       size_t nr, uint64_t address, size_t *ret)
{
	const struct pa_layout *layout = orc->layout;
	const struct words stack = { words, nr, address };
	uint64_t ret_addr =
		address + PA_OFFSETOF(layout, inactive_task_frame, ret_addr);
	struct frame frame = { .sp = ret_addr + 8 };
	struct pa_error *err = NULL;
	bool ok =
		word_at(&stack, ret_addr, &frame.ip) &&
		word_at(&stack,
			address + PA_OFFSETOF(layout, inactive_task_frame, bp),
			&frame.bp);

	*ret = nr;
	for (int i = 0; !err && ok && i < MAX_FRAMES; i++) {
		if (pa_is_in_function(layout, PA_SYM_do_syscall_64, frame.ip)) {
			*ret = (frame.sp - address) / 8;
			break;
		}
		err = step(orc, &stack, &frame, &ok);
	}
	return err;
}
