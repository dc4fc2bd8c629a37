#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "error.hpp"
#include "golden.hpp"
#include "manifest.hpp"

using namespace dpiqa::core;
using nlohmann::json;

namespace {

json valid() {
    return {{"manifest_version", 1},
            {"onnx_sha256", std::string(64, 'a')},
            {"flavour", "tensorrt"},
            {"tensorrt_version", "10.9.0"},
            {"precision", "int8"},
            {"compute_capabilities", {"8.6", "8.9"}},
            {"rebuild", "python -m export.trt --int8"},
            {"contract", json::parse(read_model_spec(data_path("tiny-int8.onnx")).document)}};
}

Manifest parse(const json& document) { return parse_manifest(document.dump(), "m.engine.json"); }

void refuse(const json& document, const char* part) {
    CHECK_THROWS_WITH_AS(parse(document), doctest::Contains(part), ContractError);
}

void refuse_on(const Machine& machine, const char* sentence) {
    CHECK_THROWS_WITH_AS(check_machine(parse(valid()), machine, "m.engine"), sentence, EngineError);
}

}  // namespace

TEST_CASE("a manifest carries the model's contract") {
    const Manifest manifest = parse(valid());
    CHECK(manifest.spec.name == "tiny");
    CHECK(manifest.compute_capabilities.size() == 2);
    CHECK_NOTHROW(check_machine(manifest, {"tensorrt", "10.9.3", "RTX 3060", "8.6"}, "m.engine"));
}

TEST_CASE("an engine for another machine says so, and how to rebuild it") {
    refuse_on({"tensorrt", "10.13.0", "RTX 3060", "8.6"},
              "m.engine: built for tensorrt 10.9.0, found tensorrt 10.13.0; rebuild it with: python -m export.trt --int8");
    refuse_on({"tensorrt-rtx", "10.9.0", "RTX 3060", "8.6"},
              "m.engine: built for tensorrt 10.9.0, found tensorrt-rtx 10.9.0; rebuild it with: python -m export.trt --int8");
    refuse_on({"tensorrt", "10.9.0", "Orin", "8.7"},
              "m.engine: built for compute capability 8.6, 8.9, found Orin with 8.7; rebuild it with: python -m export.trt --int8");
}

TEST_CASE("a damaged manifest is refused by field") {
    json document = valid();
    document["manifest_version"] = 2;
    refuse(document, "m.engine.json: manifest field 'manifest_version': must be");
    document = valid();
    document["flavour"] = "other";
    refuse(document, "field 'flavour': must be one of");
    document = valid();
    document["compute_capabilities"] = "8.6";
    refuse(document, "field 'compute_capabilities': must be a list");
    document = valid();
    document["contract"]["input"]["width"] = 8;
    refuse(document, "field 'input.width'");
    document.erase("contract");
    refuse(document, "field 'contract': is missing");
    CHECK_THROWS_WITH_AS(read_manifest("/nowhere/m.engine"), doctest::Contains("its manifest"), EngineError);
}
