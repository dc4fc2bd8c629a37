// One target pixel of the preprocessing, for the kernel and, compiled by a C++ compiler, for tests without a GPU.
#pragma once

#include "preprocess.hpp"

#ifdef __CUDACC__
#define DPIQA_HOST_DEVICE __host__ __device__
#else
#define DPIQA_HOST_DEVICE
#endif

namespace dpiqa::core {

DPIQA_HOST_DEVICE inline int sample(const DeviceChannel& channel, int x, int y) {
    const DeviceAxis &rows = channel.rows, &columns = channel.columns;
    const auto stride = static_cast<std::size_t>(channel.stride);
    const std::int16_t* row_weights = rows.weights + y * rows.taps;
    const std::int16_t* column_weights = columns.weights + x * columns.taps * columns.bytes;
    const std::uint8_t* corner = channel.pixels + static_cast<std::size_t>(rows.first[y]) * channel.pitch +
                                 static_cast<std::size_t>(columns.first[x]) * stride;
    int sum = 1 << 14;
    for (int i = 0; i < columns.taps; ++i)
        for (int byte = 0; byte < columns.bytes; ++byte) {
            int blended = 1 << 7;
            for (int k = 0; k < rows.taps; ++k)
                blended += row_weights[k] * corner[static_cast<std::size_t>(k) * channel.pitch +
                                                   static_cast<std::size_t>(i) * stride + static_cast<std::size_t>(byte)];
            sum += (blended >> 8) * column_weights[i * columns.bytes + byte];
        }
    return sum >> 15;
}

DPIQA_HOST_DEVICE inline int clamped(int value) {
    constexpr int kWhite = 255 << 7;
    return value < 0 ? 0 : value > kWhite ? kWhite : value;
}

DPIQA_HOST_DEVICE inline std::uint8_t to_byte(int value) { return static_cast<std::uint8_t>((value + 63 + ((value >> 7) & 1)) >> 7); }

DPIQA_HOST_DEVICE inline void preprocess_pixel(const DeviceFrame& frame, int x, int y, int width, std::uint8_t* rgb) {
    int r = sample(frame.channels[0], x, y), g = sample(frame.channels[1], x, y), b = sample(frame.channels[2], x, y);
    if (frame.is_yuv) {
        const ColourMatrix& m = frame.matrix;
        const int luma = (r - m.y_offset) * m.luma + (1 << 12), blue = g - (128 << 7), red = b - (128 << 7);
        r = clamped((luma + red * m.v_red) >> 13);
        g = clamped((luma - blue * m.u_green - red * m.v_green) >> 13);
        b = clamped((luma + blue * m.u_blue) >> 13);
    }
    std::uint8_t* pixel = rgb + 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x));
    pixel[0] = to_byte(r);
    pixel[1] = to_byte(g);
    pixel[2] = to_byte(b);
}

}  // namespace dpiqa::core
