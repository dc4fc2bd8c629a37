#include "gpu_preprocessor.hpp"

#include <utility>

#include "colour.hpp"
#include "frame.hpp"
#include "layout.hpp"

namespace dpiqa::core {
namespace {

// On the kernel's own stream: cudaMemcpy from pageable memory returns once the bytes are staged, and a non-blocking stream
// does not wait for the rest of their way. `values` must stay as they are until the stream has passed this point.
template <typename Value>
DeviceBuffer<Value> uploaded(const std::vector<Value>& values, cudaStream_t stream) {
    auto buffer = device_buffer<Value>(values.size());
    cuda_check(cudaMemcpyAsync(buffer.get(), values.data(), values.size() * sizeof(Value), cudaMemcpyHostToDevice, stream),
               "cudaMemcpyAsync");
    return buffer;
}

}  // namespace

GpuPreprocessor::AxisTable GpuPreprocessor::upload(Axis axis, cudaStream_t stream) {
    AxisTable table;
    table.source = std::move(axis);
    table.first = uploaded(table.source.first, stream);
    table.weights = uploaded(table.source.weights, stream);
    return table;
}

void GpuPreprocessor::plan(const dpiqa_frame& frame, cudaStream_t stream) {
    format_ = 0;  // an exception below leaves no half-made plan behind
    const FormatShape shape = shape_of(frame.format, frame.width, frame.height);
    std::size_t bytes = 0;
    for (const PlaneShape& plane : shape.plane) bytes += plane.row_bytes * plane.rows;
    staging_ = device_buffer<std::uint8_t>(bytes);
    rows_[0] = upload(make_axis(frame.height, height_, 1), stream);
    columns_[0] = upload(make_axis(frame.width, width_, 1), stream);
    if (shape.planes > 1) rows_[1] = upload(make_axis(frame.height, height_, 2), stream);
    if (is_yuv(frame.format)) columns_[1] = upload(make_axis(frame.width, width_, 2), stream);
    format_ = frame.format;
    frame_width_ = frame.width;
    frame_height_ = frame.height;
}

void GpuPreprocessor::run(const dpiqa_frame& frame, std::uint8_t* rgb, cudaStream_t stream) {
    if (frame.format != format_ || frame.width != frame_width_ || frame.height != frame_height_) {
        cuda_check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");  // the old tables may still be in use
        plan(frame, stream);
    }
    const FormatShape shape = shape_of(frame.format, frame.width, frame.height);
    DeviceFrame device{};
    device.is_yuv = is_yuv(frame.format);
    device.matrix = colour_matrix(frame.colour);
    std::uint8_t* staged = staging_.get();
    for (int i = 0; i < shape.planes; ++i) {
        const dpiqa_plane& plane = frame.planes[i];
        const std::size_t row_bytes = shape.plane[i].row_bytes, rows = shape.plane[i].rows;
        const auto* pixels = static_cast<const std::uint8_t*>(plane.data);
        std::size_t pitch = plane.pitch;
        if (frame.memory == DPIQA_HOST) {
            cuda_check(cudaMemcpy2DAsync(staged, row_bytes, plane.data, plane.pitch, row_bytes, rows, cudaMemcpyHostToDevice, stream),
                       "cudaMemcpy2DAsync");
            pixels = staged;
            pitch = row_bytes;
            staged += row_bytes * rows;
        }
        for (const Layout& layout : layout_of(frame.format, i))
            device.channels[layout.target] = {pixels + layout.offset, pitch, layout.stride,
                                              rows_[row_subsampling(i) - 1].view(), columns_[layout.subsampling - 1].view()};
    }
    if (frame.format == DPIQA_GRAY) device.channels[1] = device.channels[2] = device.channels[0];
    cuda_check(launch_preprocess(device, width_, height_, rgb, stream), "the preprocessing kernel");
}

}  // namespace dpiqa::core
