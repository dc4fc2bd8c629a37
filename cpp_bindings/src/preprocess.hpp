// Turns a camera frame into a row of the tensor `frames`: resize and colour in one pass over the source.
#pragma once

#include <cstdint>
#include <vector>

#include "axis.hpp"
#include "dpiqa/dpiqa.h"
#include "kernels.hpp"

namespace dpiqa::core {

// Keeps its tables and buffers from frame to frame, so that a stream of equal frames allocates nothing. One thread at a
// time.
class Preprocessor {
  public:
    Preprocessor(int width, int height, const Kernels& kernels = best_kernels())
        : width_(width), height_(height), kernels_(kernels) {}

    // `frame` has passed check_frame and lies in host memory; `rgb` has room for height * width * 3 bytes.
    void run(const dpiqa_frame& frame, std::uint8_t* rgb);

  private:
    struct Channel {
        int target;  // which of the three sample rows it fills
        int offset;  // its first sample in the plane's row
        Lanes lanes;
    };
    struct Plane {
        std::size_t row_bytes;
        Axis rows;
        std::vector<Channel> channels;
    };

    void plan(const dpiqa_frame& frame);
    Plane make_plane(const dpiqa_frame& frame, int index) const;
    void blend_rows(const Plane& plane, const dpiqa_plane& pixels, int target);

    int width_, height_;
    const Kernels& kernels_;
    std::int32_t format_ = 0, frame_width_ = 0, frame_height_ = 0;
    std::vector<Plane> planes_;
    std::vector<const std::uint8_t*> row_pointers_;
    std::vector<std::int16_t> row_weights_, blended_, samples_[3];
};

}  // namespace dpiqa::core
