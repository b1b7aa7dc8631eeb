// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/words.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/bits.h"

void pa_word_ranges_init(struct pa_word_ranges *ranges, bool vector)
{
	*ranges = (struct pa_word_ranges){};
#if defined(__x86_64__)
	ranges->vector = vector && __builtin_cpu_supports("avx2");
#else
	(void)vector;
#endif
}

void pa_word_ranges_add(struct pa_word_ranges *ranges, uint64_t first,
			uint64_t last, uint64_t step)
{
	uint64_t span = last - first;
	unsigned int bits = span ? 64 - (unsigned int)__builtin_clzll(span) : 0;

	ranges->ranges[ranges->nr++] = (struct pa_word_range){
		.base = first,
		.outside = ~PA_MASK(bits) | (step - 1),
	};
}

static inline __attribute__((always_inline)) unsigned int
pick_plain(const struct pa_word_ranges *ranges, unsigned int nr_ranges,
	   const uint8_t *words, unsigned int start, unsigned int nr,
	   uint16_t *ret, unsigned int n)
{
	for (unsigned int i = start; i < nr; i++) {
		uint64_t word = pa_load_u64(words + 8 * i);
		bool hit = false;

		for (unsigned int r = 0; r < nr_ranges; r++)
			hit |= !((word - ranges->ranges[r].base) &
				 ranges->ranges[r].outside);
		if (hit)
			ret[n++] = (uint16_t)i;
	}
	return n;
}

#if defined(__x86_64__)
#define STEP 16

static inline __attribute__((always_inline, target("avx2"))) __m256i
in_ranges(const __m256i *base, const __m256i *outside, unsigned int nr_ranges,
	  __m256i words)
{
	__m256i hit = _mm256_setzero_si256();

	for (unsigned int r = 0; r < nr_ranges; r++)
		hit = _mm256_or_si256(
			hit, _mm256_cmpeq_epi64(
				     _mm256_and_si256(_mm256_sub_epi64(words,
								       base[r]),
						      outside[r]),
				     _mm256_setzero_si256()));
	return hit;
}

static inline __attribute__((always_inline, target("avx2"))) unsigned int
pick_avx2(const struct pa_word_ranges *ranges, unsigned int nr_ranges,
	  const uint8_t *words, unsigned int nr, uint16_t *ret)
{
	__m256i base[PA_MAX_WORD_RANGES], outside[PA_MAX_WORD_RANGES];
	unsigned int i = 0, n = 0;

	for (unsigned int r = 0; r < nr_ranges; r++) {
		base[r] = _mm256_set1_epi64x((int64_t)ranges->ranges[r].base);
		outside[r] =
			_mm256_set1_epi64x((int64_t)ranges->ranges[r].outside);
	}
	for (; i + STEP <= nr; i += STEP) {
		const __m256i *at = (const __m256i *)(words + 8 * i);
		__m256i hits[STEP / 4], any = _mm256_setzero_si256();

		for (unsigned int j = 0; j < STEP / 4; j++) {
			hits[j] = in_ranges(base, outside, nr_ranges,
					    _mm256_loadu_si256(at + j));
			any = _mm256_or_si256(any, hits[j]);
		}
		if (_mm256_testz_si256(any, any))
			continue;

		unsigned int mask = 0;

		for (unsigned int j = 0; j < STEP / 4; j++)
			mask |= (unsigned int)_mm256_movemask_pd(
					_mm256_castsi256_pd(hits[j]))
				<< 4 * j;
		for (; mask; mask &= mask - 1)
			ret[n++] = (uint16_t)(i + (unsigned int)__builtin_ctz(
							  mask));
	}
	return pick_plain(ranges, nr_ranges, words, i, nr, ret, n);
}

/* With the number of ranges known, all of them stay in registers. */
static __attribute__((target("avx2"))) unsigned int
pick_vector(const struct pa_word_ranges *ranges, const uint8_t *words,
	    unsigned int nr, uint16_t *ret)
{
	switch (ranges->nr) {
	case 1:
		return pick_avx2(ranges, 1, words, nr, ret);
	case 2:
		return pick_avx2(ranges, 2, words, nr, ret);
	case 3:
		return pick_avx2(ranges, 3, words, nr, ret);
	default:
		return pick_avx2(ranges, ranges->nr, words, nr, ret);
	}
}
#endif

unsigned int pa_words_pick(const struct pa_word_ranges *ranges,
			   const uint8_t *words, unsigned int nr,
			   uint16_t ret[PA_WORDS_MAX])
{
#if defined(__x86_64__)
	if (ranges->vector)
		return pick_vector(ranges, words, nr, ret);
#endif
	switch (ranges->nr) {
	case 1:
		return pick_plain(ranges, 1, words, 0, nr, ret, 0);
	case 3:
		return pick_plain(ranges, 3, words, 0, nr, ret, 0);
	default:
		return pick_plain(ranges, ranges->nr, words, 0, nr, ret, 0);
	}
}
