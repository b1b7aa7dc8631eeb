/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scope guards by the compiler's cleanup attribute. */
#ifndef PA_BASE_CLEANUP_H
#define PA_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define pa_cleanup(function) __attribute__((cleanup(function)))

static inline void pa_cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

static inline void pa_cleanup_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* free() at the end of the scope; pa_take() to keep the memory. */
#define pa_auto_free pa_cleanup(pa_cleanup_free)
/* close() at the end of the scope unless negative. */
#define pa_auto_fd pa_cleanup(pa_cleanup_fd)

/* Move a guarded pointer out of its scope's hands. */
#define pa_take(pointer)                        \
	({                                      \
		__auto_type pa_taken = pointer; \
		(pointer) = NULL;               \
		pa_taken;                       \
	})

#endif
