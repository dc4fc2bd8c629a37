// Bad input and failures: one sentence each, and nothing is left behind.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "engine_file.hpp"
#include "golden.hpp"
#include "stub_cuda.hpp"

using fake::Generation;
using fake::PlanText;
using fake::Setting;
using nlohmann::json;

namespace {

constexpr Generation kUsual = Generation::kTensorRt10;

Setting usual() { return {kUsual, false, 0, std::make_shared<fake::Counts>()}; }

std::string refusal(const EngineFile& file, const Setting& setting) {
    const Opened opened(file.files().engine, setting);
    CHECK_FALSE(opened);
    CHECK(opened.error().find('\n') == std::string::npos);
    return opened.error();
}

std::string refusal(const EngineFile::Change& change, const Setting& setting = usual()) {
    const EngineFile file(kUsual, change);
    const std::string text = refusal(file, setting), prefix = file.files().engine;
    CHECK(text.compare(0, prefix.size(), prefix) == 0);
    return text.substr(prefix.size());
}

int score(const Opened& opened, const dpiqa_frame& frame) {
    dpiqa_reading reading{};
    return dpiqa_score(opened.get(), &frame, 1, &reading);
}

}  // namespace

TEST_CASE("an engine that cannot run here is refused with one sentence") {
    const std::string rebuild = "; rebuild it with: dpiqa export trt --int8";
    CHECK(refusal([](PlanText&, json& manifest) { manifest["tensorrt_version"] = "10.9.0"; }) ==
          ": built for tensorrt 10.9.0, found tensorrt 10.16.0" + rebuild);
    CHECK(refusal([](PlanText&, json& manifest) { manifest["flavour"] = "tensorrt-rtx"; }) ==
          ": built for tensorrt-rtx 10.16.0, found tensorrt 10.16.0" + rebuild);
    CHECK(refusal([](PlanText&, json& manifest) { manifest["compute_capabilities"] = {"8.7"}; }) ==
          ": built for compute capability 8.7, found Stub 3060 with 8.6" + rebuild);
    CHECK(refusal([](PlanText& plan, json&) { plan.causes = 3; }) ==
          ": its inputs and outputs are not those of its manifest" + rebuild);
    CHECK(refusal([](PlanText& plan, json&) { plan.width = 32; }) ==
          ": its inputs and outputs are not those of its manifest" + rebuild);
    CHECK(refusal([](PlanText&, json& manifest) { manifest["engine_sha256"] = std::string(64, '0'); }) ==
          ": is not the engine that its manifest describes, but another one or a damaged one" + rebuild);
    CHECK(refusal([](PlanText& plan, json& manifest) {
              plan.largest = 4;
              manifest["profile"] = {{"min", 1}, {"opt", 1}, {"max", 8}};
          }) == ": the engine takes no batch of this size, the log says why");
}

TEST_CASE("a truncated engine, and one that is none") {
    const EngineFile file(kUsual);
    std::filesystem::resize_file(file.files().engine, 10);
    CHECK(refusal(file, usual()).find("is not the engine that its manifest describes") != std::string::npos);
    const EngineFile other(kUsual, [](PlanText&, json& manifest) {
        manifest["engine_sha256"] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    });
    std::ofstream(other.files().engine).close();
    CHECK(refusal(other, usual()) == other.files().engine + ": TensorRT cannot load it, the log says why; rebuild it with: "
                                                            "dpiqa export trt --int8");
    std::filesystem::remove(file.files().manifest);
    CHECK(refusal(file, usual()).find("its manifest " + file.files().manifest + " is missing") != std::string::npos);
}

TEST_CASE("the lean runtime is asked for nothing that ends the process") {
    Setting lean = usual();
    lean.is_lean = true;
    CHECK(refusal([](PlanText&, json&) {}, lean) == ": TensorRT's lean runtime runs version-compatible engines only; rebuild it "
                                                    "with: dpiqa export trt --int8 --version-compatible");
    const auto compatible = [](PlanText& plan, json& manifest) {
        plan.is_version_compatible = true;
        manifest["version_compatible"] = true;
        manifest["tensorrt_version"] = "10.9.0";
    };
    const EngineFile file(kUsual, compatible);
    {
        const Opened opened(file.files().engine, lean);
        REQUIRE_MESSAGE(opened, opened.error());
        const dpiqa_frame frame = golden_vectors()[0].frame();
        CHECK(opened.scores({frame}, {expected(frame)}));
    }
    stub::set_devices(0);
    const std::string text = refusal(file, lean);
    stub::set_devices(1);
    CHECK(text == file.files().engine + ": engine 'tensorrt' needs an NVIDIA GPU with its driver, found none (no CUDA-capable "
                                        "device is detected)");
}

TEST_CASE("frames of another device or in the wrong memory are refused, and the next one is scored") {
    stub::set_devices(2);
    const EngineFile file(kUsual);
    const Opened opened(file.files().engine, usual());
    REQUIRE_MESSAGE(opened, opened.error());
    const dpiqa_frame frame = golden_vectors()[0].frame();
    const auto refused = [&](const dpiqa_frame& bad, const std::string& sentence) {
        CHECK(score(opened, bad) == DPIQA_ERROR_INPUT);
        CHECK(dpiqa_last_error() == sentence);
        CHECK(opened.scores({frame}, {expected(frame)}));
    };
    dpiqa_frame bad = frame;
    bad.memory = DPIQA_DEVICE;
    refused(bad, "frame: plane 0 is not in device memory");
    const auto here = on_device(frame);
    cudaSetDevice(1);
    const auto there = on_device(frame);
    const auto stream = dpiqa::core::make_stream();
    refused(there.frame, "frame: plane 0 is on device 1, the engine runs on device 0");
    int device = 0;
    cudaGetDevice(&device);
    CHECK(device == 1);  // still the caller's own
    bad = here.frame;
    bad.stream = stream.get();
    refused(bad, "frame: its stream cannot be waited for, is it one of another device or context?");
    bad = frame;
    bad.stream = stream.get();
    refused(bad, "frame: only a frame in device memory may name a stream or an event to wait for");
    cudaSetDevice(0);
    stub::set_devices(1);
}

TEST_CASE("whichever call of CUDA fails, nothing is left behind and the next frame is scored") {
    const dpiqa_frame plain = golden_vectors()[2].frame();
    const Readings wanted = expected(plain);
    for (const Generation generation : fake::kGenerations) {
        const EngineFile file(generation);
        Setting setting = usual();
        setting.generation = generation;
        const int before = stub::live();
        int opening = 0, scoring = 0;
        for (bool is_over = false; !is_over; ++opening) {
            stub::fail_call(opening + 1);
            const Opened opened(file.files().engine, setting);
            is_over = !stub::fail_call(0);
            if (!opened) CHECK(opened.error().find('\n') == std::string::npos);
            if (opened) CHECK(opened.scores({plain}, {wanted}));
        }
        CHECK(stub::live() == before);
        {
            const Opened opened(file.files().engine, setting);
            REQUIRE_MESSAGE(opened, opened.error());
            for (bool is_over = false; !is_over; ++scoring) {
                const auto frame = pinned(plain);  // freed at once: a copy that is still under way would read freed memory
                stub::fail_call(scoring + 1);
                const int status = score(opened, frame.frame);
                is_over = !stub::fail_call(0);
                CHECK((status == DPIQA_OK || status == DPIQA_ERROR_ENGINE || status == DPIQA_ERROR_INPUT));
            }
            cudaDeviceSynchronize();
            CHECK(opened.scores({plain}, {wanted}));
        }
        CHECK(opening > 40);
        CHECK(scoring > 10);
        CHECK(stub::live() == before);
    }
}

TEST_CASE("an inference that fails is an error of every frame in its batch, and of no other") {
    for (const Generation generation : fake::kGenerations) {
        const EngineFile file(generation, [](PlanText& plan, json&) { plan.is_recordable = false; });
        Setting setting = usual();
        setting.generation = generation;
        const dpiqa_frame frame = golden_vectors()[0].frame();
        const int opening = generation == Generation::kRtx17 ? 6 : 12;  // a run and an attempt to record it, six contexts
        setting.failing_enqueue = opening + 2;
        const Opened opened(file.files().engine, setting);
        REQUIRE_MESSAGE(opened, opened.error());
        CHECK(opened.scores({frame}, {expected(frame)}));
        CHECK(score(opened, frame) == DPIQA_ERROR_ENGINE);
        CHECK(std::string(dpiqa_last_error()) == file.files().engine + ": the engine failed while running, the log says why");
        CHECK(opened.scores({frame}, {expected(frame)}));
    }
}
