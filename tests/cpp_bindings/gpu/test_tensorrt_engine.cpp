// What the engine `tensorrt` decides, on the fake TensorRT of each generation.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <mutex>

#include "engine_file.hpp"
#include "golden.hpp"

using fake::Generation;
using fake::PlanText;
using fake::Setting;
using nlohmann::json;

namespace {

std::vector<dpiqa_frame> golden_frames() {
    std::vector<dpiqa_frame> frames;
    for (const Golden& golden : golden_vectors()) frames.push_back(golden.frame());
    return frames;
}

std::vector<Readings> expected_of(const std::vector<dpiqa_frame>& frames) {
    std::vector<Readings> readings;
    for (const dpiqa_frame& frame : frames) readings.push_back(expected(frame));
    return readings;
}

Setting setting_of(Generation generation) {
    Setting setting;
    setting.generation = generation;
    return setting;
}

// The library's warnings while it lives.
class Log {
  public:
    Log() { dpiqa_set_log(&Log::add, this); }
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;
    ~Log() { dpiqa_set_log(nullptr, nullptr); }
    std::string text() {
        const std::lock_guard lock(mutex_);
        return text_;
    }

  private:
    static void add(int level, const char* message, void* self) {
        if (level == DPIQA_LOG_INFO) return;
        auto& log = *static_cast<Log*>(self);
        const std::lock_guard lock(log.mutex_);
        log.text_ += std::string(message) + "\n";
    }
    std::mutex mutex_;
    std::string text_;
};

std::string contents(const std::string& file) {
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

TEST_CASE("every generation scores every golden vector from host, pinned and device memory") {
    const auto frames = golden_frames();
    const auto wanted = expected_of(frames);
    for (const Generation generation : fake::kGenerations) {
        CAPTURE(static_cast<int>(generation));
        const EngineFile file(generation);
        const Setting setting = setting_of(generation);
        const Opened opened(file.files().engine, setting);
        REQUIRE_MESSAGE(opened, opened.error());
        for (std::size_t i = 0; i < frames.size(); ++i) {
            CHECK(opened.scores({frames[i]}, {wanted[i]}));
            CHECK(opened.scores({pinned(frames[i]).frame}, {wanted[i]}));
            CHECK(opened.scores({on_device(frames[i]).frame}, {wanted[i]}));
        }
        CHECK(opened.scores(frames, wanted));
        CHECK(setting.counts->misuses == 0);
    }
}

TEST_CASE("TensorRT 8.6 gives a profile to one context only, and the engine heeds it") {
    const auto frames = golden_frames();
    const auto wanted = expected_of(frames);
    const int contexts = 2 * 3;  // two lanes, batches of 1, 2 and 4
    const auto loads = [&](const EngineFile::Change& change, Generation generation) {
        const EngineFile file(generation, change);
        const Setting setting = setting_of(generation);
        const Opened opened(file.files().engine, setting);
        REQUIRE_MESSAGE(opened, opened.error());
        CHECK(opened.scores(frames, wanted));
        CHECK(setting.counts->contexts == contexts);
        return setting.counts->loads.load();
    };
    CHECK(loads({}, Generation::kTensorRt86) == contexts);  // an engine a context
    CHECK(loads([](PlanText& plan, json&) { plan.profiles = 3; }, Generation::kTensorRt86) == 2);
    const auto shared = [](PlanText& plan, json& manifest) {
        plan.shares_profiles = true;
        manifest["profile_sharing"] = true;
    };
    CHECK(loads(shared, Generation::kTensorRt86) == 1);
    for (const Generation later : {Generation::kTensorRt10, Generation::kTensorRt11, Generation::kRtx17}) CHECK(loads({}, later) == 1);

    // A manifest that promises sharing for an engine that was built without: one sentence.
    const EngineFile file(Generation::kTensorRt86, [](PlanText&, json& manifest) { manifest["profile_sharing"] = true; });
    const Opened opened(file.files().engine, setting_of(Generation::kTensorRt86));
    CHECK(opened.error() == file.files().engine + ": TensorRT refuses profile 0 of the engine, the log says why");
}

TEST_CASE("graphs are recorded by hand, but for TensorRT-RTX and engines that cannot be") {
    const auto frames = golden_frames();
    const auto wanted = expected_of(frames);
    const auto enqueues = [&](Generation generation, bool is_recordable, const char* warning) {
        const EngineFile file(generation, [=](PlanText& plan, json&) { plan.is_recordable = is_recordable; });
        const Setting setting = setting_of(generation);
        Log log;
        const Opened opened(file.files().engine, setting);
        REQUIRE_MESSAGE(opened, opened.error());
        const int before = setting.counts->enqueues;
        for (int i = 0; i < 3; ++i) CHECK(opened.scores({frames[0]}, {wanted[0]}));
        if (*warning == '\0')
            CHECK(log.text().empty());
        else
            CHECK(log.text().find(warning) != std::string::npos);
        return setting.counts->enqueues - before;
    };
    for (const Generation generation : {Generation::kTensorRt86, Generation::kTensorRt10, Generation::kTensorRt11}) {
        CHECK(enqueues(generation, true, "") == 0);
        CHECK(enqueues(generation, false, "batches of 4 run without a CUDA graph") == 3);
    }
    CHECK(enqueues(Generation::kRtx17, true, "") == 3);
}

TEST_CASE("the kernels that TensorRT-RTX compiles are kept beside the engine") {
    const EngineFile file(Generation::kRtx17);
    const auto compiled = [&file] {
        const Setting setting = setting_of(Generation::kRtx17);
        const Opened opened(file.files().engine, setting);
        REQUIRE_MESSAGE(opened, opened.error());
        return setting.counts->compiled.load();
    };
    CHECK(compiled() == 3);
    CHECK(contents(file.files().kernels) == "kernels-1.7 1 2 4");
    CHECK(compiled() == 0);
    std::ofstream(file.files().kernels) << "kernels-1.6 1 2 4";
    CHECK(compiled() == 3);
    CHECK(contents(file.files().kernels) == "kernels-1.7 1 2 4");
    std::filesystem::remove(file.files().kernels);
    std::filesystem::create_directory(file.files().kernels);
    Log log;
    CHECK(compiled() == 3);
    CHECK(log.text() == file.files().kernels + ": cannot be written, kernels are compiled anew at each start\n");
    CHECK(std::distance(std::filesystem::directory_iterator(std::filesystem::path(file.files().engine).parent_path()), {}) == 3);
}

TEST_CASE("the frames of one call run in batches") {
    const auto frames = golden_frames();
    const auto wanted = expected_of(frames);
    for (const Generation generation : fake::kGenerations) {
        const EngineFile file(generation, [](PlanText& plan, json&) {
            plan.largest = 8;
            plan.is_recordable = false;  // so that the fake counts every run
        });
        const Setting setting = setting_of(generation);
        const Opened opened(file.files().engine, setting);
        REQUIRE_MESSAGE(opened, opened.error());
        const int before[3] = {setting.counts->by_size[8], setting.counts->by_size[4], setting.counts->by_size[1]};
        std::vector<dpiqa_frame> eleven;
        std::vector<Readings> scores;
        for (std::size_t i = 0; i < 11; ++i) {
            eleven.push_back(frames[i % frames.size()]);
            scores.push_back(expected(eleven.back()));
        }
        CHECK(opened.scores(eleven, scores));
        CHECK(setting.counts->by_size[8] - before[0] == 1);
        CHECK(setting.counts->by_size[4] - before[1] == 1);  // the other three, padded
        CHECK(setting.counts->by_size[1] == before[2]);
    }
}

TEST_CASE("an engine whose smallest batch is larger than one is padded") {
    const EngineFile file(Generation::kTensorRt11, [](PlanText& plan, json&) { plan.smallest = plan.largest = 3; });
    const Opened opened(file.files().engine, setting_of(Generation::kTensorRt11));
    REQUIRE_MESSAGE(opened, opened.error());
    const auto frames = golden_frames();
    CHECK(opened.scores({frames[1]}, {expected(frames[1])}));
    CHECK(opened.scores({frames[0], frames[1], frames[2], frames[3]},
                        {expected(frames[0]), expected(frames[1]), expected(frames[2]), expected(frames[3])}));
}

TEST_CASE("the number of requests and the wait are the user's") {
    const EngineFile file(Generation::kTensorRt10);
    const auto requests = [&file](dpiqa_options options) {
        const Opened opened(file.files().engine, setting_of(Generation::kTensorRt10), options);
        if (!opened) return -1;
        dpiqa_info info;
        REQUIRE(dpiqa_describe(opened.get(), &info) == DPIQA_OK);
        CHECK(info.map_width == 4);
        CHECK(std::string(info.engine) == "tensorrt");
        return static_cast<int>(info.requests);
    };
    CHECK(requests({}) == 8);  // two lanes of four
    dpiqa_options options{};
    options.requests = 1;
    CHECK(requests(options) == 1);
    options.max_wait_ms = -1;
    CHECK(requests(options) == -1);
    CHECK(std::string(dpiqa_last_error()) == "max_wait_ms must be 0 to 1000, found -1");
}
