// A batch's way over the GPU: rows go in, one inference runs, its outputs come back to pinned memory. One thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "memory.hpp"
#include "seam.hpp"

namespace dpiqa::core {

// Where each output is in a frame's results, which lie one after the other: the score, the causes, the map.
struct LaneOutput {
    std::string name;
    std::size_t count = 0, offset = 0;
};

struct LaneOutputs {
    std::vector<LaneOutput> tensors;
    std::size_t size = 0;  // floats of one frame's results
};

// A context with its profile set, for a workspace. Throws EngineError.
using MakeContext = std::function<std::unique_ptr<TensorRtContext>(void* workspace, std::size_t size, cudaStream_t stream)>;

struct LaneSettings {
    std::string file;  // for messages
    int width = 0, height = 0;
    Batches batches;
    std::size_t workspace = 0;
    bool records_graphs = true;  // by hand, where the library does not by itself
};

class Lane {
  public:
    // Runs every batch size once, which is when TensorRT sets itself up. Throws EngineError.
    Lane(const LaneSettings& settings, const LaneOutputs& outputs, const MakeContext& make_context);
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;
    ~Lane();

    // Copies a frame, RGB in device memory, into a row of the next batch once `ready` has come.
    void take(int row, const std::uint8_t* rgb, cudaEvent_t ready);
    void launch(int count);
    // Sleeps until the launched batch has ended. Any number of threads at once.
    void wait() const;
    // Of the ended batch.
    void read(int row, float* results) const;
    // After a failure: returns when nothing of this lane runs any more.
    void drain() const noexcept;

  private:
    // TensorRT ties a CUDA graph to the shapes of its context, so each batch size has a context; they share the workspace,
    // as a lane runs one at a time.
    struct Step {
        int count = 0;
        std::unique_ptr<TensorRtContext> context;
        GraphExec graph;
    };
    struct Buffers {
        DeviceBuffer<float> device;
        PinnedBuffer<float> host;
    };

    Step make_step(int count, const MakeContext& make_context);
    void require(bool ok, const char* what) const;
    void enqueue(Step& step);
    void record(Step& step);

    LaneSettings settings_;
    LaneOutputs outputs_;
    std::size_t frame_bytes_;
    Stream stream_;
    Event done_;
    DeviceBuffer<std::uint8_t> input_, workspace_;
    std::vector<Buffers> buffers_;
    std::vector<Step> steps_;
};

// The batch sizes that have a context: powers of two from the smallest on, and the largest. Others are padded.
std::vector<int> batch_sizes(const Batches& batches);

}  // namespace dpiqa::core
