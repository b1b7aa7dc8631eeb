// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/log_page.h"

const char *const pa_log_kind_names[PA_NR_LOG_KINDS] = {
	[PA_LOG_OTHER] = "other",
	[PA_LOG_MEMORY_FAILURE] = "memory-failure",
	[PA_LOG_SOFT_OFFLINE] = "soft-offline",
	[PA_LOG_UNPOISON] = "unpoison",
	[PA_LOG_BAD_PAGE] = "bad-page",
	[PA_LOG_BAD_PAGE_MAP] = "bad-page-map",
	[PA_LOG_BAD_RSS] = "bad-rss",
	[PA_LOG_PAGE_DUMP] = "page-dump",
	[PA_LOG_OFFLINE] = "offline",
	[PA_LOG_HOTPLUG] = "hotplug",
	[PA_LOG_HARDWARE_ERROR] = "hardware-error",
	[PA_LOG_LIST_CORRUPTION] = "list-corruption",
	[PA_LOG_OOPS] = "oops",
	[PA_LOG_PANIC] = "panic",
};

/* How a line of one kind names its pfn. */
typedef uint64_t (*pfn_fn)(const struct pa_kernel *kernel, struct pa_text line);

static uint64_t no_pfn(const struct pa_kernel *kernel, struct pa_text line)
{
	(void)kernel;
	(void)line;
	return PA_NO_PFN;
}

/* The first "0x..." that is a word of its own: the formats name it first. */
static uint64_t pfn_0x(const struct pa_kernel *kernel, struct pa_text line)
{
	uint64_t pfn;

	(void)kernel;
	do {
		if (pa_text_0x(&line, &pfn))
			return pfn;
	} while (pa_text_after(line, " ", &line));
	return PA_NO_PFN;
}

/* "0xP: ..." or "0xP ...", else "... at 0xP" at the line's end. */
static uint64_t pfn_memory_failure(const struct pa_kernel *kernel,
				   struct pa_text line)
{
	struct pa_text at = line;
	uint64_t pfn;

	(void)kernel;
	if (pa_text_0x(&at, &pfn))
		return pfn;
	if (pa_text_after_last(line, " at 0x", &at) && pa_text_hex(&at, &pfn) &&
	    at.at == at.end)
		return pfn;
	return PA_NO_PFN;
}

/* "process COMM  pfn:%05lx": a comm may hold anything, the pfn ends the line. */
static uint64_t pfn_bad_page(const struct pa_kernel *kernel,
			     struct pa_text line)
{
	uint64_t pfn;

	(void)kernel;
	if (pa_text_after_last(line, "  pfn:", &line) &&
	    pa_text_hex(&line, &pfn) && line.at == line.end)
		return pfn;
	return PA_NO_PFN;
}

/* "process COMM  pte:%08llx pmd:%08llx"; v7: one "LEVEL:%08llx". */
static uint64_t pfn_bad_page_map(const struct pa_kernel *kernel,
				 struct pa_text line)
{
	const struct pa_address_space *space = &kernel->space;
	uint64_t entry;

	if (!pa_text_after_last(line, "  pte:", &line) ||
	    !pa_text_hex(&line, &entry))
		return PA_NO_PFN;
	/* Only a present entry holds its address as it is (L1TF). */
	if (!(entry & 1))
		return PA_NO_PFN;
	return (entry & space->entry_phys_mask) >> space->page_shift;
}

static uint64_t pfn_hex(const struct pa_kernel *kernel, struct pa_text line)
{
	uint64_t pfn;

	(void)kernel;
	return pa_text_hex(&line, &pfn) ? pfn : PA_NO_PFN;
}

/*
 * dump_page(): "page:PTR refcount:.. pfn:0xP", without PTR since v6.9. v5.10
 * has the true address of a page that is poisoned, and no pfn.
 */
static uint64_t pfn_page_dump(const struct pa_kernel *kernel,
			      struct pa_text line)
{
	struct pa_text at;
	uint64_t value, pfn;

	if (pa_text_after_last(line, " pfn:0x", &at) &&
	    pa_text_hex(&at, &value))
		return value;
	if (pa_text_hex(&line, &value) && pa_page_to_pfn(kernel, value, &pfn))
		return pfn;
	return PA_NO_PFN;
}

static uint64_t pfn_of_phys(const struct pa_kernel *kernel, uint64_t phys)
{
	if (phys >> kernel->space.max_physmem_bits)
		return PA_NO_PFN;
	return phys >> kernel->space.page_shift;
}

/* "... user-access at %llx" */
static uint64_t pfn_phys(const struct pa_kernel *kernel, struct pa_text line)
{
	uint64_t phys;

	return pa_text_hex(&line, &phys) ? pfn_of_phys(kernel, phys) :
					   PA_NO_PFN;
}

/*
 * The forms of a machine check's address: __print_mce(), AMD's decoder, CPER
 * of the firmware, edac_mc (whose page is a pfn).
 */
static uint64_t pfn_hardware_error(const struct pa_kernel *kernel,
				   struct pa_text line)
{
	struct pa_text at;
	uint64_t value;

	if (pa_text_after(line, " ADDR ", &at) && pa_text_hex(&at, &value))
		return pfn_of_phys(kernel, value);
	if (pa_text_after(line, "Error Addr: ", &at) && pa_text_0x(&at, &value))
		return pfn_of_phys(kernel, value);
	if (pa_text_after(line, " physical_address: ", &at) &&
	    pa_text_0x(&at, &value))
		return pfn_of_phys(kernel, value);
	return PA_NO_PFN;
}

static uint64_t pfn_edac(const struct pa_kernel *kernel, struct pa_text line)
{
	uint64_t pfn;

	(void)kernel;
	if (pa_text_after(line, " page:", &line) && pa_text_0x(&line, &pfn))
		return pfn;
	return PA_NO_PFN;
}

/* "memory offlining [mem 0x...-0x...] failed due to ..." */
static uint64_t pfn_range(const struct pa_kernel *kernel, struct pa_text line)
{
	uint64_t phys;

	return pa_text_0x(&line, &phys) ? pfn_of_phys(kernel, phys) : PA_NO_PFN;
}

/* The pages whose lru the 16-digit words (%px) of @text point to. */
static size_t scan_list_pfns(const struct pa_kernel *kernel,
			     struct pa_text text, uint64_t *pfns, size_t max)
{
	size_t nr = 0;

	for (; text.at < text.end && nr < max; text.at++) {
		struct pa_text word = text;
		uint64_t value, pfn;
		size_t i = 0;

		if (!pa_text_hex(&word, &value))
			continue;
		if (word.at - text.at == 16 &&
		    pa_page_to_pfn(kernel, value - kernel->page_format.lru,
				   &pfn)) {
			while (i < nr && pfns[i] != pfn)
				i++;
			if (i == nr)
				pfns[nr++] = pfn;
		}
		text.at = word.at - 1;
	}
	return nr;
}

static uint64_t pfn_list(const struct pa_kernel *kernel, struct pa_text line)
{
	uint64_t pfn;

	return scan_list_pfns(kernel, line, &pfn, 1) ? pfn : PA_NO_PFN;
}

size_t pa_log_list_pfns(const struct pa_kernel *kernel, struct pa_text line,
			uint64_t *pfns, size_t max)
{
	if (!pa_text_skip(&line, "list_add ") &&
	    !pa_text_skip(&line, "list_del "))
		return 0;
	return scan_list_pfns(kernel, line, pfns, max);
}

/* The page whose struct page the kernel could not touch: the last address. */
static uint64_t pfn_fault(const struct pa_kernel *kernel, struct pa_text line)
{
	struct pa_text at;
	uint64_t address, pfn;

	if (!pa_text_after_last(line, "address", &at))
		return PA_NO_PFN;
	pa_text_skip(&at, ":");
	pa_text_skip(&at, " ");
	if (!pa_text_0x(&at, &address) && !pa_text_hex(&at, &address))
		return PA_NO_PFN;
	pa_page_to_pfn(kernel, address, &pfn);
	return pfn;
}

static uint64_t pfn_address(const struct pa_kernel *kernel, struct pa_text line)
{
	uint64_t address, pfn;

	if (!pa_text_hex(&line, &address))
		return PA_NO_PFN;
	pa_page_to_pfn(kernel, address, &pfn);
	return pfn;
}

struct line_form {
	const char *prefix;
	enum pa_log_kind kind;
	/* Gets what follows the prefix. */
	pfn_fn pfn;
	/* The prefix is no news by itself. */
	bool needs_pfn;
};

/*
 * The first prefix that fits decides. mm/memory-failure.c's since v6.2 come
 * from pr_fmt; the ones in small letters and with functions' names are older.
 */
static const struct line_form line_forms[] = {
	{ "Memory failure: ", PA_LOG_MEMORY_FAILURE, pfn_memory_failure },
	{ "Injecting memory failure for pfn ", PA_LOG_MEMORY_FAILURE, pfn_0x },
	{ "Injecting memory failure at pfn ", PA_LOG_MEMORY_FAILURE, pfn_0x },
	{ "Soft offline: ", PA_LOG_SOFT_OFFLINE, pfn_0x },
	{ "soft offline: ", PA_LOG_SOFT_OFFLINE, pfn_0x },
	{ "soft_offline: ", PA_LOG_SOFT_OFFLINE, pfn_0x },
	{ "soft_offline_page: ", PA_LOG_SOFT_OFFLINE, pfn_0x },
	{ "__soft_offline_page: ", PA_LOG_SOFT_OFFLINE, pfn_0x },
	{ "Soft offlining pfn ", PA_LOG_SOFT_OFFLINE, pfn_0x },
	{ "RAS: Soft-offlining pfn: ", PA_LOG_SOFT_OFFLINE, pfn_0x },
	{ "Unpoison: ", PA_LOG_UNPOISON, pfn_0x },
	{ "BUG: Bad page state in process ", PA_LOG_BAD_PAGE, pfn_bad_page },
	{ "BUG: Bad page cache in process ", PA_LOG_BAD_PAGE, pfn_bad_page },
	{ "BUG: Bad page state: ", PA_LOG_BAD_PAGE, no_pfn },
	{ "BUG: Bad page map in process ", PA_LOG_BAD_PAGE_MAP,
	  pfn_bad_page_map },
	{ "BUG: Bad page map: ", PA_LOG_BAD_PAGE_MAP, no_pfn },
	{ "BUG: Bad rss-counter state ", PA_LOG_BAD_RSS, no_pfn },
	{ "Offlined Pages ", PA_LOG_OFFLINE, no_pfn },
	{ "migrating pfn ", PA_LOG_HOTPLUG, pfn_hex },
	{ "failed to isolate pfn ", PA_LOG_HOTPLUG, pfn_hex },
	{ "memory offlining [mem ", PA_LOG_HOTPLUG, pfn_range },
	/* The WARN of memunmap_pages(): altmap pages are still in use. */
	{ "failed to free all reserved pages", PA_LOG_HOTPLUG, no_pfn },
	{ "mce: Uncorrected hardware memory error in user-access at ",
	  PA_LOG_HARDWARE_ERROR, pfn_phys },
	{ "mce: [Hardware Error]: ", PA_LOG_HARDWARE_ERROR,
	  pfn_hardware_error },
	{ "[Hardware Error]: ", PA_LOG_HARDWARE_ERROR, pfn_hardware_error },
	{ "EDAC MC", PA_LOG_HARDWARE_ERROR, pfn_edac, true },
	{ "list_add corruption. ", PA_LOG_LIST_CORRUPTION, pfn_list },
	{ "list_add double add: ", PA_LOG_LIST_CORRUPTION, pfn_list },
	{ "list_del corruption", PA_LOG_LIST_CORRUPTION, pfn_list },
	{ "BUG: unable to handle ", PA_LOG_OOPS, pfn_fault },
	{ "BUG: kernel NULL pointer dereference", PA_LOG_OOPS, no_pfn },
	{ "kernel BUG at ", PA_LOG_OOPS, no_pfn },
	{ "Kernel panic - not syncing", PA_LOG_PANIC, no_pfn },
};

/* "{17}[Hardware Error]: ": records of the firmware are numbered. */
static bool skip_cper_number(struct pa_text *line)
{
	struct pa_text at = *line;
	uint64_t number;

	if (!pa_text_skip(&at, "{") || !pa_text_decimal(&at, &number) ||
	    !pa_text_skip(&at, "}"))
		return false;
	*line = at;
	return true;
}

/* "page:" and the words that only dump_page() has after it. */
static bool is_page_dump(struct pa_text *line)
{
	struct pa_text at = *line, after;

	if (!pa_text_skip(&at, "page:"))
		return false;
	if (!pa_text_after(at, " refcount:", &after) &&
	    !pa_text_after(at, " is uninitialized and poisoned", &after))
		return false;
	*line = at;
	return true;
}

/* A number that no page can have names none. */
static uint64_t plausible(const struct pa_kernel *kernel, uint64_t pfn)
{
	const struct pa_address_space *space = &kernel->space;

	return pfn >> (space->max_physmem_bits - space->page_shift) ?
		       PA_NO_PFN :
		       pfn;
}

bool pa_log_is_die(struct pa_text line)
{
	uint64_t number;

	/* The title may hold an address: look for what follows it. */
	while (pa_text_after(line, ": ", &line)) {
		struct pa_text at = line;

		if (pa_text_hex(&at, &number) && at.at == line.at + 4 &&
		    pa_text_skip(&at, " [#") && pa_text_decimal(&at, &number) &&
		    pa_text_skip(&at, "]"))
			return true;
	}
	return false;
}

enum pa_log_kind pa_log_classify(const struct pa_kernel *kernel,
				 struct pa_text line, uint64_t *pfn_ret)
{
	*pfn_ret = PA_NO_PFN;
	if (is_page_dump(&line)) {
		*pfn_ret = plausible(kernel, pfn_page_dump(kernel, line));
		return PA_LOG_PAGE_DUMP;
	}
	skip_cper_number(&line);
	for (size_t i = 0; i < sizeof(line_forms) / sizeof(line_forms[0]);
	     i++) {
		const struct line_form *form = &line_forms[i];

		if (!pa_text_skip(&line, form->prefix))
			continue;
		*pfn_ret = plausible(kernel, form->pfn(kernel, line));
		if (form->needs_pfn && *pfn_ret == PA_NO_PFN)
			break;
		return form->kind;
	}
	if (pa_log_is_die(line)) {
		*pfn_ret = pfn_fault(kernel, line);
		return PA_LOG_OOPS;
	}
	return PA_LOG_OTHER;
}

/* Lines that dump_page() and page_owner print after the first. */
static bool continues_dump(struct pa_text line)
{
	static const char *const prefixes[] = {
		"head:",
		"flags:",
		"anon flags:",
		"ksm flags:",
		"raw:",
		"page_type:",
		"memcg:",
		"pages's memcg:",
		"page->mem_cgroup:",
		"aops:",
		"page dumped because:",
		"page_owner ",
		"page last ",
		"page allocated via ",
		"page has been migrated",
		" ",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		struct pa_text at = line;

		if (pa_text_skip(&at, prefixes[i]))
			return true;
	}
	return false;
}

/* Blocks of lines that are being printed, and by whom. */
struct open_blocks {
	bool in_dump, in_oops;
	uint32_t dump_caller, oops_caller;
	uint64_t dump_pfn;
};

/*
 * Gives a line that says nothing by itself the kind of the block that it is
 * part of. Lines of other callers may lie between those of a block.
 */
static void classify_inside(const struct pa_kernel *kernel,
			    struct open_blocks *open, struct pa_log_line *line)
{
	struct pa_text at = line->text, rest;

	if (open->in_oops && open->oops_caller == line->caller_id) {
		if (pa_text_skip(&at, "RIP: 0010:")) {
			line->kind = PA_LOG_OOPS;
		} else if (pa_text_skip(&at, "CR2: ") &&
			   pa_text_after(at, " CR3: ", &rest)) {
			/* die() says CR2 once more, alone. */
			line->kind = PA_LOG_OOPS;
			line->pfn = pfn_address(kernel, at);
		} else if (pa_text_skip(&at, "---[ end ")) {
			open->in_oops = false;
		}
	}
	if (open->in_dump && open->dump_caller == line->caller_id) {
		open->in_dump = continues_dump(at);
		/* page_owner's stacks are not about the page. */
		if (open->in_dump && !pa_text_skip(&at, " ")) {
			line->kind = PA_LOG_PAGE_DUMP;
			line->pfn = open->dump_pfn;
		}
	}
}

static struct pa_error *add_line(const struct pa_kernel *kernel,
				 struct pa_log_line line,
				 struct open_blocks *open,
				 struct pa_log_lines *ret)
{
	line.kind = pa_log_classify(kernel, line.text, &line.pfn);
	if (line.kind == PA_LOG_PAGE_DUMP) {
		open->in_dump = true;
		open->dump_caller = line.caller_id;
		open->dump_pfn = line.pfn;
	} else if (line.kind == PA_LOG_OOPS) {
		open->in_oops = true;
		open->oops_caller = line.caller_id;
	} else if (line.kind == PA_LOG_OTHER) {
		classify_inside(kernel, open, &line);
	}
	if (line.kind == PA_LOG_OTHER)
		return NULL;
	if (!pa_array_append(&ret->list, line))
		return &pa_error_no_memory;
	return NULL;
}

struct pa_error *pa_log_lines_init(const struct pa_kernel *kernel,
				   const struct pa_log *log,
				   struct pa_log_lines *ret)
{
	struct pa_log_lines lines = { 0 };
	struct open_blocks open = { 0 };

	pa_array_for_each(record, &log->records) {
		struct pa_text left = pa_log_record_text(record);
		struct pa_log_line line = { .time_ns = record->time_ns,
					    .caller_id = record->caller_id };

		/* devkmsg_write() gives userspace's text another facility. */
		if (record->facility)
			continue;
		while (pa_text_line(&left, &line.text)) {
			struct pa_error *err =
				add_line(kernel, line, &open, &lines);

			if (err) {
				pa_log_lines_deinit(&lines);
				return err;
			}
		}
	}
	*ret = lines;
	return NULL;
}

void pa_log_lines_deinit(struct pa_log_lines *lines)
{
	pa_array_deinit(&lines->list);
}
