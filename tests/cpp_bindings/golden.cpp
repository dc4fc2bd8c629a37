#include "golden.hpp"

#include <fstream>
#include <iterator>
#include <stdexcept>

#include "frame.hpp"

namespace {

template <typename Value>
bool read_values(std::istream& stream, Value* values, std::size_t count) {
    return static_cast<bool>(stream.read(reinterpret_cast<char*>(values), static_cast<std::streamsize>(count * sizeof(Value))));
}

}  // namespace

std::string data_path(const std::string& name) { return std::string(DPIQA_TEST_DATA) + "/" + name; }

std::string read_file(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) throw std::runtime_error(path + " is missing");
    return {std::istreambuf_iterator<char>(stream), {}};
}

dpiqa_frame Golden::frame() const {
    return dpiqa::core::make_frame(format, colour, width, height, pixels.data(), pixels.size(), 0);
}

const std::vector<Golden>& golden_vectors() {
    static const std::vector<Golden> vectors = [] {
        std::ifstream stream(data_path("golden.bin"), std::ios::binary);
        std::vector<Golden> read;
        std::int32_t header[7];
        while (read_values(stream, header, 7)) {
            Golden one{header[0], header[1], header[2], header[3], header[4], header[5], {}, {}, {}, {}};
            one.pixels.resize(static_cast<std::size_t>(header[6]));
            one.rgb.resize(static_cast<std::size_t>(one.model_width * one.model_height * 3));
            read_values(stream, one.pixels.data(), one.pixels.size());
            read_values(stream, one.rgb.data(), one.rgb.size());
            read_values(stream, &one.fp32, 1);
            if (!read_values(stream, &one.int8, 1)) throw std::runtime_error("golden.bin is cut off");
            read.push_back(std::move(one));
        }
        if (read.empty()) throw std::runtime_error("golden.bin is missing or empty");
        return read;
    }();
    return vectors;
}
