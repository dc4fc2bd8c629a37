// The network of a model file compiled by OpenVINO for each of its input shapes, when that is first needed.
#pragma once

#include <memory>
#include <mutex>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

#include "engine.hpp"
#include "error.hpp"
#include "model_cache.hpp"

namespace dpiqa::core {

std::string first_line(const std::exception& error);

template <typename Call>
auto translated(const std::string& what, Call call) -> decltype(call()) {
    try {
        return call();
    } catch (const ov::Exception& error) {
        throw EngineError(what + " (" + first_line(error) + ")");
    }
}

class Variants {
  public:
    // `file` and `spec` outlive this. Compiles the first shape. Throws ContractError and EngineError.
    Variants(const std::string& file, const ModelSpec& spec, const EngineOptions& options);

    // Any number of threads may call this at once.
    ov::CompiledModel at(std::size_t index);

    MapSize map_size() const { return map_; }
    int best_requests() const { return best_requests_; }

  private:
    struct Variant {
        std::mutex mutex;
        ov::CompiledModel compiled;
        bool is_used = false;
    };

    void drop_unused_first();
    ov::CompiledModel opened(std::size_t index);
    ov::CompiledModel compile(std::size_t index, bool& is_as_meant) const;
    bool restore(const CacheEntry& entry, std::size_t index, ov::CompiledModel& compiled);
    std::string cache_key(std::size_t index) const;
    ov::AnyMap properties() const;
    void check_input(const ov::Model& model) const;
    void check_outputs(const ov::CompiledModel& compiled, std::size_t index);
    void check_map(const MapSize& map, const Shape& shape) const;
    void check_output(const ov::Output<const ov::Node>& output, const std::string& name, const ov::PartialShape& wanted) const;

    const std::string& file_;
    const ModelSpec& spec_;
    EngineOptions options_;
    std::string content_;  // a checksum of the file
    MapSize map_;          // of the first shape
    int best_requests_ = 1;
    std::shared_ptr<ov::Core> core_;
    std::vector<Variant> variants_;
};

}  // namespace dpiqa::core
