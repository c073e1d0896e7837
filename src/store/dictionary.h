// Dictionaries, with which small blocks compress about as well as large ones (doc/format.md, "Dictionaries").
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct ZSTD_CDict_s;
struct ZSTD_DDict_s;

namespace strata {

inline constexpr std::size_t kMaxDictionaryBytes = std::size_t{1} << 20;

// Made ready for one compression level.
class CompressionDictionary {
 public:
  // Throws std::bad_alloc.
  CompressionDictionary(std::string_view content, int compression_level);
  [[nodiscard]] const ZSTD_CDict_s* get() const { return dictionary_.get(); }

 private:
  struct Free {
    void operator()(ZSTD_CDict_s* dictionary) const;
  };
  std::unique_ptr<ZSTD_CDict_s, Free> dictionary_;
};

// Made ready to decode with.
class DecompressionDictionary {
 public:
  // Null: the content, which it keeps, is no dictionary.
  static std::shared_ptr<const DecompressionDictionary> make(std::unique_ptr<char[]> content, std::size_t bytes);
  [[nodiscard]] const ZSTD_DDict_s* get() const { return dictionary_.get(); }
  [[nodiscard]] std::size_t memory_bytes() const;

 private:
  struct Free {
    void operator()(ZSTD_DDict_s* dictionary) const;
  };
  DecompressionDictionary(std::unique_ptr<char[]> content, std::size_t bytes, ZSTD_DDict_s* dictionary)
      : content_(std::move(content)), bytes_(bytes), dictionary_(dictionary) {}

  std::unique_ptr<char[]> content_;
  std::size_t bytes_;
  std::unique_ptr<ZSTD_DDict_s, Free> dictionary_;  // refers to the content
};

// Contents of blocks, one after the other, from which a dictionary is made.
class DictionarySamples {
 public:
  void add(std::string_view content);
  [[nodiscard]] std::size_t bytes() const { return contents_.size(); }
  // At most `bytes` long. Empty where the samples are too few or too much alike to make one.
  [[nodiscard]] std::string train(std::size_t bytes) const;
  // What blocks like these take, of all samples together, compressed with `content`, which may be empty. An estimate
  // from some of them, at a low level: good for comparing.
  [[nodiscard]] std::size_t compressed_bytes(std::string_view content) const;

 private:
  std::string contents_;
  std::vector<std::size_t> sizes_;
};

}  // namespace strata
