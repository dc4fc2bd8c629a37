// libdpiqa for C++17: the C API with lifetimes and exceptions. Header only, so the library's ABI stays C.
#ifndef DPIQA_HPP
#define DPIQA_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "dpiqa/dpiqa.h"

namespace dpiqa {

class Error : public std::runtime_error {
  public:
    Error(int status, const std::string& message) : std::runtime_error(message), status_(status) {}
    // One of dpiqa_status.
    int status() const noexcept { return status_; }

  private:
    int status_;
};

inline void check(int status) {
    if (status != DPIQA_OK) throw Error(status, dpiqa_last_error());
}

using Frame = dpiqa_frame;
using Options = dpiqa_options;

// A frame whose planes follow each other in one buffer; the buffer must outlive it. Throws Error.
inline Frame make_frame(dpiqa_format format, dpiqa_colour colour, int width, int height, const void* data,
                        std::size_t size, std::size_t pitch = 0) {
    Frame frame;
    check(dpiqa_frame_init(&frame, format, colour, width, height, data, size, pitch));
    return frame;
}

struct Reading {
    float score = 0;
    dpiqa_void void_kind = DPIQA_NOT_VOID;
    std::vector<float> causes;  // 0 to 1 each, in the contract's order
    std::vector<float> map;     // rows of the quality map, empty where the model gives none
    int map_width = 0;
    int map_height = 0;
    float preprocess_ms = 0;
    float infer_ms = 0;
};

// Scores frames with one model file. score() may be called from many threads at once.
class Scorer {
  public:
    explicit Scorer(const std::string& path, const Options& options = Options{}) {
        dpiqa_scorer* opened = nullptr;
        check(dpiqa_open(path.c_str(), &options, &opened));
        handle_.reset(opened);
        check(dpiqa_describe(opened, &info_));
    }

    // Its pointers live as long as this Scorer.
    const dpiqa_info& info() const noexcept { return info_; }

    Reading score(const Frame& frame) { return std::move(score(&frame, 1).front()); }

    std::vector<Reading> score(const std::vector<Frame>& frames) { return score(frames.data(), frames.size()); }

    // Without allocating: the readings' own pointers say where causes and maps go.
    void score_into(const Frame* frames, std::size_t count, dpiqa_reading* readings) {
        check(dpiqa_score(handle_.get(), frames, count, readings));
    }

  private:
    struct Close {
        void operator()(dpiqa_scorer* scorer) const noexcept { dpiqa_close(scorer); }
    };

    std::vector<Reading> score(const Frame* frames, std::size_t count) {
        std::vector<Reading> readings(count);
        std::vector<dpiqa_reading> raw(count);
        for (std::size_t i = 0; i < count; ++i) {
            readings[i].causes.resize(static_cast<std::size_t>(info_.cause_count));
            readings[i].map.resize(static_cast<std::size_t>(info_.map_width) * static_cast<std::size_t>(info_.map_height));
            raw[i].causes = readings[i].causes.data();
            raw[i].map = readings[i].map.data();
        }
        score_into(frames, count, raw.data());
        for (std::size_t i = 0; i < count; ++i) {
            readings[i].score = raw[i].score;
            readings[i].void_kind = static_cast<dpiqa_void>(raw[i].void_kind);
            readings[i].preprocess_ms = raw[i].preprocess_ms;
            readings[i].infer_ms = raw[i].infer_ms;
            readings[i].map_width = raw[i].map_width;
            readings[i].map_height = raw[i].map_height;
            readings[i].map.resize(static_cast<std::size_t>(raw[i].map_width) * static_cast<std::size_t>(raw[i].map_height));
        }
        return readings;
    }

    std::unique_ptr<dpiqa_scorer, Close> handle_;
    dpiqa_info info_{};
};

using Signals = dpiqa_signals;

// Measures the frames of one source in their order, without a model. One thread at a time.
class Meter {
  public:
    Meter() {
        dpiqa_meter* opened = nullptr;
        check(dpiqa_meter_open(&opened));
        handle_.reset(opened);
    }

    // Allocates nothing as long as the frames keep their size. Throws Error.
    Signals measure(const Frame& frame) {
        Signals signals;
        check(dpiqa_measure(handle_.get(), &frame, &signals));
        return signals;
    }

  private:
    struct Close {
        void operator()(dpiqa_meter* meter) const noexcept { dpiqa_meter_close(meter); }
    };

    std::unique_ptr<dpiqa_meter, Close> handle_;
};

}  // namespace dpiqa

#endif
