// The bytes of a model: a file mapped into memory, or memory of the caller's, such as flash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace dpiqa::core {

class ModelBytes {
  public:
    // Map a file. Throws EngineError when it cannot be read.
    explicit ModelBytes(const std::string& file);
    // Memory that outlives this object; `name` stands for a file's in messages.
    ModelBytes(std::string name, const void* data, std::size_t size)
        : name_(std::move(name)), data_(static_cast<const std::uint8_t*>(data)), size_(size) {}
    ModelBytes(ModelBytes&& other) noexcept;
    ModelBytes& operator=(ModelBytes&&) = delete;
    ~ModelBytes();

    const std::string& name() const { return name_; }
    const std::uint8_t* data() const { return data_; }
    std::size_t size() const { return size_; }
    // A mapped file's pages leave memory until they are read again.
    void release_pages() const;

  private:
    std::string name_;
    const std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
    void* mapping_ = nullptr;
};

}  // namespace dpiqa::core
