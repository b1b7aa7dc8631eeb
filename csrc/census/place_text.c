// SPDX-License-Identifier: LGPL-2.1-or-later
/* Places in words. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "census/place.h"

/* Room for a symbol's name, "+0x123" and what a sentence adds. */
#define NAME_BYTES (PA_SYMBOL_NAME_MAX + 32)

/* user_regs_struct of x86_64. */
static const char *const register_names[PA_NR_REGS] = {
	"r15",	 "r14", "r13", "r12",	 "bp",	   "bx", "r11",	   "r10", "r9",
	"r8",	 "ax",	"cx",  "dx",	 "si",	   "di", "origax", "ip",  "cs",
	"flags", "sp",	"ss",  "fsbase", "gsbase", "ds", "es",	   "fs",  "gs",
};

/* "name+0x12", or the address where there are no names. */
static void name_address(const struct pa_places *places, uint64_t va,
			 char buffer[NAME_BYTES])
{
	struct pa_symbol_at at;

	if (!places->kallsyms ||
	    !pa_kallsyms_find_address(places->kallsyms, va, &at))
		snprintf(buffer, NAME_BYTES, "0x%" PRIx64, va);
	else if (at.offset)
		snprintf(buffer, NAME_BYTES, "%s+0x%" PRIx64, at.name,
			 at.offset);
	else
		snprintf(buffer, NAME_BYTES, "%s", at.name);
}

static int describe_stack(const struct pa_places *places,
			  const struct pa_place *place, char **ret)
{
	char frame[NAME_BYTES], caller[NAME_BYTES], of[64];
	bool has_frame = place->frame, has_caller = place->caller;

	if (place->task)
		snprintf(of, sizeof(of), "%s (%u)", place->comm, place->pid);
	else
		snprintf(of, sizeof(of), "no task");
	name_address(places, place->frame, frame);
	name_address(places, place->caller, caller);
	return asprintf(ret, "stack of %s at 0x%" PRIx64 "%s%s%s%s%s", of,
			place->address,
			place->dead ? ", below the stack pointer" : "",
			has_frame ? ", in " : "", has_frame ? frame : "",
			has_caller ? ", called from " : "",
			has_caller ? caller : "");
}

static int describe_object(const struct pa_place *place, char **ret)
{
	if (!place->cache)
		return asprintf(ret, "slab page at 0x%" PRIx64, place->address);
	return asprintf(ret, "%sobject 0x%" PRIx64 " + 0x%" PRIx64 " of %s",
			place->dead ? "free " : "", place->start,
			place->address - place->start, place->cache->name);
}

static int describe_image(const struct pa_places *places,
			  const struct pa_place *place, char **ret)
{
	char name[NAME_BYTES];

	/* The kernel's symbols don't speak of modules. */
	if (place->address < places->image_start ||
	    place->address >= places->image_end)
		return asprintf(ret,
				"module at 0x%" PRIx64 " (area 0x%" PRIx64
				" + 0x%" PRIx64 ")",
				place->address, place->start,
				place->address - place->start);
	name_address(places, place->address, name);
	return asprintf(ret, "%s at 0x%" PRIx64, name, place->address);
}

static int describe_page(const struct pa_place *place, char **ret)
{
	const char *type = place->page_type == PA_PAGE_UNTYPED ?
				   "kernel page" :
				   pa_page_type_names[place->page_type];

	return asprintf(ret, "%s, pfn 0x%" PRIx64 ", at 0x%" PRIx64, type,
			place->head_pfn, place->address);
}

static int describe_per_cpu(const struct pa_places *places,
			    const struct pa_place *place, char **ret)
{
	char name[NAME_BYTES];

	name_address(places, place->per_cpu, name);
	return asprintf(ret, "%s of CPU %u at 0x%" PRIx64, name, place->cpu,
			place->address);
}

char *pa_place_describe(const struct pa_places *places,
			const struct pa_place *place)
{
	char *text = NULL;
	int length = -1;

	switch (place->kind) {
	case PA_PLACE_REGISTER:
		length = asprintf(&text, "register %s of CPU %u, %s (%u)",
				  register_names[place->phys % PA_NR_REGS],
				  place->cpu, place->comm, place->pid);
		break;
	case PA_PLACE_STACK:
		length = describe_stack(places, place, &text);
		break;
	case PA_PLACE_SLAB:
		length = describe_object(place, &text);
		break;
	case PA_PLACE_PER_CPU:
		length = describe_per_cpu(places, place, &text);
		break;
	case PA_PLACE_IMAGE:
		length = describe_image(places, place, &text);
		break;
	case PA_PLACE_VMALLOC:
		length = asprintf(&text,
				  "vmalloc area 0x%" PRIx64 " + 0x%" PRIx64,
				  place->start, place->address - place->start);
		break;
	case PA_PLACE_PAGE:
		length = describe_page(place, &text);
		break;
	case PA_PLACE_UNKNOWN:
	case PA_PLACE_NOT_KERNEL:
	case PA_NR_PLACE_KINDS:
		length = asprintf(&text, "physical address 0x%" PRIx64,
				  place->phys);
		break;
	}
	return length < 0 ? NULL : text;
}
