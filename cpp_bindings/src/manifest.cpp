#include "manifest.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "error.hpp"
#include "json_object.hpp"

namespace dpiqa::core {
namespace {

constexpr std::size_t kMaxManifestBytes = std::size_t{2} << 20;

constexpr int kMostFrames = 1024;

struct Release {
    int major = 0, minor = 0;
};

Release release_of(const std::string& version) {
    Release release;
    char dot = '\0';
    std::istringstream(version) >> release.major >> dot >> release.minor;
    return release;
}

// Engines run where major and minor agree; patches of one release are interchangeable. A lean runtime also takes those of
// earlier minor versions.
bool runs_on(const std::string& engine, const Library& library) {
    const Release built = release_of(engine), here = release_of(version_text(library.number));
    return built.major == here.major && (library.is_lean ? built.minor <= here.minor : built.minor == here.minor);
}

Batches batches_of(const JsonObject& profile) {
    const auto size = [&profile](const char* field, int smallest) {
        return static_cast<int>(profile.integer(field, smallest, kMostFrames));
    };
    const int smallest = size("min", 1), best = size("opt", smallest);
    return {smallest, best, size("max", best)};
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
    manifest.engine_sha256 = root.text("engine_sha256");
    manifest.batches = batches_of(root.object("profile"));
    manifest.is_version_compatible = root.flag("version_compatible");
    manifest.shares_profiles = root.flag("profile_sharing");
    manifest.rebuild = root.text("rebuild");
    root.object("contract");
    manifest.spec = parse_model_spec(root.dump("contract"), file);
    require_one_shape(manifest.spec, file);
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

std::string version_text(int number) {
    const int thousand = number >= 10000 ? 10000 : 1000;
    return std::to_string(number / thousand) + "." + std::to_string(number % thousand / 100) + "." +
           std::to_string(number % 100);
}

void check_library(const Manifest& manifest, const Library& library, const std::string& engine_file) {
    const std::string end = "; rebuild it with: " + manifest.rebuild;
    if (manifest.flavour != library.flavour || !runs_on(manifest.tensorrt_version, library))
        throw EngineError(engine_file + ": built for " + manifest.flavour + " " + manifest.tensorrt_version + ", found " +
                          library.flavour + " " + version_text(library.number) + end);
    if (library.is_lean && !manifest.is_version_compatible)
        throw EngineError(engine_file + ": TensorRT's lean runtime runs version-compatible engines only" + end +
                          " --version-compatible");
}

void check_gpu(const Manifest& manifest, const Gpu& gpu, const std::string& engine_file) {
    const auto& built_for = manifest.compute_capabilities;
    if (!built_for.empty() && std::find(built_for.begin(), built_for.end(), gpu.compute_capability) == built_for.end())
        throw EngineError(engine_file + ": built for compute capability " + joined(built_for) + ", found " + gpu.name +
                          " with " + gpu.compute_capability + "; rebuild it with: " + manifest.rebuild);
}

}  // namespace dpiqa::core
