#include "model_spec.hpp"

#include <fstream>
#include <limits>
#include <set>

#include "error.hpp"
#include "json_object.hpp"
#include "onnx_metadata.hpp"

namespace dpiqa::core {
namespace {

constexpr const char* kMetadataKey = "dpiqa";
constexpr std::int64_t kSpecVersion = 1;
constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();

void check_version(const JsonObject& root, const std::string& file) {
    const std::int64_t found = root.integer("spec_version", 1, kAny);
    if (found > kSpecVersion)
        throw ContractError(file + ": its contract has spec version " + std::to_string(found) + ", this release reads up to " +
                            std::to_string(kSpecVersion) + "; upgrade dpiqa-edge");
}

void check_training(const JsonObject& root) {
    if (!root.has("trained_on")) return;
    for (const JsonObject& set : root.objects("trained_on")) {
        set.only({"name", "split", "images", "licence"});
        set.text("name");
        set.text("split");
        set.integer("images", 1, kAny);
        set.text("licence");
    }
}

void check_evaluation(const JsonObject& root) {
    if (!root.has("evaluated_on")) return;
    for (const JsonObject& set : root.objects("evaluated_on")) {
        set.only({"name", "split", "images", "srcc", "plcc", "rmse"});
        set.text("name");
        set.text("split");
        set.integer("images", 2, kAny);
        set.number("srcc", -1, 1);
        set.number("plcc", -1, 1);
        set.number("rmse", 0, std::numeric_limits<double>::max());
    }
}

void check_sha256(const JsonObject& root, const std::string& digest) {
    if (digest.size() != 64 || digest.find_first_not_of("0123456789abcdef") != std::string::npos)
        root.refuse("weights_sha256", "must be 64 lower-case hexadecimal digits, found \"" + digest.substr(0, 80) + "\"");
}

}  // namespace

ModelSpec parse_model_spec(const std::string& document, const std::string& file) {
    const JsonObject root = JsonObject::parse(document, file, "contract");
    check_version(root, file);
    root.only({"spec_version", "name", "version", "precision", "input", "score", "causes", "trained_on", "evaluated_on",
               "weights_sha256", "licence"});
    ModelSpec spec;
    spec.document = document;
    spec.name = root.text("name");
    spec.version = root.text("version");
    spec.precision = root.has("precision") ? root.text("precision", {"fp32", "fp16", "int8"}) : "fp32";

    const JsonObject input = root.object("input");
    input.only({"height", "width", "resize"});
    spec.height = static_cast<int>(input.integer("height", kMinModelSide, kMaxModelSide));
    spec.width = static_cast<int>(input.integer("width", kMinModelSide, kMaxModelSide));
    if (input.has("resize")) input.text("resize", {"area"});

    const JsonObject score = root.object("score");
    score.only({"minimum", "maximum", "scale"});
    if (score.has("minimum")) spec.score_minimum = static_cast<float>(score.number("minimum", 0, 0));
    if (score.has("maximum")) spec.score_maximum = static_cast<float>(score.number("maximum", 100, 100));
    spec.scale = score.text("scale");

    if (root.has("causes")) spec.causes = root.texts("causes");
    if (std::set<std::string>(spec.causes.begin(), spec.causes.end()).size() != spec.causes.size())
        root.refuse("causes", "must hold distinct names");
    check_training(root);
    check_evaluation(root);
    spec.weights_sha256 = root.text("weights_sha256");
    check_sha256(root, spec.weights_sha256);
    spec.licence = root.text("licence");
    return spec;
}

ModelSpec read_model_spec(const std::string& file) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) throw EngineError(file + ": no such model file, or it cannot be read");
    const auto document = read_onnx_metadata(stream, kMetadataKey, file);
    if (!document)
        throw ContractError(file + ": carries no contract (metadata key '" + kMetadataKey + "'), python -m export.onnx adds one");
    return parse_model_spec(*document, file);
}

}  // namespace dpiqa::core
