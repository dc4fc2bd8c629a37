#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <utility>

#include "axis.hpp"

using namespace dpiqa::core;

TEST_CASE("every target's weights sum to one and stay inside the source") {
    for (const int subsampling : {1, 2})
        for (const int from : {32, 34, 64, 100, 1080, 1920, 4096, 16384})
            for (const int to : {32, 33, 64, 224, 384, 1000}) {
                const Axis axis = make_axis(from, to, subsampling);
                REQUIRE(axis.first.size() == static_cast<std::size_t>(to));
                for (int target = 0; target < to; ++target) {
                    const auto* weights = &axis.weights[static_cast<std::size_t>(target * axis.taps)];
                    const int sum = std::accumulate(weights, weights + axis.taps, 0);
                    const int first = axis.first[static_cast<std::size_t>(target)];
                    REQUIRE(sum >= 32767);
                    REQUIRE(sum <= 32768);
                    REQUIRE(first >= 0);
                    REQUIRE(first + axis.taps <= from / subsampling);
                }
            }
}

TEST_CASE("shrinking by two averages pairs, growing by two has half-pixel centres") {
    const Axis half = make_axis(64, 32, 1);
    CHECK(half.taps == 2);
    CHECK(half.first[5] == 10);
    CHECK(half.weights[10] == 16384);
    const Axis twice = make_axis(32, 64, 1);
    CHECK(twice.first[1] == 0);
    CHECK(twice.weights[2] == 24576);  // pixel 1 of the target has its centre at 0.25
    CHECK(twice.weights[3] == 8192);
    CHECK(twice.weights[0] == 32767);  // the border is repeated
}

TEST_CASE("spread puts a weight on every stride-th sample and nothing between") {
    const Axis axis = make_axis(96, 33, 1);
    const Lanes lanes = spread(axis, 3);
    CHECK(lanes.targets == 40);
    CHECK(lanes.lanes % 16 == 0);
    for (int target = 0; target < 33; ++target)
        for (int lane = 0; lane < lanes.lanes; ++lane) {
            const bool is_tap = lane % 3 == 0 && lane / 3 < axis.taps;
            const int expected = is_tap ? axis.weights[static_cast<std::size_t>(target * axis.taps + lane / 3)] : 0;
            REQUIRE(lanes.weights[static_cast<std::size_t>(target * lanes.lanes + lane)] == expected);
        }
}

TEST_CASE("a sample of two bytes has a weight for each, the low one a 256th of the other") {
    for (const auto& [from, to] : {std::pair{1920, 384}, {64, 64}, {40, 225}}) {
        const Axis one = make_axis(from, to, 1), two = make_axis(from, to, 1, 2);
        const Lanes lanes = spread(two, 4);
        for (int target = 0; target < to; ++target) {
            int low_total = 0;
            for (int tap = 0; tap < one.taps; ++tap) {
                const auto sample = static_cast<std::size_t>(target * one.taps + tap);
                const int low = two.weights[2 * sample], high = two.weights[2 * sample + 1];
                REQUIRE(high == one.weights[sample]);
                REQUIRE(std::abs(low - high / 256.0) <= 1.5);
                low_total += low;
                const auto lane = static_cast<std::size_t>(target * lanes.lanes + 4 * tap);
                REQUIRE(lanes.weights[lane] == low);
                REQUIRE(lanes.weights[lane + 1] == high);
            }
            REQUIRE(low_total == 127);
        }
    }
}
