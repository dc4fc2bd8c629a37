// CUDA's resources with lifetimes, and its errors as ours.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <type_traits>

#include "error.hpp"

namespace dpiqa::core {

inline void cuda_check(cudaError_t status, const char* what) {
    if (status != cudaSuccess) throw EngineError(std::string("CUDA: ") + what + " failed (" + cudaGetErrorString(status) + ")");
}

template <cudaError_t (*Free)(void*)>
struct CudaFree {
    void operator()(void* memory) const noexcept { Free(memory); }
};

template <typename Value>
using DeviceBuffer = std::unique_ptr<Value[], CudaFree<cudaFree>>;
template <typename Value>
using PinnedBuffer = std::unique_ptr<Value[], CudaFree<cudaFreeHost>>;

template <typename Value>
DeviceBuffer<Value> device_buffer(std::size_t count) {
    void* memory = nullptr;
    cuda_check(cudaMalloc(&memory, count * sizeof(Value)), "cudaMalloc");
    return DeviceBuffer<Value>(static_cast<Value*>(memory));
}

template <typename Value>
PinnedBuffer<Value> pinned_buffer(std::size_t count) {
    void* memory = nullptr;
    cuda_check(cudaMallocHost(&memory, count * sizeof(Value)), "cudaMallocHost");
    return PinnedBuffer<Value>(static_cast<Value*>(memory));
}

template <typename Handle, cudaError_t (*Destroy)(Handle)>
struct CudaDestroy {
    void operator()(Handle handle) const noexcept { Destroy(handle); }
};

using Stream = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, CudaDestroy<cudaStream_t, cudaStreamDestroy>>;
using Event = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, CudaDestroy<cudaEvent_t, cudaEventDestroy>>;
using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, CudaDestroy<cudaGraph_t, cudaGraphDestroy>>;
using GraphExec =
    std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, CudaDestroy<cudaGraphExec_t, cudaGraphExecDestroy>>;

// A thread that waits for it sleeps instead of spinning.
inline Event make_event() {
    cudaEvent_t event = nullptr;
    cuda_check(cudaEventCreateWithFlags(&event, cudaEventBlockingSync | cudaEventDisableTiming), "cudaEventCreate");
    return Event(event);
}

// The calling thread's device while it lives; the caller's own afterwards.
class DeviceScope {
  public:
    explicit DeviceScope(int device) {
        cuda_check(cudaGetDevice(&before_), "cudaGetDevice");
        if (before_ != device) cuda_check(cudaSetDevice(device), "cudaSetDevice");
        is_other_ = before_ != device;
    }
    DeviceScope(const DeviceScope&) = delete;
    DeviceScope& operator=(const DeviceScope&) = delete;
    ~DeviceScope() {
        if (is_other_) cudaSetDevice(before_);
    }

  private:
    int before_ = 0;
    bool is_other_ = false;
};

inline Stream make_stream() {
    cudaStream_t stream = nullptr;
    cuda_check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    return Stream(stream);
}

}  // namespace dpiqa::core
