// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Audits of a real dump whose kernel has gone mad:
 *
 *	fuzz_audit [-s SEED] [-n ROUNDS] [-t SECONDS] [-j THREADS] [-v]
 *		   [-o memory|text|types] VMCORE [VMLINUX]
 *
 * One audit of the dump as it is tells which memory matters: what is read, and
 * in which phase. Each round then overwrites a few words of that (a link to
 * elsewhere, a huge count, all ones, a flipped bit ...), in memory of our own
 * that lies over the dump's, or changes VMCOREINFO's text, or what the kernel
 * says of its types; and audits again. That has to end within seconds in a
 * report or in one sentence.
 *
 * Built with sanitizers; tells the round that failed, which SEED and "-n 1"
 * then repeat.
 */
#include <inttypes.h>
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "check.h"
#include "checks/audit.h"
#include "kernel/crash.h"
#include "kernel/log.h"
#include "kernel/log_page.h"
#include "overlay.h"
#include "picture.h"
#include "source/source.h"
#include "types/dwarf.h"
#include "types/table.h"
#include "types/target.h"

/* Of the processor, under sanitizers, on a busy machine. */
#define MAX_ROUND_SECONDS 30
/* Beyond what the audit of the dump as it is takes. */
#define MAX_MORE_BYTES (UINT64_C(1536) << 20)

/* Small steps of arithmetic go wrong at these. */
static const uint64_t bad_values[] = {
	0,
	1,
	2,
	63,
	64,
	255,
	4096,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	UINT64_C(0x100000000),
	UINT64_C(0x7fffffffffffffff),
	UINT64_C(0x8000000000000000),
	UINT64_C(0xdead000000000100),
	UINT64_C(0xffffffffffffffff),
	UINT64_C(0xfffffffffffffff8),
	UINT64_C(0xffffffff00000001),
};

static const char *dump, *vmlinux;
static unsigned int nr_threads = 1;
static bool verbose;
/* What alone to change; NULL: each in its turn. */
static const char *only;
static uint64_t round_seed;
static const char *round_kind = "none";
static uint64_t nr_rounds, nr_words, nr_reports, nr_refused, nr_findings;

static void tell_round(void)
{
	fprintf(stderr, "in round: -s %" PRIu64 " -n 1 (%s) on %s\n",
		round_seed, round_kind, dump);
}

static void too_long(int signal)
{
	(void)signal;
	tell_round();
	fprintf(stderr, "it takes more than %d seconds\n", MAX_ROUND_SECONDS);
	__sanitizer_print_stack_trace();
	abort();
}

static uint64_t peak_bytes(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_maxrss << 10;
}

/* One sentence of an error that a target can cause. */
static void consume(struct pa_error *err)
{
	CHECK(*err->message && !strchr(err->message, '\n'));
	CHECK(err->code != PA_ERROR_INVALID && err->code != PA_ERROR_OS &&
	      err->code != PA_ERROR_NO_MEMORY &&
	      err->code != PA_ERROR_CANCELLED);
	if (verbose)
		printf("  %s\n", err->message);
	pa_error_destroy(err);
	nr_refused++;
}

static void look_at(const struct pa_audit *audit)
{
	uint64_t length = 0;

	pa_array_for_each(finding, &audit->findings.list) {
		CHECK(finding->check >= 0 && finding->check < PA_NR_CHECKS);
		CHECK(finding->severity <= PA_BUG);
		CHECK(finding->pfn == PA_NO_PFN ||
		      finding->pfn < finding->pfn_end);
		CHECK(*finding->summary && !strchr(finding->summary, '\n'));
		length += strlen(finding->summary);
		pa_array_for_each(item, &finding->evidence)
			length += item->text ? strlen(item->text) : 1;
	}
	for (int i = 0; i < PA_NR_CHECKS; i++) {
		CHECK(audit->results[i].status <= PA_NOT_APPLICABLE);
		CHECK(audit->results[i].status == PA_RAN ||
		      audit->results[i].reason);
		if (verbose && audit->results[i].seconds > 0.3)
			printf("  %s: %.1f s\n", pa_checks[i].id,
			       audit->results[i].seconds);
	}
	for (int i = 0; verbose && i < PA_NR_CENSUS_PARTS; i++)
		if (audit->census->parts[i].seconds > 0.5)
			printf("  census %d: %.1f s\n", i,
			       audit->census->parts[i].seconds);
	CHECK(audit->findings.list.length == 0 || length);
	if (verbose)
		printf("  %zu findings; %zu sections, %" PRIu64
		       " struct pages, %" PRIu64 " not read\n",
		       audit->findings.list.length,
		       audit->census->kernel->sections.list.length,
		       audit->census->pages_read,
		       audit->census->pages_excluded +
			       audit->census->pages_unreadable);
	nr_findings += audit->findings.list.length;
	nr_reports++;
}

static struct pa_error *read_log(struct overlay *overlay,
				 const struct pa_kernel *kernel)
{
	struct pa_memory *memory = NULL;
	struct pa_log log = { 0 };
	struct pa_log_lines lines = { 0 };
	struct pa_crash crash = { 0 };
	struct pa_error *err = pa_kernel_memory(kernel, &memory);

	overlay->phase = "log";
	if (!err)
		err = pa_log_read(memory, kernel->layout, &log);
	if (!err)
		err = pa_log_lines_init(kernel, &log, &lines);
	overlay->phase = "crash";
	if (!err)
		err = pa_crash_read(kernel, memory, &log, &crash);
	pa_log_lines_deinit(&lines);
	pa_log_deinit(&log);
	pa_memory_destroy(memory);
	return err;
}

/* The phase of the census tells what a read is for. */
static struct pa_job job;

static void audit(struct overlay *overlay, const struct pa_layout *layout)
{
	struct pa_kernel *kernel = NULL;
	struct pa_audit *audit = NULL;

	overlay->phase = "kernel";

	struct pa_error *err =
		pa_kernel_create(&overlay->base, layout, &kernel);

	if (err) {
		consume(err);
		return;
	}
	err = read_log(overlay, kernel);
	if (err)
		consume(err);
	overlay->phase = "audit";
	pa_job_init(&job, overlay->tracing ? 1 : nr_threads);
	err = pa_audit_run(kernel, NULL, NULL, &job, &audit);
	if (!err) {
		look_at(audit);
		err = check_picture(audit->census, &job);
	}
	if (err)
		consume(err);
	pa_audit_destroy(audit);
	pa_kernel_destroy(kernel);
}

static struct pa_error *find_layout(struct overlay *overlay,
				    struct pa_layout *ret)
{
	struct pa_reader *reader = NULL;

	if (vmlinux)
		return pa_layout_from_dwarf(
			&vmlinux, 1,
			pa_target_kaslr_offset(&overlay->base.info), NULL, ret);

	struct pa_error *err = pa_reader_create(&overlay->base, &reader);

	overlay->phase = "types";
	if (!err)
		err = pa_layout_from_target(reader, ret, NULL);
	pa_reader_destroy(reader);
	return err;
}

static uint64_t some_pointer(const struct overlay *overlay)
{
	if (!overlay->pointers.length)
		return random_u64();
	return overlay->pointers.items[below(overlay->pointers.length)];
}

/* What to write over @old. */
static uint64_t bad_value(const struct overlay *overlay, uint64_t old)
{
	switch (below(8)) {
	case 0:
		return random_u64();
	case 1:
		return old ^ PA_BIT(below(64));
	case 2:
		return bad_values[below(sizeof(bad_values) / 8)];
	case 3:
		return old + below(128) - 64;
	case 4:
		/* Half of a word: many fields are no longer. */
		return (old & ~PA_MASK(32)) |
		       (uint32_t)bad_values[below(sizeof(bad_values) / 8)];
	case 5:
		return (old & PA_MASK(32)) |
		       bad_values[below(sizeof(bad_values) / 8)] << 32;
	case 6:
		return some_pointer(overlay) + 8 * below(8);
	default:
		return some_pointer(overlay);
	}
}

static bool read_word(struct overlay *overlay, uint64_t phys, uint64_t *ret)
{
	struct pa_reader *reader = NULL;
	uint64_t word = 0;

	CHECK_OK(pa_reader_create(&overlay->base, &reader));

	struct pa_error *err = pa_reader_read(reader, phys, 8, &word);
	bool ok = !err;

	pa_error_destroy(err);
	pa_reader_destroy(reader);
	*ret = word;
	return ok;
}

static void corrupt_memory(struct overlay *overlay, const struct phase *phase)
{
	size_t n = (size_t)1 << below(7);
	bool copy = !below(4);

	while (n-- && overlay->nr_words < MAX_WORDS) {
		const struct phase *from =
			phase ? phase :
				&overlay->phases[below(overlay->nr_phases)];
		const struct extent *extent =
			&from->extents.items[below(from->extents.length)];
		const struct extent *other =
			&from->extents.items[below(from->extents.length)];
		uint64_t phys =
			pa_align_down(extent->phys + below(extent->length), 8);
		uint64_t there =
			pa_align_down(other->phys + below(other->length), 8);
		uint64_t old, value;

		if (!read_word(overlay, phys, &old))
			continue;
		/* What belongs elsewhere looks right, and isn't: cycles. */
		if (!copy || !read_word(overlay, there, &value))
			value = bad_value(overlay, old);
		overlay->words[overlay->nr_words].phys = phys;
		memcpy(overlay->words[overlay->nr_words].bytes, &value, 8);
		overlay->nr_words++;
		nr_words++;
	}
}

static void corrupt_text(char *text)
{
	size_t length = strlen(text);

	for (uint64_t n = 1 + below(20); n-- && length;) {
		char *at = text + below(length);

		/* Most of it is numbers after a sign. */
		if (below(4)) {
			char *sign = strchr(at, '=');

			if (sign && sign[1])
				at = sign + 1;
		}
		switch (below(4)) {
		case 0:
			*at = (char)('0' + below(10));
			break;
		case 1:
			*at = "-f=\n)\xff x"[below(8)];
			break;
		case 2: {
			char *end = strchr(at, '\n');

			while (end && at < end)
				*at++ = (char)('0' + below(10));
			break;
		}
		default:
			*at = (char)(1 + below(255));
		}
		nr_words++;
	}
	if (!below(8))
		text[below(length + 1)] = '\0';
}

static void corrupt_member(struct pa_layout *layout)
{
	enum pa_member_id id = (enum pa_member_id)below(PA_NR_MEMBERS);
	struct pa_member *member = &layout->members[id];
	uint64_t size = layout->types[pa_member_rows[id].type].size;

	if (!member->known)
		return;
	if (pa_member_rows[id].need == PA_NEED_OPTIONAL && !below(4)) {
		*member = (struct pa_member){};
		return;
	}
	/* What graph.c holds true: nothing ends behind its record. */
	member->offset = (uint32_t)below(size);
	member->element_size =
		(uint32_t)(below(2) ? PA_BIT(below(4)) :
				      below(size - member->offset + 1));
	member->length = 0;
	member->size = member->element_size;
	if (below(2) && member->element_size) {
		member->length = (uint32_t)below(
			(size - member->offset) / member->element_size + 1);
		member->size = member->length * member->element_size;
	}
	member->size = (uint32_t)pa_min(member->size, size - member->offset);
	member->bit_size = below(4) ? 0 : (uint8_t)(1 + below(64));
	member->bit_offset = member->bit_size ? (uint8_t)below(8) : 0;
	if (member->bit_size)
		member->size =
			pa_min((member->bit_offset + member->bit_size + 7u) / 8,
			       size - member->offset);
}

static void corrupt_type(struct pa_layout *layout)
{
	enum pa_type_id id = (enum pa_type_id)below(PA_NR_TYPES);
	struct pa_type *type = &layout->types[id];

	if (!type->known)
		return;
	type->size = (uint32_t)(below(3) ?
					type->size + below(256) :
					1 + (random_u64() >> (32 + below(32))));
	for (int i = 0; i < PA_NR_MEMBERS; i++) {
		struct pa_member *member = &layout->members[i];

		if (pa_member_rows[i].type == id &&
		    (uint64_t)member->offset + member->size > type->size)
			*member = (struct pa_member){};
	}
}

/* Within what BTF can say, that comes from the dump. */
static void corrupt_layout(const struct overlay *overlay,
			   struct pa_layout *layout)
{
	for (uint64_t n = (uint64_t)1 << below(6); n--;) {
		struct pa_enumerator *enumerator;
		struct pa_symbol *symbol;

		nr_words++;
		switch (below(8)) {
		case 0:
		case 1:
			enumerator =
				&layout->enumerators[below(PA_NR_ENUMERATORS)];
			enumerator->value = (int64_t)bad_value(
				overlay, (uint64_t)enumerator->value);
			break;
		case 2:
			enumerator =
				&layout->enumerators[below(PA_NR_ENUMERATORS)];
			enumerator->value += (int64_t)below(65) - 32;
			break;
		case 3:
			symbol = &layout->symbols[below(PA_NR_SYMBOLS)];
			symbol->address = bad_value(overlay, symbol->address);
			break;
		case 4:
			corrupt_type(layout);
			break;
		default:
			corrupt_member(layout);
		}
	}
}

static void fuzz_types(struct overlay *overlay, const struct pa_layout *good)
{
	pa_auto_free struct pa_layout *layout = malloc(sizeof(*layout));
	struct pa_error *err = NULL;

	CHECK_FATAL(layout);
	*layout = *good;
	if (vmlinux || below(2)) {
		round_kind = "layout";
		corrupt_layout(overlay, layout);
	} else {
		round_kind = "BTF";
		corrupt_memory(overlay, find_phase(overlay, "types"));
		err = find_layout(overlay, layout);
	}
	if (!err)
		err = pa_layout_check(layout);
	if (err)
		consume(err);
	else
		audit(overlay, layout);
}

static void fuzz_text(struct overlay *overlay, const struct pa_layout *layout)
{
	char *good = overlay->base.info.vmcoreinfo;
	char *text = strdup(good);

	CHECK_FATAL(text);
	round_kind = "VMCOREINFO";
	corrupt_text(text);
	overlay->base.info.vmcoreinfo = text;
	audit(overlay, layout);
	overlay->base.info.vmcoreinfo = good;
	free(text);
}

static void fuzz_round(struct overlay *overlay, const struct pa_layout *layout,
		       uint64_t seed)
{
	const struct itimerval limit = { .it_value.tv_sec = MAX_ROUND_SECONDS };
	struct timespec start, end;
	uint64_t turn;

	round_seed = seed;
	state = seed;
	overlay->nr_words = 0;
	setitimer(ITIMER_PROF, &limit, NULL);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	turn = below(8);
	if (only ? !strcmp(only, "text") : turn == 0) {
		fuzz_text(overlay, layout);
	} else if (only ? !strcmp(only, "types") : turn == 1) {
		fuzz_types(overlay, layout);
	} else {
		const struct phase *phase =
			below(4) ? &overlay->phases[below(overlay->nr_phases)] :
				   NULL;

		round_kind = phase ? phase->name : "all";
		corrupt_memory(overlay, phase);
		audit(overlay, layout);
	}
	overlay->nr_words = 0;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	if (verbose)
		printf("%" PRIu64 " %s: %.2f s\n", seed, round_kind,
		       (double)(end.tv_sec - start.tv_sec) +
			       1e-9 * (double)(end.tv_nsec - start.tv_nsec));
	nr_rounds++;
}

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

int main(int argc, char **argv)
{
	static struct overlay overlay;
	static struct pa_layout layout;
	uint64_t seed = 1, rounds = UINT64_MAX;
	double seconds = 1e9, start = now();
	int option;

	while ((option = getopt(argc, argv, "s:n:t:j:o:v")) != -1) {
		switch (option) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			rounds = strtoull(optarg, NULL, 0);
			break;
		case 't':
			seconds = strtod(optarg, NULL);
			break;
		case 'j':
			nr_threads = (unsigned int)strtoul(optarg, NULL, 0);
			break;
		case 'o':
			only = optarg;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			return 2;
		}
	}
	CHECK_FATAL(optind < argc);
	dump = argv[optind];
	vmlinux = argv[optind + 1];
	CHECK_OK(pa_source_open(&dump, 1, &overlay.under));
	overlay.base.ops = &overlay_ops;
	overlay.base.info = overlay.under->info;

	overlay.tracing = true;
	CHECK_OK(find_layout(&overlay, &layout));
	audit(&overlay, &layout);
	overlay.tracing = false;
	CHECK_FATAL(nr_reports == 1 && !nr_refused);
	nr_findings = 0;
	for (size_t i = 0; verbose && i < overlay.nr_phases; i++)
		printf("%s: %zu reads\n", overlay.phases[i].name,
		       overlay.phases[i].extents.length);

	uint64_t usual = peak_bytes();

	__sanitizer_set_death_callback(tell_round);
	signal(SIGPROF, too_long);
	for (uint64_t i = 0; i < rounds && now() - start < seconds; i++) {
		int failed = pa_checks_failed;

		fuzz_round(&overlay, &layout, seed + i);
		CHECK(peak_bytes() - usual < MAX_MORE_BYTES);
		if (pa_checks_failed > failed) {
			tell_round();
			break;
		}
	}
	printf("%" PRIu64 " rounds, %" PRIu64 " changes: %" PRIu64
	       " reports with %" PRIu64 " findings, %" PRIu64 " sentences; "
	       "%" PRIu64 " MB more at most\n",
	       nr_rounds, nr_words, nr_reports - 1, nr_findings, nr_refused,
	       (peak_bytes() - usual) >> 20);
	for (size_t i = 0; i < overlay.nr_phases; i++)
		pa_array_deinit(&overlay.phases[i].extents);
	pa_array_deinit(&overlay.pointers);
	pa_source_destroy(overlay.under);
	return CHECK_DONE();
}
