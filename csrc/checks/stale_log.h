/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PA_CHECKS_STALE_LOG_H
#define PA_CHECKS_STALE_LOG_H

#include "checks/check.h"

/* Memory errors of altmap metadata, as the kernel's log has them: info. */
struct pa_error *pa_check_stale_log(struct pa_check_context *context);

#endif
