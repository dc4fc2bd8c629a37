// The caller's structs, whose size may be that of an earlier release: the ABI policy of dpiqa.h, in one place.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <string>
#include <type_traits>

#include "dpiqa/dpiqa.h"
#include "error.hpp"

namespace dpiqa::core {

// The sizes that a struct has had, the latest last. Whoever adds a field adds the size, and leaves the others as they are.
template <typename Struct>
struct Releases;

template <>
struct Releases<dpiqa_frame> {
    static constexpr std::size_t sizes[] = {offsetof(dpiqa_frame, event) + sizeof(void*)};
};
template <>
struct Releases<dpiqa_options> {
    static constexpr std::size_t sizes[] = {offsetof(dpiqa_options, cache) + sizeof(char*)};
};
template <>
struct Releases<dpiqa_info> {
    static constexpr std::size_t sizes[] = {offsetof(dpiqa_info, score_maximum) + sizeof(float)};
};
template <>
struct Releases<dpiqa_reading> {
    static constexpr std::size_t sizes[] = {offsetof(dpiqa_reading, map_height) + sizeof(int32_t)};
};
template <>
struct Releases<dpiqa_signals> {
    static constexpr std::size_t sizes[] = {offsetof(dpiqa_signals, difference) + sizeof(float)};
};

// An array in the caller's memory. What the caller's release does not have reads as zero and is not written.
template <typename Struct>
class Structs {
    using Value = std::remove_const_t<Struct>;
    using Byte = std::conditional_t<std::is_const_v<Struct>, const char, char>;
    static_assert(*std::rbegin(Releases<Value>::sizes) == sizeof(Value), "a field was added: add its size to Releases");

  public:
    // Throws InputError for a size that no release had, or for two. `name` is the argument's.
    Structs(Struct* first, const char* name, std::size_t count = 1)
        : first_(reinterpret_cast<Byte*>(first)), size_(size_at(first_)), count_(count) {
        const auto& sizes = Releases<Value>::sizes;
        if (std::find(std::begin(sizes), std::end(sizes), size_) == std::end(sizes))
            throw InputError(std::string(name) + ": struct_size is " + std::to_string(size_) + ", libdpiqa " + dpiqa_version() +
                             " has " + std::to_string(sizeof(Value)) +
                             ": set it with DPIQA_INIT, and run a program with the release that it was built for or a later one");
        for (std::size_t i = 1; i < count; ++i)
            if (const std::size_t size = size_at(first_ + i * size_); size != size_)
                throw InputError(std::string(name) + "[" + std::to_string(i) + "]: struct_size is " + std::to_string(size) +
                                 ", that of the first is " + std::to_string(size_));
    }

    std::size_t count() const { return count_; }

    Value operator[](std::size_t i) const {
        Value value{};
        std::memcpy(&value, first_ + i * size_, size_);
        return value;
    }

    void store(std::size_t i, const Value& value) const {
        constexpr std::size_t begin = sizeof value.struct_size;  // which stays the caller's
        std::memcpy(first_ + i * size_ + begin, reinterpret_cast<const char*>(&value) + begin, size_ - begin);
    }

  private:
    static std::size_t size_at(const char* value) {
        std::size_t size = 0;
        std::memcpy(&size, value, sizeof size);
        return size;
    }

    Byte* first_;
    std::size_t size_, count_;
};

}  // namespace dpiqa::core
