// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "source/vmcoreinfo.h"
#include "types/btf.h"
#include "types/elf_file.h"
#include "types/image.h"
#include "types/kallsyms_tables.h"
#include "types/wanted.h"

/* Far above any kernel's: 5 MB. */
#define MAX_BTF_BYTES ((size_t)64 << 20)

#define PAGE_BYTES ((size_t)4096)

struct pa_error *pa_target_btf(struct pa_reader *reader,
			       const struct pa_layout *layout,
			       uint8_t **data_ret, size_t *length_ret)
{
	struct pa_image image;
	struct pa_error *err = pa_image_find(&reader->source->info, &image);

	if (err)
		return err;
	if (!PA_HAS_SYM(layout, __start_BTF) || !PA_HAS_SYM(layout, __stop_BTF))
		return pa_error_create(
			PA_ERROR_MISSING,
			PA_HAS_SYM(layout, init_task) ?
				"the kernel was built without type information of its own (CONFIG_DEBUG_INFO_BTF)" :
				"the kernel's own symbols leave its variables out (CONFIG_KALLSYMS_ALL)");

	uint64_t start = PA_SYM(layout, __start_BTF);
	uint64_t stop = PA_SYM(layout, __stop_BTF);

	if (stop <= start || stop - start > MAX_BTF_BYTES)
		return pa_error_at(PA_ERROR_CORRUPT, start,
				   "the kernel's BTF has no plausible extent");

	*length_ret = stop - start;
	return pa_image_read_new(&image, reader, start, stop - start, data_ret);
}

static struct pa_error *layout_from_target(struct pa_reader *reader,
					   struct pa_layout *layout,
					   struct pa_kallsyms **kallsyms_ret)
{
	pa_auto_wanted struct pa_wanted *wanted = NULL;
	pa_auto_kallsyms struct pa_kallsyms *kallsyms = NULL;
	pa_auto_btf struct pa_btf *btf = NULL;
	pa_auto_free uint8_t *data = NULL;
	size_t length = 0;
	struct pa_error *err;

	layout->from = PA_TYPES_FROM_BTF;
	err = pa_wanted_create(&wanted);
	if (!err)
		err = pa_kallsyms_from_target(reader, NULL, &kallsyms);
	if (err)
		return err;
	pa_kallsyms_fill(kallsyms, wanted, layout);
	err = pa_target_btf(reader, layout, &data, &length);
	if (!err)
		err = pa_btf_create(data, length, NULL, &btf);
	if (err)
		return err;
	pa_btf_fill(btf, wanted, layout);
	if (kallsyms_ret)
		*kallsyms_ret = pa_take(kallsyms);
	return NULL;
}

struct pa_error *pa_layout_from_target(struct pa_reader *reader,
				       struct pa_layout *ret,
				       struct pa_kallsyms **kallsyms_ret)
{
	pa_auto_free struct pa_layout *layout = calloc(1, sizeof(*layout));

	if (!layout)
		return &pa_error_no_memory;

	struct pa_error *err = layout_from_target(reader, layout, kallsyms_ret);

	if (!err) {
		*ret = *layout;
		return NULL;
	}
	switch (err->code) {
	case PA_ERROR_UNREADABLE:
	case PA_ERROR_EXCLUDED:
	case PA_ERROR_CORRUPT:
	case PA_ERROR_FORMAT: {
		/* Whatever is wrong with it, debug info does without. */
		struct pa_error *missing = pa_error_at(
			PA_ERROR_MISSING, err->address,
			"the kernel's own symbols and types can't be read (%s)",
			err->message);

		pa_error_destroy(err);
		return missing;
	}
	default:
		return err;
	}
}

uint64_t pa_target_kaslr_offset(const struct pa_source_info *info)
{
	uint64_t offset;

	if (!info->vmcoreinfo ||
	    !pa_vmcoreinfo_hex(info->vmcoreinfo, "KERNELOFFSET", &offset))
		return 0;
	return offset;
}

/* linux_banner as the dump has it, at the vmlinux's address of it. */
static char *dumped_banner(struct pa_reader *reader, uint64_t address)
{
	struct pa_image image;
	pa_auto_free char *banner = calloc(1, PAGE_BYTES);
	struct pa_error *err = pa_image_find(&reader->source->info, &image);
	size_t length = PAGE_BYTES - address % PAGE_BYTES;

	if (!banner)
		return NULL;
	/* A banner that crosses into the next page is compared up to there. */
	if (!err)
		err = pa_image_read(&image, reader, address,
				    pa_min(length, PAGE_BYTES - 1), banner);
	if (err) {
		pa_error_destroy(err);
		return NULL;
	}
	return pa_take(banner);
}

static int printed(const char *text)
{
	return (int)strcspn(text, "\n");
}

static struct pa_error *check_banner(struct pa_reader *reader, const char *path)
{
	const struct pa_source_info *info = &reader->source->info;
	pa_auto_free char *ours = NULL;
	uint64_t address = 0;
	struct pa_error *err = pa_elf_linux_banner(path, &ours, &address);
	const char *release;
	size_t length;

	/* Without symbols or data there is nothing to compare. */
	if (err || !ours) {
		pa_error_destroy(err);
		return NULL;
	}

	pa_auto_free char *theirs =
		dumped_banner(reader, address + pa_target_kaslr_offset(info));

	if (theirs && !strncmp(theirs, "Linux version ", 14)) {
		if (!strncmp(ours, theirs, strlen(theirs)))
			return NULL;
		return pa_error_create(
			PA_ERROR_MISSING,
			"%s is not the dumped kernel's: it is of \"%.*s\", the dump of \"%.*s\"",
			path, printed(ours), ours, printed(theirs), theirs);
	}
	/* The banner is elsewhere, or its page was left out. */
	if (!pa_vmcoreinfo_string(info->vmcoreinfo, "OSRELEASE", &release,
				  &length) ||
	    (!strncmp(ours, "Linux version ", 14) &&
	     strcspn(ours + 14, " ") == length &&
	     !memcmp(ours + 14, release, length)))
		return NULL;
	return pa_error_create(
		PA_ERROR_MISSING,
		"%s is not the dumped kernel's: it is of \"%.*s\", the dump of release %.*s",
		path, printed(ours), ours, (int)length, release);
}

struct pa_error *pa_target_check_vmlinux(struct pa_reader *reader,
					 const char *path)
{
	const struct pa_source_info *info = &reader->source->info;
	char ours[PA_BUILD_ID_TEXT_MAX];
	const char *theirs;
	size_t length;
	struct pa_error *err;

	if (!info->vmcoreinfo)
		return NULL;
	err = pa_elf_build_id(path, ours);
	if (err)
		return err;
	if (!*ours || !pa_vmcoreinfo_string(info->vmcoreinfo, "BUILD-ID",
					    &theirs, &length))
		return check_banner(reader, path);
	if (strlen(ours) == length && !memcmp(ours, theirs, length))
		return NULL;
	return pa_error_create(
		PA_ERROR_MISSING,
		"%s is not the dumped kernel's: its build id is %s, the dump's %.*s",
		path, ours, (int)length, theirs);
}

struct pa_error *pa_target_check_symbols(const struct pa_source_info *info,
					 const struct pa_layout *layout,
					 const char *path)
{
	struct pa_image image;
	struct pa_error *err = pa_image_find(info, &image);

	if (err) {
		pa_error_destroy(err);
		return NULL;
	}
	for (int i = 0; i < PA_NR_SYMBOLS; i++) {
		uint64_t address;

		/*
		 * VMCOREINFO_SYMBOL_ARRAY() of what is not an array but a
		 * pointer (mem_section) gives where it points, not where it is.
		 */
		if (layout->symbols[i].known &&
		    pa_vmcoreinfo_symbol(info->vmcoreinfo, pa_symbol_names[i],
					 &address) &&
		    address >= image.start && address < image.end &&
		    address != layout->symbols[i].address)
			return pa_error_create(
				PA_ERROR_MISSING,
				"%s is not the dumped kernel's: it has %s at 0x%" PRIx64
				", the dump at 0x%" PRIx64,
				path, pa_symbol_names[i],
				layout->symbols[i].address, address);
	}
	return NULL;
}
