#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "error.hpp"
#include "golden.hpp"
#include "manifest.hpp"
#include "sha256.hpp"

using namespace dpiqa::core;
using nlohmann::json;

namespace {

json valid() {
    return {{"manifest_version", 1},
            {"onnx_sha256", std::string(64, 'a')},
            {"engine_sha256", std::string(64, 'b')},
            {"profile", {{"min", 1}, {"opt", 2}, {"max", 4}}},
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

void refuse_library(const json& document, const Library& library, const char* sentence) {
    CHECK_THROWS_WITH_AS(check_library(parse(document), library, "m.engine"), sentence, EngineError);
}

}  // namespace

TEST_CASE("a manifest carries the model's contract") {
    const Manifest manifest = parse(valid());
    CHECK(manifest.spec.name == "tiny");
    CHECK(manifest.compute_capabilities.size() == 2);
    CHECK(manifest.batches.best == 2);
    CHECK(manifest.batches.largest == 4);
    CHECK_FALSE(manifest.is_version_compatible);
    CHECK_NOTHROW(check_library(manifest, {"tensorrt", 100903, false}, "m.engine"));
    CHECK_NOTHROW(check_gpu(manifest, {"RTX 3060", "8.6"}, "m.engine"));
}

TEST_CASE("an engine of several shapes is refused") {
    json document = valid();
    document["contract"]["spec_version"] = 2;
    document["contract"]["input"]["other_shapes"] = {{{"height", 32}, {"width", 64}}};
    refuse(document, "m.engine.json: contract field 'input.other_shapes': such a file has one shape, export it again");
}

TEST_CASE("library numbers are read as each generation counts") {
    CHECK(version_text(8601) == "8.6.1");
    CHECK(version_text(9300) == "9.3.0");
    CHECK(version_text(10701) == "1.7.1");  // TensorRT-RTX
    CHECK(version_text(100903) == "10.9.3");
    CHECK(version_text(101600) == "10.16.0");
    CHECK(version_text(110100) == "11.1.0");
}

TEST_CASE("an engine for another machine says so, and how to rebuild it") {
    refuse_library(valid(), {"tensorrt", 101300, false},
                   "m.engine: built for tensorrt 10.9.0, found tensorrt 10.13.0; rebuild it with: python -m export.trt --int8");
    refuse_library(valid(), {"tensorrt-rtx", 10701, false},
                   "m.engine: built for tensorrt 10.9.0, found tensorrt-rtx 1.7.1; rebuild it with: python -m export.trt --int8");
    CHECK_THROWS_WITH_AS(check_gpu(parse(valid()), {"Orin", "8.7"}, "m.engine"),
                         "m.engine: built for compute capability 8.6, 8.9, found Orin with 8.7; rebuild it with: "
                         "python -m export.trt --int8",
                         EngineError);
}

TEST_CASE("the lean runtime runs version-compatible engines, also of earlier minor versions") {
    refuse_library(valid(), {"tensorrt", 100900, true},
                   "m.engine: TensorRT's lean runtime runs version-compatible engines only; rebuild it with: "
                   "python -m export.trt --int8 --version-compatible");
    json document = valid();
    document["version_compatible"] = true;
    CHECK_NOTHROW(check_library(parse(document), {"tensorrt", 100900, true}, "m.engine"));
    CHECK_NOTHROW(check_library(parse(document), {"tensorrt", 101300, true}, "m.engine"));
    CHECK_NOTHROW(check_library(parse(document), {"tensorrt", 100900, false}, "m.engine"));
    refuse_library(document, {"tensorrt", 100800, true},
                   "m.engine: built for tensorrt 10.9.0, found tensorrt 10.8.0; rebuild it with: python -m export.trt --int8");
    refuse_library(document, {"tensorrt", 110100, true},
                   "m.engine: built for tensorrt 10.9.0, found tensorrt 11.1.0; rebuild it with: python -m export.trt --int8");
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
    document["profile"]["opt"] = 5;
    refuse(document, "field 'profile.max': must be a whole number from 5 to");
    document = valid();
    document["version_compatible"] = "yes";
    refuse(document, "field 'version_compatible': must be true or false");
    document = valid();
    document["contract"]["input"]["width"] = 8;
    refuse(document, "field 'input.width'");
    document.erase("contract");
    refuse(document, "field 'contract': is missing");
    CHECK_THROWS_WITH_AS(read_manifest("/nowhere/m.engine"), doctest::Contains("its manifest"), EngineError);
}

TEST_CASE("digests are those of FIPS 180-4's examples, around the length of a block as well") {
    CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(sha256(std::string(64, 'a')) == "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
    CHECK(sha256(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
