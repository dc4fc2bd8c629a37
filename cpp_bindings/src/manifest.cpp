#include "manifest.hpp"

#include <algorithm>
#include <fstream>

#include "error.hpp"
#include "json_object.hpp"

namespace dpiqa::core {
namespace {

constexpr std::size_t kMaxManifestBytes = std::size_t{2} << 20;

// Engines run where major and minor agree; patches of one release are interchangeable.
std::string release_of(const std::string& version) {
    const auto minor = version.find('.');
    return minor == std::string::npos ? version : version.substr(0, version.find('.', minor + 1));
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

}  // namespace

Manifest parse_manifest(const std::string& document, const std::string& file) {
    const JsonObject root = JsonObject::parse(document, file, "manifest");
    root.integer("manifest_version", 1, 1);
    Manifest manifest;
    manifest.onnx_sha256 = root.text("onnx_sha256");
    manifest.flavour = root.text("flavour", {"tensorrt", "tensorrt-rtx"});
    manifest.tensorrt_version = root.text("tensorrt_version");
    manifest.precision = root.text("precision", {"fp32", "fp16", "int8"});
    manifest.compute_capabilities = root.texts("compute_capabilities");
    manifest.rebuild = root.text("rebuild");
    root.object("contract");
    manifest.spec = parse_model_spec(root.dump("contract"), file);
    return manifest;
}

Manifest read_manifest(const std::string& engine_file) {
    const std::string file = engine_file + ".json";
    std::ifstream stream(file, std::ios::binary);
    if (!stream)
        throw EngineError(engine_file + ": its manifest " + file + " is missing; python -m export.trt writes both");
    std::string document(kMaxManifestBytes + 1, '\0');
    stream.read(document.data(), static_cast<std::streamsize>(document.size()));
    document.resize(static_cast<std::size_t>(stream.gcount()));
    if (document.size() > kMaxManifestBytes) throw ContractError(file + ": a manifest is at most 2 MiB");
    return parse_manifest(document, file);
}

void check_machine(const Manifest& manifest, const Machine& machine, const std::string& engine_file) {
    const std::string end = "; rebuild it with: " + manifest.rebuild;
    if (manifest.flavour != machine.flavour || release_of(manifest.tensorrt_version) != release_of(machine.tensorrt_version))
        throw EngineError(engine_file + ": built for " + manifest.flavour + " " + manifest.tensorrt_version + ", found " +
                          machine.flavour + " " + machine.tensorrt_version + end);
    const auto& built_for = manifest.compute_capabilities;
    if (!built_for.empty() && std::find(built_for.begin(), built_for.end(), machine.compute_capability) == built_for.end())
        throw EngineError(engine_file + ": built for compute capability " + joined(built_for) + ", found " + machine.gpu +
                          " with " + machine.compute_capability + end);
}

}  // namespace dpiqa::core
