// What runs a model. An engine is opened once; its requests are the inferences that can be in flight at the same time.
#pragma once

#include <memory>
#include <string>

#include "dpiqa/dpiqa.h"
#include "model_bytes.hpp"
#include "model_spec.hpp"

namespace dpiqa::core {

struct EngineOptions {
    std::string engine = "auto";
    int threads = 0;   // 0: the engine's choice
    int requests = 0;  // 0: the engine's choice
    bool throughput = false;
    bool force_float32 = false;
    bool unverified = false;  // the weights are not compared with their digest
    int max_wait_ms = 0;  // a frame's wait for others to fill a batch, where the engine runs batches
    std::string cache;  // the folder of compiled models, empty for none
};

struct MapSize {
    int width = 0;
    int height = 0;
};

// What the model says about one frame; the pointers live until the request's next load. Null where it says nothing.
struct Outputs {
    float score;
    const float* causes;
    const float* map;
};

// One inference with its own input and output. One thread at a time.
class Request {
  public:
    virtual ~Request() = default;
    // Preprocess a frame that has passed check_frame into the input.
    virtual void load(const dpiqa_frame& frame) = 0;
    virtual void start() = 0;
    // Returns when the started inference has ended. Throws EngineError when it failed.
    virtual Outputs wait() = 0;
};

class Engine {
  public:
    virtual ~Engine() = default;
    virtual const char* name() const = 0;
    virtual const ModelSpec& spec() const = 0;
    virtual MapSize map_size() const = 0;  // for the first shape
    // How many requests keep this engine busy, given its options.
    virtual int best_requests() const = 0;
    virtual std::unique_ptr<Request> make_request() = 0;
};

// Opens a model file with the named engine, or with the one that suits the file ("auto"). Throws ContractError, also for
// weights that are not those of their digest, and EngineError.
std::unique_ptr<Engine> open_engine(const std::string& file, const EngineOptions& options);

// The same for a model in memory that outlives the engine: a `.pte`, which only the engine "executorch" runs.
std::unique_ptr<Engine> open_engine(ModelBytes bytes, const EngineOptions& options);

// Each is defined where the library was built with it.
std::unique_ptr<Engine> open_openvino(const std::string& file, const EngineOptions& options);
std::unique_ptr<Engine> open_tensorrt(const std::string& file, const EngineOptions& options);
std::unique_ptr<Engine> open_executorch(ModelBytes bytes, const EngineOptions& options);

}  // namespace dpiqa::core
