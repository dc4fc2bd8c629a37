// The resize rule `area` along one axis, as integer weights: shrink by area averaging, grow bilinearly, half-pixel centres.
#pragma once

#include <cstdint>
#include <vector>

namespace dpiqa::core {

constexpr int kWeightBits = 15;
constexpr int kLaneStep = 16;  // `Lanes` pads its weights to a multiple of this: one AVX2 register

// Target i is the sum of source[first[i] + k] * weights[i * taps + k] / 2^15 over k < taps; a target's weights sum to 1.
// Of samples of two bytes each has two weights, that of the low byte first.
struct Axis {
    int taps = 0;
    int bytes = 1;
    std::vector<std::int32_t> first;
    std::vector<std::int16_t> weights;
};

// An axis from `from` to `to` pixels. Of a chroma plane that has one sample for every `subsampling` pixels, the samples
// count as repeated: averaging is linear, so it commutes with the colour conversion that would repeat them.
Axis make_axis(int from, int to, int subsampling, int bytes = 1);

// An axis over rows of interleaved samples, `stride` apart: target i is the sum of
// row[first[i] + k] * weights[i * lanes + k] over k < lanes, zero weights filling the gaps. Targets are padded to a
// multiple of 8.
struct Lanes {
    int lanes = 0;
    int targets = 0;
    std::vector<std::int32_t> first;
    std::vector<std::int16_t> weights;
};

// `stride` is in bytes.
Lanes spread(const Axis& axis, int stride);

}  // namespace dpiqa::core
