#include "frame.hpp"

#include <algorithm>
#include <string>

#include "error.hpp"

namespace dpiqa::core {
namespace {

constexpr std::size_t kMaxPitch = std::size_t{1} << 24;

std::string size_text(int width, int height) { return std::to_string(width) + "x" + std::to_string(height); }

void check_plane(const dpiqa_plane& plane, const PlaneShape& shape, int index) {
    const std::string name = "frame: plane " + std::to_string(index);
    if (plane.data == nullptr) throw InputError(name + " has no data");
    if (plane.pitch < shape.row_bytes)
        throw InputError(name + ": pitch of " + std::to_string(plane.pitch) + " bytes is below the row's " +
                         std::to_string(shape.row_bytes));
    if (plane.pitch > kMaxPitch)
        throw InputError(name + ": pitch of " + std::to_string(plane.pitch) + " bytes is more than " +
                         std::to_string(kMaxPitch));
    const std::size_t needed = (shape.rows - 1) * plane.pitch + shape.row_bytes;
    if (plane.size < needed)
        throw InputError(name + ": buffer of " + std::to_string(plane.size) + " bytes is too small, needs " +
                         std::to_string(needed));
}

}  // namespace

bool is_yuv(int format) { return format >= DPIQA_NV12 && format != DPIQA_RGBA; }

FormatShape shape_of(int format, int width, int height) {
    if (format < DPIQA_BGR || format > DPIQA_P010)
        throw InputError("frame: unknown pixel format " + std::to_string(format));
    if (std::min(width, height) < kMinSide || std::max(width, height) > kMaxSide)
        throw InputError("frame: " + size_text(width, height) + " pixels cannot be scored, both sides must be " +
                         std::to_string(kMinSide) + " to " + std::to_string(kMaxSide));
    const bool half_height = format == DPIQA_NV12 || format == DPIQA_I420 || format == DPIQA_P010;
    if (is_yuv(format) && (width % 2 != 0 || (half_height && height % 2 != 0)))
        throw InputError("frame: " + size_text(width, height) + " pixels have no whole chroma samples, " +
                         (half_height ? "width and height" : "width") + " must be even");
    const auto w = static_cast<std::size_t>(width), h = static_cast<std::size_t>(height);
    switch (format) {
        case DPIQA_GRAY: return {1, {{w, h}, {}, {}}};
        case DPIQA_NV12: return {2, {{w, h}, {w, h / 2}, {}}};
        case DPIQA_I420: return {3, {{w, h}, {w / 2, h / 2}, {w / 2, h / 2}}};
        case DPIQA_YUYV:
        case DPIQA_UYVY: return {1, {{w * 2, h}, {}, {}}};
        case DPIQA_RGBA: return {1, {{w * 4, h}, {}, {}}};
        case DPIQA_P010: return {2, {{w * 2, h}, {w * 2, h / 2}, {}}};
        default: return {1, {{w * 3, h}, {}, {}}};
    }
}

void check_frame(const dpiqa_frame& frame) {
    const FormatShape shape = shape_of(frame.format, frame.width, frame.height);
    if (frame.reserved != 0) throw InputError("frame: its field 'reserved' must be 0, found " + std::to_string(frame.reserved));
    if (frame.memory != DPIQA_HOST && frame.memory != DPIQA_DEVICE)
        throw InputError("frame: unknown kind of memory " + std::to_string(frame.memory));
    if (frame.memory == DPIQA_HOST && (frame.stream != nullptr || frame.event != nullptr))
        throw InputError("frame: only a frame in device memory may name a stream or an event to wait for");
    if (is_yuv(frame.format) && (frame.colour < DPIQA_BT601_LIMITED || frame.colour > DPIQA_BT709_FULL))
        throw InputError("frame: a YUV frame must state its colour (BT.601 or BT.709, limited or full range), found " +
                         std::to_string(frame.colour));
    for (int i = 0; i < shape.planes; ++i) check_plane(frame.planes[i], shape.plane[i], i);
}

dpiqa_frame make_frame(int format, int colour, int width, int height, const void* data, std::size_t size,
                       std::size_t pitch) {
    const FormatShape shape = shape_of(format, width, height);
    if (data == nullptr) throw InputError("frame: no data");
    if (pitch == 0) pitch = shape.plane[0].row_bytes;
    if (format == DPIQA_I420 && pitch % 2 != 0)
        throw InputError("frame: the pitch of I420 in one buffer must be even, found " + std::to_string(pitch));
    if (pitch > kMaxPitch) throw InputError("frame: pitch of " + std::to_string(pitch) + " bytes is too large");
    dpiqa_frame frame{};
    frame.format = format;
    frame.colour = colour;
    frame.width = width;
    frame.height = height;
    std::size_t offset = 0;
    for (int i = 0; i < shape.planes; ++i) {
        const std::size_t plane_pitch = format == DPIQA_I420 && i > 0 ? pitch / 2 : pitch;
        const std::size_t begin = std::min(offset, size);
        frame.planes[i] = {static_cast<const std::uint8_t*>(data) + begin, size - begin, plane_pitch};
        offset += plane_pitch * shape.plane[i].rows;
    }
    check_frame(frame);
    return frame;
}

}  // namespace dpiqa::core
