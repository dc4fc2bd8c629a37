#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "dpiqa/dpiqa.hpp"
#include "golden.hpp"

namespace {

using dpiqa::Meter;
using dpiqa::Signals;
using Level = std::function<int(int x, int y)>;

struct Gray {
    Gray(int w, int h, const Level& level) : width(w), height(h), pixels(static_cast<std::size_t>(w * h)) {
        for (int y = 0; y < h; ++y)
            for (int x = 0; x < w; ++x) pixels[static_cast<std::size_t>(y * w + x)] = static_cast<std::uint8_t>(level(x, y));
    }
    dpiqa::Frame frame() const {
        return dpiqa::make_frame(DPIQA_GRAY, DPIQA_COLOUR_NONE, width, height, pixels.data(), pixels.size());
    }
    int width, height;
    std::vector<std::uint8_t> pixels;
};

Signals measure(const Gray& gray) { return Meter().measure(gray.frame()); }

Level noisy(double deviation) {
    return [deviation, generator = std::mt19937(1)](int, int) mutable {
        return std::lround(std::normal_distribution<double>(128, deviation)(generator));
    };
}

}  // namespace

TEST_CASE("a flat frame has its brightness and nothing else") {
    const Signals grey = measure({640, 360, [](int, int) { return 51; }});
    CHECK(grey.brightness == doctest::Approx(0.2));
    for (const float value : {grey.focus, grey.clipped_low, grey.clipped_high, grey.contrast, grey.noise, grey.blockiness})
        CHECK(value == 0);
    CHECK(measure({64, 64, [](int, int) { return 5; }}).clipped_low == 1);
    CHECK(measure({64, 64, [](int, int) { return 6; }}).clipped_low == 0);
    CHECK(measure({64, 64, [](int, int) { return 250; }}).clipped_high == 1);
    CHECK(measure({64, 64, [](int, int) { return 249; }}).clipped_high == 0);
}

TEST_CASE("noise is estimated in units of full scale") {
    for (const double deviation : {2.0, 5.0, 15.0})
        CHECK(measure({400, 300, noisy(deviation)}).noise == doctest::Approx(deviation / 255).epsilon(0.05));
}

TEST_CASE("contrast leaves out the outer twentieths") {
    const Signals ramp = measure({256, 100, [](int x, int) { return x; }});
    CHECK(ramp.contrast == doctest::Approx(0.9).epsilon(0.01));
    CHECK(measure({100, 100, [](int x, int y) { return x == 7 && y == 9 ? 255 : 100; }}).contrast == 0);
}

TEST_CASE("focus sees blur, and no change of exposure") {
    const auto wave = [](double period, double gain) {
        return [=](int x, int y) { return static_cast<int>(gain * (128 + 100 * std::sin(x / period) * std::sin(y / period))); };
    };
    const float sharp = measure({400, 300, wave(1.5, 1)}).focus, soft = measure({400, 300, wave(6, 1)}).focus;
    CHECK(soft < 0.2F * sharp);
    CHECK(measure({400, 300, wave(1.5, 0.5)}).focus == doctest::Approx(sharp).epsilon(0.05));
}

TEST_CASE("blockiness sees the codec's grid wherever the crop lies, and no other grid") {
    const auto blocks = [](int side) { return [side](int x, int y) { return (x / side * 37 + y / side * 91) % 64 + 90; }; };
    for (const int width : {64, 648, 1924})
        CHECK(measure({width, 1080, blocks(8)}).blockiness > 0.9F);
    CHECK(measure({1924, 1080, blocks(7)}).blockiness < 0.1F);
    CHECK(measure({1924, 1080, noisy(10)}).blockiness < 0.05F);
}

TEST_CASE("the difference is that to the frame before, of equal size") {
    const Gray dark(640, 480, [](int, int) { return 100; }), light(640, 480, [](int, int) { return 151; });
    const Gray turned(480, 640, [](int, int) { return 100; });
    Meter meter;
    CHECK(meter.measure(dark.frame()).difference == -1);
    CHECK(meter.measure(light.frame()).difference == doctest::Approx(0.2));
    CHECK(meter.measure(light.frame()).difference == 0);
    CHECK(meter.measure(turned.frame()).difference == -1);
    CHECK(meter.measure(turned.frame()).difference == 0);
}

TEST_CASE("every format and shape is measured, and of one picture they tell the same") {
    for (const Golden& golden : golden_vectors()) {
        const Signals signals = Meter().measure(golden.frame());
        for (const float value : {signals.brightness, signals.clipped_low, signals.clipped_high, signals.contrast, signals.noise,
                                  signals.blockiness}) {
            CHECK(value >= 0);
            CHECK(value <= 1);
        }
    }
    const int width = 800, height = 600, count = width * height;
    const Gray gray(width, height, [](int x, int y) { return 60 + (x / 8 * 31 + y / 8 * 17) % 90; });
    std::vector<std::uint8_t> i420(gray.pixels);
    i420.resize(static_cast<std::size_t>(count) * 3 / 2, 128);
    std::vector<std::uint8_t> bgr, rgba, yuyv, uyvy, p010;
    for (const std::uint8_t level : gray.pixels) {
        bgr.insert(bgr.end(), 3, level);
        rgba.insert(rgba.end(), {level, level, level, 0});
        yuyv.insert(yuyv.end(), {level, 128});
        uyvy.insert(uyvy.end(), {128, level});
    }
    for (const std::uint8_t level : i420) p010.insert(p010.end(), {0, level});
    const Signals expected = measure(gray);
    const auto check = [&](dpiqa_format format, dpiqa_colour colour, const std::vector<std::uint8_t>& pixels) {
        CAPTURE(format);
        const Signals found = Meter().measure(dpiqa::make_frame(format, colour, width, height, pixels.data(), pixels.size()));
        CHECK(found.focus == doctest::Approx(expected.focus).epsilon(0.01));
        CHECK(found.contrast == doctest::Approx(expected.contrast).epsilon(0.01));
        CHECK(found.blockiness == doctest::Approx(expected.blockiness).epsilon(0.01));
    };
    check(DPIQA_BGR, DPIQA_COLOUR_NONE, bgr);
    check(DPIQA_I420, DPIQA_BT601_FULL, i420);
    check(DPIQA_NV12, DPIQA_BT709_FULL, i420);
    check(DPIQA_YUYV, DPIQA_BT601_FULL, yuyv);
    check(DPIQA_UYVY, DPIQA_BT601_FULL, uyvy);
    check(DPIQA_RGBA, DPIQA_COLOUR_NONE, rgba);
    check(DPIQA_P010, DPIQA_BT601_FULL, p010);
    for (const auto& [w, h] : {std::pair{32, 32}, {16384, 32}, {33, 4000}, {481, 35}})
        CHECK(measure({w, h, [](int, int) { return 128; }}).brightness == doctest::Approx(128.0 / 255));
}

TEST_CASE("what cannot be measured is refused") {
    dpiqa_meter* meter = nullptr;
    dpiqa_signals signals;
    CHECK(dpiqa_meter_open(nullptr) == DPIQA_ERROR_INPUT);
    REQUIRE(dpiqa_meter_open(&meter) == DPIQA_OK);
    dpiqa_frame frame = golden_vectors()[0].frame();
    CHECK(dpiqa_measure(nullptr, &frame, &signals) == DPIQA_ERROR_INPUT);
    CHECK(dpiqa_measure(meter, nullptr, &signals) == DPIQA_ERROR_INPUT);
    CHECK(dpiqa_measure(meter, &frame, nullptr) == DPIQA_ERROR_INPUT);
    frame.memory = DPIQA_DEVICE;
    CHECK(dpiqa_measure(meter, &frame, &signals) == DPIQA_ERROR_INPUT);
    frame.memory = DPIQA_HOST;
    frame.planes[0].pitch = 1;
    CHECK(dpiqa_measure(meter, &frame, &signals) == DPIQA_ERROR_INPUT);
    frame = golden_vectors()[0].frame();
    CHECK(dpiqa_measure(meter, &frame, &signals) == DPIQA_OK);
    dpiqa_meter_close(meter);
    dpiqa_meter_close(nullptr);
}
