#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

#include "frame.hpp"
#include "golden.hpp"
#include "preprocess.hpp"

using namespace dpiqa::core;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes preprocess(const dpiqa_frame& frame, int width, int height, const Kernels& kernels = best_kernels()) {
    Bytes rgb(static_cast<std::size_t>(width * height * 3));
    Preprocessor(width, height, kernels).run(frame, rgb.data());
    return rgb;
}

Bytes noise(std::size_t size, unsigned seed) {
    std::mt19937 generator(seed);
    Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(generator());
    return bytes;
}

std::size_t buffer_size(int format, int width, int height) {
    const FormatShape shape = shape_of(format, width, height);
    std::size_t size = 0;
    for (const PlaneShape& plane : shape.plane) size += plane.row_bytes * plane.rows;
    return size;
}

std::vector<const Kernels*> vector_kernels() {
    std::vector<const Kernels*> kernels;
    if (const Kernels& best = best_kernels(); &best != &portable_kernels()) kernels.push_back(&best);
    return kernels;
}

}  // namespace

TEST_CASE("every format agrees with OpenCV: one level apart at most in 99.9 % of the samples") {
    for (const Golden& golden : golden_vectors()) {
        CAPTURE(golden.format);
        CAPTURE(golden.width);
        CAPTURE(golden.height);
        const Bytes rgb = preprocess(golden.frame(), golden.model_width, golden.model_height);
        REQUIRE(rgb.size() == golden.rgb.size());
        std::size_t far = 0;
        int worst = 0;
        for (std::size_t i = 0; i < rgb.size(); ++i) {
            const int apart = std::abs(rgb[i] - golden.rgb[i]);
            worst = std::max(worst, apart);
            far += apart > 1;
        }
        // OpenCV clips out-of-gamut YUV before it averages, we after: a few samples at the rim may be further apart.
        CHECK(worst <= (is_yuv(golden.format) ? 4 : 1));
        CHECK(far * 1000 <= rgb.size());
    }
}

TEST_CASE("vector kernels give the portable kernels' bits") {
    const int sizes[][2] = {{32, 32}, {34, 66}, {130, 98}, {322, 240}, {1000, 38}, {1920, 64}};
    for (const Kernels* kernels : vector_kernels())
        for (int format = DPIQA_BGR; format <= DPIQA_P010; ++format)
            for (const auto& size : sizes) {
                CAPTURE(format);
                CAPTURE(size[0]);
                const Bytes pixels = noise(buffer_size(format, size[0], size[1]), 1);
                const dpiqa_frame frame =
                    make_frame(format, DPIQA_BT709_LIMITED, size[0], size[1], pixels.data(), pixels.size(), 0);
                for (const int side : {32, 50, 64, 225})
                    REQUIRE(preprocess(frame, side, side + 7, *kernels) == preprocess(frame, side, side + 7, portable_kernels()));
            }
}

TEST_CASE("flat frames stay flat, whatever the size") {
    for (const int value : {0, 1, 77, 254, 255})
        for (const int side : {32, 33, 64, 640, 4000}) {
            const Bytes pixels(static_cast<std::size_t>(side * 64 * 3), static_cast<std::uint8_t>(value));
            const Bytes rgb = preprocess(make_frame(DPIQA_BGR, 0, side, 64, pixels.data(), pixels.size(), 0), 64, 64);
            CHECK(*std::min_element(rgb.begin(), rgb.end()) == value);
            CHECK(*std::max_element(rgb.begin(), rgb.end()) == value);
        }
}

TEST_CASE("an RGB frame at the model's size passes through unchanged") {
    const Bytes pixels = noise(64 * 64 * 3, 2);
    CHECK(preprocess(make_frame(DPIQA_RGB, 0, 64, 64, pixels.data(), pixels.size(), 0), 64, 64) == pixels);
}

TEST_CASE("rows may have gaps, and nothing outside the rows is used") {
    const int width = 70, height = 40;
    for (int format = DPIQA_BGR; format <= DPIQA_P010; ++format) {
        CAPTURE(format);
        const Bytes tight = noise(buffer_size(format, width, height), 3);
        const dpiqa_frame frame = make_frame(format, DPIQA_BT601_FULL, width, height, tight.data(), tight.size(), 0);
        const FormatShape shape = shape_of(format, width, height);
        dpiqa_frame padded = frame;
        std::vector<Bytes> planes;
        for (int i = 0; i < shape.planes; ++i) {
            const std::size_t pitch = shape.plane[i].row_bytes + 13, row_bytes = shape.plane[i].row_bytes;
            Bytes plane = noise(pitch * (shape.plane[i].rows - 1) + row_bytes, 99);
            for (std::size_t row = 0; row < shape.plane[i].rows; ++row)
                std::memcpy(&plane[row * pitch], static_cast<const std::uint8_t*>(frame.planes[i].data) + row * row_bytes, row_bytes);
            planes.push_back(std::move(plane));
            padded.planes[i] = {planes.back().data(), planes.back().size(), pitch};
        }
        CHECK_NOTHROW(check_frame(padded));
        CHECK(preprocess(padded, 48, 32) == preprocess(frame, 48, 32));
    }
}

TEST_CASE("each colour decodes its primaries") {
    struct Case {
        dpiqa_colour colour;
        double red, blue;
        bool limited;
    };
    for (const Case& c : {Case{DPIQA_BT601_LIMITED, 0.299, 0.114, true}, Case{DPIQA_BT601_FULL, 0.299, 0.114, false},
                          Case{DPIQA_BT709_LIMITED, 0.2126, 0.0722, true}, Case{DPIQA_BT709_FULL, 0.2126, 0.0722, false}})
        for (const auto& rgb : {Bytes{230, 30, 40}, Bytes{20, 210, 60}, Bytes{15, 25, 240}, Bytes{128, 128, 128}, Bytes{250, 240, 20}}) {
            CAPTURE(c.colour);
            const double luma = c.red * rgb[0] + (1 - c.red - c.blue) * rgb[1] + c.blue * rgb[2];
            const double u = (rgb[2] - luma) / (2 - 2 * c.blue), v = (rgb[0] - luma) / (2 - 2 * c.red);
            const auto byte = [](double value) { return static_cast<std::uint8_t>(std::lround(value)); };
            const double chroma = c.limited ? 224.0 / 255 : 1;
            Bytes pixels(64 * 96, byte(c.limited ? 16 + luma * 219 / 255 : luma));
            for (std::size_t i = 64 * 64; i < pixels.size(); i += 2) {
                pixels[i] = byte(128 + u * chroma);
                pixels[i + 1] = byte(128 + v * chroma);
            }
            const Bytes out = preprocess(make_frame(DPIQA_NV12, c.colour, 64, 64, pixels.data(), pixels.size(), 0), 32, 32);
            for (std::size_t i = 0; i < 3; ++i) CHECK(std::abs(out[i] - rgb[i]) <= 2);
        }
}

TEST_CASE("ten bits count: of a slow ramp the mean level is that of the ramp, not of its upper bytes") {
    const int side = 256;
    Bytes pixels(static_cast<std::size_t>(side * side * 3), 0);
    double luma = 0;
    for (int i = 0; i < side * side; ++i) {
        const int level = 400 + i % side % 8;  // 100 to 101.75 of 255
        luma += level / 1023.0 * 255 / (side * side);
        pixels[static_cast<std::size_t>(2 * i)] = static_cast<std::uint8_t>(level << 6 & 0xff);
        pixels[static_cast<std::size_t>(2 * i) + 1] = static_cast<std::uint8_t>(level >> 2);
    }
    for (std::size_t i = static_cast<std::size_t>(2 * side * side) + 1; i < pixels.size(); i += 2) pixels[i] = 128;
    const Bytes rgb = preprocess(make_frame(DPIQA_P010, DPIQA_BT709_FULL, side, side, pixels.data(), pixels.size(), 0), 32, 32);
    const int expected = static_cast<int>(std::lround(luma));  // 100.58: the upper bytes alone have 100.5 of 255.75
    for (const std::uint8_t level : rgb) REQUIRE(level == expected);
    const Bytes brightest(pixels.size(), 0xff);  // the sum of all bytes fits
    const Bytes white =
        preprocess(make_frame(DPIQA_P010, DPIQA_BT709_LIMITED, side, side, brightest.data(), brightest.size(), 0), 32, 32);
    CHECK(white == preprocess(make_frame(DPIQA_P010, DPIQA_BT709_LIMITED, side, side, brightest.data(), brightest.size(), 0), 32, 32,
                              portable_kernels()));
    CHECK(white[0] == 255);
}

TEST_CASE("one preprocessor serves changing cameras") {
    Preprocessor preprocessor(64, 64);
    Bytes rgb(64 * 64 * 3);
    for (int round = 0; round < 2; ++round)
        for (const Golden& golden : golden_vectors()) {
            preprocessor.run(golden.frame(), rgb.data());
            REQUIRE(rgb == preprocess(golden.frame(), 64, 64));
        }
}
