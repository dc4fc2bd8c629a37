// What the preprocessing takes on the GPU, the way of host frames to it included.
#include <algorithm>
#include <vector>

#include "report.hpp"
#include "runner.hpp"
#include "sections.hpp"

namespace {

constexpr int kSide = 384, kWarmUps = 20, kRepeats = 300;

void measure(int format, int width, int height) {
    const Picture picture = random_picture(format, DPIQA_BT709_LIMITED, width, height, 7);
    for (const Memory memory : kMemories) {
        const Placed placed(picture, memory, 0);
        Runner runner(kSide, kSide);
        std::vector<float> took;
        for (int i = 0; i < kWarmUps; ++i) runner.milliseconds(placed.frame());
        for (int i = 0; i < kRepeats; ++i) took.push_back(runner.milliseconds(placed.frame()));
        std::sort(took.begin(), took.end());
        Line("latency")
            .text("format", format_name(format))
            .number("width_pixels", width)
            .number("height_pixels", height)
            .text("memory", memory_name(memory))
            .number("repeats", kRepeats)
            .number("p50_ms", took[took.size() / 2])
            .number("p99_ms", took[took.size() * 99 / 100]);
    }
}

}  // namespace

void measure_latency() {
    for (const int format : {DPIQA_BGR, DPIQA_RGB, DPIQA_GRAY, DPIQA_NV12, DPIQA_I420, DPIQA_YUYV, DPIQA_UYVY, DPIQA_RGBA, DPIQA_P010}) measure(format, 1920, 1080);
    for (const int format : {DPIQA_BGR, DPIQA_NV12}) {
        measure(format, 640, 480);
        measure(format, 3840, 2160);
    }
}
