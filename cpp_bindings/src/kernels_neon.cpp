#include "kernels_loops.hpp"

#if defined(__aarch64__)
#include <arm_neon.h>

namespace dpiqa::core {
namespace {

void blend_block(const std::uint8_t* const* rows, const std::int16_t* weights, int count, std::size_t at,
                 std::int16_t* out) {
    const int32x4_t half = vdupq_n_s32(kBlendHalf);
    int32x4_t sum[4] = {half, half, half, half};
    for (int k = 0; k < count; ++k) {
        const uint8x16_t bytes = vld1q_u8(rows[k] + at);
        const int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
        const int16x8_t high = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(bytes)));
        sum[0] = vmlal_n_s16(sum[0], vget_low_s16(low), weights[k]);
        sum[1] = vmlal_n_s16(sum[1], vget_high_s16(low), weights[k]);
        sum[2] = vmlal_n_s16(sum[2], vget_low_s16(high), weights[k]);
        sum[3] = vmlal_n_s16(sum[3], vget_high_s16(high), weights[k]);
    }
    vst1q_s16(out + at, vcombine_s16(vshrn_n_s32(sum[0], 8), vshrn_n_s32(sum[1], 8)));
    vst1q_s16(out + at + 8, vcombine_s16(vshrn_n_s32(sum[2], 8), vshrn_n_s32(sum[3], 8)));
}

void blend(const std::uint8_t* const* rows, const std::int16_t* weights, int count, std::size_t bytes,
           std::int16_t* out) {
    std::size_t at = 0;
    for (; at + 16 <= bytes; at += 16) blend_block(rows, weights, count, at, out);
    if (at < bytes) blend_block(rows, weights, count, bytes - 16, out);  // overlaps the block before it
}

void reduce(const std::int16_t* row, const std::int32_t* first, const std::int16_t* weights, int lanes, int targets,
            std::int16_t* out) {
    for (int i = 0; i < targets; ++i, weights += lanes) {
        const std::int16_t* source = row + first[i];
        int32x4_t even = vdupq_n_s32(0), odd = vdupq_n_s32(0);
        for (int k = 0; k < lanes; k += 8) {
            const int16x8_t samples = vld1q_s16(source + k), factors = vld1q_s16(weights + k);
            even = vmlal_s16(even, vget_low_s16(samples), vget_low_s16(factors));
            odd = vmlal_high_s16(odd, samples, factors);
        }
        out[i] = static_cast<std::int16_t>((vaddvq_s32(vaddq_s32(even, odd)) + kReduceHalf) >> 15);
    }
}

uint8x16_t to_bytes(const std::int16_t* samples) {
    const auto rounded = [](int16x8_t values) {
        const int16x8_t is_odd = vandq_s16(vshrq_n_s16(values, 7), vdupq_n_s16(1));
        return vqmovun_s16(vshrq_n_s16(vaddq_s16(values, vaddq_s16(vdupq_n_s16(63), is_odd)), 7));
    };
    return vcombine_u8(rounded(vld1q_s16(samples)), rounded(vld1q_s16(samples + 8)));
}

void pack(const std::int16_t* r, const std::int16_t* g, const std::int16_t* b, int count, std::uint8_t* rgb) {
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        const uint8x16x3_t pixels = {{to_bytes(r + i), to_bytes(g + i), to_bytes(b + i)}};
        vst3q_u8(rgb + 3 * i, pixels);
    }
    pack_loop(r, g, b, i, count, rgb);
}

}  // namespace

const Kernels* neon_kernels() {
    static constexpr Kernels kernels{"neon", blend, reduce, to_rgb_loop, pack};
    return &kernels;
}

}  // namespace dpiqa::core

#else

namespace dpiqa::core {
const Kernels* neon_kernels() { return nullptr; }
}  // namespace dpiqa::core

#endif
