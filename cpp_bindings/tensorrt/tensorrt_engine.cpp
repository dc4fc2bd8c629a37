#include "tensorrt_engine.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "error.hpp"
#include "kernel_cache.hpp"
#include "sha256.hpp"
#include "tensorrt_request.hpp"

namespace dpiqa::core {
namespace {

constexpr int kLanes = 2;  // one batch forms while another is inferred

// Without a driver TensorRT's lean runtime ends the process instead of failing: ask the driver first.
Gpu probe_gpu(const std::string& file) {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0)
        throw EngineError(file + ": engine 'tensorrt' needs an NVIDIA GPU with its driver, found none (" +
                          cudaGetErrorString(status == cudaSuccess ? cudaErrorNoDevice : status) + ")");
    int device = 0;
    cudaDeviceProp properties{};
    cuda_check(cudaGetDevice(&device), "cudaGetDevice");
    cuda_check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
    return {properties.name, std::to_string(properties.major) + "." + std::to_string(properties.minor)};
}

std::string read_engine(const std::string& file) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) throw EngineError(file + ": no such model file, or it cannot be read");
    return {std::istreambuf_iterator<char>(stream), {}};
}

std::size_t volume(const std::vector<std::int64_t>& shape) {
    std::size_t product = 1;
    for (std::size_t axis = 1; axis < shape.size(); ++axis) product *= static_cast<std::size_t>(shape[axis]);
    return product;
}

}  // namespace

TensorRtEngine::TensorRtEngine(std::unique_ptr<TensorRtLibrary> library, const std::string& file, const EngineOptions& options)
    : file_(file), manifest_(read_manifest(file)), library_(std::move(library)) {
    check_library(manifest_, library_->identity(), file_);
    check_gpu(manifest_, probe_gpu(file_), file_);
    cuda_check(cudaGetDevice(&device_), "cudaGetDevice");
    bytes_ = read_engine(file_);
    if (sha256(bytes_) != manifest_.engine_sha256)
        throw EngineError(file_ + ": is not the engine that its manifest describes, but another one or a damaged one; rebuild it with: " +
                          manifest_.rebuild);
    plans_.push_back(load());
    check_tensors(plans_.front()->tensors());
    load_kernels(*plans_.front(), file_);
    std::vector<std::unique_ptr<Lane>> lanes;
    for (int i = 0; i < kLanes; ++i) lanes.push_back(make_lane());
    save_kernels(*plans_.front(), file_);
    std::string().swap(bytes_);
    batcher_ = std::make_unique<Batcher>(std::move(lanes), manifest_.batches.largest, std::chrono::milliseconds(options.max_wait_ms));
}

int TensorRtEngine::best_requests() const { return kLanes * manifest_.batches.largest; }

std::unique_ptr<Request> TensorRtEngine::make_request() {
    return std::make_unique<TensorRtRequest>(*batcher_, manifest_.spec, outputs_, device_);
}

std::unique_ptr<TensorRtPlan> TensorRtEngine::load() const {
    auto plan = library_->load(bytes_);
    if (!plan) throw EngineError(file_ + ": TensorRT cannot load it, the log says why; rebuild it with: " + manifest_.rebuild);
    return plan;
}

std::unique_ptr<Lane> TensorRtEngine::make_lane() {
    const Library library = library_->identity();
    const LaneSettings settings{file_, manifest_.spec.width, manifest_.spec.height, manifest_.batches,
                                plans_.front()->workspace(), !records_graphs(library)};
    const auto make_context = [&](void* workspace, std::size_t size, cudaStream_t stream) {
        int profile = 0;
        if (!shares_profiles(library, manifest_)) {
            if (used_profiles_ == plans_.back()->profiles()) {
                plans_.push_back(load());
                used_profiles_ = 0;
            }
            profile = used_profiles_++;
        }
        auto context = plans_.back()->make_context(workspace, size);
        if (!context) throw EngineError(file_ + ": TensorRT cannot create an execution context, the GPU may be out of memory");
        if (!context->choose_profile(profile, stream))
            throw EngineError(file_ + ": TensorRT refuses profile " + std::to_string(profile) + " of the engine, the log says why");
        return context;
    };
    return std::make_unique<Lane>(settings, outputs_, make_context);
}

void TensorRtEngine::check_tensors(const std::vector<Tensor>& tensors) {
    const ModelSpec& spec = manifest_.spec;
    bool has_input = false, has_score = false, has_causes = spec.causes.empty();
    for (const Tensor& tensor : tensors) {
        const auto& shape = tensor.shape;
        if (tensor.is_input) {
            has_input = tensor.name == "frames" && tensor.type == TensorType::kUint8 && shape.size() == 4 &&
                        shape[1] == spec.height && shape[2] == spec.width && shape[3] == 3;
            continue;
        }
        const bool is_fixed = !shape.empty() && std::all_of(shape.begin() + 1, shape.end(), [](auto side) { return side > 0; });
        if (tensor.type != TensorType::kFloat32 || !is_fixed)
            throw ContractError(file_ + ": output '" + tensor.name + "' must be float32 with a fixed size");
        has_score = has_score || (tensor.name == "score" && shape.size() == 1);
        has_causes = has_causes || (tensor.name == "causes" && volume(shape) == spec.causes.size());
        if (tensor.name == "map" && shape.size() == 3) map_ = {static_cast<int>(shape[2]), static_cast<int>(shape[1])};
        outputs_.tensors.push_back({tensor.name, volume(shape), outputs_.size});
        outputs_.size += volume(shape);
    }
    if (!has_input || !has_score || !has_causes)
        throw ContractError(file_ + ": its inputs and outputs are not those of its manifest; rebuild it with: " + manifest_.rebuild);
}

}  // namespace dpiqa::core
