// Turns frames in host or device memory into the input tensor on the GPU. One thread, one stream.
#pragma once

#include <optional>
#include <vector>

#include "axis.hpp"
#include "dpiqa/dpiqa.h"
#include "frame.hpp"
#include "memory.hpp"
#include "preprocess.hpp"

namespace dpiqa::core {

class GpuPreprocessor {
  public:
    GpuPreprocessor(int width, int height) : width_(width), height_(height) {}

    // `frame` has passed check_frame. Pinned and device memory stays alive until the stream has passed this point; pageable
    // memory is read during the call. `rgb` is the device's. Throws InputError for a frame of another device, EngineError;
    // then nothing of it is under way any more.
    void run(const dpiqa_frame& frame, std::uint8_t* rgb, cudaStream_t stream);

  private:
    struct AxisTable {
        Axis source;  // what the copies below are made from: outlives them, as freeing device memory waits for the device
        DeviceBuffer<std::int32_t> first;
        DeviceBuffer<std::int16_t> weights;
        DeviceAxis view() const { return {first.get(), weights.get(), source.taps, source.bytes}; }
    };
    struct Plan {
        std::int32_t format = 0, width = 0, height = 0;
        AxisTable rows[2], columns[2];  // of full and of halved resolution
    };

    static AxisTable upload(Axis axis, cudaStream_t stream);
    const Plan& plan_for(const dpiqa_frame& frame, cudaStream_t stream);
    void start(const dpiqa_frame& frame, std::uint8_t* rgb, cudaStream_t stream);
    void await(const dpiqa_frame& frame, cudaStream_t stream);
    const std::uint8_t* uploaded(const dpiqa_plane& plane, const PlaneShape& shape, std::size_t offset, cudaStream_t stream);
    void reserve(std::size_t bytes, cudaStream_t stream);

    int width_, height_;
    std::vector<Plan> plans_;  // the latest first
    std::size_t reserved_ = 0;
    DeviceBuffer<std::uint8_t> staging_;
    PinnedBuffer<std::uint8_t> pinned_;
    Event copied_, arrived_;
};

}  // namespace dpiqa::core
