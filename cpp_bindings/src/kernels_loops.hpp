// The kernels as plain loops. Included by each implementation and compiled with its flags, hence internal linkage.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels.hpp"

namespace dpiqa::core {
namespace {

constexpr std::int32_t kBlendHalf = 1 << 7, kReduceHalf = 1 << 14, kMatrixHalf = 1 << 12;
constexpr std::int32_t kWhite = 255 << 7, kChromaZero = 128 << 7;

[[maybe_unused]] inline void blend_loop(const std::uint8_t* const* rows, const std::int16_t* weights, int count,
                                        std::size_t begin, std::size_t bytes, std::int16_t* out) {
    for (std::size_t i = begin; i < bytes; ++i) {
        std::int32_t sum = kBlendHalf;
        for (int k = 0; k < count; ++k) sum += rows[k][i] * weights[k];
        out[i] = static_cast<std::int16_t>(sum >> 8);
    }
}

[[maybe_unused]] inline void reduce_loop(const std::int16_t* row, const std::int32_t* first, const std::int16_t* weights,
                                         int lanes, int targets, std::int16_t* out) {
    for (int i = 0; i < targets; ++i, weights += lanes) {
        std::int32_t sum = kReduceHalf;
        const std::int16_t* source = row + first[i];
        for (int k = 0; k < lanes; ++k) sum += source[k] * weights[k];
        out[i] = static_cast<std::int16_t>(sum >> 15);
    }
}

inline std::int16_t clamp_to_white(std::int32_t value) {
    value = value < 0 ? 0 : value;
    return static_cast<std::int16_t>(value > kWhite ? kWhite : value);
}

[[maybe_unused]] inline void to_rgb_loop(std::int16_t* __restrict y, std::int16_t* __restrict u,
                                         std::int16_t* __restrict v, int count, const ColourMatrix& matrix) {
    const ColourMatrix m = matrix;
    for (int i = 0; i < count; ++i) {
        const std::int32_t luma = (y[i] - m.y_offset) * m.luma + kMatrixHalf;
        const std::int32_t blue = u[i] - kChromaZero, red = v[i] - kChromaZero;
        y[i] = clamp_to_white((luma + red * m.v_red) >> 13);
        u[i] = clamp_to_white((luma - blue * m.u_green - red * m.v_green) >> 13);
        v[i] = clamp_to_white((luma + blue * m.u_blue) >> 13);
    }
}

// To the nearest level, ties to the even one as OpenCV does: half of all pixels are ties when a picture is halved.
inline std::uint8_t to_byte(std::int16_t value) { return static_cast<std::uint8_t>((value + 63 + ((value >> 7) & 1)) >> 7); }

[[maybe_unused]] inline void pack_loop(const std::int16_t* r, const std::int16_t* g, const std::int16_t* b, int begin,
                                       int count, std::uint8_t* rgb) {
    for (int i = begin; i < count; ++i) {
        rgb[3 * i] = to_byte(r[i]);
        rgb[3 * i + 1] = to_byte(g[i]);
        rgb[3 * i + 2] = to_byte(b[i]);
    }
}

}  // namespace
}  // namespace dpiqa::core
