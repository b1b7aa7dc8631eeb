/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a check found wrong: the report's unit. */
#ifndef PA_CHECKS_FINDING_H
#define PA_CHECKS_FINDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "base/error.h"

enum pa_severity {
	/* Worth knowing, not wrong. */
	PA_INFO,
	/* Broken, but something was not read, or may be in the middle of it. */
	PA_SUSPECT,
	/* An invariant is broken, and all that says so was read. */
	PA_BUG,
};

enum pa_evidence_kind {
	PA_EVIDENCE_NUMBER,
	/* A number that people read in hexadecimal: addresses, flags. */
	PA_EVIDENCE_HEX,
	PA_EVIDENCE_TEXT,
};

struct pa_evidence {
	/* A string literal. */
	const char *key;
	enum pa_evidence_kind kind;
	int64_t number;
	/* Owned; NULL unless text. */
	char *text;
};

struct pa_finding {
	/* enum pa_check_id of checks/check.h. */
	int check;
	enum pa_severity severity;
	/* [pfn, pfn_end); PA_NO_PFN where it is about no pages. */
	uint64_t pfn, pfn_end;
	/* Owned. */
	char *summary;
	PA_ARRAY(struct pa_evidence) evidence;
};

/*
 * Of one check. A broken dump has no end of them, and nobody reads so many;
 * the rest is counted.
 */
#define PA_MAX_FINDINGS 4096
/* At least PA_NR_CHECKS. */
#define PA_MAX_CHECKS 32

struct pa_findings {
	PA_ARRAY(struct pa_finding) list;
	/* By check: how many were found, and the severest of what was left out. */
	uint64_t nr[PA_MAX_CHECKS];
	enum pa_severity left_out[PA_MAX_CHECKS];
	/* Out of memory while recording: the audit fails. */
	bool failed;
};

/*
 * Records a finding and returns it for evidence; borrowed until the next. NULL
 * if it was left out, or out of memory, which the functions below take.
 */
struct pa_finding *pa_finding_add(struct pa_findings *findings, int check,
				  enum pa_severity severity, uint64_t pfn,
				  uint64_t pfn_end, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

/* After a check's last finding: tells how many were left out. */
void pa_findings_end(struct pa_findings *findings, int check);

/* Adds evidence; @key is a string literal. */
void pa_finding_number(struct pa_finding *finding, const char *key,
		       int64_t value);
void pa_finding_hex(struct pa_finding *finding, const char *key,
		    uint64_t value);
void pa_finding_text(struct pa_finding *finding, const char *key,
		     const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds @value to the number under @key, which begins at 0. */
void pa_finding_count(struct pa_finding *finding, const char *key,
		      int64_t value);

void pa_finding_deinit(struct pa_finding *finding);
void pa_findings_deinit(struct pa_findings *findings);

#endif
