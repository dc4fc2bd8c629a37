// A stream that keeps the GPU's copy engine busy, so that other copies come late.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>

#include "memory.hpp"
#include "report.hpp"

// Copies to the device without end, until destroyed.
class BusyCopyEngine {
  public:
    BusyCopyEngine() : thread_([this] { run(); }) {}
    BusyCopyEngine(const BusyCopyEngine&) = delete;
    BusyCopyEngine& operator=(const BusyCopyEngine&) = delete;
    ~BusyCopyEngine() {
        is_over_ = true;
        thread_.join();
    }

  private:
    void run() noexcept {
        try {
            constexpr std::size_t kBytes = std::size_t{4} << 20;
            const auto from = dpiqa::core::pinned_buffer<std::uint8_t>(kBytes);
            const auto to = dpiqa::core::device_buffer<std::uint8_t>(kBytes);
            const dpiqa::core::Stream stream = dpiqa::core::make_stream();
            while (!is_over_) {
                for (int i = 0; i < 4; ++i)
                    dpiqa::core::cuda_check(cudaMemcpyAsync(to.get(), from.get(), kBytes, cudaMemcpyHostToDevice, stream.get()),
                                            "cudaMemcpyAsync");
                dpiqa::core::cuda_check(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
            }
        } catch (const std::exception& error) {
            Line("busy_copy_engine").text("error", error.what()).passed(false);
        }
    }

    std::atomic<bool> is_over_{false};
    std::thread thread_;
};
