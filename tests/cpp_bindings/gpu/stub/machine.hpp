// What is behind the stub CUDA runtime: its memory, its streams' queues, and one lock for all of it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "stub_cuda.hpp"

namespace stub {

using Work = std::function<void()>;

struct Queue {
    int device = 0;
    std::deque<Work> pending;
    std::uint64_t added = 0, done = 0;

    void run(std::uint64_t until) {
        while (done < until) {
            Work work = std::move(pending.front());
            pending.pop_front();
            ++done;
            work();
        }
    }
};

struct Buffer {
    std::size_t size;
    cudaMemoryType type;
    int device;
};

// One lock for the whole device: what the tests look for are the users' races.
struct Machine {
    std::recursive_mutex mutex;
    int devices = 1, live = 0, spins = 0, pageable_copies = 0, until_failure = 0;
    std::map<const char*, Buffer> buffers;
    std::vector<std::shared_ptr<Queue>> queues;  // those of destroyed streams go on
    std::shared_ptr<Queue> legacy = std::make_shared<Queue>();

    void drain() {
        for (std::size_t i = 0; i < queues.size(); ++i) queues[i]->run(queues[i]->added);
        legacy->run(legacy->added);
        std::vector<std::shared_ptr<Queue>> used;
        for (auto& queue : queues)
            if (queue.use_count() > 1) used.push_back(std::move(queue));
        queues.swap(used);
    }

    const Buffer* find(const void* memory) const {
        const auto* at = static_cast<const char*>(memory);
        auto next = buffers.upper_bound(at);
        if (next == buffers.begin()) return nullptr;
        --next;
        return at < next->first + next->second.size ? &next->second : nullptr;
    }
};

Machine& machine();
bool fails();  // whether this is the call that was asked to

extern thread_local int current_device, captures;

using Lock = std::lock_guard<std::recursive_mutex>;

// Work at the end of a stream, or of the default one, of whatever device.
cudaError_t add(cudaStream_t stream, Work work);
cudaError_t broken(cudaStream_t stream, cudaError_t error);

}  // namespace stub

struct CUstream_st {
    std::shared_ptr<stub::Queue> queue = std::make_shared<stub::Queue>();
    bool is_capturing = false, is_broken = false;
    std::vector<stub::Work> recorded;
};
struct CUevent_st {
    int device = 0;
    bool is_blocking = false;
    std::shared_ptr<stub::Queue> queue;
    std::uint64_t at = 0;
};
struct CUgraph_st {
    std::vector<stub::Work> work;
};
struct CUgraphExec_st {
    std::vector<stub::Work> work;
};

#define STUB_CALL               \
    const stub::Lock lock(stub::machine().mutex); \
    if (stub::fails()) return cudaErrorUnknown
