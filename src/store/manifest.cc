#include "store/manifest.h"

#include <algorithm>
#include <set>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::string_view kMagic = "STRMANIF";
constexpr std::uint32_t kFormatVersion = 2;
constexpr std::uint32_t kOldestFormatVersion = 1;
constexpr std::size_t kHeaderBytes = 20;
constexpr std::size_t kFrameHeadBytes = 12;

enum Field : std::uint8_t {
  kIdentity = 1,
  kHorizon = 2,
  kFlushed = 3,
  kNextNumber = 4,
  kAdded = 5,
  kRemoved = 6,
  kProof = 7
};
enum Kind : std::uint8_t { kDelta = 1, kImage = 2 };

void put_layer(std::string& out, const Layer& layer) {
  put_u64(out, layer.number);
  put_u8(out, layer.info.image ? kImage : kDelta);
  put_u8(out, static_cast<std::uint8_t>(layer.info.level));
  put_key(out, encode_key(layer.info.first_key));
  put_key(out, encode_key(layer.info.last_key));
  put_u64(out, layer.info.lsns.begin);
  put_u64(out, layer.info.lsns.end);
  put_u64(out, layer.info.bytes);
  put_u64(out, layer.info.entries);
}

Layer get_layer(ByteReader& in) {
  Layer layer;
  layer.number = in.u64();
  const std::uint8_t kind = in.u8();
  if (kind != kDelta && kind != kImage) in.fail("a layer's kind is unknown");
  layer.info.image = kind == kImage;
  layer.info.level = in.u8();
  layer.info.first_key = decode_key(in.key());
  layer.info.last_key = decode_key(in.key());
  layer.info.lsns.begin = in.u64();
  layer.info.lsns.end = in.u64();
  layer.info.bytes = in.u64();
  layer.info.entries = in.u64();
  if (layer.info.lsns.empty() || layer.info.last_key < layer.info.first_key) in.fail("a layer's ranges are wrong");
  layer.info.name = layer_name(layer.number, layer.info.image, layer.info.level, layer.info.lsns);
  return layer;
}

void put_proof(std::string& out, const JoinProof& proof) {
  put_u64(out, proof.begin);
  put_u64(out, proof.end);
  put_u64(out, proof.previous);
  put_u32(out, proof.crc);
  put_u32(out, proof.timeline);
}

JoinProof get_proof(ByteReader& in) {
  JoinProof proof;
  proof.begin = in.u64();
  proof.end = in.u64();
  proof.previous = in.u64();
  proof.crc = in.u32();
  proof.timeline = in.u32();
  if (proof.begin >= proof.end || proof.previous >= proof.begin) in.fail("a proof's LSNs are wrong");
  return proof;
}

// The payload of the edit at `offset`; nothing when there is no intact one.
std::optional<Bytes> intact_edit(Bytes content, std::size_t offset) {
  if (content.size() - offset <= kFrameHeadBytes) return std::nullopt;
  std::uint32_t length;
  std::uint64_t sum;
  std::memcpy(&length, content.data() + offset, sizeof length);
  std::memcpy(&sum, content.data() + offset + sizeof length, sizeof sum);
  if (length == 0 || length > content.size() - offset - kFrameHeadBytes) return std::nullopt;
  const Bytes payload = content.subspan(offset + kFrameHeadBytes, length);
  if (sum != checksum_at(offset, content.subspan(offset, sizeof length), payload)) return std::nullopt;
  return payload;
}

}  // namespace

void ManifestState::apply(const ManifestEdit& edit) {
  const std::set<std::uint64_t> removed(edit.removed.begin(), edit.removed.end());
  const bool all_there =
      std::all_of(removed.begin(), removed.end(), [&](auto number) { return layers.contains(number); });
  if (removed.size() != edit.removed.size() || !all_there) {
    throw StoreError(ErrorKind::kInvalid, "an edit removes a layer that is not there");
  }
  std::set<std::uint64_t> added;
  for (const Layer& layer : edit.added) {
    const bool there = layers.contains(layer.number) && !removed.contains(layer.number);
    if (there || !added.insert(layer.number).second) {
      throw StoreError(ErrorKind::kInvalid, "an edit adds a layer that is there already");
    }
  }
  for (const std::uint64_t number : removed) layers.erase(number);
  for (const Layer& layer : edit.added) layers.emplace(layer.number, layer);
  if (edit.identity) identity = *edit.identity;
  if (edit.horizon) horizon = *edit.horizon;
  if (edit.flushed) flushed = *edit.flushed;
  if (edit.next_number) next_number = *edit.next_number;
  proofs.insert(proofs.end(), edit.proofs.begin(), edit.proofs.end());
  if (proofs.size() > kMaxProofs) proofs.erase(proofs.begin(), proofs.end() - kMaxProofs);
}

ManifestEdit ManifestState::as_edit() const {
  ManifestEdit edit;
  edit.identity = identity;
  if (horizon.lsn != kInvalidLsn) edit.horizon = horizon;
  edit.flushed = flushed;
  edit.next_number = next_number;
  for (const auto& [number, layer] : layers) edit.added.push_back(layer);
  edit.proofs = proofs;
  return edit;
}

std::string encode_edit(const ManifestEdit& edit) {
  std::string out;
  if (edit.identity) {
    put_u8(out, kIdentity);
    put_u64(out, edit.identity->system_identifier);
    put_u32(out, edit.identity->timeline);
  }
  if (edit.horizon) {
    put_u8(out, kHorizon);
    put_u64(out, edit.horizon->lsn);
    put_fixed(out, edit.horizon->time);
  }
  if (edit.flushed) {
    put_u8(out, kFlushed);
    put_u64(out, *edit.flushed);
  }
  if (edit.next_number) {
    put_u8(out, kNextNumber);
    put_u64(out, *edit.next_number);
  }
  for (const Layer& layer : edit.added) {
    put_u8(out, kAdded);
    put_layer(out, layer);
  }
  for (const std::uint64_t number : edit.removed) {
    put_u8(out, kRemoved);
    put_u64(out, number);
  }
  for (const JoinProof& proof : edit.proofs) {
    put_u8(out, kProof);
    put_proof(out, proof);
  }
  return out;
}

ManifestEdit decode_edit(Bytes payload, std::string_view file, std::uint64_t offset) {
  ByteReader in(payload, file, offset);
  ManifestEdit edit;
  while (!in.at_end()) {
    switch (in.u8()) {
      case kIdentity: {
        const std::uint64_t system_identifier = in.u64();
        edit.identity = StoreIdentity{.system_identifier = system_identifier, .timeline = in.u32()};
        break;
      }
      case kHorizon: {
        const Lsn lsn = in.u64();
        edit.horizon = Horizon{.lsn = lsn, .time = static_cast<std::int64_t>(in.u64())};
        break;
      }
      case kFlushed:
        edit.flushed = in.u64();
        break;
      case kNextNumber:
        edit.next_number = in.u64();
        break;
      case kAdded:
        edit.added.push_back(get_layer(in));
        break;
      case kRemoved:
        edit.removed.push_back(in.u64());
        break;
      case kProof:
        edit.proofs.push_back(get_proof(in));
        break;
      default:
        in.fail("a field of the manifest is unknown");
    }
  }
  return edit;
}

std::string encode_manifest_header() {
  std::string out(kMagic);
  put_u32(out, kFormatVersion);
  put_u64(out, checksum(as_bytes(out)));
  return out;
}

std::string frame_edit(std::string_view payload, std::uint64_t offset) {
  std::string out;
  put_u32(out, static_cast<std::uint32_t>(payload.size()));
  put_u64(out, checksum_at(offset, as_bytes(out), as_bytes(payload)));
  out += payload;
  return out;
}

ManifestState decode_manifest(Bytes content, std::string_view file, std::size_t* end) {
  ByteReader header(content.first(std::min(content.size(), kHeaderBytes)), file, 0);
  const Bytes magic = header.bytes(kMagic.size());
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0) throw_corrupt(file, 0, "this is no manifest");
  const std::uint32_t version = header.u32();
  if (header.u64() != checksum(content.first(kHeaderBytes - 8)))
    throw_corrupt(file, 0, "the header's checksum is wrong");
  if (version < kOldestFormatVersion || version > kFormatVersion) {
    throw StoreError(ErrorKind::kVersion, "file \"" + std::string(file) + "\" has manifest format version " +
                                              std::to_string(version) + ", this program reads versions " +
                                              std::to_string(kOldestFormatVersion) + " to " +
                                              std::to_string(kFormatVersion));
  }

  ManifestState state;
  std::size_t offset = kHeaderBytes;
  bool first = true;
  for (;;) {
    const std::optional<Bytes> payload = intact_edit(content, offset);
    if (!payload) break;
    const ManifestEdit edit = decode_edit(*payload, file, offset + kFrameHeadBytes);
    if (first && !edit.identity) throw_corrupt(file, offset, "the manifest does not begin with an identity");
    try {
      state.apply(edit);
    } catch (const StoreError& error) {
      throw_corrupt(file, offset, error.what());
    }
    first = false;
    offset += kFrameHeadBytes + payload->size();
  }
  if (first) throw_corrupt(file, offset, "the manifest has no intact edit");
  for (std::size_t later = offset + 1; later < content.size(); ++later) {
    if (intact_edit(content, later)) throw_corrupt(file, offset, "an edit's checksum is wrong");
  }
  if (end != nullptr) *end = offset;
  return state;
}

std::string read_manifest_bytes(Env& env, const std::string& directory) {
  const std::string path = directory + "/" + std::string(kManifestName);
  const std::unique_ptr<ReadableFile> file = env.open(path);
  // The writer may append meanwhile: what is behind this size was not acknowledged before now.
  std::string content(file->size(), '\0');
  file->read(0, std::as_writable_bytes(std::span(content)));
  return content;
}

ManifestState read_manifest(Env& env, const std::string& directory) {
  return decode_manifest(as_bytes(read_manifest_bytes(env, directory)), directory + "/" + std::string(kManifestName));
}

}  // namespace strata
