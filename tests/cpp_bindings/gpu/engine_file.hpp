// Engines of the fake TensorRT as files with manifests, frames for them, and what they should score.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dpiqa/dpiqa.h"
#include "fake_tensorrt.hpp"
#include "memory.hpp"

struct Files {
    std::string engine, manifest, kernels;
};

// An engine with its manifest in a folder that lives as long as this.
class EngineFile {
  public:
    using Change = std::function<void(fake::PlanText& plan, nlohmann::json& manifest)>;
    explicit EngineFile(fake::Generation generation, const Change& change = {});
    EngineFile(const EngineFile&) = delete;
    EngineFile& operator=(const EngineFile&) = delete;
    ~EngineFile();

    const Files& files() const { return files_; }

  private:
    std::string folder_;
    Files files_;
};

struct Readings {
    explicit Readings(std::size_t count);
    std::vector<dpiqa_reading> raw;
    std::vector<float> values;  // of all frames, the causes and the map of each
};

// How the fake network scores a frame that lies in host memory.
Readings expected(const dpiqa_frame& frame);
bool equal(const Readings& one, std::size_t index, const Readings& other);

// The same pixels in device or pinned memory.
template <template <typename> class Buffer>
struct Moved {
    Buffer<std::uint8_t> memory;
    dpiqa_frame frame;
};
Moved<dpiqa::core::PinnedBuffer> pinned(const dpiqa_frame& frame);
Moved<dpiqa::core::DeviceBuffer> on_device(const dpiqa_frame& frame);

// A scorer through the C API, on the fake that `setting` describes.
class Opened {
  public:
    explicit Opened(const std::string& engine, const fake::Setting& setting, dpiqa_options options = {});
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;
    ~Opened() { dpiqa_close(scorer_); }

    explicit operator bool() const { return scorer_ != nullptr; }
    dpiqa_scorer* get() const { return scorer_; }
    const std::string& error() const { return error_; }

    // Whether the frames get what `wanted` says.
    bool scores(const std::vector<dpiqa_frame>& frames, const std::vector<Readings>& wanted) const;

  private:
    dpiqa_scorer* scorer_ = nullptr;
    std::string error_;
};
