// Compiled models in a folder, so that the next start need not compile them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace dpiqa::core {

// One entry, for one key. It is written whole or not at all; one that is damaged, or of another key, counts as absent.
// Only the latest entries stay in the folder.
class CacheEntry {
  public:
    CacheEntry(const std::string& folder, std::string key);

    std::optional<std::string> load() const noexcept;
    void store(const std::string& compiled) const noexcept;

  private:
    std::filesystem::path folder_, path_;
    std::string key_;
};

// A checksum of a file's content, as text. Throws EngineError when it cannot be read.
std::string checksum_of_file(const std::string& file);

}  // namespace dpiqa::core
