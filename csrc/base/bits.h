/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bit arithmetic and loads from bytes of any alignment. */
#ifndef PA_BASE_BITS_H
#define PA_BASE_BITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PA_BIT(n) (UINT64_C(1) << (n))
/* Bits [0, n). */
#define PA_MASK(n) ((n) >= 64 ? ~UINT64_C(0) : PA_BIT(n) - 1)

/* All dumped kernels that we handle are little-endian, as are we. */
static inline uint16_t pa_load_u16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t pa_load_u32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t pa_load_u64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* A little-endian unsigned integer of @size (0 to 8) bytes. */
static inline uint64_t pa_load_uint(const void *p, uint32_t size)
{
	uint64_t v = 0;

	memcpy(&v, p, size > sizeof(v) ? sizeof(v) : size);
	return v;
}

static inline bool pa_test_bit(const uint64_t *words, uint64_t bit)
{
	return words[bit / 64] >> (bit % 64) & 1;
}

static inline void pa_set_bit(uint64_t *words, uint64_t bit)
{
	words[bit / 64] |= PA_BIT(bit % 64);
}

static inline uint64_t pa_align_down(uint64_t v, uint64_t power)
{
	return v & ~(power - 1);
}

/* Not for values within @power of 2^64. */
static inline uint64_t pa_align_up(uint64_t v, uint64_t power)
{
	return (v + power - 1) & ~(power - 1);
}

static inline uint64_t pa_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t pa_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Rising, for qsort() and bsearch() of uint64_t. */
static inline int pa_compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

#endif
