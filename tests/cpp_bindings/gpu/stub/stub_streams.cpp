// Streams, events and graphs of the stub CUDA runtime.
#include <utility>

#include "machine.hpp"

using namespace stub;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    STUB_CALL;
    *stream = new CUstream_st;
    (*stream)->queue->device = current_device;
    machine().queues.push_back((*stream)->queue);
    ++machine().live;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    const Lock lock(machine().mutex);
    if (stream->is_capturing) --captures;
    auto& queues = machine().queues;
    for (std::size_t i = queues.size(); i-- > 0;)
        if (queues[i] == stream->queue && queues[i]->pending.empty()) queues.erase(queues.begin() + static_cast<std::ptrdiff_t>(i));
    delete stream;
    --machine().live;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    STUB_CALL;
    if (stream == nullptr) {
        machine().legacy->run(machine().legacy->added);
        return cudaSuccess;
    }
    if (stream->is_capturing) return broken(stream, cudaErrorStreamCaptureUnsupported);
    ++machine().spins;
    stream->queue->run(stream->queue->added);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    STUB_CALL;
    if (stream->is_capturing) return broken(stream, cudaErrorStreamCaptureIsolation);
    if (event->queue == nullptr) return cudaSuccess;  // never recorded
    return add(stream, [queue = event->queue, at = event->at] { queue->run(at); });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    STUB_CALL;
    stream->is_capturing = true;
    stream->is_broken = false;
    ++captures;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    const Lock lock(machine().mutex);
    const bool is_lost = fails() || stream->is_broken;
    stream->is_capturing = false;
    --captures;
    std::vector<Work> work;
    work.swap(stream->recorded);
    if (is_lost) return cudaErrorStreamCaptureInvalidated;
    *graph = new CUgraph_st{std::move(work)};
    ++machine().live;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
    STUB_CALL;
    *event = new CUevent_st;
    (*event)->device = current_device;
    (*event)->is_blocking = (flags & cudaEventBlockingSync) != 0;
    ++machine().live;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    const Lock lock(machine().mutex);
    delete event;
    --machine().live;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    STUB_CALL;
    if (stream->queue->device != event->device) return cudaErrorInvalidResourceHandle;
    if (stream->is_capturing) return broken(stream, cudaErrorStreamCaptureUnsupported);
    event->queue = stream->queue;
    event->at = stream->queue->added;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    STUB_CALL;
    if (!event->is_blocking) ++machine().spins;
    if (event->queue != nullptr) event->queue->run(event->at);
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* instance, cudaGraph_t graph, unsigned long long) {
    STUB_CALL;
    *instance = new CUgraphExec_st{graph->work};
    ++machine().live;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    const Lock lock(machine().mutex);
    delete graph;
    --machine().live;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t instance) {
    const Lock lock(machine().mutex);
    delete instance;
    --machine().live;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t instance, cudaStream_t stream) {
    STUB_CALL;
    for (const Work& work : instance->work)
        if (const cudaError_t status = add(stream, work); status != cudaSuccess) return status;
    return cudaSuccess;
}
