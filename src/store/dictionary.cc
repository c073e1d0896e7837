#include "store/dictionary.h"

// For training with given parameters instead of a search for the best ones, and for dictionaries without a second copy.
#define ZDICT_STATIC_LINKING_ONLY
#define ZSTD_STATIC_LINKING_ONLY
#include <zdict.h>
#include <zstd.h>

#include <algorithm>
#include <new>

#include "store/no_postgres.h"

namespace strata {

namespace {

// Of what is taken from the samples at once.
constexpr std::size_t kMinSegmentBytes = 32;
constexpr std::size_t kMaxSegmentBytes = 1024;

constexpr int kEstimateLevel = 3;
constexpr std::size_t kEstimateInterval = 8;  // every so many samples is compressed for an estimate

}  // namespace

void CompressionDictionary::Free::operator()(ZSTD_CDict_s* dictionary) const { ZSTD_freeCDict(dictionary); }
void DecompressionDictionary::Free::operator()(ZSTD_DDict_s* dictionary) const { ZSTD_freeDDict(dictionary); }

CompressionDictionary::CompressionDictionary(std::string_view content, int compression_level)
    : dictionary_(ZSTD_createCDict(content.data(), content.size(), compression_level)) {
  if (dictionary_ == nullptr) throw std::bad_alloc();
}

std::shared_ptr<const DecompressionDictionary> DecompressionDictionary::make(std::unique_ptr<char[]> content,
                                                                             std::size_t bytes) {
  ZSTD_DDict_s* made = ZSTD_createDDict_byReference(content.get(), bytes);
  if (made == nullptr) return nullptr;
  return std::shared_ptr<const DecompressionDictionary>(new DecompressionDictionary(std::move(content), bytes, made));
}

std::size_t DecompressionDictionary::memory_bytes() const { return bytes_ + ZSTD_sizeof_DDict(dictionary_.get()); }

void DictionarySamples::add(std::string_view content) {
  contents_ += content;
  sizes_.push_back(content.size());
}

std::string DictionarySamples::train(std::size_t bytes) const {
  ZDICT_fastCover_params_t parameters{};
  parameters.k = static_cast<unsigned>(std::clamp<std::size_t>(bytes / 16, kMinSegmentBytes, kMaxSegmentBytes));
  parameters.d = 8;
  parameters.f = 20;
  parameters.accel = 1;
  parameters.zParams.compressionLevel = kEstimateLevel;
  std::string dictionary(bytes, '\0');
  const std::size_t size =
      ZDICT_trainFromBuffer_fastCover(dictionary.data(), dictionary.size(), contents_.data(), sizes_.data(),
                                      static_cast<unsigned>(sizes_.size()), parameters);
  dictionary.resize(ZDICT_isError(size) != 0 ? 0 : size);
  return dictionary;
}

std::size_t DictionarySamples::compressed_bytes(std::string_view content) const {
  const std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
  if (context == nullptr) throw std::bad_alloc();
  const CompressionDictionary dictionary(content, kEstimateLevel);
  std::string room;
  std::size_t total = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < sizes_.size(); at += sizes_[i], ++i) {
    if (i % kEstimateInterval != 0) continue;
    room.resize(ZSTD_compressBound(sizes_[i]));
    const std::size_t size = ZSTD_compress_usingCDict(context.get(), room.data(), room.size(), contents_.data() + at,
                                                      sizes_[i], dictionary.get());
    total += ZSTD_isError(size) != 0 ? sizes_[i] : size;
  }
  return total * kEstimateInterval;
}

}  // namespace strata
