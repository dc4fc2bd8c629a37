#include "onnx_metadata.hpp"

#include <cstdint>

#include "error.hpp"

namespace dpiqa::core {
namespace {

// Field numbers of onnx.proto.
constexpr std::uint64_t kGraph = 7, kMetadataProps = 14, kKey = 1, kValue = 2;
enum WireType : std::uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Tag {
    std::uint64_t field;
    std::uint64_t type;
};

// Walks the fields of one message; every length is checked against the message's own end before it is used.
class Reader {
  public:
    Reader(std::istream& stream, const std::string& file) : stream_(stream), file_(file) {
        stream_.seekg(0, std::ios::end);
        const auto end = stream_.tellg();
        stream_.seekg(0);
        if (!stream_ || end < 0) refuse("it cannot be read");
        size_ = static_cast<std::uint64_t>(end);
    }

    std::uint64_t size() const { return size_; }
    std::uint64_t position() const { return position_; }

    Tag tag(std::uint64_t end) {
        const std::uint64_t value = varint(end);
        if (value >> 3 == 0 || value > 0xffffffffU) refuse("a field has no number");
        return {value >> 3, value & 7};
    }

    std::uint64_t length(std::uint64_t end) {
        const std::uint64_t length = varint(end);
        if (length > end - position_) refuse("it is cut off");
        return length;
    }

    std::string bytes(std::uint64_t length) {
        if (length > kMaxDocumentBytes) refuse("a metadata entry is larger than 1 MiB");
        std::string text(static_cast<std::size_t>(length), '\0');
        stream_.read(text.data(), static_cast<std::streamsize>(length));
        if (!stream_) refuse("it is cut off");
        position_ += length;
        return text;
    }

    void skip(std::uint64_t type, std::uint64_t end) {
        switch (type) {
            case kVarint: varint(end); return;
            case kFixed64: advance(8, end); return;
            case kBytes: advance(length(end), end); return;
            case kFixed32: advance(4, end); return;
            default: refuse("a field has an unknown type");
        }
    }

    [[noreturn]] void refuse(const std::string& why) const {
        throw EngineError(file_ + ": not an ONNX model (" + why + ")");
    }

  private:
    std::uint64_t varint(std::uint64_t end) {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (position_ >= end) refuse("it is cut off");
            const int byte = stream_.get();
            if (byte < 0) refuse("it is cut off");
            ++position_;
            value |= (static_cast<std::uint64_t>(byte) & 0x7f) << shift;
            if ((byte & 0x80) == 0) return value;
        }
        refuse("a number has too many bytes");
    }

    void advance(std::uint64_t count, std::uint64_t end) {
        if (count > end - position_) refuse("it is cut off");
        stream_.seekg(static_cast<std::streamoff>(count), std::ios::cur);
        if (!stream_) refuse("it is cut off");
        position_ += count;
    }

    std::istream& stream_;
    const std::string& file_;
    std::uint64_t size_ = 0;
    std::uint64_t position_ = 0;
};

struct Entry {
    std::string key;
    std::string value;
};

Entry read_entry(Reader& reader, std::uint64_t end) {
    Entry entry;
    while (reader.position() < end) {
        const Tag tag = reader.tag(end);
        if (tag.type == kBytes && (tag.field == kKey || tag.field == kValue)) {
            (tag.field == kKey ? entry.key : entry.value) = reader.bytes(reader.length(end));
        } else {
            reader.skip(tag.type, end);
        }
    }
    return entry;
}

}  // namespace

std::optional<std::string> read_onnx_metadata(std::istream& stream, const std::string& key, const std::string& file) {
    Reader reader(stream, file);
    std::optional<std::string> found;
    bool has_graph = false;
    while (reader.position() < reader.size()) {
        const Tag tag = reader.tag(reader.size());
        if (tag.type == kBytes && tag.field == kMetadataProps) {
            const std::uint64_t length = reader.length(reader.size());
            Entry entry = read_entry(reader, reader.position() + length);
            if (entry.key == key && !found) found = std::move(entry.value);
        } else {
            has_graph = has_graph || (tag.type == kBytes && tag.field == kGraph);
            reader.skip(tag.type, reader.size());
        }
    }
    if (!has_graph) reader.refuse("it has no graph");
    return found;
}

}  // namespace dpiqa::core
