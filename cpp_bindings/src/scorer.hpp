// Scores frames through an engine's requests: the one place where preprocessing, inference and threads meet.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine.hpp"
#include "structs.hpp"

namespace dpiqa::core {

// The map's sides are the same part of the frame's in every shape.
MapSize map_size(const Engine& engine, const Shape& shape);

// Requests that threads borrow and give back.
class RequestPool {
  public:
    void add(std::unique_ptr<Request> request);
    std::size_t size() const { return owned_.size(); }
    Request& take();      // waits for a free one
    Request* try_take();  // nullptr when none is free
    void give_back(Request& request) noexcept;

  private:
    std::vector<std::unique_ptr<Request>> owned_;
    std::vector<Request*> free_;
    std::mutex mutex_;
    std::condition_variable freed_;
};

class Scorer {
  public:
    Scorer(std::unique_ptr<Engine> engine, int requests);

    const Engine& engine() const { return *engine_; }
    std::size_t requests() const { return pool_.size(); }

    // Any number of threads may call this at once. Throws InputError before any frame is scored when one is not usable.
    void score(const Structs<const dpiqa_frame>& frames, const Structs<dpiqa_reading>& readings);

  private:
    void fill(const Outputs& outputs, const dpiqa_frame& frame, dpiqa_reading& reading) const;
    void require_finite(const char* output, const float* values, std::size_t count) const;

    std::unique_ptr<Engine> engine_;
    RequestPool pool_;
};

std::unique_ptr<Scorer> open_scorer(const std::string& file, const EngineOptions& options);
std::unique_ptr<Scorer> open_scorer(ModelBytes bytes, const EngineOptions& options);

}  // namespace dpiqa::core
