#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "error.hpp"
#include "golden.hpp"
#include "model_spec.hpp"
#include "onnx_metadata.hpp"

using namespace dpiqa::core;
using nlohmann::json;

namespace {

json valid() { return json::parse(read_model_spec(data_path("tiny.onnx")).document); }

void refuse(const json& document, const char* part) {
    CHECK_THROWS_WITH_AS(parse_model_spec(document.dump(), "m.onnx"), doctest::Contains(part), ContractError);
}

std::optional<std::string> metadata(const std::string& bytes) {
    std::istringstream stream(bytes);
    return read_onnx_metadata(stream, "dpiqa", "m.onnx");
}

}  // namespace

TEST_CASE("the contract that Python wrote is read") {
    const ModelSpec spec = read_model_spec(data_path("tiny-int8.onnx"));
    CHECK(spec.name == "tiny");
    CHECK(spec.precision == "int8");
    CHECK(spec.width == 64);
    CHECK(spec.height == 64);
    CHECK(spec.score_minimum == 0);
    CHECK(spec.score_maximum == 100);
    CHECK(spec.causes == std::vector<std::string>{"blur", "noise"});
    CHECK(spec.licence == "CC0-1.0");
}

TEST_CASE("a field out of range is named") {
    json document = valid();
    document["input"]["height"] = 31;
    refuse(document, "m.onnx: contract field 'input.height': must be a whole number from 32 to 4096, found 31");
    document["input"]["height"] = "64";
    refuse(document, "found \"64\"");
    document = valid();
    document["input"]["resize"] = "nearest";
    refuse(document, "field 'input.resize': must be one of 'area'");
    document = valid();
    document.erase("licence");
    refuse(document, "field 'licence': is missing");
    document = valid();
    document["extra"] = 1;
    refuse(document, "field 'extra': is not known");
    document = valid();
    document["spec_version"] = 2;
    refuse(document, "has spec version 2, this release reads up to 1; upgrade");
    document = valid();
    document.erase("spec_version");
    refuse(document, "field 'spec_version': is missing");
    document = valid();
    document["score"]["minimum"] = 1;
    refuse(document, "field 'score.minimum': must be from 0 to 0, found 1");
    document = valid();
    document["score"]["maximum"] = 5;
    refuse(document, "field 'score.maximum': must be from 100 to 100, found 5");
    document = valid();
    document["causes"] = {"blur", "blur"};
    refuse(document, "must hold distinct names");
    document = valid();
    document["weights_sha256"] = "ABC";
    refuse(document, "64 lower-case hexadecimal digits");
    document = valid();
    document["trained_on"] = {{{"name", "a"}, {"split", "b"}, {"images", 0}, {"licence", "c"}}};
    refuse(document, "field 'trained_on.0.images': must be a whole number from 1");
    document = valid();
    document["evaluated_on"] = {{{"name", "a"}, {"split", "b"}, {"images", 9}, {"srcc", 1.5}, {"plcc", 0}, {"rmse", 1}}};
    refuse(document, "field 'evaluated_on.0.srcc': must be from -1 to 1, found 1.5");
    refuse(json::array(), "must be a JSON object, found array");
    CHECK_THROWS_WITH_AS(parse_model_spec("{", "m.onnx"), "m.onnx: its contract is not JSON", ContractError);
}

TEST_CASE("absence is told apart from damage") {
    CHECK_THROWS_AS(read_model_spec("/nowhere/m.onnx"), EngineError);
    CHECK_THROWS_AS(metadata("this is no protobuf"), EngineError);
    CHECK_THROWS_WITH_AS(metadata(""), "m.onnx: not an ONNX model (it has no graph)", EngineError);
    CHECK(metadata(std::string("\x3a\x00", 2)) == std::nullopt);  // an empty graph, no metadata
}

TEST_CASE("a model cut off anywhere is refused or has lost its contract, never misread") {
    const std::string whole = read_file(data_path("tiny.onnx"));
    const std::string document = *metadata(whole);
    for (std::size_t size = 0; size < whole.size(); size += size < 64 ? 1 : 17) {
        try {
            const auto found = metadata(whole.substr(0, size));
            CHECK((!found || *found == document));
        } catch (const EngineError&) {
        }
    }
}

TEST_CASE("lengths beyond the file and endless numbers are refused") {
    CHECK_THROWS_WITH_AS(metadata("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), doctest::Contains("cut off"), EngineError);
    CHECK_THROWS_WITH_AS(metadata("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), doctest::Contains("too many bytes"), EngineError);
    CHECK_THROWS_WITH_AS(metadata("\x72\x05\x0a\x7f" "abc"), doctest::Contains("cut off"), EngineError);
    CHECK_THROWS_WITH_AS(metadata("\x07\x01"), doctest::Contains("no number"), EngineError);
    CHECK_THROWS_WITH_AS(metadata("\x0b\x01"), doctest::Contains("unknown type"), EngineError);
}
