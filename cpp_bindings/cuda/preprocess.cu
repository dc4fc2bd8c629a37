#include "preprocess.hpp"

namespace dpiqa::core {
namespace {

__device__ int sample(const DeviceChannel& channel, int x, int y) {
    const DeviceAxis &rows = channel.rows, &columns = channel.columns;
    const std::int16_t* row_weights = rows.weights + y * rows.taps;
    const std::int16_t* column_weights = columns.weights + x * columns.taps;
    const std::uint8_t* corner = channel.pixels + static_cast<std::size_t>(rows.first[y]) * channel.pitch +
                                 static_cast<std::size_t>(columns.first[x]) * channel.stride;
    int sum = 1 << 14;
    for (int i = 0; i < columns.taps; ++i) {
        int blended = 1 << 7;
        for (int k = 0; k < rows.taps; ++k)
            blended += corner[k * channel.pitch + static_cast<std::size_t>(i) * channel.stride] * row_weights[k];
        sum += (blended >> 8) * column_weights[i];
    }
    return sum >> 15;
}

__device__ int clamped(int value) { return min(max(value, 0), 255 << 7); }

__device__ std::uint8_t to_byte(int value) { return static_cast<std::uint8_t>((value + 63 + ((value >> 7) & 1)) >> 7); }

__global__ void preprocess(DeviceFrame frame, int width, int height, std::uint8_t* rgb) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    int r = sample(frame.channels[0], x, y), g = sample(frame.channels[1], x, y), b = sample(frame.channels[2], x, y);
    if (frame.is_yuv) {
        const ColourMatrix& m = frame.matrix;
        const int luma = (r - m.y_offset) * m.luma + (1 << 12), blue = g - (128 << 7), red = b - (128 << 7);
        r = clamped((luma + red * m.v_red) >> 13);
        g = clamped((luma - blue * m.u_green - red * m.v_green) >> 13);
        b = clamped((luma + blue * m.u_blue) >> 13);
    }
    std::uint8_t* pixel = rgb + 3 * (static_cast<std::size_t>(y) * width + x);
    pixel[0] = to_byte(r);
    pixel[1] = to_byte(g);
    pixel[2] = to_byte(b);
}

}  // namespace

cudaError_t launch_preprocess(const DeviceFrame& frame, int width, int height, std::uint8_t* rgb, cudaStream_t stream) {
    const dim3 block(32, 8), grid((width + 31) / 32, (height + 7) / 8);
    preprocess<<<grid, block, 0, stream>>>(frame, width, height, rgb);
    return cudaGetLastError();
}

}  // namespace dpiqa::core
