#include "tensorrt_request.hpp"

namespace dpiqa::core {

TensorRtRequest::TensorRtRequest(Batcher& batcher, const ModelSpec& spec, const LaneOutputs& outputs, int device)
    : batcher_(batcher), outputs_(outputs), device_(device), preprocessor_(spec.width, spec.height), results_(outputs.size) {
    const DeviceScope scope(device_);
    stream_ = make_stream();
    ready_ = make_event();
    rgb_ = device_buffer<std::uint8_t>(static_cast<std::size_t>(spec.width) * static_cast<std::size_t>(spec.height) * 3);
    passenger_.rgb = rgb_.get();
    passenger_.ready = ready_.get();
    passenger_.results = results_.data();
}

TensorRtRequest::~TensorRtRequest() { cudaStreamSynchronize(stream_.get()); }

void TensorRtRequest::load(const dpiqa_frame& frame) {
    const DeviceScope scope(device_);
    preprocessor_.run(frame, rgb_.get(), stream_.get());
}

void TensorRtRequest::start() {
    const DeviceScope scope(device_);
    try {
        cuda_check(cudaEventRecord(ready_.get(), stream_.get()), "cudaEventRecord");
        batcher_.board(passenger_);
    } catch (...) {
        cudaStreamSynchronize(stream_.get());  // the caller may free the frame now
        throw;
    }
}

Outputs TensorRtRequest::wait() {
    const DeviceScope scope(device_);
    try {
        batcher_.alight(passenger_);
    } catch (...) {
        cudaStreamSynchronize(stream_.get());
        throw;
    }
    return {*of("score"), of("causes"), of("map")};
}

const float* TensorRtRequest::of(const char* output) const {
    for (const LaneOutput& tensor : outputs_.tensors)
        if (tensor.name == output) return results_.data() + tensor.offset;
    return nullptr;
}

}  // namespace dpiqa::core
