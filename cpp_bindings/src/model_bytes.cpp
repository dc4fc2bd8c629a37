#include "model_bytes.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "error.hpp"

namespace dpiqa::core {

ModelBytes::ModelBytes(const std::string& file) : name_(file) {
    const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    const bool is_readable = descriptor >= 0 && fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    if (is_readable && status.st_size > 0) {
        size_ = static_cast<std::size_t>(status.st_size);
        mapping_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (mapping_ == MAP_FAILED) mapping_ = nullptr;
        data_ = static_cast<const std::uint8_t*>(mapping_);
    }
    if (descriptor >= 0) close(descriptor);
    if (!is_readable || (size_ > 0 && mapping_ == nullptr))
        throw EngineError(file + ": no such model file, or it cannot be read");
}

ModelBytes::ModelBytes(ModelBytes&& other) noexcept
    : name_(std::move(other.name_)),
      data_(other.data_),
      size_(other.size_),
      mapping_(std::exchange(other.mapping_, nullptr)) {}

ModelBytes::~ModelBytes() {
    if (mapping_ != nullptr) munmap(mapping_, size_);
}

void ModelBytes::release_pages() const {
    if (mapping_ != nullptr) madvise(mapping_, size_, MADV_DONTNEED);
}

}  // namespace dpiqa::core
