/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The whole of our C test framework. Each test is a program of its own:
 *
 *	int main(void)
 *	{
 *		CHECK(1 + 1 == 2);
 *		CHECK_OK(pa_source_open(...));
 *		return CHECK_DONE();
 *	}
 */
#ifndef PA_TESTS_CHECK_H
#define PA_TESTS_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

/* Of one test program, which has no threads that check. */
static int pa_checks_failed;

/* Goes on after a failure. */
#define CHECK(cond)                                                        \
	do {                                                               \
		if (!(cond)) {                                             \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, \
				#cond);                                    \
			pa_checks_failed++;                                \
		}                                                          \
	} while (0)

/* The program can't go on after a failure. */
#define CHECK_FATAL(cond)                                                  \
	do {                                                               \
		if (!(cond)) {                                             \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, \
				#cond);                                    \
			exit(1);                                           \
		}                                                          \
	} while (0)

/* Consumes the error that @call returns; exits unless it is NULL. */
#define CHECK_OK(call)                                                         \
	do {                                                                   \
		struct pa_error *pa_check_err = (call);                        \
		if (pa_check_err) {                                            \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, \
				#call, pa_check_err->message);                 \
			exit(1);                                               \
		}                                                              \
	} while (0)

/* Consumes the error that @call returns, which must have this code. */
#define CHECK_ERROR(wanted, call)                                      \
	do {                                                           \
		struct pa_error *pa_check_err = (call);                \
		if (!pa_check_err || pa_check_err->code != (wanted)) { \
			fprintf(stderr, "%s:%d: %s: %s, wanted %s\n",  \
				__FILE__, __LINE__, #call,             \
				pa_check_err ? pa_check_err->message : \
					       "no error",             \
				#wanted);                              \
			pa_checks_failed++;                            \
		}                                                      \
		pa_error_destroy(pa_check_err);                        \
	} while (0)

#define CHECK_DONE() (pa_checks_failed ? 1 : 0)

#endif
