// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/finding.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernel/zone.h"

static struct pa_finding *add(struct pa_findings *findings,
			      struct pa_finding finding, const char *format,
			      va_list ap)
{
	if (vasprintf(&finding.summary, format, ap) < 0)
		finding.summary = NULL;
	if (!finding.summary || !pa_array_append(&findings->list, finding)) {
		free(finding.summary);
		findings->failed = true;
		return NULL;
	}
	return &findings->list.items[findings->list.length - 1];
}

struct pa_finding *pa_finding_add(struct pa_findings *findings, int check,
				  enum pa_severity severity, uint64_t pfn,
				  uint64_t pfn_end, const char *format, ...)
{
	const struct pa_finding finding = {
		.check = check,
		.severity = severity,
		.pfn = pfn,
		.pfn_end = pfn_end,
	};
	struct pa_finding *ret;
	va_list ap;

	if (findings->nr[check]++ >= PA_MAX_FINDINGS) {
		if (severity > findings->left_out[check])
			findings->left_out[check] = severity;
		return NULL;
	}
	va_start(ap, format);
	ret = add(findings, finding, format, ap);
	va_end(ap);
	return ret;
}

void pa_findings_end(struct pa_findings *findings, int check)
{
	uint64_t nr = findings->nr[check];

	if (nr <= PA_MAX_FINDINGS)
		return;
	findings->nr[check] = 0;
	pa_finding_number(
		pa_finding_add(findings, check, findings->left_out[check],
			       PA_NO_PFN, PA_NO_PFN,
			       "%" PRIu64 " more findings of this check are "
			       "left out",
			       nr - PA_MAX_FINDINGS),
		"left_out", (int64_t)(nr - PA_MAX_FINDINGS));
}

static void add_evidence(struct pa_finding *finding, struct pa_evidence item)
{
	/* Evidence lost to a lack of memory leaves the finding true. */
	if (!finding || !pa_array_append(&finding->evidence, item))
		free(item.text);
}

void pa_finding_number(struct pa_finding *finding, const char *key,
		       int64_t value)
{
	add_evidence(finding, (struct pa_evidence){ .key = key,
						    .kind = PA_EVIDENCE_NUMBER,
						    .number = value });
}

void pa_finding_hex(struct pa_finding *finding, const char *key, uint64_t value)
{
	add_evidence(finding, (struct pa_evidence){ .key = key,
						    .kind = PA_EVIDENCE_HEX,
						    .number = (int64_t)value });
}

void pa_finding_text(struct pa_finding *finding, const char *key,
		     const char *format, ...)
{
	char *text = NULL;
	va_list ap;

	if (!finding)
		return;
	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		add_evidence(finding,
			     (struct pa_evidence){ .key = key,
						   .kind = PA_EVIDENCE_TEXT,
						   .text = text });
}

void pa_finding_count(struct pa_finding *finding, const char *key,
		      int64_t value)
{
	if (!finding)
		return;
	pa_array_for_each(item, &finding->evidence)
		if (!strcmp(item->key, key)) {
			item->number = (int64_t)((uint64_t)item->number +
						 (uint64_t)value);
			return;
		}
	pa_finding_number(finding, key, value);
}

void pa_finding_deinit(struct pa_finding *finding)
{
	pa_array_for_each(item, &finding->evidence)
		free(item->text);
	pa_array_deinit(&finding->evidence);
	free(finding->summary);
}

void pa_findings_deinit(struct pa_findings *findings)
{
	pa_array_for_each(finding, &findings->list)
		pa_finding_deinit(finding);
	pa_array_deinit(&findings->list);
}
