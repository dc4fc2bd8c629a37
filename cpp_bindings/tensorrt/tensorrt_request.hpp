// A frame's way to the GPU, and its seat in a batch.
#pragma once

#include <string>
#include <vector>

#include "batcher.hpp"
#include "engine.hpp"
#include "gpu_preprocessor.hpp"

namespace dpiqa::core {

class TensorRtRequest final : public Request {
  public:
    TensorRtRequest(Batcher& batcher, const ModelSpec& spec, const LaneOutputs& outputs, int device);
    ~TensorRtRequest() override;
    TensorRtRequest(const TensorRtRequest&) = delete;
    TensorRtRequest& operator=(const TensorRtRequest&) = delete;

    void load(const dpiqa_frame& frame) override;
    void start() override;
    Outputs wait() override;

  private:
    const float* of(const char* output) const;

    Batcher& batcher_;
    const LaneOutputs& outputs_;
    const int device_;
    GpuPreprocessor preprocessor_;
    Stream stream_;
    Event ready_;
    DeviceBuffer<std::uint8_t> rgb_;
    std::vector<float> results_;
    Passenger passenger_;
};

}  // namespace dpiqa::core
