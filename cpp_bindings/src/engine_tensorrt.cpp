// The real side of the seam to TensorRT: NvInfer.h of 8.6, 10, 11 and TensorRT-RTX, and nothing that decides.
#include <NvInfer.h>

#include "../tensorrt/tensorrt_engine.hpp"
#include "log.hpp"

// From 10.1 on the working memory of a context is named with its size.
#if defined(TRT_MAJOR_RTX) || NV_TENSORRT_MAJOR > 10 || (NV_TENSORRT_MAJOR == 10 && NV_TENSORRT_MINOR > 0)
#define DPIQA_SIZED_WORKSPACE 1
#else
#define DPIQA_SIZED_WORKSPACE 0
#endif

namespace dpiqa::core {
namespace {

class Logger final : public nvinfer1::ILogger {
  public:
    void log(Severity severity, const char* message) noexcept override {
        if (severity > Severity::kWARNING) return;
        const auto level = severity == Severity::kWARNING ? DPIQA_LOG_WARNING : DPIQA_LOG_ERROR;
        try {
            core::log(level, std::string("TensorRT: ") + message);
        } catch (...) {
            return;  // out of memory: the message is lost, the failure itself is reported by the call
        }
    }
};

Logger& logger() {
    static Logger instance;
    return instance;
}

nvinfer1::Dims to_dims(const std::vector<std::int64_t>& shape) {
    nvinfer1::Dims dims{};
    for (const std::int64_t side : shape) dims.d[dims.nbDims++] = static_cast<std::decay_t<decltype(dims.d[0])>>(side);
    return dims;
}

class Context final : public TensorRtContext {
  public:
    explicit Context(nvinfer1::IExecutionContext* context) : context_(context) {}

    bool choose_profile(int profile, cudaStream_t stream) override {
        return context_->setOptimizationProfileAsync(profile, stream);
    }
    bool set_shape(const char* input, const std::vector<std::int64_t>& shape) override {
        return context_->setInputShape(input, to_dims(shape));
    }
    bool place(const char* tensor, void* memory) override { return context_->setTensorAddress(tensor, memory); }
    bool enqueue(cudaStream_t stream) override { return context_->enqueueV3(stream); }

  private:
    std::unique_ptr<nvinfer1::IExecutionContext> context_;
};

class Plan final : public TensorRtPlan {
  public:
    explicit Plan(nvinfer1::ICudaEngine* engine) : engine_(engine) {
#ifdef TRT_MAJOR_RTX
        configuration_.reset(engine_->createRuntimeConfig());
        if (!configuration_) return;
        using nvinfer1::CudaGraphStrategy;
        using nvinfer1::DynamicShapesKernelSpecializationStrategy;
        configuration_->setExecutionContextAllocationStrategy(nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED);
        configuration_->setDynamicShapesKernelSpecializationStrategy(DynamicShapesKernelSpecializationStrategy::kEAGER);
        if (!configuration_->setCudaGraphStrategy(CudaGraphStrategy::kWHOLE_GRAPH_CAPTURE))
            core::log(DPIQA_LOG_WARNING, "TensorRT-RTX refuses to record CUDA graphs");
        kernels_.reset(configuration_->createRuntimeCache());
        if (kernels_ && !configuration_->setRuntimeCache(*kernels_)) kernels_.reset();
#endif
    }

    std::vector<Tensor> tensors() const override {
        std::vector<Tensor> tensors;
        for (int i = 0; i < engine_->getNbIOTensors(); ++i) {
            const char* name = engine_->getIOTensorName(i);
            Tensor tensor{name, engine_->getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT, TensorType::kOther, {}};
            if (engine_->getTensorDataType(name) == nvinfer1::DataType::kUINT8) tensor.type = TensorType::kUint8;
            if (engine_->getTensorDataType(name) == nvinfer1::DataType::kFLOAT) tensor.type = TensorType::kFloat32;
            const nvinfer1::Dims dims = engine_->getTensorShape(name);
            for (int axis = 0; axis < dims.nbDims; ++axis) tensor.shape.push_back(dims.d[axis]);
            tensors.push_back(std::move(tensor));
        }
        return tensors;
    }

    int profiles() const override { return engine_->getNbOptimizationProfiles(); }

    std::size_t workspace() const override {
#if DPIQA_SIZED_WORKSPACE
        return static_cast<std::size_t>(engine_->getDeviceMemorySizeV2());
#else
        return static_cast<std::size_t>(engine_->getDeviceMemorySize());
#endif
    }

    std::unique_ptr<TensorRtContext> make_context(void* workspace, std::size_t size) override {
#ifdef TRT_MAJOR_RTX
        auto* context = configuration_ ? engine_->createExecutionContext(configuration_.get()) : nullptr;
#elif NV_TENSORRT_MAJOR >= 10
        auto* context = engine_->createExecutionContext(nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED);
#else
        auto* context = engine_->createExecutionContextWithoutDeviceMemory();
#endif
        if (context == nullptr) return nullptr;
#if DPIQA_SIZED_WORKSPACE
        context->setDeviceMemoryV2(workspace, static_cast<std::int64_t>(size));
#else
        static_cast<void>(size);
        context->setDeviceMemory(workspace);
#endif
        return std::make_unique<Context>(context);
    }

    bool load_kernels(const std::string& bytes) override {
#ifdef TRT_MAJOR_RTX
        return kernels_ && kernels_->deserialize(bytes.data(), bytes.size());
#else
        static_cast<void>(bytes);
        return false;
#endif
    }

    std::string kernels() const override {
#ifdef TRT_MAJOR_RTX
        const std::unique_ptr<nvinfer1::IHostMemory> bytes(kernels_ ? kernels_->serialize() : nullptr);
        if (bytes) return {static_cast<const char*>(bytes->data()), bytes->size()};
#endif
        return {};
    }

  private:
    std::unique_ptr<nvinfer1::ICudaEngine> engine_;
#ifdef TRT_MAJOR_RTX
    std::unique_ptr<nvinfer1::IRuntimeConfig> configuration_;
    std::unique_ptr<nvinfer1::IRuntimeCache> kernels_;
#endif
};

class RealLibrary final : public TensorRtLibrary {
  public:
    Library identity() const override { return {DPIQA_TENSORRT_FLAVOUR, getInferLibVersion(), DPIQA_TENSORRT_LEAN != 0}; }

    std::unique_ptr<TensorRtPlan> load(const std::string& bytes) override {
        if (!runtime_) runtime_.reset(nvinfer1::createInferRuntime(logger()));
        auto* engine = runtime_ ? runtime_->deserializeCudaEngine(bytes.data(), bytes.size()) : nullptr;
        return engine == nullptr ? nullptr : std::make_unique<Plan>(engine);
    }

  private:
    std::unique_ptr<nvinfer1::IRuntime> runtime_;
};

}  // namespace

std::unique_ptr<Engine> open_tensorrt(const std::string& file, const EngineOptions& options) {
    return std::make_unique<TensorRtEngine>(std::make_unique<RealLibrary>(), file, options);
}

}  // namespace dpiqa::core
