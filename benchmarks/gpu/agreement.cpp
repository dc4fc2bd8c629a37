// The GPU's pixels against the golden vectors, and against the CPU's for random frames.
#include <algorithm>
#include <cstdlib>

#include "frame.hpp"
#include "report.hpp"
#include "runner.hpp"
#include "sections.hpp"

using namespace dpiqa::core;

namespace {

constexpr int kFormats[] = {DPIQA_BGR,  DPIQA_RGB,  DPIQA_GRAY, DPIQA_NV12, DPIQA_I420,
                            DPIQA_YUYV, DPIQA_UYVY, DPIQA_RGBA, DPIQA_P010};

struct Difference {
    std::size_t samples = 0, unequal = 0, far = 0;  // `far`: more than one level apart
    int worst = 0;

    void add(const Bytes& found, const Bytes& expected) {
        if (found.size() != expected.size()) std::abort();
        for (std::size_t i = 0; i < found.size(); ++i) {
            const int apart = std::abs(found[i] - expected[i]);
            worst = std::max(worst, apart);
            unequal += apart > 0;
            far += apart > 1;
        }
        samples += found.size();
    }
    bool within(int most) const { return worst <= most && far * 1000 <= samples; }
};

bool report(const char* section, int format, int cases, const Difference& found, bool passed) {
    Line(section)
        .text("format", format_name(format))
        .number("cases", cases)
        .number("samples", found.samples)
        .number("worst_levels", found.worst)
        .number("unequal_samples", found.unequal)
        .number("samples_beyond_1_level", found.far)
        .passed(passed);
    return passed;
}

struct Size {
    int width, height;
};

std::vector<Size> sizes(int format, bool quick) {
    std::vector<Size> all = {{64, 64}, {98, 66}, {320, 240}};
    if (!quick) all.insert(all.end(), {{640, 480}, {1280, 720}, {1080, 1920}, {1920, 1080}, {3840, 2160}});
    if (!is_yuv(format)) all.push_back({101, 67});
    if (!is_yuv(format) && !quick) all.push_back({1919, 1079});
    return all;
}

}  // namespace

bool check_golden() {
    bool ok = true;
    for (const int format : kFormats) {
        Difference to_golden, to_cpu;
        int cases = 0;
        for (const Golden& golden : golden_vectors()) {
            if (golden.format != format) continue;
            const Picture picture = from_golden(golden);
            Runner runner(golden.model_width, golden.model_height);
            for (const Memory memory : kMemories) {
                const Placed placed(picture, memory, 0);
                runner.start(placed.frame());
                const Bytes& rgb = runner.wait();
                to_golden.add(rgb, golden.rgb);
                to_cpu.add(rgb, on_cpu(picture, golden.model_width, golden.model_height));
                ++cases;
            }
        }
        // As in the CPU's own test: OpenCV clips out-of-gamut YUV before it averages, we after.
        ok &= report("golden", format, cases, to_golden, cases > 0 && to_golden.within(is_yuv(format) ? 4 : 1));
        ok &= report("golden_cpu", format, cases, to_cpu, to_cpu.within(1));
    }
    return ok;
}

bool check_random(bool quick) {
    constexpr Size kTargets[] = {{384, 384}, {225, 232}};
    bool ok = true;
    unsigned seed = 0;
    for (const int format : kFormats) {
        Difference found;
        int cases = 0;
        for (const Size& target : kTargets) {
            Runner runner(target.width, target.height);
            for (const Size& size : sizes(format, quick)) {
                ++seed;
                const int colour = static_cast<int>(seed % 4) + DPIQA_BT601_LIMITED;
                const Picture picture = random_picture(format, colour, size.width, size.height, seed);
                const Bytes expected = on_cpu(picture, target.width, target.height);
                for (const Memory memory : kMemories) {
                    const Placed placed(picture, memory, seed % 3 * 13);
                    runner.start(placed.frame());
                    found.add(runner.wait(), expected);
                    ++cases;
                }
            }
        }
        ok &= report("random", format, cases, found, found.within(1));
    }
    return ok;
}
