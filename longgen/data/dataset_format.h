// data/dataset_format.h: the files of a token dataset. docs/data.md describes them; the writer
// (split_writer) and the reader (token_dataset) both take them from here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace longgen {

inline constexpr const char* kDatasetManifest = "manifest.json";
inline constexpr const char* kDatasetFormat = "longgen token dataset";
/// Of a dataset without marks, and of every index.
inline constexpr int64_t kDatasetVersion = 1;
/// Of a dataset with marks: a longgen that knows none must not train on all of its tokens.
inline constexpr int64_t kMarkedVersion = 2;

/// The two splits.
inline constexpr const char* kTrainSplit = "train";
inline constexpr const char* kHeldOutSplit = "held_out";

/// More tokens than any corpus has. The limit keeps products with a token's size inside 64 bits.
inline constexpr int64_t kMaxTokens = int64_t{1} << 48;

/// What is to be learned of a token, one byte each in the files of marks.
enum class Mark : uint8_t {
  ignored = 0,   ///< nothing: it is read, never a target (a user's turn)
  ordinary = 1,  ///< what every token of a dataset without marks is
  answer = 2,    ///< a token of an answer, which may count for more
};
/// Larger bytes are no marks.
inline constexpr uint8_t kLargestMark = 2;

/// How a token id stands in a shard, always little endian.
enum class TokenType { uint16, uint32 };

/// Chooses uint16 while every id fits.
TokenType token_type_for(int64_t vocab_size);
std::string token_type_name(TokenType type);
/// Reads "uint16" or "uint32". Throws Error naming `where` on anything else.
TokenType parse_token_type(const std::string& name, const std::string& where);
int64_t token_bytes(TokenType type);

/// Writes a hash as 16 hex digits, as hash_hex() does.
std::string format_hash(uint64_t hash);

/// Returns "train-00007.bin" for shard 7 of split "train".
std::string shard_name(const std::string& split, int64_t number);
/// Returns "train-00007.marks", what belongs to shard 7 of split "train".
std::string marks_name(const std::string& split, int64_t number);
/// Returns "train.idx" for split "train".
std::string index_name(const std::string& split);

// An index file is a header, then num_documents + 1 token offsets (uint64, from 0 to num_tokens,
// strictly ascending), then the footer. Its counts stand last because they are known last.
inline constexpr int64_t kIndexHeaderBytes = 16;
inline constexpr int64_t kIndexFooterBytes = 24;

/// Returns the header's bytes: magic "LGTOKIDX", version, zero.
std::string index_header();

struct IndexFooter {
  uint64_t num_documents = 0, num_tokens = 0;
  uint64_t hash = 0;  ///< XXH3-64 of everything before the footer

  std::string bytes() const;
  /// Reads a footer of exactly kIndexFooterBytes bytes.
  static IndexFooter parse(std::string_view bytes);
};

}  // namespace longgen
