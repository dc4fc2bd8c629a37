#include "gpu_preprocessor.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "colour.hpp"
#include "layout.hpp"

namespace dpiqa::core {
namespace {

constexpr std::size_t kMostPlans = 8;  // cameras of different sizes take turns

// On the kernel's own stream: cudaMemcpy from pageable memory returns once the bytes are staged, and a non-blocking stream
// does not wait for the rest of their way. `values` must stay as they are until the stream has passed this point.
template <typename Value>
DeviceBuffer<Value> uploaded(const std::vector<Value>& values, cudaStream_t stream) {
    auto buffer = device_buffer<Value>(values.size());
    cuda_check(cudaMemcpyAsync(buffer.get(), values.data(), values.size() * sizeof(Value), cudaMemcpyHostToDevice, stream),
               "cudaMemcpyAsync");
    return buffer;
}

cudaPointerAttributes attributes_of(const void* memory) {
    cudaPointerAttributes attributes{};
    cuda_check(cudaPointerGetAttributes(&attributes, memory), "cudaPointerGetAttributes");
    return attributes;
}

// A kernel that reads memory of another kind would end every later CUDA call of the process.
void check_device(const dpiqa_frame& frame, int planes) {
    int device = 0, is_integrated = 0;
    cuda_check(cudaGetDevice(&device), "cudaGetDevice");
    cuda_check(cudaDeviceGetAttribute(&is_integrated, cudaDevAttrIntegrated, device), "cudaDeviceGetAttribute");
    for (int i = 0; i < planes; ++i) {
        const cudaPointerAttributes attributes = attributes_of(frame.planes[i].data);
        const std::string name = "frame: plane " + std::to_string(i);
        if (attributes.type == cudaMemoryTypeUnregistered && is_integrated == 0)
            throw InputError(name + " is not in device memory");
        if (attributes.type == cudaMemoryTypeDevice && attributes.device != device)
            throw InputError(name + " is on device " + std::to_string(attributes.device) + ", the engine runs on device " +
                             std::to_string(device));
    }
}

}  // namespace

GpuPreprocessor::AxisTable GpuPreprocessor::upload(Axis axis, cudaStream_t stream) {
    AxisTable table;
    table.source = std::move(axis);
    table.first = core::uploaded(table.source.first, stream);
    table.weights = core::uploaded(table.source.weights, stream);
    return table;
}

const GpuPreprocessor::Plan& GpuPreprocessor::plan_for(const dpiqa_frame& frame, cudaStream_t stream) {
    const auto known = std::find_if(plans_.begin(), plans_.end(), [&frame](const Plan& plan) {
        return plan.format == frame.format && plan.width == frame.width && plan.height == frame.height;
    });
    if (known != plans_.end()) {
        std::rotate(plans_.begin(), known, known + 1);
        return plans_.front();
    }
    if (plans_.size() == kMostPlans) {
        cuda_check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");  // its tables may still be in use
        plans_.pop_back();
    }
    const int bytes = layout_of(frame.format, 0).begin()->bytes;
    Plan plan{frame.format, frame.width, frame.height, {}, {}};
    plan.rows[0] = upload(make_axis(frame.height, height_, 1), stream);
    plan.columns[0] = upload(make_axis(frame.width, width_, 1, bytes), stream);
    if (shape_of(frame.format, frame.width, frame.height).planes > 1)
        plan.rows[1] = upload(make_axis(frame.height, height_, 2), stream);
    if (is_yuv(frame.format)) plan.columns[1] = upload(make_axis(frame.width, width_, 2, bytes), stream);
    plans_.insert(plans_.begin(), std::move(plan));
    return plans_.front();
}

void GpuPreprocessor::reserve(std::size_t bytes, cudaStream_t stream) {
    if (!copied_) copied_ = make_event();
    cuda_check(cudaEventSynchronize(copied_.get()), "cudaEventSynchronize");  // the frame before has left `pinned_`
    if (bytes <= reserved_) return;
    cuda_check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    reserved_ = 0;
    staging_ = device_buffer<std::uint8_t>(bytes);
    pinned_ = pinned_buffer<std::uint8_t>(bytes);
    reserved_ = bytes;
}

// Through pinned memory, as a copy from pageable memory waits for those of all other streams.
const std::uint8_t* GpuPreprocessor::uploaded(const dpiqa_plane& plane, const PlaneShape& shape, std::size_t offset,
                                              cudaStream_t stream) {
    std::uint8_t* staged = staging_.get() + offset;
    const void* source = plane.data;
    std::size_t pitch = plane.pitch;
    if (attributes_of(plane.data).type == cudaMemoryTypeUnregistered) {
        for (std::size_t row = 0; row < shape.rows; ++row)
            std::memcpy(pinned_.get() + offset + row * shape.row_bytes,
                        static_cast<const std::uint8_t*>(plane.data) + row * plane.pitch, shape.row_bytes);
        source = pinned_.get() + offset;
        pitch = shape.row_bytes;
    }
    cuda_check(cudaMemcpy2DAsync(staged, shape.row_bytes, source, pitch, shape.row_bytes, shape.rows, cudaMemcpyHostToDevice, stream),
               "cudaMemcpy2DAsync");
    return staged;
}

// Lets the stream wait until the pixels are there.
void GpuPreprocessor::await(const dpiqa_frame& frame, cudaStream_t stream) {
    if (frame.stream != nullptr) {
        if (!arrived_) arrived_ = make_event();
        if (cudaEventRecord(arrived_.get(), static_cast<cudaStream_t>(frame.stream)) != cudaSuccess) {
            cudaGetLastError();
            throw InputError("frame: its stream cannot be waited for, is it one of another device or context?");
        }
        cuda_check(cudaStreamWaitEvent(stream, arrived_.get(), 0), "cudaStreamWaitEvent");
    }
    if (frame.event != nullptr && cudaStreamWaitEvent(stream, static_cast<cudaEvent_t>(frame.event), 0) != cudaSuccess) {
        cudaGetLastError();
        throw InputError("frame: its event cannot be waited for");
    }
}

void GpuPreprocessor::run(const dpiqa_frame& frame, std::uint8_t* rgb, cudaStream_t stream) {
    try {
        start(frame, rgb, stream);
    } catch (...) {
        cudaStreamSynchronize(stream);  // the caller may free the frame now
        throw;
    }
}

void GpuPreprocessor::start(const dpiqa_frame& frame, std::uint8_t* rgb, cudaStream_t stream) {
    const FormatShape shape = shape_of(frame.format, frame.width, frame.height);
    const bool is_host = frame.memory == DPIQA_HOST;
    if (is_host) {
        std::size_t bytes = 0;
        for (const PlaneShape& plane : shape.plane) bytes += plane.row_bytes * plane.rows;
        reserve(bytes, stream);
    } else {
        check_device(frame, shape.planes);
        await(frame, stream);
    }
    const Plan& plan = plan_for(frame, stream);
    DeviceFrame device{};
    device.is_yuv = is_yuv(frame.format);
    device.matrix = colour_matrix(frame.colour, frame.format);
    std::size_t offset = 0;
    for (int i = 0; i < shape.planes; ++i) {
        const auto* pixels = static_cast<const std::uint8_t*>(frame.planes[i].data);
        std::size_t pitch = frame.planes[i].pitch;
        if (is_host) {
            pixels = uploaded(frame.planes[i], shape.plane[i], offset, stream);
            pitch = shape.plane[i].row_bytes;
            offset += shape.plane[i].row_bytes * shape.plane[i].rows;
        }
        for (const Layout& layout : layout_of(frame.format, i))
            device.channels[layout.target] = {pixels + layout.offset, pitch, layout.stride,
                                              plan.rows[row_subsampling(i) - 1].view(),
                                              plan.columns[layout.subsampling - 1].view()};
    }
    if (frame.format == DPIQA_GRAY) device.channels[1] = device.channels[2] = device.channels[0];
    if (is_host) cuda_check(cudaEventRecord(copied_.get(), stream), "cudaEventRecord");
    cuda_check(launch_preprocess(device, width_, height_, rgb, stream), "the preprocessing kernel");
}

}  // namespace dpiqa::core
