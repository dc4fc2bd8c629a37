// Many threads, streams of others, and what the stub's rules would show of a mistake.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "engine_file.hpp"
#include "golden.hpp"
#ifdef DPIQA_STUB_CUDA
#include "stub_cuda.hpp"
#endif

using namespace dpiqa::core;
using fake::Generation;
using fake::PlanText;
using fake::Setting;
using nlohmann::json;

namespace {

// What only the stub can count.
#ifdef DPIQA_STUB_CUDA
int live() { return stub::live(); }
int spins() { return stub::spins(); }
#else
int live() { return 0; }
int spins() { return 0; }
#endif

Setting setting_of(Generation generation) { return {generation, false, 0, std::make_shared<fake::Counts>()}; }

template <typename Work>
void run_threads(int count, Work work) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back([&work, i] { work(i); });
    for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("sixteen threads with frames of changing sizes, formats and memory share batches") {
    const int before = live();
    std::vector<Readings> wanted;
    std::vector<Moved<DeviceBuffer>> device;
    for (const Golden& golden : golden_vectors()) {
        wanted.push_back(expected(golden.frame()));
        device.push_back(on_device(golden.frame()));
    }
    for (const Generation generation : fake::kGenerations) {
        const EngineFile file(generation);
        const Setting setting = setting_of(generation);
        dpiqa_options options{};
        options.max_wait_ms = 2;
        const Opened opened(file.files().engine, setting, options);
        REQUIRE_MESSAGE(opened, opened.error());
        std::atomic<int> wrong{0};
        run_threads(16, [&](int thread) {
            for (std::size_t i = 0; i < golden_vectors().size(); i += 2) {
                const std::size_t one = (i + static_cast<std::size_t>(thread) * 3) % golden_vectors().size();
                const std::size_t other = (one + 1) % golden_vectors().size();
                wrong += !opened.scores({golden_vectors()[one].frame(), device[other].frame}, {wanted[one], wanted[other]});
            }
        });
        CHECK(wrong == 0);
        CHECK(setting.counts->misuses == 0);
    }
    device.clear();
    CHECK(live() == before);
}

TEST_CASE("frames of several threads are scored in one batch, within the deadline") {
    const EngineFile file(Generation::kRtx17, [](PlanText& plan, json&) { plan.largest = 4; });
    const Setting setting = setting_of(Generation::kRtx17);
    dpiqa_options options{};
    options.max_wait_ms = 1000;
    const Opened opened(file.files().engine, setting, options);
    REQUIRE_MESSAGE(opened, opened.error());
    const int runs = setting.counts->enqueues, fours = setting.counts->by_size[4];
    const dpiqa_frame frame = golden_vectors()[0].frame();
    std::atomic<int> wrong{0};
    const auto began = std::chrono::steady_clock::now();
    run_threads(4, [&](int) { wrong += !opened.scores({frame}, {expected(frame)}); });
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::milliseconds(900));  // full, so nobody waited
    CHECK(wrong == 0);
    CHECK(setting.counts->enqueues - runs == 1);
    CHECK(setting.counts->by_size[4] - fours == 1);
}

TEST_CASE("a frame that nobody joins is scored at its deadline") {
    const EngineFile file(Generation::kTensorRt11);
    for (const int wait_ms : {0, 60}) {
        dpiqa_options options{};
        options.max_wait_ms = wait_ms;
        const Opened opened(file.files().engine, setting_of(Generation::kTensorRt11), options);
        REQUIRE_MESSAGE(opened, opened.error());
        const dpiqa_frame frame = golden_vectors()[0].frame();
        CHECK(opened.scores({frame}, {expected(frame)}));
        const auto began = std::chrono::steady_clock::now();
        CHECK(opened.scores({frame}, {expected(frame)}));
        if (wait_ms > 0) CHECK(std::chrono::steady_clock::now() - began >= std::chrono::milliseconds(wait_ms));
    }
}

TEST_CASE("a device frame is scored after the stream or the event that writes it") {
    const EngineFile file(Generation::kTensorRt10);
    const Opened opened(file.files().engine, setting_of(Generation::kTensorRt10));
    REQUIRE_MESSAGE(opened, opened.error());
    const dpiqa_frame picture = golden_vectors()[1].frame();
    const Readings wanted = expected(picture);
    const auto source = pinned(picture);
    const auto target = on_device(golden_vectors()[1].frame());
    const Stream producer = make_stream();
    const Event written = make_event();
    const auto rewrite = [&] {  // late: it happens when somebody waits for it
        for (int i = 0; i < 3; ++i) {
            const dpiqa_plane &from = source.frame.planes[i], &to = target.frame.planes[i];
            if (to.data == nullptr) continue;
            auto* memory = const_cast<void*>(to.data);
            cuda_check(cudaMemsetAsync(memory, 7, to.size, producer.get()), "cudaMemsetAsync");
            cuda_check(cudaStreamSynchronize(producer.get()), "cudaStreamSynchronize");
            cuda_check(cudaMemcpyAsync(memory, from.data, to.size, cudaMemcpyDefault, producer.get()), "cudaMemcpyAsync");
        }
        cuda_check(cudaEventRecord(written.get(), producer.get()), "cudaEventRecord");
    };
    dpiqa_frame frame = target.frame;
#ifdef DPIQA_STUB_CUDA
    rewrite();
    CHECK_FALSE(opened.scores({frame}, {wanted}));  // the test would see a missing wait
#endif
    rewrite();
    frame.stream = producer.get();
    CHECK(opened.scores({frame}, {wanted}));
    rewrite();
    frame.stream = nullptr;
    frame.event = written.get();
    CHECK(opened.scores({frame}, {wanted}));
}

TEST_CASE("threads that wait for the GPU sleep") {
    for (const Generation generation : fake::kGenerations) {
        const EngineFile file(generation);
        const Opened opened(file.files().engine, setting_of(generation));
        REQUIRE_MESSAGE(opened, opened.error());
        const dpiqa_frame frame = golden_vectors()[0].frame();
        const Readings wanted = expected(frame);
        for (int i = 0; i < 10; ++i) CHECK(opened.scores({frame}, {wanted}));  // every request has its tables now
        const int before = spins();
        for (int i = 0; i < 10; ++i) CHECK(opened.scores({frame}, {wanted}));
        CHECK(spins() == before);
    }
}

TEST_CASE("an engine is opened and closed a thousand times without a leak") {
    const EngineFile file(Generation::kTensorRt86, [](PlanText& plan, json&) { plan.largest = 1; });
    const int before = live();
    const dpiqa_frame frame = golden_vectors()[0].frame();
    const Readings wanted = expected(frame);
    for (int i = 0; i < 1000; ++i) {
        const Opened opened(file.files().engine, setting_of(Generation::kTensorRt86));
        if (!opened || (i % 100 == 0 && !opened.scores({frame}, {wanted}))) FAIL(opened.error());
    }
    CHECK(live() == before);
}

#ifdef DPIQA_STUB_CUDA
TEST_CASE("frames in pageable memory reach the GPU through pinned memory") {
    const EngineFile file(Generation::kTensorRt10);
    const Opened opened(file.files().engine, setting_of(Generation::kTensorRt10));
    REQUIRE_MESSAGE(opened, opened.error());
    for (const Golden& golden : golden_vectors()) {
        const Readings wanted = expected(golden.frame());
        for (int i = 0; i < 10; ++i) CHECK(opened.scores({golden.frame()}, {wanted}));  // every request has its tables now
        const int before = stub::pageable_copies();
        CHECK(opened.scores({golden.frame()}, {wanted}));
        CHECK(stub::pageable_copies() == before);
    }
}

TEST_CASE("a copy from pageable memory comes late for other streams, as on a real GPU") {
    const std::vector<std::uint8_t> zeros(64, 0), ones(64, 1);
    const auto memory = device_buffer<std::uint8_t>(64);
    const auto result = pinned_buffer<std::uint8_t>(64);
    const Stream stream = make_stream();
    const auto read = [&] {
        cuda_check(cudaMemcpyAsync(result.get(), memory.get(), 64, cudaMemcpyDeviceToHost, stream.get()), "cudaMemcpyAsync");
        cuda_check(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
        return static_cast<int>(result[63]);
    };
    cuda_check(cudaMemcpyAsync(memory.get(), zeros.data(), 64, cudaMemcpyHostToDevice, stream.get()), "cudaMemcpyAsync");
    CHECK(read() == 0);
    cuda_check(cudaMemcpy(memory.get(), ones.data(), 64, cudaMemcpyHostToDevice), "cudaMemcpy");
    CHECK(read() == 0);  // what the resize tables were once uploaded with
    cuda_check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    CHECK(read() == 1);
    cuda_check(cudaMemcpyAsync(memory.get(), zeros.data(), 64, cudaMemcpyHostToDevice, stream.get()), "cudaMemcpyAsync");
    CHECK(read() == 0);
}
#endif
