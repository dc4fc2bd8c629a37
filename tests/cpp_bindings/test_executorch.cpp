// The engine "executorch": the scores of the others, from a file and from memory.
#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <numeric>
#include <thread>

#include "dpiqa/dpiqa.hpp"
#include "golden.hpp"

#if DPIQA_HAS_EXECUTORCH
namespace {

void check_golden(dpiqa_scorer* scorer, const Golden& golden) {
    const dpiqa_frame frame = golden.frame();
    float causes[2], map[256];
    dpiqa_reading reading{};
    reading.causes = causes;
    reading.map = map;
    REQUIRE(dpiqa_score(scorer, &frame, 1, &reading) == DPIQA_OK);
    CHECK(std::abs(reading.score - golden.fp32.score) <= 0.1F);
    CHECK(std::abs(causes[0] - golden.fp32.causes[0]) <= 0.001F);
    CHECK(std::abs(causes[1] - golden.fp32.causes[1]) <= 0.001F);
    CHECK(std::abs(std::accumulate(map, map + 256, 0.0F) / 256 - golden.fp32.map_mean) <= 0.1F);
}

// A model as a camera has it in flash.
struct Flash {
    explicit Flash(const std::string& name) {
        const std::string bytes = read_file(data_path(name));
        size = bytes.size();
        data.resize(size / sizeof(std::max_align_t) + 1);
        std::memcpy(data.data(), bytes.data(), size);
    }
    std::vector<std::max_align_t> data;
    std::size_t size = 0;
};

}  // namespace

TEST_CASE("a program scores the golden frames as ONNX Runtime does") {
    dpiqa::Options options{};
    options.threads = 1;
    dpiqa::Scorer scorer(data_path("tiny.pte"), options);
    CHECK(std::string(scorer.info().engine) == "executorch");
    CHECK(scorer.info().map_width == 16);
    dpiqa_scorer* handle = nullptr;
    REQUIRE(dpiqa_open(data_path("tiny.pte").c_str(), &options, &handle) == DPIQA_OK);
    for (const Golden& golden : golden_vectors()) check_golden(handle, golden);
    dpiqa_close(handle);
}

TEST_CASE("a program in memory scores as its file does, and is refused where it cannot be") {
    const Flash flash("tiny.pte");
    dpiqa_scorer* handle = nullptr;
    REQUIRE(dpiqa_open_memory(flash.data.data(), flash.size, "flash", nullptr, &handle) == DPIQA_OK);
    check_golden(handle, golden_vectors()[0]);
    dpiqa_close(handle);
    const auto refuse = [&](const void* data, std::size_t size, const char* name, const char* engine, const char* part) {
        dpiqa_options options{};
        options.engine = engine;
        CHECK(dpiqa_open_memory(data, size, name, &options, &handle) < 0);
        CHECK(handle == nullptr);
        CHECK(std::string(dpiqa_last_error()).find(part) != std::string::npos);
    };
    const auto* bytes = reinterpret_cast<const char*>(flash.data.data());
    refuse(nullptr, 1, "flash", nullptr, "'data' is a null pointer");
    refuse(bytes, flash.size, nullptr, nullptr, "'name' is a null pointer");
    refuse(bytes + 1, flash.size - 1, "flash", nullptr, "flash: a model in memory must begin at");
    refuse(bytes, flash.size - 1, "flash", nullptr, "flash: not an ExecuTorch program with a contract");
    refuse(bytes, flash.size, "flash", "openvino", "only the engine 'executorch' opens a model in memory");
    const Flash onnx("tiny.onnx");
    refuse(onnx.data.data(), onnx.size, "flash", nullptr, "not an ExecuTorch program");
}

TEST_CASE("eight threads score through one program, with one request and with three") {
    golden_vectors();
    for (const int requests : {1, 3}) {
        dpiqa::Options options{};
        options.requests = requests;
        dpiqa::Scorer scorer(data_path("tiny.pte"), options);
        std::atomic<int> wrong{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; ++i)
            threads.emplace_back([&] {
                for (const Golden& golden : golden_vectors())
                    wrong += std::abs(scorer.score(golden.frame()).score - golden.fp32.score) > 0.1F;
            });
        for (auto& thread : threads) thread.join();
        CHECK(wrong == 0);
    }
}
#else
TEST_CASE("a program is refused by a library without ExecuTorch") {
    dpiqa_scorer* handle = nullptr;
    CHECK(dpiqa_open(data_path("tiny.pte").c_str(), nullptr, &handle) == DPIQA_ERROR_ENGINE);
    CHECK(std::string(dpiqa_last_error()).find("was built without ExecuTorch") != std::string::npos);
}
#endif
