#include "runner.hpp"

#include <algorithm>

#include "preprocess.hpp"

using namespace dpiqa::core;

Runner::Event Runner::make_event() {
    cudaEvent_t event = nullptr;
    cuda_check(cudaEventCreate(&event), "cudaEventCreate");
    return Event(event);
}

Runner::Runner(int width, int height)
    : width_(width),
      height_(height),
      size_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3),
      stream_(make_stream()),
      began_(make_event()),
      ended_(make_event()),
      rgb_(device_buffer<std::uint8_t>(size_)),
      copied_(pinned_buffer<std::uint8_t>(size_)),
      preprocessor_(std::in_place, width, height),
      result_(size_) {}

void Runner::start(const dpiqa_frame& frame, bool fresh) {
    if (fresh) preprocessor_.emplace(width_, height_);
    cuda_check(cudaMemsetAsync(rgb_.get(), 0x5A, size_, stream_.get()), "cudaMemsetAsync");  // nothing left from before
    preprocessor_->run(frame, rgb_.get(), stream_.get());
    cuda_check(cudaMemcpyAsync(copied_.get(), rgb_.get(), size_, cudaMemcpyDeviceToHost, stream_.get()),
               "cudaMemcpyAsync");
}

const Bytes& Runner::wait() {
    cuda_check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
    std::copy_n(copied_.get(), size_, result_.begin());
    return result_;
}

float Runner::milliseconds(const dpiqa_frame& frame) {
    cuda_check(cudaEventRecord(began_.get(), stream_.get()), "cudaEventRecord");
    preprocessor_->run(frame, rgb_.get(), stream_.get());
    cuda_check(cudaEventRecord(ended_.get(), stream_.get()), "cudaEventRecord");
    cuda_check(cudaEventSynchronize(ended_.get()), "cudaEventSynchronize");
    float elapsed = 0;
    cuda_check(cudaEventElapsedTime(&elapsed, began_.get(), ended_.get()), "cudaEventElapsedTime");
    return elapsed;
}

Bytes on_cpu(const Picture& picture, int width, int height) {
    Bytes rgb(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
    Preprocessor(width, height).run(picture.frame(), rgb.data());
    return rgb;
}
