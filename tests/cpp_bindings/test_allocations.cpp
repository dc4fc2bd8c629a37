// After warm-up a frame costs no heap allocation of ours: counted with the real engine, whose own work is left out. And
// whichever allocation fails, the C API returns.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "golden.hpp"
#include "scorer.hpp"
#include "signals.hpp"

namespace {

thread_local bool is_counting = false;
thread_local int allocations = 0;
thread_local int failing = 0;  // the allocation that fails, 0 for none

struct Pause {
    bool was = is_counting;
    Pause() { is_counting = false; }
    ~Pause() { is_counting = was; }
};

}  // namespace

void* operator new(std::size_t size) {
    if (is_counting && ++allocations == failing) throw std::bad_alloc();
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
// GCC pairs the inlined halves with the library's and warns of a mismatch that is none.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace dpiqa::core;

class UncountedRequest final : public Request {
  public:
    explicit UncountedRequest(std::unique_ptr<Request> real) : real_(std::move(real)) {}
    void load(const dpiqa_frame& frame) override { real_->load(frame); }
    void start() override {
        const Pause pause;
        real_->start();
    }
    Outputs wait() override {
        const Pause pause;
        return real_->wait();
    }

  private:
    std::unique_ptr<Request> real_;
};

class UncountedEngine final : public Engine {
  public:
    explicit UncountedEngine(std::unique_ptr<Engine> real) : real_(std::move(real)) {}
    const char* name() const override { return real_->name(); }
    const ModelSpec& spec() const override { return real_->spec(); }
    MapSize map_size() const override { return real_->map_size(); }
    int best_requests() const override { return real_->best_requests(); }
    std::unique_ptr<Request> make_request() override { return std::make_unique<UncountedRequest>(real_->make_request()); }

  private:
    std::unique_ptr<Engine> real_;
};

}  // namespace

TEST_CASE("a warm scorer or meter allocates nothing per frame") {
    Scorer scorer(std::make_unique<UncountedEngine>(open_engine(data_path(kModel), {})), 2);
    for (const Golden& golden : golden_vectors()) {
        const dpiqa_frame frames[3] = {golden.frame(), golden.frame(), golden.frame()};
        float causes[2], map[256];
        dpiqa_reading readings[3]{};
        readings[0].causes = causes;
        readings[0].map = map;
        scorer.score({frames, "frames", 3}, {readings, "readings", 3});
        allocations = 0;
        is_counting = true;
        for (int i = 0; i < 5; ++i) scorer.score({frames, "frames", 3}, {readings, "readings", 3});
        is_counting = false;
        CHECK(allocations == 0);
    }
    for (const Golden& golden : golden_vectors()) {
        Meter meter;
        meter.measure(golden.frame());
        meter.measure(golden.frame());
        allocations = 0;
        is_counting = true;
        for (int i = 0; i < 5; ++i) meter.measure(golden.frame());
        is_counting = false;
        CHECK(allocations == 0);
    }
    is_counting = true;
    ::operator delete(::operator new(1));
    is_counting = false;
    CHECK(allocations >= 1);  // the counter counts
}

namespace {

// Lets the first, the second, ... allocation of a call fail, until it needs no more. Returns how many that were.
int check_each_failure(const std::function<int()>& call, int expected) {
    for (int n = 1;; ++n) {
        CAPTURE(n);
        allocations = 0;
        failing = n;
        is_counting = true;
        const int status = call();
        is_counting = false;
        failing = 0;
        if (allocations < n) {
            CHECK(status == expected);
            return n - 1;
        }
        // Of a sentence that no longer fits, the status is left.
        CHECK((status == DPIQA_ERROR_MEMORY || (status == expected && expected != DPIQA_OK)));
        if (status == DPIQA_ERROR_MEMORY) CHECK(std::string(dpiqa_last_error()).size() <= std::string("out of memory").size());
    }
}

}  // namespace

TEST_CASE("out of memory is a status of the C API, wherever it strikes, and the next call works") {
    const dpiqa_frame frame = golden_vectors()[3].frame(), other = golden_vectors()[0].frame();
    std::vector<std::uint8_t> rgb(96 * 96 * 3);
    dpiqa_signals signals{};
    CHECK(check_each_failure([&] {
        dpiqa_meter* meter = nullptr;
        int status = dpiqa_meter_open(&meter);
        if (status == DPIQA_OK) status = dpiqa_measure(meter, &frame, &signals);
        dpiqa_meter_close(meter);
        return status;
    }, DPIQA_OK) > 10);
    dpiqa_meter* meter = nullptr;
    REQUIRE(dpiqa_meter_open(&meter) == DPIQA_OK);
    CHECK(check_each_failure([&] { return dpiqa_measure(meter, &frame, &signals); }, DPIQA_OK) > 5);  // one that lives on
    dpiqa_meter_close(meter);
    int side = 32;
    CHECK(check_each_failure([&] { return dpiqa_preprocess(&frame, side = 32 + (side + 1) % 32, 64, rgb.data(), rgb.size()); }, DPIQA_OK) > 5);

    dpiqa_scorer* scorer = nullptr;
    CHECK(check_each_failure([&] { return dpiqa_open("/nowhere/x.onnx", nullptr, &scorer); }, DPIQA_ERROR_ENGINE) > 1);
    CHECK(scorer == nullptr);
    REQUIRE(dpiqa_open(data_path(kModel).c_str(), nullptr, &scorer) == DPIQA_OK);
    dpiqa_frame bad[2] = {frame, other};
    bad[1].planes[0].pitch = 1;
    dpiqa_reading readings[2]{};
    CHECK(check_each_failure([&] { return dpiqa_score(scorer, bad, 2, readings); }, DPIQA_ERROR_INPUT) > 1);
    CHECK(check_each_failure([&] { return dpiqa_frame_fill(&bad[0], 99, 0, 64, 64, rgb.data(), 1, 0); }, DPIQA_ERROR_INPUT) > 0);
    bad[0] = other;
    CHECK(dpiqa_score(scorer, bad, 1, readings) == DPIQA_OK);
    dpiqa_close(scorer);
}
