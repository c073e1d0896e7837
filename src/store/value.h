// The bytes of a version that was read.
#pragma once

#include <cstddef>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

namespace strata {

// Bytes of its own, or part of a decoded block, which stays in memory as long as they do: most versions are short, and
// many of them lie side by side. Immutable; copies share the bytes.
class Value {
 public:
  Value() = default;
  Value(std::string bytes) {  // NOLINT(google-explicit-constructor): versions are made of strings everywhere
    auto own = std::make_shared<const std::string>(std::move(bytes));
    bytes_ = *own;
    owner_ = std::move(own);
  }
  // `bytes` are valid as long as `owner` is there.
  Value(std::shared_ptr<const void> owner, std::string_view bytes) : owner_(std::move(owner)), bytes_(bytes) {}

  // Without a string of its own between.
  [[nodiscard]] static Value copy_of(std::string_view bytes) {
    auto own = std::make_shared_for_overwrite<char[]>(bytes.size());
    bytes.copy(own.get(), bytes.size());
    const std::string_view view(own.get(), bytes.size());
    return {std::move(own), view};
  }

  operator std::string_view() const { return bytes_; }  // NOLINT(google-explicit-constructor)
  [[nodiscard]] std::string_view view() const { return bytes_; }
  [[nodiscard]] const char* data() const { return bytes_.data(); }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  char operator[](std::size_t i) const { return bytes_[i]; }

  friend bool operator==(const Value& a, const Value& b) { return a.bytes_ == b.bytes_; }
  friend std::ostream& operator<<(std::ostream& out, const Value& value) { return out << value.bytes_; }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view bytes_;
};

}  // namespace strata
