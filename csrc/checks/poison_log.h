/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel's log says of memory errors, page by page. */
#ifndef PA_CHECKS_POISON_LOG_H
#define PA_CHECKS_POISON_LOG_H

#include "checks/check.h"
#include "kernel/log.h"
#include "kernel/log_page.h"

struct pa_poison_log {
	struct pa_log log;
	struct pa_log_lines lines;
};

/* A log that is not in the dump is an empty one. @ret is zeroed before. */
struct pa_error *pa_poison_log_read(const struct pa_kernel *kernel,
				    struct pa_memory *memory,
				    struct pa_poison_log *ret);
void pa_poison_log_deinit(struct pa_poison_log *log);

/* The last line that says that handling @pfn came to nothing; or NULL. */
const struct pa_log_line *pa_poison_log_gave_up(const struct pa_poison_log *log,
						uint64_t pfn);

/* Whether soft offlining a page of [pfn, end) is known to have failed. */
bool pa_poison_log_soft_offline(const struct pa_poison_log *log, uint64_t pfn,
				uint64_t end);

#endif
