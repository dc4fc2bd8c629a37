#include "program_file.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "error.hpp"
#include "json_object.hpp"
#include "onnx_metadata.hpp"
#include "sha256.hpp"

namespace dpiqa::core {
namespace {

constexpr char kMagic[] = "dpiqapte";
constexpr std::size_t kDigest = 32, kLength = 8, kMagicSize = sizeof(kMagic) - 1, kFooter = kDigest + kLength + kMagicSize;

std::array<float, 3> three_numbers(const JsonObject& root, const char* field, double minimum) {
    const std::vector<double> numbers = root.numbers(field);
    if (numbers.size() != 3) root.refuse(field, "must hold three numbers, for R, G and B");
    std::array<float, 3> values{};
    for (std::size_t i = 0; i < 3; ++i) {
        if (numbers[i] < minimum || numbers[i] > 255) root.refuse(field, "must hold numbers of a pixel's range");
        values[i] = static_cast<float>(numbers[i]);
    }
    return values;
}

std::vector<std::string> output_names(const JsonObject& root, bool has_causes) {
    std::vector<std::string> names = root.texts("outputs");
    const auto count = [&](const char* name) { return std::count(names.begin(), names.end(), name); };
    const bool is_known = count("score") == 1 && count("causes") == (has_causes ? 1 : 0) && count("map") <= 1;
    if (!is_known || static_cast<std::size_t>(count("score") + count("causes") + count("map")) != names.size())
        root.refuse("outputs", "must hold 'score', 'causes' where the contract names some, and 'map' or not");
    return names;
}

}  // namespace

ProgramFile read_program_file(const ModelBytes& bytes, bool verify) {
    const std::string& file = bytes.name();
    const std::uint8_t* end = bytes.data() + bytes.size();
    if (bytes.size() < kFooter || std::memcmp(end - kMagicSize, kMagic, kMagicSize) != 0)
        throw EngineError(file + ": not an ExecuTorch program with a contract, dpiqa export executorch writes one");
    std::uint64_t length = 0;
    for (std::size_t i = kLength; i-- > 0;) length = length << 8 | *(end - kMagicSize - kLength + i);
    if (length > std::min(bytes.size() - kFooter, 2 * kMaxDocumentBytes))
        throw EngineError(file + ": not an ExecuTorch program with a contract (its manifest does not fit into it)");
    const std::size_t signed_size = bytes.size() - kFooter;
    if (verify) {
        Sha256 digest;
        digest.add(bytes.data(), signed_size);
        const auto found = digest.digest();
        if (std::memcmp(found.data(), bytes.data() + signed_size, kDigest) != 0)
            throw ContractError(file + ": damaged or changed, its digest is not that of its content; copy or export it again");
    }
    ProgramFile program;
    program.program_size = signed_size - static_cast<std::size_t>(length);
    const std::string document(reinterpret_cast<const char*>(bytes.data()) + program.program_size,
                               static_cast<std::size_t>(length));
    const JsonObject root = JsonObject::parse(document, file, "manifest");
    root.integer("manifest_version", 1, 1);
    root.only({"manifest_version", "onnx_sha256", "executorch_version", "mean", "std", "outputs", "contract"});
    root.text("onnx_sha256");
    root.text("executorch_version");
    root.object("contract");
    program.spec = parse_model_spec(root.dump("contract"), file);
    require_one_shape(program.spec, file);
    program.mean = three_numbers(root, "mean", 0);
    program.std = three_numbers(root, "std", 1);
    program.outputs = output_names(root, !program.spec.causes.empty());
    return program;
}

}  // namespace dpiqa::core
