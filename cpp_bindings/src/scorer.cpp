#include "scorer.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "error.hpp"
#include "frame.hpp"
#include "log.hpp"
#include "void.hpp"

namespace dpiqa::core {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kMaxRequests = 64;

float milliseconds(Clock::duration time) { return std::chrono::duration<float, std::milli>(time).count(); }

// Requests borrowed for consecutive frames. Whatever happens, a started one has ended before it is given back.
class Flight {
  public:
    Flight(RequestPool& pool, std::size_t wanted) : pool_(pool) {
        add(&pool_.take());
        while (size_ < std::min(wanted, kMaxRequests)) {
            Request* request = pool_.try_take();
            if (request == nullptr) break;
            add(request);
        }
    }
    Flight(const Flight&) = delete;
    Flight& operator=(const Flight&) = delete;

    ~Flight() {
        for (std::size_t i = 0; i < size_; ++i) {
            if (seats_[i].is_running) end_quietly(*seats_[i].request);
            pool_.give_back(*seats_[i].request);
        }
    }

    std::size_t size() const { return size_; }

    // The reading that the frame in this seat will have.
    dpiqa_reading& reading(std::size_t i) { return seats_[i].reading; }

    void start(std::size_t i, const dpiqa_frame& frame, const dpiqa_reading& reading) {
        Seat& seat = seats_[i];
        seat.reading = reading;
        const auto begin = Clock::now();
        seat.request->load(frame);
        seat.began = Clock::now();
        seat.request->start();
        seat.is_running = true;
        seat.reading.preprocess_ms = milliseconds(seat.began - begin);
    }

    Outputs wait(std::size_t i) {
        Seat& seat = seats_[i];
        seat.is_running = false;
        const Outputs outputs = seat.request->wait();
        seat.reading.infer_ms = milliseconds(Clock::now() - seat.began);
        return outputs;
    }

  private:
    struct Seat {
        Request* request = nullptr;
        dpiqa_reading reading;
        bool is_running = false;
        Clock::time_point began;
    };

    void add(Request* request) { seats_[size_++].request = request; }

    static void end_quietly(Request& request) noexcept {
        try {
            request.wait();
        } catch (const std::exception& error) {
            log(DPIQA_LOG_ERROR, error.what());  // an earlier frame's error is already on its way to the caller
        }
    }

    RequestPool& pool_;
    std::array<Seat, kMaxRequests> seats_;
    std::size_t size_ = 0;
};

void check_frames(const Structs<const dpiqa_frame>& frames) {
    for (std::size_t i = 0; i < frames.count(); ++i) {
        try {
            check_frame(frames[i]);
        } catch (const InputError& error) {
            if (frames.count() == 1) throw;
            throw InputError("frames[" + std::to_string(i) + "]: " + error.what());
        }
    }
}

}  // namespace

MapSize map_size(const Engine& engine, const Shape& shape) {
    const ModelSpec& spec = engine.spec();
    const MapSize first = engine.map_size();
    return {first.width * shape.width / spec.width, first.height * shape.height / spec.height};
}

void RequestPool::add(std::unique_ptr<Request> request) {
    free_.push_back(request.get());
    owned_.push_back(std::move(request));
}

Request& RequestPool::take() {
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [this] { return !free_.empty(); });
    Request* request = free_.back();
    free_.pop_back();
    return *request;
}

Request* RequestPool::try_take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return nullptr;
    Request* request = free_.back();
    free_.pop_back();
    return request;
}

void RequestPool::give_back(Request& request) noexcept {
    {
        const std::lock_guard lock(mutex_);
        free_.push_back(&request);  // never grows: it held every request before the first was taken
    }
    freed_.notify_one();
}

Scorer::Scorer(std::unique_ptr<Engine> engine, int requests) : engine_(std::move(engine)) {
    const int wanted = requests > 0 ? requests : std::min(engine_->best_requests(), static_cast<int>(kMaxRequests));
    for (int i = 0; i < wanted; ++i) pool_.add(engine_->make_request());
}

void Scorer::score(const Structs<const dpiqa_frame>& frames, const Structs<dpiqa_reading>& readings) {
    check_frames(frames);
    for (std::size_t done = 0; done < frames.count();) {
        Flight flight(pool_, frames.count() - done);
        for (std::size_t i = 0; i < flight.size(); ++i) flight.start(i, frames[done + i], readings[done + i]);
        for (std::size_t i = 0; i < flight.size(); ++i)
            if (std::int32_t& kind = flight.reading(i).void_kind; kind != DPIQA_VOID_IGNORED) kind = void_of(frames[done + i]);
        for (std::size_t i = 0; i < flight.size(); ++i) {
            fill(flight.wait(i), frames[done + i], flight.reading(i));
            readings.store(done + i, flight.reading(i));
        }
        done += flight.size();
    }
}

void Scorer::fill(const Outputs& outputs, const dpiqa_frame& frame, dpiqa_reading& reading) const {
    const std::vector<Shape>& shapes = engine_->spec().shapes;
    const MapSize size = map_size(*engine_, shapes[nearest_shape(shapes, frame.height, frame.width)]);
    const std::size_t causes = outputs.causes == nullptr ? 0 : engine_->spec().causes.size();
    const std::size_t cells = outputs.map == nullptr ? 0 : static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
    require_finite("score", &outputs.score, 1);
    require_finite("causes", outputs.causes, causes);
    require_finite("map", outputs.map, cells);
    const float lowest = engine_->spec().score_minimum;
    const bool is_void = reading.void_kind > DPIQA_NOT_VOID;
    reading.score = is_void ? lowest : outputs.score;
    const auto fill = [&](const float* values, std::size_t count, float* target, float least) {
        if (target == nullptr) return;
        if (is_void)
            std::fill_n(target, count, least);
        else
            std::copy_n(values, count, target);
    };
    fill(outputs.causes, causes, reading.causes, 0);
    fill(outputs.map, cells, reading.map, lowest);
    reading.map_width = size.width;
    reading.map_height = size.height;
}

void Scorer::require_finite(const char* output, const float* values, std::size_t count) const {
    if (!std::all_of(values, values + count, [](float value) { return std::isfinite(value); }))
        throw EngineError(std::string(engine_->name()) + ": the output '" + output +
                          "' is not of finite numbers, the model is broken");
}

namespace {

template <typename Model>
std::unique_ptr<Scorer> opened(Model model, const std::string& name, const EngineOptions& options) {
    if (options.threads < 0) throw EngineError("threads must be 0 or more, found " + std::to_string(options.threads));
    if (options.requests < 0 || options.requests > static_cast<int>(kMaxRequests))
        throw EngineError("requests must be 0 to 64, found " + std::to_string(options.requests));
    if (options.max_wait_ms < 0 || options.max_wait_ms > 1000)
        throw EngineError("max_wait_ms must be 0 to 1000, found " + std::to_string(options.max_wait_ms));
    auto scorer = std::make_unique<Scorer>(open_engine(std::move(model), options), options.requests);
    log(DPIQA_LOG_INFO, name + ": opened with engine " + scorer->engine().name() + ", " +
                            std::to_string(scorer->requests()) + " inference request(s)");
    return scorer;
}

}  // namespace

std::unique_ptr<Scorer> open_scorer(const std::string& file, const EngineOptions& options) {
    return opened(file, file, options);
}

std::unique_ptr<Scorer> open_scorer(ModelBytes bytes, const EngineOptions& options) {
    const std::string name = bytes.name();
    return opened(std::move(bytes), name, options);
}

}  // namespace dpiqa::core
