// What can be measured of a frame without a model: see dpiqa_signals.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "dpiqa/dpiqa.h"
#include "preprocess.hpp"

namespace dpiqa::core {

// The luma (BT.601, full range) of frames, resized to one size. Allocates only when the size of the frames changes.
class LumaPlane {
  public:
    // `frame` has passed check_frame and lies in host memory.
    void fill(const dpiqa_frame& frame, int width, int height);

    int width() const { return width_; }
    int height() const { return height_; }
    const std::uint8_t* row(int y) const { return luma_.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width_); }
    const std::vector<std::uint8_t>& pixels() const { return luma_; }

  private:
    int width_ = 0, height_ = 0;
    std::optional<Preprocessor> preprocessor_;
    std::vector<std::uint8_t> rgb_, luma_;
};

// Measures the frames of one source in their order. One thread at a time.
class Meter {
  public:
    // `frame` has passed check_frame. Throws InputError for one in device memory.
    dpiqa_signals measure(const dpiqa_frame& frame);

  private:
    float difference() const;

    LumaPlane whole_, crop_;
    std::vector<std::uint8_t> previous_;
    int previous_width_ = 0;
};

// The part of a frame that begins at x, y, all multiples of 8.
dpiqa_frame cropped(const dpiqa_frame& frame, int x, int y, int width, int height);

}  // namespace dpiqa::core
