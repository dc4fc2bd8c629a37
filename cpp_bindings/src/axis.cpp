#include "axis.hpp"

#include <algorithm>
#include <cmath>

namespace dpiqa::core {
namespace {

struct Span {
    int first = 0;
    std::vector<double> weights;
};

Span area_span(int target, double scale, int from) {
    const double begin = target * scale, end = std::min(begin + scale, static_cast<double>(from));
    Span span;
    span.first = std::min(static_cast<int>(begin), from - 1);
    for (int i = span.first; i < from && i < end; ++i)
        span.weights.push_back((std::min(end, i + 1.0) - std::max(begin, static_cast<double>(i))) / scale);
    return span;
}

Span linear_span(int target, double scale, int from) {
    const double centre = std::clamp((target + 0.5) * scale - 0.5, 0.0, from - 1.0);
    Span span;
    span.first = std::min(static_cast<int>(centre), from - 2);
    const double share = centre - span.first;
    span.weights = {1 - share, share};
    return span;
}

Span repeated(const Span& pixels, int subsampling) {
    Span samples;
    samples.first = pixels.first / subsampling;
    for (std::size_t i = 0; i < pixels.weights.size(); ++i) {
        const auto sample = static_cast<std::size_t>((pixels.first + static_cast<int>(i)) / subsampling - samples.first);
        samples.weights.resize(sample + 1);
        samples.weights[sample] += pixels.weights[i];
    }
    return samples;
}

// Rounding the running sum, not each weight, keeps the total at exactly 1: flat areas stay flat.
void quantise(const std::vector<double>& weights, std::int16_t* out) {
    double total = 0, running = 0;
    for (const double weight : weights) total += weight;
    long last = 0;
    for (const double weight : weights) {
        running += weight;
        const long next = std::lround(running / total * (1 << kWeightBits));
        *out++ = static_cast<std::int16_t>(std::min(next - last, (1L << kWeightBits) - 1));
        last = next;
    }
}

// Weights for the low bytes as well, a 256th. They sum to 127 rather than 128, so that the sum of 0xffff still fits.
std::vector<std::int16_t> with_low_bytes(const Axis& axis) {
    constexpr int kLowTotal = 127;
    std::vector<std::int16_t> weights;
    for (std::size_t target = 0; target < axis.first.size(); ++target) {
        int running = 0, last = 0;
        for (int tap = 0; tap < axis.taps; ++tap) {
            const std::int16_t high = axis.weights[target * static_cast<std::size_t>(axis.taps) + static_cast<std::size_t>(tap)];
            running += high;
            const int next = (running * kLowTotal + (1 << (kWeightBits - 1))) >> kWeightBits;
            weights.insert(weights.end(), {static_cast<std::int16_t>(next - last), high});
            last = next;
        }
    }
    return weights;
}

}  // namespace

Axis make_axis(int from, int to, int subsampling, int bytes) {
    const double scale = static_cast<double>(from) / to;
    std::vector<Span> spans;
    Axis axis;
    for (int target = 0; target < to; ++target) {
        const Span pixels = from < to ? linear_span(target, scale, from) : area_span(target, scale, from);
        spans.push_back(repeated(pixels, subsampling));
        axis.taps = std::max(axis.taps, static_cast<int>(spans.back().weights.size()));
    }
    axis.weights.assign(static_cast<std::size_t>(to) * static_cast<std::size_t>(axis.taps), 0);
    const int samples = from / subsampling;
    for (int target = 0; target < to; ++target) {
        const Span& span = spans[static_cast<std::size_t>(target)];
        const int first = std::min(span.first, samples - axis.taps);
        axis.first.push_back(first);
        quantise(span.weights, &axis.weights[static_cast<std::size_t>(target * axis.taps + span.first - first)]);
    }
    if (bytes == 2) axis.weights = with_low_bytes(axis);
    axis.bytes = bytes;
    return axis;
}

Lanes spread(const Axis& axis, int stride) {
    const int targets = static_cast<int>(axis.first.size());
    Lanes lanes;
    lanes.targets = (targets + 7) / 8 * 8;
    lanes.lanes = ((axis.taps - 1) * stride + axis.bytes + kLaneStep - 1) / kLaneStep * kLaneStep;
    lanes.first.assign(static_cast<std::size_t>(lanes.targets), 0);
    lanes.weights.assign(static_cast<std::size_t>(lanes.targets) * static_cast<std::size_t>(lanes.lanes), 0);
    for (int target = 0; target < targets; ++target) {
        lanes.first[static_cast<std::size_t>(target)] = axis.first[static_cast<std::size_t>(target)] * stride;
        for (int tap = 0; tap < axis.taps; ++tap)
            for (int byte = 0; byte < axis.bytes; ++byte)
                lanes.weights[static_cast<std::size_t>(target * lanes.lanes + tap * stride + byte)] =
                    axis.weights[static_cast<std::size_t>((target * axis.taps + tap) * axis.bytes + byte)];
    }
    return lanes;
}

}  // namespace dpiqa::core
