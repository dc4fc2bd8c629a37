// Frames: what each pixel format looks like in memory, and the checks that let the rest of the core trust a frame.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dpiqa/dpiqa.h"

namespace dpiqa::core {

constexpr int kMinSide = 32, kMaxSide = 16384;

struct PlaneShape {
    std::size_t row_bytes = 0;
    std::size_t rows = 0;
};

struct FormatShape {
    int planes = 0;
    PlaneShape plane[3];
};

bool is_yuv(int format);

// Throws InputError for an unknown format or a size that the format cannot have.
FormatShape shape_of(int format, int width, int height);

// Throws InputError unless every byte that scoring would read is inside the frame's buffers.
void check_frame(const dpiqa_frame& frame);

// Lays the planes out one after the other in one buffer, then checks the frame. A pitch of 0 means rows without a gap.
dpiqa_frame make_frame(int format, int colour, int width, int height, const void* data, std::size_t size,
                       std::size_t pitch);

}  // namespace dpiqa::core
