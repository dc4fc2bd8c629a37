// Models of several shapes: each frame gets its own, whichever thread brings it.
#if DPIQA_HAS_OPENVINO
#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <thread>

#include "dpiqa/dpiqa.hpp"
#include "golden.hpp"

namespace {

dpiqa::Options exact(int requests) {
    dpiqa::Options options{};
    options.force_float32 = 1;
    options.threads = 1;
    options.requests = requests;
    return options;
}

// Noise with something to see.
std::vector<std::uint8_t> picture(int height, int width) {
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(3 * height * width));
    std::uint32_t state = 1;
    for (auto& value : pixels) value = static_cast<std::uint8_t>((state = state * 1664525U + 1013904223U) >> 25U);
    return pixels;
}

struct Picture {
    int height, width;
    std::vector<std::uint8_t> pixels = picture(height, width);

    dpiqa::Frame frame() const {
        return dpiqa::make_frame(DPIQA_BGR, DPIQA_COLOUR_NONE, width, height, pixels.data(), pixels.size());
    }
};

}  // namespace

TEST_CASE("the map has the frame's shape, and the model tells how large it gets") {
    dpiqa::Scorer scorer(data_path("tiny-shapes.onnx"), exact(1));
    CHECK(scorer.info().width == 64);
    CHECK(scorer.info().map_width == 16);
    CHECK(scorer.info().map_height == 16);
    const std::vector<std::array<int, 4>> cases{{100, 100, 16, 16}, {90, 180, 8, 16}, {180, 90, 16, 8}, {300, 100, 16, 8}, {100, 110, 16, 16}};
    for (const auto& [height, width, rows, columns] : cases) {
        const Picture large{height, width};
        const dpiqa::Reading reading = scorer.score(large.frame());
        CHECK(reading.map_height == rows);
        CHECK(reading.map_width == columns);
        CHECK(reading.map.size() == static_cast<std::size_t>(rows * columns));
    }
}

TEST_CASE("square frames score as in the file of one shape, to the bit") {
    dpiqa::Scorer shaped(data_path("tiny-shapes.onnx"), exact(1)), square(data_path("tiny.onnx"), exact(1));
    for (const int side : {64, 100, 300}) {
        const Picture one{side, side};
        const dpiqa::Reading ours = shaped.score(one.frame()), theirs = square.score(one.frame());
        CHECK(ours.score == theirs.score);
        CHECK(ours.map == theirs.map);
    }
}

TEST_CASE("threads that bring frames of all shapes at once get the scores of one thread") {
    const std::vector<Picture> pictures{{100, 100}, {90, 180}, {180, 90}, {64, 65}, {64, 128}};
    std::vector<float> expected;
    dpiqa::Scorer alone(data_path("tiny-shapes.onnx"), exact(1)), shared(data_path("tiny-shapes.onnx"), exact(3));
    for (const Picture& one : pictures) expected.push_back(alone.score(one.frame()).score);
    std::vector<std::thread> threads;
    std::vector<int> wrong(6, 0);
    for (std::size_t i = 0; i < wrong.size(); ++i)
        threads.emplace_back([&, i] {
            std::vector<dpiqa::Frame> frames;
            for (std::size_t k = 0; k < pictures.size(); ++k) frames.push_back(pictures[(i + k) % pictures.size()].frame());
            const std::vector<dpiqa::Reading> readings = shared.score(frames);
            for (std::size_t k = 0; k < pictures.size(); ++k)
                wrong[i] += readings[k].score != expected[(i + k) % pictures.size()];
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == std::vector<int>(6, 0));
}

TEST_CASE("a file that is replaced while it is open is not read as the one that was opened") {
    const std::string copy = "tiny-shapes-copy.onnx";
    std::ofstream(copy, std::ios::binary) << read_file(data_path("tiny-shapes.onnx"));
    dpiqa::Scorer scorer(copy, exact(1));
    std::ofstream(copy, std::ios::binary) << read_file(data_path("tiny-int8.onnx"));
    const Picture square{64, 64}, wide{64, 128};
    CHECK_NOTHROW(scorer.score(square.frame()));
    CHECK_THROWS_WITH_AS(scorer.score(wide.frame()), doctest::Contains("was replaced while it was open, open it again"), dpiqa::Error);
    CHECK_NOTHROW(scorer.score(square.frame()));
    std::remove(copy.c_str());
}
#endif
