#include "batcher.hpp"

#include <algorithm>

#include "error.hpp"

namespace dpiqa::core {

struct Berth {
    enum class State { kIdle, kForming, kRunning };

    std::unique_ptr<Lane> lane;
    std::vector<Passenger*> aboard;
    State state = State::kIdle;
    Batcher::Clock::time_point deadline;
    std::uint64_t number = 0;  // of its launch: the lowest ends first
    bool is_awaited = false;   // by a thread that sleeps until the GPU is done
};

Batcher::Batcher(std::vector<std::unique_ptr<Lane>> lanes, int capacity, Clock::duration max_wait)
    : capacity_(static_cast<std::size_t>(capacity)), max_wait_(max_wait) {
    for (auto& lane : lanes) {
        berths_.push_back(std::make_unique<Berth>());
        berths_.back()->lane = std::move(lane);
        berths_.back()->aboard.reserve(capacity_);
    }
}

Batcher::~Batcher() = default;

void Batcher::board(Passenger& passenger) {
    Lock lock(mutex_);
    Berth& berth = forming(lock);
    berth.lane->take(static_cast<int>(berth.aboard.size()), passenger.rgb, passenger.ready);
    if (berth.aboard.empty()) berth.deadline = Clock::now() + max_wait_;
    berth.aboard.push_back(&passenger);
    passenger.berth = &berth;
    passenger.is_done = false;
    passenger.error.clear();
    if (berth.aboard.size() == capacity_) launch(berth);
}

void Batcher::alight(Passenger& passenger) {
    Lock lock(mutex_);
    while (!passenger.is_done) {
        Berth& berth = *passenger.berth;
        if (berth.state == Berth::State::kRunning)
            finish(berth, lock);
        else if (Clock::now() >= berth.deadline)
            launch(berth);
        else
            changed_.wait_until(lock, Clock::time_point(berth.deadline));  // a copy: others may change it meanwhile
    }
    if (!passenger.error.empty()) throw EngineError(passenger.error);
}

Berth& Batcher::forming(Lock& lock) {
    using State = Berth::State;
    while (forming_ == nullptr) {
        const auto idle = std::find_if(berths_.begin(), berths_.end(), [](auto& one) { return one->state == State::kIdle; });
        if (idle != berths_.end()) {
            forming_ = idle->get();
            forming_->state = State::kForming;
        } else {
            const auto oldest = std::min_element(berths_.begin(), berths_.end(),
                                                 [](auto& one, auto& other) { return one->number < other->number; });
            finish(**oldest, lock);
        }
    }
    return *forming_;
}

void Batcher::launch(Berth& berth) {
    berth.state = Berth::State::kRunning;
    berth.number = ++launched_;
    forming_ = nullptr;
    try {
        berth.lane->launch(static_cast<int>(berth.aboard.size()));
    } catch (const EngineError& error) {
        berth.lane->drain();
        settle(berth, error.what());
    }
    changed_.notify_all();
}

// One thread sleeps until the GPU is done, the others until that one has settled the batch.
void Batcher::finish(Berth& berth, Lock& lock) {
    if (berth.is_awaited) {
        changed_.wait(lock);
        return;
    }
    berth.is_awaited = true;
    lock.unlock();
    std::string error;
    try {
        berth.lane->wait();
    } catch (const EngineError& failure) {
        error = failure.what();
    }
    lock.lock();
    berth.is_awaited = false;
    settle(berth, error);
}

void Batcher::settle(Berth& berth, const std::string& error) {
    for (std::size_t row = 0; row < berth.aboard.size(); ++row) {
        Passenger& passenger = *berth.aboard[row];
        if (error.empty()) berth.lane->read(static_cast<int>(row), passenger.results);
        passenger.error = error;
        passenger.is_done = true;
    }
    berth.aboard.clear();
    berth.state = Berth::State::kIdle;
    changed_.notify_all();
}

}  // namespace dpiqa::core
