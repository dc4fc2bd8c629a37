#include "preprocess_pixel.hpp"

namespace dpiqa::core {
namespace {

__global__ void preprocess(DeviceFrame frame, int width, int height, std::uint8_t* rgb) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < width && y < height) preprocess_pixel(frame, x, y, width, rgb);
}

}  // namespace

cudaError_t launch_preprocess(const DeviceFrame& frame, int width, int height, std::uint8_t* rgb, cudaStream_t stream) {
    const dim3 block(32, 8), grid((width + 31) / 32, (height + 7) / 8);
    preprocess<<<grid, block, 0, stream>>>(frame, width, height, rgb);
    return cudaGetLastError();
}

}  // namespace dpiqa::core
