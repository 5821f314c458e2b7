// tokenizer/bpe_model.h: byte-pair encoding of one word.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/tokenizer/pair_table.h"

namespace longgen {

/// The model of a tokenizer.json. Immutable after construction.
class BpeModel {
 public:
  /// Reads field "model". `byte_level` says that the pre-tokenizer ends in ByteLevel: words are
  /// then given as plain bytes, and every byte counts as its character of the vocabulary. Throws
  /// Error on any other model than BPE and on a vocabulary whose ids leave large gaps, stand twice,
  /// or do not cover the merges.
  static BpeModel from_json(const JsonObject& root, bool byte_level);

  /// Appends the ids of a word (not empty, valid UTF-8).
  void encode(std::string_view word, std::vector<int32_t>& ids) const;

  /// Returns one more than the largest id.
  int32_t num_ids() const { return static_cast<int32_t>(tokens_.size()); }
  std::optional<int32_t> token_id(std::string_view token) const;
  /// Returns the token of an id below num_ids(), nullptr for a gap.
  const std::string* token(int32_t id) const;
  /// Returns the text that an id of encode() stands for: of byte level the bytes of its characters.
  std::string surface(int32_t id) const;
  /// Returns the byte of "<0x0A>", where the vocabulary falls back to such tokens.
  std::optional<uint8_t> fallback_byte(int32_t id) const;

  /// Whether no merge joins something else to a following U+2581 ("▁"), so that words may be cut
  /// before each of them.
  bool splits_at_metaspace() const { return splits_at_metaspace_; }

 private:
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using TextMap = std::unordered_map<std::string, int32_t, TextHash, std::equal_to<>>;

  /// The symbols of one word while it is cut up: they are appended to `ids`.
  struct Symbols {
    std::vector<int32_t>& ids;
    bool unknown_waits = false;  // an unknown character is written when the next known one comes
  };

  void read_vocab(const JsonObject& model);
  void read_single_bytes();
  void read_merges(const JsonObject& model);
  void add_merge(std::string_view left, std::string_view right, uint32_t rank,
                 const std::string& where);
  int32_t require_id(std::string_view token, const std::string& where) const;
  void add_char(std::string_view character, Symbols& symbols) const;
  void add_symbols(std::string_view word, std::vector<int32_t>& ids) const;

  std::vector<std::string> tokens_;  // by id; an empty string is a gap
  TextMap ids_;
  std::array<int32_t, 256>
      byte_ids_{};       // of single bytes (byte level) or ASCII characters; -1: none
  TextMap whole_words_;  // bytes of tokens -> id, for ignore_merges with byte level
  PairTable merges_;
  std::string unk_token_;
  std::optional<int32_t> unk_id_;
  bool byte_level_ = false, byte_fallback_ = false, fuse_unk_ = false, ignore_merges_ = false;
  bool splits_at_metaspace_ = false;
};

}  // namespace longgen
