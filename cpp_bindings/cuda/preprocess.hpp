// Preprocessing on the GPU: the CPU's integer arithmetic, one thread a target pixel, hence the same bits.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels.hpp"

namespace dpiqa::core {

struct DeviceAxis {
    const std::int32_t* first;
    const std::int16_t* weights;
    std::int32_t taps, bytes;
};

struct DeviceChannel {
    const std::uint8_t* pixels;  // of the first sample
    std::size_t pitch;
    std::int32_t stride;
    DeviceAxis rows, columns;
};

struct DeviceFrame {
    DeviceChannel channels[3];
    ColourMatrix matrix;
    std::int32_t is_yuv;
};

// All pointers are the device's. Asynchronous on `stream`.
cudaError_t launch_preprocess(const DeviceFrame& frame, int width, int height, std::uint8_t* rgb, cudaStream_t stream);

}  // namespace dpiqa::core
