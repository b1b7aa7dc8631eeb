/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Picking candidates out of words at the speed of memory: those that lie in
 * one of a few ranges of numbers. Ranges are widened to powers of two, the
 * caller looks closer at what is picked.
 */
#ifndef PA_CENSUS_WORDS_H
#define PA_CENSUS_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#define PA_MAX_WORD_RANGES 4
/* Words that one call looks at, at most: those of a page. */
#define PA_WORDS_MAX 512

/* A word w is picked if (w - base) & outside is 0. */
struct pa_word_range {
	uint64_t base, outside;
};

struct pa_word_ranges {
	struct pa_word_range ranges[PA_MAX_WORD_RANGES];
	unsigned int nr;
	/* What runs: the processor's best, or plain C. */
	bool vector;
};

/* No range; @vector: use vector instructions where the processor has them. */
void pa_word_ranges_init(struct pa_word_ranges *ranges, bool vector);

/*
 * Adds [first, last], of which only multiples of @step (a power of two) from
 * @first on are meant.
 */
void pa_word_ranges_add(struct pa_word_ranges *ranges, uint64_t first,
			uint64_t last, uint64_t step);

/*
 * The indices of the candidates among @nr words at @words, of any alignment:
 * returns how many, in rising order.
 */
unsigned int pa_words_pick(const struct pa_word_ranges *ranges,
			   const uint8_t *words, unsigned int nr,
			   uint16_t ret[PA_WORDS_MAX]);

#endif
