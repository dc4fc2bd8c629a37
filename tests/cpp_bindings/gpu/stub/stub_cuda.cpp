#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "machine.hpp"

namespace stub {

thread_local int current_device = 0, captures = 0;

Machine& machine() {
    static auto* instance = new Machine;  // outlives whatever static objects free at exit
    return *instance;
}

bool fails() { return machine().until_failure > 0 && --machine().until_failure == 0; }

void set_devices(int count) {
    const Lock lock(machine().mutex);
    machine().devices = count;
}

int live() {
    const Lock lock(machine().mutex);
    return machine().live;
}

bool fail_call(int number) {
    const Lock lock(machine().mutex);
    const bool has_come = machine().until_failure == 0;
    machine().until_failure = number;
    return has_come;
}

int spins() {
    const Lock lock(machine().mutex);
    return machine().spins;
}

int pageable_copies() {
    const Lock lock(machine().mutex);
    return machine().pageable_copies;
}

cudaError_t launch(cudaStream_t stream, Work work) {
    STUB_CALL;
    Queue& queue = stream == nullptr ? *machine().legacy : *stream->queue;
    if (queue.device != current_device) return cudaErrorInvalidResourceHandle;
    if (stream != nullptr && stream->is_capturing) {
        stream->recorded.push_back(std::move(work));
        return cudaSuccess;
    }
    queue.pending.push_back(std::move(work));
    ++queue.added;
    return cudaSuccess;
}

bool is_capturing(cudaStream_t stream) {
    const Lock lock(machine().mutex);
    return stream->is_capturing;
}

cudaError_t add(cudaStream_t stream, Work work) {
    const int device = current_device;
    current_device = stream == nullptr ? 0 : stream->queue->device;  // copies, unlike kernels, may be of any device
    const int armed = machine().until_failure;
    machine().until_failure = 0;
    const cudaError_t status = stub::launch(stream, std::move(work));
    machine().until_failure = armed;
    current_device = device;
    return status;
}

cudaError_t broken(cudaStream_t stream, cudaError_t error) {
    stream->is_broken = true;
    return error;
}

}  // namespace stub

using namespace stub;

namespace {

cudaError_t allocate(void** memory, std::size_t size, cudaMemoryType type) {
    if (captures > 0) return cudaErrorStreamCaptureUnsupported;
    *memory = std::malloc(size == 0 ? 1 : size);
    if (*memory == nullptr) return cudaErrorMemoryAllocation;
    std::memset(*memory, 0xA5, size);
    machine().buffers[static_cast<const char*>(*memory)] = {size, type, current_device};
    ++machine().live;
    return cudaSuccess;
}

cudaError_t release(void* memory) {
    if (memory == nullptr) return cudaSuccess;
    if (machine().buffers.erase(static_cast<const char*>(memory)) == 0) {
        std::fputs("stub CUDA: memory is freed that was not allocated\n", stderr);
        std::abort();
    }
    std::free(memory);
    --machine().live;
    return cudaSuccess;
}

// Rows that a copy from pageable memory has read when it returns; null where it reads them late.
std::shared_ptr<std::vector<char>> staged(const void* from, std::size_t pitch, std::size_t width, std::size_t height, cudaMemcpyKind kind) {
    if (kind != cudaMemcpyHostToDevice || machine().find(from) != nullptr) return nullptr;
    ++machine().pageable_copies;
    auto bytes = std::make_shared<std::vector<char>>(width * height);
    for (std::size_t row = 0; row < height; ++row)
        std::memcpy(bytes->data() + row * width, static_cast<const char*>(from) + row * pitch, width);
    return bytes;
}

cudaError_t copy(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width, std::size_t height,
                 cudaMemcpyKind kind, cudaStream_t stream) {
    const auto bytes = staged(from, from_pitch, width, height, kind);
    if (bytes != nullptr && stream != nullptr && stream->is_capturing) return broken(stream, cudaErrorStreamCaptureUnsupported);
    const std::size_t pitch = bytes ? width : from_pitch;
    return add(stream, [=] {
        const char* source = bytes ? bytes->data() : static_cast<const char*>(from);
        for (std::size_t row = 0; row < height; ++row)
            std::memcpy(static_cast<char*>(to) + row * to_pitch, source + row * pitch, width);
    });
}

}  // namespace

const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
        case cudaSuccess: return "no error";
        case cudaErrorNoDevice: return "no CUDA-capable device is detected";
        case cudaErrorMemoryAllocation: return "out of memory";
        case cudaErrorInvalidResourceHandle: return "invalid resource handle";
        case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
        default: return "unknown error";
    }
}

cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaGetDeviceCount(int* count) {
    STUB_CALL;
    *count = machine().devices;
    return machine().devices > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaGetDevice(int* device) {
    STUB_CALL;
    *device = current_device;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    STUB_CALL;
    if (device < 0 || device >= machine().devices) return cudaErrorInvalidDevice;
    current_device = device;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    STUB_CALL;
    *properties = {"Stub 3060", 8, 6};
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
    STUB_CALL;
    *value = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
    STUB_CALL;
    machine().drain();
    return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, std::size_t size) {
    STUB_CALL;
    return allocate(memory, size, cudaMemoryTypeDevice);
}

cudaError_t cudaFree(void* memory) {
    const Lock lock(machine().mutex);
    machine().drain();
    return release(memory);
}

cudaError_t cudaMallocHost(void** memory, std::size_t size) {
    STUB_CALL;
    return allocate(memory, size, cudaMemoryTypeHost);
}

cudaError_t cudaFreeHost(void* memory) {
    const Lock lock(machine().mutex);
    return release(memory);
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* memory) {
    STUB_CALL;
    const Buffer* buffer = machine().find(memory);
    *attributes = buffer == nullptr ? cudaPointerAttributes{cudaMemoryTypeUnregistered, -1}
                                    : cudaPointerAttributes{buffer->type, buffer->device};
    return cudaSuccess;
}

// From pageable memory it returns before the target is written, and then only the default stream's order holds.
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t size, cudaMemcpyKind kind) {
    STUB_CALL;
    const bool is_late = kind == cudaMemcpyHostToDevice && machine().find(from) == nullptr;
    const cudaError_t status = copy(to, size, from, size, size, 1, kind, nullptr);
    if (!is_late) machine().drain();
    return status;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
    STUB_CALL;
    return copy(to, size, from, size, size, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                              std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
    STUB_CALL;
    if (width > to_pitch || width > from_pitch) return cudaErrorInvalidValue;
    return copy(to, to_pitch, from, from_pitch, width, height, kind, stream);
}

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t size, cudaStream_t stream) {
    STUB_CALL;
    return add(stream, [=] { std::memset(memory, value, size); });
}
