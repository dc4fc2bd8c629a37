// Forms batches of the frames that many threads bring, each within a deadline, and runs them on lanes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lane.hpp"

namespace dpiqa::core {

// A frame in a batch: its pixels on the device, and where its results go.
struct Passenger {
    const std::uint8_t* rgb = nullptr;
    cudaEvent_t ready = nullptr;
    float* results = nullptr;

    // The batcher's.
    struct Berth* berth = nullptr;
    bool is_done = false;
    std::string error;
};

class Batcher {
  public:
    using Clock = std::chrono::steady_clock;

    // A frame waits for others at most `max_wait`.
    Batcher(std::vector<std::unique_ptr<Lane>> lanes, int capacity, Clock::duration max_wait);
    ~Batcher();

    // Both may be called by any number of threads. board() throws EngineError and leaves the passenger outside; alight()
    // returns when its batch has ended, or throws EngineError.
    void board(Passenger& passenger);
    void alight(Passenger& passenger);

  private:
    using Lock = std::unique_lock<std::mutex>;

    Berth& forming(Lock& lock);
    void launch(Berth& berth);
    void finish(Berth& berth, Lock& lock);
    void settle(Berth& berth, const std::string& error);

    const std::size_t capacity_;
    const Clock::duration max_wait_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::unique_ptr<Berth>> berths_;
    Berth* forming_ = nullptr;
    std::uint64_t launched_ = 0;
};

}  // namespace dpiqa::core
