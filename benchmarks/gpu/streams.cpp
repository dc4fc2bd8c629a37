// Two cameras at once whose frames change their size all the time, while a third stream keeps the copy engine busy.
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>

#include "busy_copy_engine.hpp"
#include "report.hpp"
#include "runner.hpp"
#include "sections.hpp"

using namespace dpiqa::core;

namespace {

constexpr int kSide = 384;

struct Case {
    Placed placed;
    Bytes expected;
};

std::vector<Case> cases(bool quick) {
    struct Kind {
        int format, width, height;
    };
    std::vector<Kind> kinds = {{DPIQA_BGR, 64, 64}, {DPIQA_NV12, 640, 480}, {DPIQA_I420, 98, 66}, {DPIQA_YUYV, 320, 240}};
    if (!quick)
        kinds.insert(kinds.end(), {{DPIQA_NV12, 1920, 1080}, {DPIQA_RGB, 1280, 720}, {DPIQA_GRAY, 3840, 2160}, {DPIQA_I420, 3840, 2160}});
    std::vector<Case> made;
    unsigned seed = 1000;
    for (const Kind& kind : kinds)
        for (const Memory memory : {Memory::kPinned, Memory::kDevice}) {
            const Picture picture = random_picture(kind.format, DPIQA_BT709_LIMITED, kind.width, kind.height, ++seed);
            made.push_back({Placed(picture, memory, 0), on_cpu(picture, kSide, kSide)});
        }
    return made;
}

struct Count {
    std::atomic<int> frames{0}, wrong{0};
};

bool is_before(std::chrono::steady_clock::time_point end) { return std::chrono::steady_clock::now() < end; }

// A thread a camera: `fresh` ones have no tables of the frame before, whose release would wait for the device.
void run_threads(const std::vector<Case>& all, bool fresh, int most, std::chrono::steady_clock::time_point end, Count& count) {
    std::atomic<bool> has_failed{false};
    const auto camera = [&](std::size_t first) noexcept {
        try {
            Runner runner(kSide, kSide);
            for (int i = 0; i < most && is_before(end); ++i) {
                const Case& one = all[(first + static_cast<std::size_t>(i) * 3) % all.size()];
                runner.start(one.placed.frame(), fresh);
                count.wrong += runner.wait() != one.expected;
                ++count.frames;
            }
        } catch (const std::exception& error) {
            Line("camera").text("error", error.what()).passed(false);
            has_failed = true;
        }
    };
    std::thread other(camera, all.size() / 2);
    camera(0);
    other.join();
    count.wrong += has_failed;
}

// One thread that has both streams under way before it waits for either.
void run_interleaved(const std::vector<Case>& all, bool fresh, int most, std::chrono::steady_clock::time_point end, Count& count) {
    Runner runners[2] = {{kSide, kSide}, {kSide, kSide}};
    for (int i = 0; i < most && is_before(end); ++i) {
        const Case* pair[2] = {};
        for (std::size_t n = 0; n < 2; ++n) {
            pair[n] = &all[(static_cast<std::size_t>(i) * 5 + n * 3) % all.size()];
            runners[n].start(pair[n]->placed.frame(), fresh);
        }
        for (std::size_t n = 0; n < 2; ++n) {
            count.wrong += runners[n].wait() != pair[n]->expected;
            ++count.frames;
        }
    }
}

}  // namespace

bool check_streams(bool quick) {
    const std::vector<Case> all = cases(quick);
    const int most = quick ? 8 : 5000;
    bool ok = true;
    for (const bool busy : {false, true})
        for (const bool fresh : {false, true})
            for (const bool threads : {false, true}) {
                std::unique_ptr<BusyCopyEngine> hog;
                if (busy) hog = std::make_unique<BusyCopyEngine>();
                Count count;
                const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(quick ? 30000 : 900);
                (threads ? run_threads : run_interleaved)(all, fresh, most, end, count);
                const bool passed = count.frames > 0 && count.wrong == 0;
                Line("two_streams")
                    .text("driven_by", threads ? "two threads" : "one thread")
                    .text("tables", fresh ? "new preprocessor each frame" : "new size each frame")
                    .text("copy_engine", busy ? "busy" : "idle")
                    .number("frames", count.frames.load())
                    .number("wrong_frames", count.wrong.load())
                    .passed(passed);
                ok &= passed;
            }
    return ok;
}
