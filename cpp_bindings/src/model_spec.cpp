#include "model_spec.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <set>

#include "error.hpp"
#include "json_object.hpp"
#include "onnx_metadata.hpp"

namespace dpiqa::core {
namespace {

constexpr const char* kMetadataKey = "dpiqa";
constexpr std::int64_t kSpecVersion = 2;
constexpr const char* kOthers = "other_shapes";
constexpr std::size_t kMaxShapes = 16;
constexpr int kShapeStep = 32;
constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();

std::int64_t read_version(const JsonObject& root, const std::string& file) {
    const std::int64_t found = root.integer("spec_version", 1, kAny);
    if (found > kSpecVersion)
        throw ContractError(file + ": its contract has spec version " + std::to_string(found) + ", this release reads up to " +
                            std::to_string(kSpecVersion) + "; upgrade dpiqa-edge");
    return found;
}

std::string text_of(const Shape& shape) { return std::to_string(shape.height) + "x" + std::to_string(shape.width); }

Shape read_shape(const JsonObject& object) {
    return {static_cast<int>(object.integer("height", kMinModelSide, kMaxModelSide)),
            static_cast<int>(object.integer("width", kMinModelSide, kMaxModelSide))};
}

// Version 1 has one shape, version 2 lists others behind it.
std::vector<Shape> read_shapes(const JsonObject& input, std::int64_t version) {
    std::vector<Shape> shapes{read_shape(input)};
    if (version == 1) {
        if (input.has(kOthers)) input.refuse(kOthers, "is of version 2, this is version 1");
        return shapes;
    }
    if (!input.has(kOthers)) input.refuse(kOthers, "must list shapes in version 2");
    for (const JsonObject& other : input.objects(kOthers)) {
        other.only({"height", "width"});
        shapes.push_back(read_shape(other));
    }
    if (shapes.size() < 2 || shapes.size() > kMaxShapes)
        input.refuse(kOthers, "must list 1 to " + std::to_string(kMaxShapes - 1) + " shapes, found " + std::to_string(shapes.size() - 1));
    for (auto shape = shapes.begin(); shape != shapes.end(); ++shape) {
        if (shape->height % kShapeStep != 0 || shape->width % kShapeStep != 0)
            input.refuse(kOthers, "sides must be multiples of " + std::to_string(kShapeStep) + ", " + text_of(*shape) + " is not");
        const auto is_alike = [&](const Shape& other) { return other.height * shape->width == other.width * shape->height; };
        if (std::any_of(shapes.begin(), shape, is_alike))
            input.refuse(kOthers, "aspects must be distinct, that of " + text_of(*shape) + " is not");
    }
    return shapes;
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
    const std::int64_t version = read_version(root, file);
    root.only({"spec_version", "name", "version", "precision", "input", "score", "causes", "trained_on", "evaluated_on",
               "weights_sha256", "licence"});
    ModelSpec spec;
    spec.document = document;
    spec.name = root.text("name");
    spec.version = root.text("version");
    spec.precision = root.has("precision") ? root.text("precision", {"fp32", "fp16", "int8"}) : "fp32";

    const JsonObject input = root.object("input");
    input.only({"height", "width", "resize", kOthers});
    spec.shapes = read_shapes(input, version);
    spec.height = spec.shapes.front().height;
    spec.width = spec.shapes.front().width;
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

std::size_t nearest_shape(const std::vector<Shape>& shapes, int height, int width) {
    // The ratio of two aspects, or its inverse where that is larger, orders as the difference of their logarithms.
    const auto ratio = [&](const Shape& shape) {
        const std::int64_t a = std::int64_t{width} * shape.height, b = std::int64_t{height} * shape.width;
        return std::minmax({a, b});
    };
    const auto is_nearer = [&](const Shape& one, const Shape& other) {
        const auto [small, large] = ratio(one);
        const auto [other_small, other_large] = ratio(other);
        return large * other_small < other_large * small;
    };
    return static_cast<std::size_t>(std::min_element(shapes.begin(), shapes.end(), is_nearer) - shapes.begin());
}

void require_one_shape(const ModelSpec& spec, const std::string& file) {
    if (spec.shapes.size() > 1)
        throw ContractError(file + ": contract field 'input.other_shapes': such a file has one shape, export it again");
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
