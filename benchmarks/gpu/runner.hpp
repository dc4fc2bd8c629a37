// One camera's way on the GPU: a stream of its own, the core's preprocessing, and the result back on the host.
#pragma once

#include <cstddef>
#include <optional>

#include "gpu_preprocessor.hpp"
#include "pictures.hpp"

class Runner {
  public:
    Runner(int width, int height);

    // Asynchronous; `frame` stays alive until wait(). A `fresh` preprocessor has no tables yet: it uploads them first.
    void start(const dpiqa_frame& frame, bool fresh = false);
    const Bytes& wait();

    // Between two events on the stream, without the way back.
    float milliseconds(const dpiqa_frame& frame);

  private:
    using Event = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>,
                                  dpiqa::core::CudaDestroy<cudaEvent_t, cudaEventDestroy>>;
    static Event make_event();

    int width_, height_;
    std::size_t size_;
    dpiqa::core::Stream stream_;
    Event began_, ended_;
    dpiqa::core::DeviceBuffer<std::uint8_t> rgb_;
    dpiqa::core::PinnedBuffer<std::uint8_t> copied_;
    std::optional<dpiqa::core::GpuPreprocessor> preprocessor_;
    Bytes result_;
};

// What the core's preprocessing on the CPU makes of a picture.
Bytes on_cpu(const Picture& picture, int width, int height);
