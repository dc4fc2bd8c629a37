// What this project needs of TensorRT: the library behind a small interface, so that tests can put a fake in its place.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "manifest.hpp"

namespace dpiqa::core {

enum class TensorType { kUint8, kFloat32, kOther };

struct Tensor {
    std::string name;
    bool is_input = false;
    TensorType type = TensorType::kOther;
    std::vector<std::int64_t> shape;  // -1 where it is dynamic
};

// One execution context. One thread at a time; every call that takes a stream is asynchronous on it. False: refused, and
// TensorRT has logged why.
class TensorRtContext {
  public:
    virtual ~TensorRtContext() = default;
    virtual bool choose_profile(int profile, cudaStream_t stream) = 0;
    virtual bool set_shape(const char* input, const std::vector<std::int64_t>& shape) = 0;
    virtual bool place(const char* tensor, void* memory) = 0;
    virtual bool enqueue(cudaStream_t stream) = 0;
};

// A deserialized engine. Outlives its contexts.
class TensorRtPlan {
  public:
    virtual ~TensorRtPlan() = default;
    virtual std::vector<Tensor> tensors() const = 0;
    virtual int profiles() const = 0;

    // Bytes of device memory that a context works in, for the largest shapes of any profile.
    virtual std::size_t workspace() const = 0;
    // `workspace`: aligned as cudaMalloc does, for this context's use while it runs. Null: refused.
    virtual std::unique_ptr<TensorRtContext> make_context(void* workspace, std::size_t size) = 0;

    // TensorRT-RTX compiles kernels when contexts are made and first run. Those of an earlier process, before any context is
    // made: false where they are of another library, driver or GPU. The other flavour has none: false, and "".
    virtual bool load_kernels(const std::string& bytes) = 0;
    virtual std::string kernels() const = 0;
};

class TensorRtLibrary {
  public:
    virtual ~TensorRtLibrary() = default;
    virtual Library identity() const = 0;  // answers without a driver
    // Only where there is a driver: without one, the lean runtime ends the process. Null: refused.
    virtual std::unique_ptr<TensorRtPlan> load(const std::string& bytes) = 0;
};

// TensorRT-RTX records CUDA graphs by itself; recorded by hand, they may keep kernels that are not specialised yet.
inline bool records_graphs(const Library& library) { return library.flavour == "tensorrt-rtx"; }

// Before TensorRT 10 a profile with dynamic shapes serves one context at a time, unless the engine was built to share it.
inline bool shares_profiles(const Library& library, const Manifest& manifest) {
    return manifest.shares_profiles || manifest.batches.smallest == manifest.batches.largest || library.flavour == "tensorrt-rtx" || library.number >= 100000;
}

}  // namespace dpiqa::core
