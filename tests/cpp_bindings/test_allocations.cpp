// After warm-up a frame costs no heap allocation of ours: counted with the real engine, whose own work is left out.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdlib>
#include <new>


#include "golden.hpp"
#include "scorer.hpp"
#include "signals.hpp"

namespace {

thread_local bool is_counting = false;
thread_local int allocations = 0;

struct Pause {
    bool was = is_counting;
    Pause() { is_counting = false; }
    ~Pause() { is_counting = was; }
};

}  // namespace

void* operator new(std::size_t size) {
    if (is_counting) ++allocations;
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
        dpiqa_reading readings[3] = {{0, DPIQA_NOT_VOID, 0, 0, causes, map, 0, 0}, {}, {}};
        scorer.score(frames, 3, readings);
        allocations = 0;
        is_counting = true;
        for (int i = 0; i < 5; ++i) scorer.score(frames, 3, readings);
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
