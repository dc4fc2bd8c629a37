#include "preprocess.hpp"

#include <algorithm>

#include "colour.hpp"
#include "error.hpp"
#include "frame.hpp"
#include "layout.hpp"

namespace dpiqa::core {

Preprocessor::Plane Preprocessor::make_plane(const dpiqa_frame& frame, int index) const {
    Plane plane;
    plane.row_bytes = shape_of(frame.format, frame.width, frame.height).plane[index].row_bytes;
    plane.rows = make_axis(frame.height, height_, row_subsampling(index));
    for (const Layout& layout : layout_of(frame.format, index))
        plane.channels.push_back({layout.target, layout.offset,
                                  spread(make_axis(frame.width, width_, layout.subsampling, layout.bytes), layout.stride)});
    return plane;
}

void Preprocessor::plan(const dpiqa_frame& frame) {
    format_ = 0;  // an exception below leaves no half-made plan behind
    planes_.clear();
    std::size_t rows = 0, bytes = 0;
    const int count = shape_of(frame.format, frame.width, frame.height).planes;
    for (int i = 0; i < count; ++i) {
        planes_.push_back(make_plane(frame, i));
        rows = std::max(rows, static_cast<std::size_t>(planes_.back().rows.taps) + 1);
        for (const Channel& channel : planes_.back().channels)  // lanes may look past the row's end, at zero weights
            bytes = std::max(bytes, planes_.back().row_bytes + static_cast<std::size_t>(channel.lanes.lanes));
    }
    row_pointers_.assign(rows, nullptr);
    row_weights_.assign(rows, 0);
    blended_.assign(bytes, 0);
    for (auto& samples : samples_) samples.assign((static_cast<std::size_t>(width_) + 7) / 8 * 8, 0);
    format_ = frame.format;
    frame_width_ = frame.width;
    frame_height_ = frame.height;
}

void Preprocessor::blend_rows(const Plane& plane, const dpiqa_plane& pixels, int target) {
    const Axis& axis = plane.rows;
    const auto* source = static_cast<const std::uint8_t*>(pixels.data) +
                         static_cast<std::size_t>(axis.first[static_cast<std::size_t>(target)]) * pixels.pitch;
    const std::int16_t* weights = &axis.weights[static_cast<std::size_t>(target * axis.taps)];
    std::size_t count = 0;
    for (int tap = 0; tap < axis.taps; ++tap, source += pixels.pitch) {
        if (weights[tap] == 0) continue;
        row_pointers_[count] = source;
        row_weights_[count++] = weights[tap];
    }
    if (count % 2 != 0) {
        row_pointers_[count] = row_pointers_[count - 1];
        row_weights_[count++] = 0;
    }
    kernels_.blend(row_pointers_.data(), row_weights_.data(), static_cast<int>(count), plane.row_bytes, blended_.data());
}

void Preprocessor::run(const dpiqa_frame& frame, std::uint8_t* rgb) {
    if (frame.memory != DPIQA_HOST)
        throw InputError("frame: it lies in device memory, which only the engine 'tensorrt' takes");
    if (frame.format != format_ || frame.width != frame_width_ || frame.height != frame_height_) plan(frame);
    const bool yuv = is_yuv(frame.format), gray = frame.format == DPIQA_GRAY;
    const ColourMatrix matrix = colour_matrix(frame.colour, frame.format);
    std::int16_t *r = samples_[0].data(), *g = samples_[gray ? 0 : 1].data(), *b = samples_[gray ? 0 : 2].data();
    for (int row = 0; row < height_; ++row, rgb += 3 * width_) {
        for (std::size_t i = 0; i < planes_.size(); ++i) {
            blend_rows(planes_[i], frame.planes[i], row);
            for (const Channel& channel : planes_[i].channels)
                kernels_.reduce(blended_.data() + channel.offset, channel.lanes.first.data(),
                                channel.lanes.weights.data(), channel.lanes.lanes, channel.lanes.targets,
                                samples_[channel.target].data());
        }
        if (yuv) kernels_.to_rgb(r, g, b, width_, matrix);
        kernels_.pack(r, g, b, width_, rgb);
    }
}

}  // namespace dpiqa::core
