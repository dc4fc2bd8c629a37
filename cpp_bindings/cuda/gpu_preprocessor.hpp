// Turns frames in host or device memory into the input tensor on the GPU. One thread, one stream.
#pragma once

#include <vector>

#include "axis.hpp"
#include "dpiqa/dpiqa.h"
#include "memory.hpp"
#include "preprocess.hpp"

namespace dpiqa::core {

class GpuPreprocessor {
  public:
    GpuPreprocessor(int width, int height) : width_(width), height_(height) {}

    // `frame` has passed check_frame and stays alive until the stream has passed this point. `rgb` is the device's.
    void run(const dpiqa_frame& frame, std::uint8_t* rgb, cudaStream_t stream);

  private:
    struct AxisTable {
        Axis source;  // what the copies below are made from: outlives them, as freeing device memory waits for the device
        DeviceBuffer<std::int32_t> first;
        DeviceBuffer<std::int16_t> weights;
        DeviceAxis view() const { return {first.get(), weights.get(), source.taps}; }
    };

    static AxisTable upload(Axis axis, cudaStream_t stream);
    void plan(const dpiqa_frame& frame, cudaStream_t stream);

    int width_, height_;
    std::int32_t format_ = 0, frame_width_ = 0, frame_height_ = 0;
    AxisTable rows_[2], columns_[2];  // of full and of halved resolution
    DeviceBuffer<std::uint8_t> staging_;
};

}  // namespace dpiqa::core
