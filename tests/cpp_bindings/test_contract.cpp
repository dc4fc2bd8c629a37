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
    document["spec_version"] = 3;
    refuse(document, "has spec version 3, this release reads up to 2; upgrade");
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

namespace {

json shape(int height, int width) { return {{"height", height}, {"width", width}}; }

json shaped(const std::vector<json>& others) {
    json document = valid();
    document["spec_version"] = 2;
    document["input"]["other_shapes"] = others;
    return document;
}

std::size_t chosen(int height, int width) {
    return nearest_shape({{384, 384}, {224, 384}, {384, 224}, {288, 384}, {384, 288}}, height, width);
}

}  // namespace

TEST_CASE("version 2 lists shapes behind the first") {
    const ModelSpec spec = parse_model_spec(shaped({shape(32, 64), shape(96, 64)}).dump(), "m.onnx");
    REQUIRE(spec.shapes.size() == 3);
    CHECK(spec.height == 64);
    CHECK(spec.shapes[1].height == 32);
    CHECK(spec.shapes[2].height == 96);
    CHECK(read_model_spec(data_path("tiny.onnx")).shapes.size() == 1);
}

TEST_CASE("a list of shapes that cannot be used is named") {
    json document = shaped({shape(32, 64)});
    document["spec_version"] = 1;
    refuse(document, "m.onnx: contract field 'input.other_shapes': is of version 2, this is version 1");
    document = shaped({});
    document["input"].erase("other_shapes");
    refuse(document, "field 'input.other_shapes': must list shapes in version 2");
    document["input"]["other_shapes"] = nullptr;
    refuse(document, "field 'input.other_shapes': must be a list");
    refuse(shaped({}), "field 'input.other_shapes': must list 1 to 15 shapes, found 0");
    std::vector<json> many;
    for (int i = 2; i < 18; ++i) many.push_back(shape(32, 32 * i));
    refuse(shaped(many), "must list 1 to 15 shapes, found 16");
    refuse(shaped({shape(40, 64)}), "field 'input.other_shapes': sides must be multiples of 32, 40x64 is not");
    refuse(shaped({shape(32, 64), shape(64, 128)}), "aspects must be distinct, that of 64x128 is not");
    refuse(shaped({shape(96, 96)}), "that of 96x96 is not");
    refuse(shaped({shape(32, 8192)}), "field 'input.other_shapes.0.width': must be a whole number from 32 to 4096, found 8192");
    refuse(shaped({shape(32, 64), json{{"height", 32}}}), "field 'input.other_shapes.1.width': is missing");
    refuse(shaped({json{{"height", 32}, {"width", 64}, {"depth", 1}}}), "'input.other_shapes.0.depth': is not known");
    document = shaped({shape(32, 64)});
    document["input"]["height"] = 65;
    refuse(document, "sides must be multiples of 32, 65x64 is not");
}

TEST_CASE("a frame gets the shape of the nearest aspect, of equally near ones the first") {
    CHECK(chosen(1080, 1920) == 1);
    CHECK(chosen(1920, 1080) == 2);
    CHECK(chosen(480, 640) == 3);
    CHECK(chosen(640, 480) == 4);
    CHECK(chosen(500, 500) == 0);
    CHECK(chosen(16384, 32) == 2);
    CHECK(chosen(32, 16384) == 1);
    CHECK(nearest_shape({{64, 128}, {128, 64}}, 77, 77) == 0);
    CHECK(nearest_shape({{128, 64}, {64, 128}}, 77, 77) == 0);
    // 16384 x 8192 lies between 32 x 32 and 128 x 32, whose logarithms are equally far away.
    CHECK(nearest_shape({{32, 32}, {128, 32}}, 16384, 8192) == 0);
    CHECK(nearest_shape({{32, 32}, {128, 32}}, 16384, 8191) == 1);
    CHECK(nearest_shape({{32, 32}, {128, 32}}, 16383, 8192) == 0);
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
