// data/dataset_format.h: the files of a token dataset. docs/data.md describes them; the writer
// (split_writer) and the reader (token_dataset) both take them from here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace longgen {

inline constexpr const char* kDatasetManifest = "manifest.json";
inline constexpr const char* kDatasetFormat = "longgen token dataset";
inline constexpr int64_t kDatasetVersion = 1;

/// The two splits.
inline constexpr const char* kTrainSplit = "train";
inline constexpr const char* kHeldOutSplit = "held_out";

/// More tokens than any corpus has; keeps every product with a token's size inside 64 bits.
inline constexpr int64_t kMaxTokens = int64_t{1} << 48;

/// How a token id stands in a shard, little endian.
enum class TokenType { kUint16, kUint32 };

/// Chooses uint16 while every id fits.
TokenType token_type_for(int64_t vocab_size);
std::string token_type_name(TokenType type);
/// Throws Error naming `where` for anything but "uint16" and "uint32".
TokenType parse_token_type(const std::string& name, const std::string& where);
int64_t token_bytes(TokenType type);

/// 16 hex digits, as hash_hex() gives them.
std::string format_hash(uint64_t hash);

/// "train-00007.bin".
std::string shard_name(const std::string& split, int64_t number);
/// "train.idx".
std::string index_name(const std::string& split);

// An index file: header, then num_documents + 1 token offsets (uint64, from 0 to num_tokens,
// strictly ascending), then the footer. Its counts stand last because they are known last.
inline constexpr int64_t kIndexHeaderBytes = 16;
inline constexpr int64_t kIndexFooterBytes = 24;

/// Magic "LGTOKIDX", version, zero.
std::string index_header();

struct IndexFooter {
  uint64_t num_documents = 0, num_tokens = 0;
  uint64_t hash = 0;  ///< XXH3-64 of everything before the footer

  std::string bytes() const;
  /// `bytes` is exactly kIndexFooterBytes long.
  static IndexFooter parse(std::string_view bytes);
};

}  // namespace longgen
