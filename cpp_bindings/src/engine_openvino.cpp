#include <mutex>
#include <openvino/openvino.hpp>
#include <sstream>

#include "cpu.hpp"
#include "engine.hpp"
#include "error.hpp"
#include "log.hpp"
#include "model_cache.hpp"
#include "openvino_int8.hpp"
#include "preprocess.hpp"

namespace dpiqa::core {
namespace {

constexpr int kCacheRevision = 1;  // to count up when a model is compiled in another way

std::string first_line(const std::exception& error) {
    // OpenVINO's messages begin with "Exception from file:line:", the reason follows.
    std::string text = error.what();
    while (text.compare(0, 14, "Exception from") == 0 || text.compare(0, 5, "Check") == 0 || text.compare(0, 1, "\n") == 0) {
        const auto end = text.find('\n');
        if (end == std::string::npos) break;
        text.erase(0, end + 1);
    }
    return text.substr(0, std::min<std::size_t>(text.find('\n'), 200));
}

template <typename Call>
auto translated(const std::string& what, Call call) -> decltype(call()) {
    try {
        return call();
    } catch (const ov::Exception& error) {
        throw EngineError(what + " (" + first_line(error) + ")");
    }
}

// Handles share one core, and with it the plugins' memory; it goes with the last of them.
std::shared_ptr<ov::Core> shared_core() {
    static std::mutex mutex;
    static std::weak_ptr<ov::Core> shared;
    const std::lock_guard lock(mutex);
    auto core = shared.lock();
    if (!core) shared = core = std::make_shared<ov::Core>();
    return core;
}

std::string shape_text(const ov::Output<const ov::Node>& port) {
    return port.get_element_type().get_type_name() + " " + port.get_partial_shape().to_string();
}

class OpenVinoRequest final : public Request {
  public:
    OpenVinoRequest(ov::CompiledModel& model, const ModelSpec& spec, bool has_map, const std::string& file)
        : request_(model.create_infer_request()), preprocessor_(spec.width, spec.height), file_(file) {
        input_ = request_.get_tensor("frames").data<std::uint8_t>();
        outputs_.score = 0;
        score_ = request_.get_tensor("score").data<float>();
        outputs_.causes = spec.causes.empty() ? nullptr : request_.get_tensor("causes").data<float>();
        outputs_.map = has_map ? request_.get_tensor("map").data<float>() : nullptr;
    }

    void load(const dpiqa_frame& frame) override { preprocessor_.run(frame, input_); }

    void start() override {
        translated(file_ + ": OpenVINO failed", [this] { request_.start_async(); });
    }

    Outputs wait() override {
        translated(file_ + ": OpenVINO failed", [this] { request_.wait(); });
        outputs_.score = *score_;
        return outputs_;
    }

  private:
    ov::InferRequest request_;
    Preprocessor preprocessor_;
    std::string file_;
    std::uint8_t* input_ = nullptr;
    const float* score_ = nullptr;
    Outputs outputs_{};
};

class OpenVinoEngine final : public Engine {
  public:
    OpenVinoEngine(const std::string& file, const EngineOptions& options)
        : file_(file), spec_(read_model_spec(file)), core_(shared_core()) {
        const CacheEntry entry(options.cache, options.cache.empty() ? "" : cache_key(options));
        if (restore(entry, options)) return;
        bool is_as_meant = true;
        compiled_ = compiled(options, is_as_meant);
        check_outputs();
        if (options.cache.empty() || !is_as_meant) return;
        std::ostringstream stream;
        translated(file + ": OpenVINO cannot export it", [&] { compiled_.export_model(stream); });
        entry.store(stream.str());
    }

    const char* name() const override { return "openvino"; }
    const ModelSpec& spec() const override { return spec_; }
    MapSize map_size() const override { return map_; }

    int best_requests() const override {
        return static_cast<int>(compiled_.get_property(ov::optimal_number_of_infer_requests));
    }

    std::unique_ptr<Request> make_request() override {
        return translated(file_ + ": OpenVINO failed", [this] {
            return std::make_unique<OpenVinoRequest>(compiled_, spec_, map_.width > 0, file_);
        });
    }

  private:
    ov::CompiledModel compiled(const EngineOptions& options, bool& is_as_meant) {
        auto model = translated(file_ + ": not an ONNX model that OpenVINO can load", [&] { return core_->read_model(file_); });
        check_input(*model);
        translated(file_ + ": OpenVINO cannot run one frame at a time", [&] {
            model->reshape({{"frames", ov::PartialShape{1, spec_.height, spec_.width, 3}}});
        });
        ov::AnyMap settings = properties(options);
        if (spec_.precision == "int8" && !has_exact_int8() && !fit_16_bits(*model)) {
            log(DPIQA_LOG_WARNING, file_ + ": this CPU has no VNNI, on which the INT8 arithmetic of this file would saturate; it "
                                           "is computed in FP32 (dpiqa export int8 makes a file that does not)");
            settings.insert({"LP_TRANSFORMS_MODE", false});
            is_as_meant = false;  // and is to say so each time
        }
        return translated(file_ + ": OpenVINO cannot compile it", [&] { return core_->compile_model(model, "CPU", settings); });
    }

    bool restore(const CacheEntry& entry, const EngineOptions& options) {
        const auto stored = entry.load();
        if (!stored) return false;
        try {
            std::istringstream stream(*stored);
            compiled_ = core_->import_model(stream, "CPU", properties(options));
            check_outputs();
            return true;
        } catch (const std::exception& error) {
            log(DPIQA_LOG_INFO, file_ + ": compiled again (" + first_line(error) + ")");
            return false;
        }
    }

    // Everything that a compiled model depends on.
    std::string cache_key(const EngineOptions& options) const {
        std::ostringstream key;
        key << "dpiqa " << dpiqa_version() << ' ' << kCacheRevision << ", OpenVINO " << ov::get_openvino_version().buildNumber << ", "
            << core_->get_property("CPU", ov::device::full_name);
        for (const auto& capability : core_->get_property("CPU", ov::device::capabilities)) key << ' ' << capability;
        key << ", exact INT8 " << has_exact_int8() << ", threads " << options.threads << ", requests " << options.requests
            << ", throughput " << options.throughput << ", float32 " << options.force_float32 << ", " << checksum_of_file(file_)
            << ", " << spec_.weights_sha256 << ", " << std::filesystem::absolute(file_).string();
        return key.str();
    }

    static ov::AnyMap properties(const EngineOptions& options) {
        using Mode = ov::hint::PerformanceMode;
        ov::AnyMap properties{ov::hint::performance_mode(options.throughput ? Mode::THROUGHPUT : Mode::LATENCY)};
        if (options.threads > 0) properties.insert(ov::inference_num_threads(options.threads));
        if (options.requests > 0) properties.insert(ov::hint::num_requests(static_cast<unsigned>(options.requests)));
        if (options.force_float32) properties.insert(ov::hint::inference_precision(ov::element::f32));
        // Pinned, two processes of one thread each share one core.
        properties.insert(ov::hint::enable_cpu_pinning(false));
        return properties;
    }

    void check_input(const ov::Model& model) const {
        const std::string wanted = "uint8 [N, " + std::to_string(spec_.height) + ", " + std::to_string(spec_.width) + ", 3]";
        const auto inputs = model.inputs();
        if (inputs.size() != 1 || inputs[0].get_names().count("frames") == 0)
            throw ContractError(file_ + ": the graph must have one input 'frames', " + wanted);
        const ov::PartialShape shape = inputs[0].get_partial_shape();
        const bool fits = inputs[0].get_element_type() == ov::element::u8 && shape.rank() == 4 && shape[0].is_dynamic() &&
                          shape[1] == spec_.height && shape[2] == spec_.width && shape[3] == 3;
        if (!fits)
            throw ContractError(file_ + ": input 'frames' must be " + wanted + " with any N, found " + shape_text(inputs[0]));
    }

    void check_outputs() {
        bool has_score = false, has_causes = false;
        for (const auto& output : compiled_.outputs()) {
            const auto& names = output.get_names();
            if (names.count("score") != 0) {
                has_score = true;
                check_output(output, "score", ov::PartialShape{1});
            } else if (names.count("causes") != 0) {
                has_causes = true;
                if (!spec_.causes.empty())
                    check_output(output, "causes", ov::PartialShape{1, static_cast<std::int64_t>(spec_.causes.size())});
            } else if (names.count("map") != 0) {
                const ov::Dimension side(1, kMaxModelSide);
                check_output(output, "map", ov::PartialShape{1, side, side});
                const ov::Shape shape = output.get_shape();
                map_ = {static_cast<int>(shape[2]), static_cast<int>(shape[1])};
            }
        }
        if (!has_score) throw ContractError(file_ + ": the graph lacks the output 'score', float32 [N]");
        if (!has_causes && !spec_.causes.empty())
            throw ContractError(file_ + ": the graph lacks the output 'causes', float32 [N, " +
                                std::to_string(spec_.causes.size()) + "]");
    }

    void check_output(const ov::Output<const ov::Node>& output, const std::string& name, const ov::PartialShape& wanted) const {
        const ov::PartialShape found = output.get_partial_shape();
        if (output.get_element_type() != ov::element::f32 || found.is_dynamic() || !found.compatible(wanted))
            throw ContractError(file_ + ": output '" + name + "' must be float32 " + wanted.to_string() +
                                " for one frame, found " + shape_text(output));
    }

    std::string file_;
    ModelSpec spec_;
    MapSize map_;
    std::shared_ptr<ov::Core> core_;
    ov::CompiledModel compiled_;
};

}  // namespace

std::unique_ptr<Engine> open_openvino(const std::string& file, const EngineOptions& options) {
    return std::make_unique<OpenVinoEngine>(file, options);
}

}  // namespace dpiqa::core
