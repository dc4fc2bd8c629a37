// What an open path refuses before an engine sees it: weights, programs and documents that are not what they claim.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "engine.hpp"
#include "error.hpp"
#include "golden.hpp"
#include "onnx_weights.hpp"
#include "program_file.hpp"
#include "sha256.hpp"

using namespace dpiqa::core;

namespace {

std::string sha256(const std::string& text, std::size_t part) {
    Sha256 digest;
    for (std::size_t i = 0; i < text.size(); i += part) digest.add(text.data() + i, std::min(part, text.size() - i));
    return hexadecimal(digest.digest());
}

std::string weights_sha256(const std::string& bytes) {
    return onnx_weights_sha256(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), "m.onnx");
}

ProgramFile program(const std::string& bytes, bool verify = true) {
    return read_program_file(ModelBytes("m.pte", bytes.data(), bytes.size()), verify);
}

// The same program with another manifest, under a digest of its own.
std::string with_manifest(const std::string& bytes, const std::string& document) {
    std::string body = bytes.substr(0, program(bytes).program_size) + document;
    Sha256 digest;
    digest.add(body.data(), body.size());
    for (const std::uint8_t byte : digest.digest()) body += static_cast<char>(byte);
    for (unsigned i = 0; i < 8; ++i) body += static_cast<char>(document.size() >> (8 * i) & 255);
    return body + "dpiqapte";
}

nlohmann::json manifest(const std::string& bytes) {
    const std::size_t begin = program(bytes).program_size;
    return nlohmann::json::parse(bytes.substr(begin, bytes.size() - begin - 48));
}

}  // namespace

TEST_CASE("SHA-256 gives the values of FIPS 180-4, however the text is cut") {
    CHECK(sha256("", 1) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(sha256("abc", 3) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const std::string million(1000000, 'a');
    for (const std::size_t part : {std::size_t{1000000}, std::size_t{64}, std::size_t{37}})
        CHECK(sha256(million, part) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("the digest of an ONNX file's weights is the one that Python wrote") {
    for (const char* name : {"tiny.onnx", "tiny-int8.onnx"})
        CHECK(weights_sha256(read_file(data_path(name))) == read_model_spec(data_path(name)).weights_sha256);
    CHECK_THROWS_WITH_AS(weights_sha256("\x3a\x7f"), "m.onnx: not an ONNX model (it is cut off)", EngineError);
    // graph { initializer { name: "w", data_location: EXTERNAL } }
    CHECK_THROWS_WITH_AS(weights_sha256("\x3a\x07\x2a\x05\x42\x01w\x70\x01"), doctest::Contains("in another file"), EngineError);
    // initializer "w": of type INT8 in int32_data, 1 and -1; of FLOAT in raw_data
    const auto digest = [](const std::string& text) { return sha256(text, text.size()); };
    CHECK(weights_sha256(std::string("\x3a\x14\x2a\x12\x10\x03\x2a\x0b\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x42\x01w", 22)) ==
          digest("w\x01\xff"));
    CHECK(weights_sha256(std::string("\x3a\x0d\x2a\x0b\x10\x01\x42\x01w\x4a\x04\x01\x02\x03\x04", 15)) == digest("w\x01\x02\x03\x04"));
}

TEST_CASE("a program's file is read with its contract") {
    const ProgramFile file = program(read_file(data_path("tiny.pte")));
    CHECK(file.spec.name == "tiny");
    CHECK(file.outputs == std::vector<std::string>{"score", "causes", "map"});
    CHECK(file.mean[2] == 127.5F);
    CHECK(file.std[0] == 127.5F);
}

TEST_CASE("one flipped bit anywhere in a program's file is refused, and so is every shorter one") {
    const std::string whole = read_file(data_path("tiny.pte"));
    for (std::size_t i = 0; i < whole.size(); i += 101) {
        std::string changed = whole;
        changed[i] = static_cast<char>(changed[i] ^ 4);
        CHECK_THROWS_AS(program(changed), Failure);
        CHECK_THROWS_AS(program(whole.substr(0, i)), Failure);
    }
    std::string changed = whole;
    changed[100] = static_cast<char>(changed[100] ^ 4);
    CHECK_THROWS_WITH_AS(program(changed), doctest::Contains("its digest is not that of its content"), ContractError);
    CHECK(program(changed, false).spec.name == "tiny");
}

TEST_CASE("a manifest out of range is refused by its field") {
    const std::string whole = read_file(data_path("tiny.pte"));
    const auto refuse = [&](const char* field, const nlohmann::json& value, const char* part) {
        nlohmann::json document = manifest(whole);
        document[field] = value;
        CHECK_THROWS_WITH_AS(program(with_manifest(whole, document.dump())), doctest::Contains(part), ContractError);
    };
    CHECK(program(with_manifest(whole, manifest(whole).dump())).spec.name == "tiny");
    refuse("manifest_version", 2, "'manifest_version': must be a whole number from 1 to 1, found 2");
    refuse("mean", {1, 2}, "'mean': must hold three numbers");
    refuse("std", {0, 1, 1}, "'std': must hold numbers of a pixel's range");
    refuse("std", {1, "x", 1}, "'std': must hold numbers");
    refuse("outputs", {"score", "score", "causes"}, "'outputs'");
    refuse("outputs", {"score", "map"}, "'outputs'");
    refuse("contract", {{"spec_version", 1}}, "contract field 'name': is missing");
    refuse("other", 1, "'other': is not known");
}

TEST_CASE("a document nested without end is refused, not parsed") {
    const std::string brackets(200000, '[');
    CHECK_THROWS_WITH_AS(parse_model_spec(brackets, "m.onnx"), "m.onnx: its contract is nested deeper than 32 levels", ContractError);
    CHECK_THROWS_AS(parse_model_spec("{\"name\": " + brackets, "m.onnx"), ContractError);
    CHECK_THROWS_WITH_AS(parse_model_spec("{\"name\": \"\\\"" + brackets + "\"}", "m.onnx"), doctest::Contains("'spec_version'"),
                         ContractError);  // brackets of a text are none
}
