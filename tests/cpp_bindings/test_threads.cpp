#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "dpiqa/dpiqa.hpp"
#include "golden.hpp"

namespace {

constexpr int kThreads = 8, kRounds = 3;

// Runs `work(thread)` on eight threads; doctest's checks are not made for threads, so failures are counted.
template <typename Work>
int failures(Work work) {
    std::atomic<int> failed{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&, i] {
            try {
                failed += work(i);
            } catch (const std::exception&) {
                ++failed;
            }
        });
    for (auto& thread : threads) thread.join();
    return failed;
}

int wrong_scores(dpiqa::Scorer& scorer, int offset) {
    int wrong = 0;
    const auto& vectors = golden_vectors();
    for (std::size_t i = 0; i < vectors.size() * kRounds; ++i) {
        const Golden& golden = vectors[(i + static_cast<std::size_t>(offset) * 5) % vectors.size()];
        wrong += std::abs(scorer.score(golden.frame()).score - golden.fp32.score) > 0.1F;
    }
    return wrong;
}

dpiqa::Options with_requests(int requests) {
    dpiqa::Options options{};
    options.requests = requests;
    options.threads = 1;
    options.force_float32 = 1;
    return options;
}

}  // namespace

TEST_CASE("eight threads score through one handle, with fewer, as many and more requests than threads") {
    golden_vectors();
    for (const int requests : {1, 3, 8, 12}) {
        dpiqa::Scorer scorer(data_path(kModel), with_requests(requests));
        CHECK(failures([&](int thread) { return wrong_scores(scorer, thread); }) == 0);
    }
}

TEST_CASE("eight handles are opened, used and closed at once") {
    golden_vectors();
    CHECK(failures([](int thread) {
              dpiqa::Scorer scorer(data_path(kModel), with_requests(1));
              return wrong_scores(scorer, thread);
          }) == 0);
}

TEST_CASE("threads that score batches do not starve each other") {
    dpiqa::Scorer scorer(data_path(kModel), with_requests(2));
    std::vector<dpiqa::Frame> frames;
    for (const Golden& golden : golden_vectors()) frames.push_back(golden.frame());
    CHECK(failures([&](int) {
              int wrong = 0;
              const auto readings = scorer.score(frames);
              for (std::size_t i = 0; i < readings.size(); ++i)
                  wrong += std::abs(readings[i].score - golden_vectors()[i].fp32.score) > 0.1F;
              return wrong;
          }) == 0);
}

TEST_CASE("the last error belongs to the thread that made it") {
    CHECK(failures([](int thread) {
              dpiqa_frame frame;
              const int width = 10 + thread;
              for (int i = 0; i < 1000; ++i) {
                  dpiqa_frame_init(&frame, DPIQA_GRAY, 0, width, 64, "", 1, 0);
                  if (std::string(dpiqa_last_error()).find("frame: " + std::to_string(width) + "x64") != 0) return 1;
              }
              return 0;
          }) == 0);
}
