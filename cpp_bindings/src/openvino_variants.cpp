#include "openvino_variants.hpp"

#include <filesystem>
#include <sstream>

#include "cpu.hpp"
#include "log.hpp"
#include "openvino_int8.hpp"
#include "signal_stack.hpp"

namespace dpiqa::core {
namespace {

constexpr int kCacheRevision = 2;  // to count up when a model is compiled in another way

// Handles share one core, and with it the plugins' memory; it goes with the last of them.
std::shared_ptr<ov::Core> shared_core() {
    static std::mutex mutex;
    static std::weak_ptr<ov::Core> shared;
    const std::lock_guard lock(mutex);
    auto core = shared.lock();
    if (!core) {
        const KeptSignalStack kept;
        core = std::make_shared<ov::Core>();
        translated("OpenVINO's CPU plugin does not load", [&] { core->get_versions("CPU"); });  // loads it
        shared = core;
    }
    return core;
}

std::string shape_text(const ov::Output<const ov::Node>& port) {
    return port.get_element_type().get_type_name() + " " + port.get_partial_shape().to_string();
}

}  // namespace

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

Variants::Variants(const std::string& file, const ModelSpec& spec, const EngineOptions& options)
    : file_(file), spec_(spec), options_(options), core_(shared_core()), variants_(spec.shapes.size()) {
    if (spec.shapes.size() > 1 || !options.cache.empty()) content_ = checksum_of_file(file);
    variants_[0].compiled = opened(0);
    best_requests_ = static_cast<int>(variants_[0].compiled.get_property(ov::optimal_number_of_infer_requests));
}

ov::CompiledModel Variants::at(std::size_t index) {
    Variant& variant = variants_[index];
    const std::lock_guard lock(variant.mutex);
    if (!variant.compiled) {
        if (checksum_of_file(file_) != content_)
            throw EngineError(file_ + ": was replaced while it was open, open it again");
        if (index > 0) drop_unused_first();
        variant.compiled = opened(index);
    }
    variant.is_used = true;
    return variant.compiled;
}

// The first shape is compiled to check the file. Where all frames are of another, it would only take memory.
void Variants::drop_unused_first() {
    Variant& first = variants_[0];
    const std::lock_guard lock(first.mutex);
    if (!first.is_used) first.compiled = {};
}

ov::CompiledModel Variants::opened(std::size_t index) {
    const CacheEntry entry(options_.cache, options_.cache.empty() ? "" : cache_key(index));
    ov::CompiledModel compiled;
    if (restore(entry, index, compiled)) return compiled;
    bool is_as_meant = true;
    compiled = compile(index, is_as_meant);
    check_outputs(compiled, index);
    if (options_.cache.empty() || !is_as_meant) return compiled;
    std::ostringstream stream;
    translated(file_ + ": OpenVINO cannot export it", [&] { compiled.export_model(stream); });
    entry.store(stream.str());
    return compiled;
}

ov::CompiledModel Variants::compile(std::size_t index, bool& is_as_meant) const {
    auto model = translated(file_ + ": not an ONNX model that OpenVINO can load", [&] { return core_->read_model(file_); });
    check_input(*model);
    translated(file_ + ": OpenVINO cannot run one frame at a time", [&] {
        model->reshape({{"frames", ov::PartialShape{1, spec_.shapes[index].height, spec_.shapes[index].width, 3}}});
    });
    ov::AnyMap settings = properties();
    if (spec_.precision == "int8" && !has_exact_int8() && !fit_16_bits(*model)) {
        log(DPIQA_LOG_WARNING, file_ + ": this CPU has no VNNI, on which the INT8 arithmetic of this file would saturate; it "
                                       "is computed in FP32 (dpiqa export int8 makes a file that does not)");
        settings.insert({"LP_TRANSFORMS_MODE", false});
        is_as_meant = false;  // and is to say so each time
    }
    return translated(file_ + ": OpenVINO cannot compile it", [&] { return core_->compile_model(model, "CPU", settings); });
}

bool Variants::restore(const CacheEntry& entry, std::size_t index, ov::CompiledModel& compiled) {
    const auto stored = entry.load();
    if (!stored) return false;
    try {
        std::istringstream stream(*stored);
        compiled = core_->import_model(stream, "CPU", properties());
        check_outputs(compiled, index);
        return true;
    } catch (const std::exception& error) {
        log(DPIQA_LOG_INFO, file_ + ": compiled again (" + first_line(error) + ")");
        return false;
    }
}

// Everything that a compiled model depends on.
std::string Variants::cache_key(std::size_t index) const {
    std::ostringstream key;
    key << "dpiqa " << dpiqa_version() << ' ' << kCacheRevision << ", OpenVINO " << ov::get_openvino_version().buildNumber << ", "
        << core_->get_property("CPU", ov::device::full_name);
    for (const auto& capability : core_->get_property("CPU", ov::device::capabilities)) key << ' ' << capability;
    key << ", exact INT8 " << has_exact_int8() << ", threads " << options_.threads << ", requests " << options_.requests
        << ", throughput " << options_.throughput << ", float32 " << options_.force_float32 << ", shape "
        << spec_.shapes[index].height << 'x' << spec_.shapes[index].width << ", " << content_ << ", " << spec_.weights_sha256
        << ", " << std::filesystem::absolute(file_).string();
    return key.str();
}

ov::AnyMap Variants::properties() const {
    using Mode = ov::hint::PerformanceMode;
    ov::AnyMap properties{ov::hint::performance_mode(options_.throughput ? Mode::THROUGHPUT : Mode::LATENCY)};
    if (options_.threads > 0) properties.insert(ov::inference_num_threads(options_.threads));
    if (options_.requests > 0) properties.insert(ov::hint::num_requests(static_cast<unsigned>(options_.requests)));
    if (options_.force_float32) properties.insert(ov::hint::inference_precision(ov::element::f32));
    // Pinned, two processes of one thread each share one core.
    properties.insert(ov::hint::enable_cpu_pinning(false));
    return properties;
}

void Variants::check_input(const ov::Model& model) const {
    const bool is_shaped = spec_.shapes.size() > 1;
    const std::string sides = is_shaped ? "H, W" : std::to_string(spec_.height) + ", " + std::to_string(spec_.width);
    const std::string wanted = "uint8 [N, " + sides + ", 3]";
    const auto inputs = model.inputs();
    if (inputs.size() != 1 || inputs[0].get_names().count("frames") == 0)
        throw ContractError(file_ + ": the graph must have one input 'frames', " + wanted);
    const ov::PartialShape shape = inputs[0].get_partial_shape();
    const bool is_typed = inputs[0].get_element_type() == ov::element::u8 && shape.rank() == 4 && shape[0].is_dynamic() && shape[3] == 3;
    const bool fits = is_typed && (is_shaped ? shape[1].is_dynamic() && shape[2].is_dynamic()
                                             : shape[1] == spec_.height && shape[2] == spec_.width);
    if (!fits)
        throw ContractError(file_ + ": input 'frames' must be " + wanted + (is_shaped ? " with any N, H and W" : " with any N") +
                            ", found " + shape_text(inputs[0]));
}

void Variants::check_outputs(const ov::CompiledModel& compiled, std::size_t index) {
    bool has_score = false, has_causes = false;
    MapSize map;
    for (const auto& output : compiled.outputs()) {
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
            map = {static_cast<int>(shape[2]), static_cast<int>(shape[1])};
        }
    }
    if (!has_score) throw ContractError(file_ + ": the graph lacks the output 'score', float32 [N]");
    if (!has_causes && !spec_.causes.empty())
        throw ContractError(file_ + ": the graph lacks the output 'causes', float32 [N, " +
                            std::to_string(spec_.causes.size()) + "]");
    if (index == 0) map_ = map;
    if (spec_.shapes.size() > 1) check_map(map, spec_.shapes[index]);
}

// Whoever makes room for a map knows how large it gets before all shapes are compiled.
void Variants::check_map(const MapSize& map, const Shape& shape) const {
    const int part = map_.width == 0 ? 0 : spec_.width / map_.width;
    if (map.width * part != (part == 0 ? 0 : shape.width) || map.height * part != (part == 0 ? 0 : shape.height))
        throw ContractError(file_ + ": output 'map' must be the same whole part of the frame in every shape, found " +
                            std::to_string(map.height) + "x" + std::to_string(map.width) + " for " +
                            std::to_string(shape.height) + "x" + std::to_string(shape.width));
}

void Variants::check_output(const ov::Output<const ov::Node>& output, const std::string& name, const ov::PartialShape& wanted) const {
    const ov::PartialShape found = output.get_partial_shape();
    if (output.get_element_type() != ov::element::f32 || found.is_dynamic() || !found.compatible(wanted))
        throw ContractError(file_ + ": output '" + name + "' must be float32 " + wanted.to_string() +
                            " for one frame, found " + shape_text(output));
}

}  // namespace dpiqa::core
