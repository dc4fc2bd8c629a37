#include "onnx_weights.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "error.hpp"
#include "model_bytes.hpp"
#include "model_spec.hpp"
#include "sha256.hpp"

namespace dpiqa::core {
namespace {

// Field numbers of onnx.proto.
constexpr std::uint64_t kGraph = 7, kInitializer = 5;
enum TensorField : std::uint64_t {
    kDims = 1, kDataType = 2, kFloatData = 4, kInt32Data = 5, kInt64Data = 7, kName = 8, kRawData = 9, kDoubleData = 10,
    kUint64Data = 11, kDataLocation = 14
};
constexpr std::uint64_t kUint32 = 12;  // of TensorProto.DataType
enum WireType : std::uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
    std::uint64_t number = 0, type = 0, value = 0;  // `value` of a varint
    std::string_view bytes;                         // of everything else
};

// The fields of one message in their order.
class Message {
  public:
    Message(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

    bool next(Field& field) {
        if (bytes_.empty()) return false;
        const std::uint64_t tag = varint();
        field = {tag >> 3, tag & 7, 0, {}};
        switch (field.type) {
            case kVarint: field.value = varint(); break;
            case kFixed64: field.bytes = take(8); break;
            case kBytes: field.bytes = take(varint()); break;
            case kFixed32: field.bytes = take(4); break;
            default: refuse("a field has an unknown type");
        }
        return true;
    }

    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const auto byte = static_cast<unsigned char>(take(1)[0]);
            value |= (std::uint64_t{byte} & 0x7f) << shift;
            if ((byte & 0x80) == 0) return value;
        }
        refuse("a number has too many bytes");
    }

    bool is_empty() const { return bytes_.empty(); }

    [[noreturn]] void refuse(const std::string& why) const {
        throw EngineError(file_ + ": not an ONNX model (" + why + ")");
    }

  private:
    std::string_view take(std::uint64_t count) {
        if (count > bytes_.size()) refuse("it is cut off");
        const std::string_view taken = bytes_.substr(0, static_cast<std::size_t>(count));
        bytes_.remove_prefix(taken.size());
        return taken;
    }

    std::string_view bytes_;
    const std::string& file_;
};

struct Tensor {
    std::string_view name, bytes;
};

// Bytes of a value that int32_data holds, by TensorProto.DataType; 0 for types that it does not.
std::size_t int32_width(std::uint64_t type) {
    switch (type) {
        case 2: case 3: case 9: return 1;            // uint8, int8, bool
        case 4: case 5: case 10: case 16: return 2;  // uint16, int16, float16, bfloat16
        case 6: return 4;                            // int32
        default: return 0;
    }
}

void add_value(Sha256& digest, std::uint64_t value, std::size_t width) {
    std::uint8_t bytes[8];
    for (std::size_t i = 0; i < width; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
    digest.add(bytes, width);
}

Tensor read_tensor(std::string_view bytes, const std::string& file) {
    Message message(bytes, file);
    Tensor tensor{{}, bytes};
    for (Field field; message.next(field);) {
        if (field.number == kName) tensor.name = field.bytes;
        if (field.number == kDataLocation && field.value != 0)
            throw EngineError(file + ": its weights lie in another file, a model file holds them itself");
    }
    return tensor;
}

void add_values(Sha256& digest, const Tensor& tensor, const std::string& file) {
    std::uint64_t type = 0;
    Message first(tensor.bytes, file);
    for (Field field; first.next(field);)
        if (field.number == kDataType) type = field.value;
    Message message(tensor.bytes, file);
    for (Field field; message.next(field);) {
        const bool is_fixed = field.number == kRawData || field.number == kFloatData || field.number == kDoubleData;
        const std::size_t width = field.number == kInt32Data ? int32_width(type)
                                  : field.number == kUint64Data && type == kUint32   ? 4
                                  : field.number == kInt64Data || field.number == kUint64Data ? 8
                                                                                              : 0;
        if (is_fixed) {
            digest.add(field.bytes.data(), field.bytes.size());
        } else if (width > 0 && field.type == kVarint) {
            add_value(digest, field.value, width);
        } else if (width > 0) {
            for (Message packed(field.bytes, file); !packed.is_empty();) add_value(digest, packed.varint(), width);
        }
    }
}

}  // namespace

std::string onnx_weights_sha256(const std::uint8_t* data, std::size_t size, const std::string& file) {
    std::vector<Tensor> tensors;
    Message model({reinterpret_cast<const char*>(data), size}, file);
    for (Field field; model.next(field);) {
        if (field.number != kGraph || field.type != kBytes) continue;
        Message graph(field.bytes, file);
        for (Field part; graph.next(part);)
            if (part.number == kInitializer && part.type == kBytes) tensors.push_back(read_tensor(part.bytes, file));
    }
    std::stable_sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) { return a.name < b.name; });
    Sha256 digest;
    for (const Tensor& tensor : tensors) {
        digest.add(tensor.name.data(), tensor.name.size());
        add_values(digest, tensor, file);
    }
    return hexadecimal(digest.digest());
}

void check_onnx_weights(const std::string& file) {
    const std::string expected = read_model_spec(file).weights_sha256;
    const ModelBytes bytes(file);
    const std::string found = onnx_weights_sha256(bytes.data(), bytes.size(), file);
    if (found != expected)
        throw ContractError(file + ": its weights are not those of its contract (weights_sha256 " + expected.substr(0, 12) +
                            "..., found " + found.substr(0, 12) + "...); copy or export it again");
}

}  // namespace dpiqa::core
