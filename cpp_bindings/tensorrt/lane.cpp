#include "lane.hpp"

#include <algorithm>

#include "error.hpp"
#include "log.hpp"

namespace dpiqa::core {

std::vector<int> batch_sizes(const Batches& batches) {
    std::vector<int> sizes;
    for (int size = 1; size < batches.largest; size *= 2)
        if (size >= batches.smallest) sizes.push_back(size);
    sizes.push_back(batches.largest);
    return sizes;
}

Lane::Lane(const LaneSettings& settings, const LaneOutputs& outputs, const MakeContext& make_context)
    : settings_(settings),
      outputs_(outputs),
      frame_bytes_(static_cast<std::size_t>(settings.width) * static_cast<std::size_t>(settings.height) * 3),
      stream_(make_stream()),
      done_(make_event()) {
    const auto rows = static_cast<std::size_t>(settings.batches.largest);
    input_ = device_buffer<std::uint8_t>(rows * frame_bytes_);
    cuda_check(cudaMemsetAsync(input_.get(), 0, rows * frame_bytes_, stream_.get()), "cudaMemsetAsync");
    workspace_ = device_buffer<std::uint8_t>(std::max<std::size_t>(settings.workspace, 1));
    for (const LaneOutput& output : outputs_.tensors)
        buffers_.push_back({device_buffer<float>(rows * output.count), pinned_buffer<float>(rows * output.count)});
    try {
        for (const int count : batch_sizes(settings.batches)) steps_.push_back(make_step(count, make_context));
    } catch (...) {
        drain();
        throw;
    }
}

Lane::~Lane() { drain(); }

Lane::Step Lane::make_step(int count, const MakeContext& make_context) {
    Step step{count, make_context(workspace_.get(), settings_.workspace, stream_.get()), nullptr};
    TensorRtContext& context = *step.context;
    require(context.set_shape("frames", {count, settings_.height, settings_.width, 3}), "takes no batch of this size");
    require(context.place("frames", input_.get()), "takes no input");
    for (std::size_t i = 0; i < buffers_.size(); ++i)
        require(context.place(outputs_.tensors[i].name.c_str(), buffers_[i].device.get()), "gives no output");
    enqueue(step);  // the first run sets TensorRT up, which a graph must not record
    cuda_check(cudaStreamSynchronize(stream_.get()), "the first inference");
    if (settings_.records_graphs) record(step);
    return step;
}

void Lane::require(bool ok, const char* what) const {
    if (!ok) throw EngineError(settings_.file + ": the engine " + what + ", the log says why");
}

void Lane::enqueue(Step& step) {
    require(step.context->enqueue(stream_.get()), "failed while running");
    for (std::size_t i = 0; i < buffers_.size(); ++i)
        cuda_check(cudaMemcpyAsync(buffers_[i].host.get(), buffers_[i].device.get(),
                                   static_cast<std::size_t>(step.count) * outputs_.tensors[i].count * sizeof(float),
                                   cudaMemcpyDeviceToHost, stream_.get()),
                   "cudaMemcpyAsync");
}

void Lane::record(Step& step) {
    cuda_check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    std::string why;
    try {
        enqueue(step);
    } catch (const EngineError& error) {
        why = std::string(" (") + error.what() + ")";
    }
    cudaGraph_t recorded = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(stream_.get(), &recorded);
    const Graph graph(recorded);
    cudaGraphExec_t instance = nullptr;
    if (why.empty() && ended == cudaSuccess && cudaGraphInstantiateWithFlags(&instance, graph.get(), 0) == cudaSuccess) {
        step.graph.reset(instance);
        return;
    }
    cudaGetLastError();  // clears the failed capture, which the plain way does not need
    log(DPIQA_LOG_WARNING, settings_.file + ": batches of " + std::to_string(step.count) + " run without a CUDA graph" + why);
}

void Lane::take(int row, const std::uint8_t* rgb, cudaEvent_t ready) {
    cuda_check(cudaStreamWaitEvent(stream_.get(), ready, 0), "cudaStreamWaitEvent");
    cuda_check(cudaMemcpyAsync(input_.get() + static_cast<std::size_t>(row) * frame_bytes_, rgb, frame_bytes_,
                               cudaMemcpyDeviceToDevice, stream_.get()),
               "cudaMemcpyAsync");
}

void Lane::launch(int count) {
    const auto step = std::find_if(steps_.begin(), steps_.end(), [count](const Step& one) { return one.count >= count; });
    if (step->graph)
        cuda_check(cudaGraphLaunch(step->graph.get(), stream_.get()), "cudaGraphLaunch");
    else
        enqueue(*step);
    cuda_check(cudaEventRecord(done_.get(), stream_.get()), "cudaEventRecord");
}

void Lane::wait() const { cuda_check(cudaEventSynchronize(done_.get()), "inference"); }

void Lane::read(int row, float* results) const {
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
        const LaneOutput& output = outputs_.tensors[i];
        std::copy_n(buffers_[i].host.get() + static_cast<std::size_t>(row) * output.count, output.count, results + output.offset);
    }
}

void Lane::drain() const noexcept { cudaStreamSynchronize(stream_.get()); }

}  // namespace dpiqa::core
