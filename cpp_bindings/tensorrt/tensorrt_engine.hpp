// The engine `tensorrt`: what may run, in which contexts, and the requests that share its batches.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "batcher.hpp"
#include "engine.hpp"
#include "lane.hpp"
#include "manifest.hpp"
#include "seam.hpp"

namespace dpiqa::core {

class TensorRtEngine final : public Engine {
  public:
    // Throws EngineError, ContractError.
    TensorRtEngine(std::unique_ptr<TensorRtLibrary> library, const std::string& file, const EngineOptions& options);

    const char* name() const override { return "tensorrt"; }
    const ModelSpec& spec() const override { return manifest_.spec; }
    MapSize map_size() const override { return map_; }
    int best_requests() const override;
    std::unique_ptr<Request> make_request() override;

  private:
    std::unique_ptr<TensorRtPlan> load() const;
    void check_tensors(const std::vector<Tensor>& tensors);
    std::unique_ptr<Lane> make_lane();

    std::string file_;
    Manifest manifest_;
    MapSize map_;
    int device_ = 0;
    LaneOutputs outputs_;
    std::unique_ptr<TensorRtLibrary> library_;
    std::string bytes_;  // of the engine, while contexts are made
    std::vector<std::unique_ptr<TensorRtPlan>> plans_;
    int used_profiles_ = 0;  // of the latest plan, where a profile serves one context
    std::unique_ptr<Batcher> batcher_;
};

}  // namespace dpiqa::core
