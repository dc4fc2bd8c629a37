// The twin of native.py without Python: milliseconds of each stage, median / 99th percentile.
//   dpiqa_benchmark FP32.onnx INT8.onnx [ROUNDS]
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "dpiqa/dpiqa.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Size {
    const char* name;
    int width, height;
};

struct Case {
    std::string name;
    std::unique_ptr<dpiqa::Scorer> scorer;  // its own, which remembers the size of its frames
    dpiqa::Frame frame;
    std::array<std::vector<float>, 3> stages;  // preprocess, infer, total
};

float percentile(std::vector<float> values, double share) {
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

// Smooth enough to be a picture, the same on every machine.
std::vector<std::uint8_t> pixels(const Size& size) {
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height) * 3);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(40 + (i * 7 % 32 + i / 20000) % 160);
    return bytes;
}

void run(Case& one, bool is_warm) {
    dpiqa_reading reading{};
    const auto began = Clock::now();
    one.scorer->score_into(&one.frame, 1, &reading);
    const auto total = std::chrono::duration<float, std::milli>(Clock::now() - began).count();
    if (!is_warm) return;
    one.stages[0].push_back(reading.preprocess_ms);
    one.stages[1].push_back(reading.infer_ms);
    one.stages[2].push_back(total);
}

void measure(const char* fp32, const char* int8, int threads, int rounds) {
    constexpr std::array<Size, 2> kSizes{{{"1080p", 1920, 1080}, {"4K", 3840, 2160}}};
    std::vector<std::vector<std::uint8_t>> held;
    std::vector<Case> cases;
    for (const auto& [precision, path] : {std::pair{"fp32", fp32}, std::pair{"int8", int8}}) {
        const dpiqa::Options options{sizeof(dpiqa::Options), nullptr, threads, 1, 0, 1, 0, 0, nullptr};
        for (const Size& size : kSizes) {
            held.push_back(pixels(size));
            const auto& bytes = held.back();
            for (const auto format : {DPIQA_NV12, DPIQA_BGR}) {
                const bool is_yuv = format == DPIQA_NV12;
                const std::string name = std::string(size.name) + (is_yuv ? " nv12 " : " bgr  ") + precision;
                cases.push_back({name, std::make_unique<dpiqa::Scorer>(path, options),
                                 dpiqa::make_frame(format, is_yuv ? DPIQA_BT601_LIMITED : DPIQA_COLOUR_NONE, size.width,
                                                   size.height, bytes.data(), bytes.size()),
                                 {}});
            }
        }
    }
    for (int round = -3; round < rounds; ++round)
        for (Case& one : cases) run(one, round >= 0);
    for (const Case& one : cases) {
        std::printf("%-15s %d thread(s)", one.name.c_str(), threads);
        for (const auto& stage : one.stages) std::printf("  %7.2f / %7.2f", percentile(stage, 0.5), percentile(stage, 0.99));
        std::printf("  %6.1f fps\n", 1000 / percentile(one.stages[2], 0.5));
    }
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 3 ? std::atoi(argv[3]) : 100;
    if (argc < 3 || rounds < 1) {
        std::fprintf(stderr, "usage: dpiqa_benchmark FP32.onnx INT8.onnx [ROUNDS]\n");
        return 2;
    }
    std::printf("%-29s  %17s  %17s  %17s\n", "ms, median / p99", "preprocess", "infer", "total");
    try {
        for (const int threads : {1, 2}) measure(argv[1], argv[2], threads, rounds);
    } catch (const dpiqa::Error& error) {
        std::fprintf(stderr, "dpiqa_benchmark: %s\n", error.what());
        return 2;
    }
    return 0;
}
