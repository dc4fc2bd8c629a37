#include <NvInfer.h>

#include <fstream>
#include <iterator>

#include "../cuda/gpu_preprocessor.hpp"
#include "../cuda/memory.hpp"
#include "engine.hpp"
#include "error.hpp"
#include "log.hpp"
#include "manifest.hpp"

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

// Without a driver TensorRT's lean runtime ends the process instead of failing: ask the driver first.
cudaDeviceProp probe_gpu(const std::string& file) {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0)
        throw EngineError(file + ": engine 'tensorrt' needs an NVIDIA GPU with its driver, found none (" +
                          cudaGetErrorString(status == cudaSuccess ? cudaErrorNoDevice : status) + ")");
    int device = 0;
    cudaDeviceProp properties{};
    cuda_check(cudaGetDevice(&device), "cudaGetDevice");
    cuda_check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
    return properties;
}

std::string read_engine(const std::string& file) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) throw EngineError(file + ": no such model file, or it cannot be read");
    return {std::istreambuf_iterator<char>(stream), {}};
}

std::size_t volume(const nvinfer1::Dims& dims) {
    std::size_t product = 1;
    for (int i = 1; i < dims.nbDims; ++i) product *= static_cast<std::size_t>(dims.d[i]);
    return product;
}

// One output tensor of one frame: computed on the device, read from pinned memory.
struct Output {
    std::string name;
    std::size_t count = 0;
    DeviceBuffer<float> device;
    PinnedBuffer<float> host;
};

class TensorRtRequest final : public Request {
  public:
    TensorRtRequest(nvinfer1::ICudaEngine& engine, const ModelSpec& spec, const std::vector<std::pair<std::string, std::size_t>>& outputs,
                    int device, const std::string& file)
        : device_(device), file_(file), preprocessor_(spec.width, spec.height) {
        cuda_check(cudaSetDevice(device_), "cudaSetDevice");
        stream_ = make_stream();
        input_ = device_buffer<std::uint8_t>(static_cast<std::size_t>(spec.width) * static_cast<std::size_t>(spec.height) * 3);
        context_.reset(engine.createExecutionContext());
        if (!context_) throw EngineError(file_ + ": TensorRT cannot create an execution context, the GPU may be out of memory");
        require(context_->setInputShape("frames", nvinfer1::Dims4(1, spec.height, spec.width, 3)), "takes no single frame");
        require(context_->setTensorAddress("frames", input_.get()), "takes no input");
        for (const auto& [name, count] : outputs) {
            outputs_.push_back({name, count, device_buffer<float>(count), pinned_buffer<float>(count)});
            require(context_->setTensorAddress(name.c_str(), outputs_.back().device.get()), "gives no output");
        }
        enqueue();  // TensorRT's first run sets itself up, which a graph must not record
        cuda_check(cudaStreamSynchronize(stream_.get()), "the first inference");
        record();
    }

    void load(const dpiqa_frame& frame) override {
        cuda_check(cudaSetDevice(device_), "cudaSetDevice");
        preprocessor_.run(frame, input_.get(), stream_.get());
    }

    void start() override {
        if (graph_)
            cuda_check(cudaGraphLaunch(graph_.get(), stream_.get()), "cudaGraphLaunch");
        else
            enqueue();
    }

    Outputs wait() override {
        cuda_check(cudaStreamSynchronize(stream_.get()), "inference");
        Outputs result{};
        for (const Output& output : outputs_) {
            if (output.name == "score") result.score = output.host[0];
            if (output.name == "causes") result.causes = output.host.get();
            if (output.name == "map") result.map = output.host.get();
        }
        return result;
    }

  private:
    void require(bool ok, const char* what) const {
        if (!ok) throw EngineError(file_ + ": the engine " + what);
    }

    void enqueue() {
        require(context_->enqueueV3(stream_.get()), "failed while running, the log says why");
        for (const Output& output : outputs_)
            cuda_check(cudaMemcpyAsync(output.host.get(), output.device.get(), output.count * sizeof(float),
                                       cudaMemcpyDeviceToHost, stream_.get()),
                       "cudaMemcpyAsync");
    }

    void record() {
        cuda_check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
        std::string why;
        try {
            enqueue();
        } catch (const EngineError& error) {
            why = error.what();
        }
        cudaGraph_t recorded = nullptr;
        const cudaError_t ended = cudaStreamEndCapture(stream_.get(), &recorded);
        const Graph graph(recorded);
        cudaGraphExec_t instance = nullptr;
        if (why.empty() && ended == cudaSuccess &&
            cudaGraphInstantiateWithFlags(&instance, graph.get(), 0) == cudaSuccess) {
            graph_.reset(instance);
            return;
        }
        cudaGetLastError();  // clears the failed capture, which the plain way does not need
        core::log(DPIQA_LOG_WARNING, file_ + ": runs without a CUDA graph " + why);
    }

    int device_;
    std::string file_;
    Stream stream_;
    GpuPreprocessor preprocessor_;
    DeviceBuffer<std::uint8_t> input_;
    std::vector<Output> outputs_;
    std::unique_ptr<nvinfer1::IExecutionContext> context_;
    GraphExec graph_;
};

class TensorRtEngine final : public Engine {
  public:
    explicit TensorRtEngine(const std::string& file) : file_(file), manifest_(read_manifest(file)) {
        const std::string version = version_text(getInferLibVersion());
        check_library(manifest_, {DPIQA_TENSORRT_FLAVOUR, getInferLibVersion(), false}, file);
        const cudaDeviceProp gpu = probe_gpu(file);
        cuda_check(cudaGetDevice(&device_), "cudaGetDevice");
        check_gpu(manifest_, {gpu.name, std::to_string(gpu.major) + "." + std::to_string(gpu.minor)}, file);
        runtime_.reset(nvinfer1::createInferRuntime(logger()));
        if (!runtime_)
            throw EngineError(file + ": TensorRT " + version + " does not start, the log says why");
        const std::string bytes = read_engine(file);
        engine_.reset(runtime_->deserializeCudaEngine(bytes.data(), bytes.size()));
        if (!engine_)
            throw EngineError(file + ": TensorRT cannot load it; rebuild it with: " + manifest_.rebuild);
        check_tensors();
    }

    const char* name() const override { return "tensorrt"; }
    const ModelSpec& spec() const override { return manifest_.spec; }
    MapSize map_size() const override { return map_; }
    int best_requests() const override { return 2; }  // one preprocesses while the other infers

    std::unique_ptr<Request> make_request() override {
        return std::make_unique<TensorRtRequest>(*engine_, manifest_.spec, outputs_, device_, file_);
    }

  private:
    void check_tensors() {
        const ModelSpec& spec = manifest_.spec;
        bool has_input = false, has_score = false, has_causes = spec.causes.empty();
        for (int i = 0; i < engine_->getNbIOTensors(); ++i) {
            const std::string tensor = engine_->getIOTensorName(i);
            const nvinfer1::Dims dims = engine_->getTensorShape(tensor.c_str());
            const auto type = engine_->getTensorDataType(tensor.c_str());
            if (engine_->getTensorIOMode(tensor.c_str()) == nvinfer1::TensorIOMode::kINPUT) {
                has_input = tensor == "frames" && type == nvinfer1::DataType::kUINT8 && dims.nbDims == 4 &&
                            dims.d[1] == spec.height && dims.d[2] == spec.width && dims.d[3] == 3;
                continue;
            }
            bool is_static = type == nvinfer1::DataType::kFLOAT;
            for (int axis = 1; axis < dims.nbDims; ++axis) is_static = is_static && dims.d[axis] > 0;
            if (!is_static) throw ContractError(file_ + ": output '" + tensor + "' must be float32 with a fixed size");
            has_score = has_score || (tensor == "score" && dims.nbDims == 1);
            has_causes = has_causes || (tensor == "causes" && volume(dims) == spec.causes.size());
            if (tensor == "map" && dims.nbDims == 3) map_ = {static_cast<int>(dims.d[2]), static_cast<int>(dims.d[1])};
            outputs_.emplace_back(tensor, volume(dims));
        }
        if (!has_input || !has_score || !has_causes)
            throw ContractError(file_ + ": its inputs and outputs are not those of its manifest; rebuild it with: " +
                                manifest_.rebuild);
    }

    std::string file_;
    Manifest manifest_;
    MapSize map_;
    int device_ = 0;
    std::vector<std::pair<std::string, std::size_t>> outputs_;
    std::unique_ptr<nvinfer1::IRuntime> runtime_;
    std::unique_ptr<nvinfer1::ICudaEngine> engine_;
};

}  // namespace

std::unique_ptr<Engine> open_tensorrt(const std::string& file, const EngineOptions&) {
    return std::make_unique<TensorRtEngine>(file);
}

}  // namespace dpiqa::core
