#include "model_cache.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "error.hpp"
#include "log.hpp"

#ifndef _WIN32
#include <unistd.h>
#endif

namespace dpiqa::core {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSuffix = ".compiled";
constexpr std::size_t kEntries = 16;
constexpr std::size_t kHead = 16;  // a checksum of what follows, and the length of the key

std::uint64_t mixed(std::uint64_t state, std::uint64_t value) {
    state = (state ^ value) * 0x9E3779B97F4A7C15U;
    return state ^ (state >> 29U);
}

// Against damage, not against an attacker: who can write into the folder can write anything.
std::uint64_t checksum(const char* data, std::size_t size) {
    std::uint64_t state = mixed(1, size), word = 0;
    for (; size >= sizeof word; data += sizeof word, size -= sizeof word) {
        std::memcpy(&word, data, sizeof word);
        state = mixed(state, word);
    }
    word = 0;
    std::memcpy(&word, data, size);
    return mixed(state, word);
}

std::string hexadecimal(std::uint64_t value) {
    std::string text(16, '0');
    for (auto digit = text.rbegin(); digit != text.rend(); ++digit, value >>= 4U) *digit = "0123456789abcdef"[value & 15U];
    return text;
}

std::string content(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::string data{std::istreambuf_iterator<char>(stream), {}};
    if (!stream) throw EngineError(file.string() + ": cannot be read");
    return data;
}

void drop_oldest(const fs::path& folder) {
    std::vector<std::pair<fs::file_time_type, fs::path>> entries;
    for (const auto& file : fs::directory_iterator(folder))
        if (file.path().extension() == kSuffix) entries.emplace_back(file.last_write_time(), file.path());
    std::sort(entries.begin(), entries.end());
    for (std::size_t i = 0; i + kEntries < entries.size(); ++i) fs::remove(entries[i].second);
}

}  // namespace

CacheEntry::CacheEntry(const std::string& folder, std::string key) : folder_(folder), key_(std::move(key)) {
    if (!folder.empty()) path_ = folder_ / (hexadecimal(checksum(key_.data(), key_.size())) + kSuffix);
}

std::optional<std::string> CacheEntry::load() const noexcept {
    try {
        if (path_.empty() || !fs::exists(path_)) return std::nullopt;
        std::string data = content(path_);
        std::array<std::uint64_t, 2> head{};
        if (data.size() < kHead) return std::nullopt;
        std::memcpy(head.data(), data.data(), kHead);
        if (head[0] != checksum(data.data() + sizeof head[0], data.size() - sizeof head[0]) || head[1] != key_.size() ||
            data.compare(kHead, key_.size(), key_) != 0)
            return std::nullopt;
        std::error_code ignored;
        fs::last_write_time(path_, fs::file_time_type::clock::now(), ignored);
        data.erase(0, kHead + key_.size());
        return data;
    } catch (const std::exception& error) {
        log(DPIQA_LOG_INFO, std::string("a compiled model was not read: ") + error.what());
        return std::nullopt;
    }
}

void CacheEntry::store(const std::string& compiled) const noexcept {
    if (path_.empty()) return;
    fs::path draft;
    try {
        fs::create_directories(folder_);
        draft = path_;
#ifdef _WIN32
        draft += ".draft";
#else
        draft += "." + std::to_string(getpid());
#endif
        std::string rest(sizeof(std::uint64_t), '\0');
        const std::uint64_t key_size = key_.size();
        std::memcpy(rest.data(), &key_size, sizeof key_size);
        rest += key_ + compiled;
        const std::uint64_t sum = checksum(rest.data(), rest.size());
        std::ofstream stream(draft, std::ios::binary);
        stream.write(reinterpret_cast<const char*>(&sum), sizeof sum);
        stream.write(rest.data(), static_cast<std::streamsize>(rest.size()));
        stream.close();
        if (!stream) throw EngineError(draft.string() + ": cannot be written");
        fs::rename(draft, path_);
        drop_oldest(folder_);
    } catch (const std::exception& error) {
        log(DPIQA_LOG_INFO, std::string("a compiled model was not kept: ") + error.what());
        std::error_code ignored;
        if (!draft.empty()) fs::remove(draft, ignored);
    }
}

std::string checksum_of_file(const std::string& file) {
    const std::string data = content(file);
    return hexadecimal(checksum(data.data(), data.size())) + " " + std::to_string(data.size());
}

}  // namespace dpiqa::core
