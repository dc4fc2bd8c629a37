// Compiled with -mavx2 on x86-64; only called where the CPU has it.
#include "kernels_loops.hpp"

#if defined(__AVX2__)
#include <immintrin.h>

namespace dpiqa::core {
namespace {

__m256i load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
void store(void* to, __m256i value) { _mm256_storeu_si256(static_cast<__m256i*>(to), value); }

void blend_block(const std::uint8_t* const* rows, const std::int16_t* weights, int count, std::size_t at,
                 std::int16_t* out) {
    const __m256i zero = _mm256_setzero_si256(), half = _mm256_set1_epi32(kBlendHalf);
    __m256i sum[4] = {half, half, half, half};
    for (int k = 0; k < count; k += 2) {
        const __m256i pair = _mm256_set1_epi32((weights[k] & 0xffff) | weights[k + 1] * 65536);
        const __m256i a = load(rows[k] + at), b = load(rows[k + 1] + at);
        const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
        sum[0] = _mm256_add_epi32(sum[0], _mm256_madd_epi16(_mm256_unpacklo_epi8(low, zero), pair));
        sum[1] = _mm256_add_epi32(sum[1], _mm256_madd_epi16(_mm256_unpackhi_epi8(low, zero), pair));
        sum[2] = _mm256_add_epi32(sum[2], _mm256_madd_epi16(_mm256_unpacklo_epi8(high, zero), pair));
        sum[3] = _mm256_add_epi32(sum[3], _mm256_madd_epi16(_mm256_unpackhi_epi8(high, zero), pair));
    }
    const __m256i low = _mm256_packs_epi32(_mm256_srai_epi32(sum[0], 8), _mm256_srai_epi32(sum[1], 8));
    const __m256i high = _mm256_packs_epi32(_mm256_srai_epi32(sum[2], 8), _mm256_srai_epi32(sum[3], 8));
    store(out + at, _mm256_permute2x128_si256(low, high, 0x20));
    store(out + at + 16, _mm256_permute2x128_si256(low, high, 0x31));
}

void blend(const std::uint8_t* const* rows, const std::int16_t* weights, int count, std::size_t bytes,
           std::int16_t* out) {
    if (bytes < 32) return blend_loop(rows, weights, count, 0, bytes, out);
    std::size_t at = 0;
    for (; at + 32 <= bytes; at += 32) blend_block(rows, weights, count, at, out);
    if (at < bytes) blend_block(rows, weights, count, bytes - 32, out);  // overlaps the block before it
}

__m256i dot(const std::int16_t* source, const std::int16_t* weights, int lanes) {
    __m256i sum = _mm256_madd_epi16(load(source), load(weights));
    for (int k = 16; k < lanes; k += 16)
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(load(source + k), load(weights + k)));
    return sum;
}

__m128i four_dots(const std::int16_t* row, const std::int32_t* first, const std::int16_t* weights, int lanes) {
    const __m256i a = _mm256_hadd_epi32(dot(row + first[0], weights, lanes), dot(row + first[1], weights + lanes, lanes));
    const __m256i b =
        _mm256_hadd_epi32(dot(row + first[2], weights + 2 * lanes, lanes), dot(row + first[3], weights + 3 * lanes, lanes));
    const __m256i both = _mm256_hadd_epi32(a, b);
    const __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    return _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(kReduceHalf)), 15);
}

void reduce(const std::int16_t* row, const std::int32_t* first, const std::int16_t* weights, int lanes, int targets,
            std::int16_t* out) {
    for (int i = 0; i < targets; i += 8, weights += 8 * lanes) {
        const __m128i low = four_dots(row, first + i, weights, lanes);
        const __m128i high = four_dots(row, first + i + 4, weights + 4 * lanes, lanes);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm_packs_epi32(low, high));
    }
}

__m128i to_bytes(const std::int16_t* samples) {
    const __m256i values = load(samples), is_odd = _mm256_and_si256(_mm256_srai_epi16(values, 7), _mm256_set1_epi16(1));
    const __m256i half = _mm256_add_epi16(_mm256_set1_epi16(63), is_odd);
    const __m256i rounded = _mm256_srai_epi16(_mm256_add_epi16(values, half), 7);
    return _mm_packus_epi16(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
}

// Shuffle masks: byte j of block k of the output is channel (16 k + j) % 3 of pixel (16 k + j) / 3.
__m128i mask(int block, int channel) {
    alignas(16) std::int8_t bytes[16];
    for (int j = 0; j < 16; ++j) {
        const int index = 16 * block + j;
        bytes[j] = static_cast<std::int8_t>(index % 3 == channel ? index / 3 : -1);
    }
    return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
}

void pack(const std::int16_t* r, const std::int16_t* g, const std::int16_t* b, int count, std::uint8_t* rgb) {
    const __m128i masks[3][3] = {{mask(0, 0), mask(0, 1), mask(0, 2)},
                                 {mask(1, 0), mask(1, 1), mask(1, 2)},
                                 {mask(2, 0), mask(2, 1), mask(2, 2)}};
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        const __m128i red = to_bytes(r + i), green = to_bytes(g + i), blue = to_bytes(b + i);
        for (int block = 0; block < 3; ++block) {
            const __m128i mixed = _mm_or_si128(
                _mm_or_si128(_mm_shuffle_epi8(red, masks[block][0]), _mm_shuffle_epi8(green, masks[block][1])),
                _mm_shuffle_epi8(blue, masks[block][2]));
            _mm_storeu_si128(reinterpret_cast<__m128i*>(rgb + 3 * i + 16 * block), mixed);
        }
    }
    pack_loop(r, g, b, i, count, rgb);
}

}  // namespace

const Kernels* avx2_kernels() {
    static constexpr Kernels kernels{"avx2", blend, reduce, to_rgb_loop, pack};
    return &kernels;
}

}  // namespace dpiqa::core

#else

namespace dpiqa::core {
const Kernels* avx2_kernels() { return nullptr; }
}  // namespace dpiqa::core

#endif
