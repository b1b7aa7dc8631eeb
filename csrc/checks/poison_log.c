// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/poison_log.h"

struct pa_error *pa_poison_log_read(const struct pa_kernel *kernel,
				    struct pa_memory *memory,
				    struct pa_poison_log *ret)
{
	struct pa_error *err = pa_log_read(memory, kernel->layout, &ret->log);

	if (!err)
		return pa_log_lines_init(kernel, &ret->log, &ret->lines);
	if (!pa_error_is_target(err) && err->code != PA_ERROR_MISSING)
		return err;
	pa_error_destroy(err);
	return NULL;
}

void pa_poison_log_deinit(struct pa_poison_log *log)
{
	pa_log_lines_deinit(&log->lines);
	pa_log_deinit(&log->log);
}

/* action_result() ends its line with what came of it. */
static bool came_to_nothing(struct pa_text line)
{
	struct pa_text result;

	return pa_text_after_last(line, ": ", &result) &&
	       (pa_text_skip(&result, "Failed") ||
		pa_text_skip(&result, "Ignored"));
}

const struct pa_log_line *pa_poison_log_gave_up(const struct pa_poison_log *log,
						uint64_t pfn)
{
	const struct pa_log_line *found = NULL;

	pa_array_for_each(line, &log->lines.list)
		if (line->kind == PA_LOG_MEMORY_FAILURE && line->pfn == pfn &&
		    came_to_nothing(line->text))
			found = line;
	return found;
}

bool pa_poison_log_soft_offline(const struct pa_poison_log *log, uint64_t pfn,
				uint64_t end)
{
	struct pa_text rest;

	pa_array_for_each(line, &log->lines.list)
		if (line->kind == PA_LOG_SOFT_OFFLINE && line->pfn >= pfn &&
		    line->pfn < end &&
		    pa_text_after(line->text, " failed", &rest))
			return true;
	return false;
}
