// tokenizer/tokenizer.h: text to token ids and back, as tokenizer.json says.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/tokenizer/byte_range.h"

namespace longgen {

struct ConfiguredToken;

struct EncodeOptions {
  /// Adds what the post-processor adds (BOS, EOS).
  bool add_special_tokens = false;
  /// Recognises special tokens written in the text ("<|im_start|>"). Off, their characters are
  /// ordinary text, which is what text from outside needs. Added tokens that are not special are
  /// always recognised.
  bool parse_special = true;
};

/// A tokenizer, immutable after construction: several threads may call every method at once.
class Tokenizer {
 public:
  /// Parses the text of a tokenizer.json. `source` names it in errors. Throws Error on anything it
  /// cannot do exactly.
  static Tokenizer from_json(std::string_view text, const std::string& source);
  /// Reads tokenizer.json from a model directory, and the tokens that the files beside it add
  /// (tokenizer_config.h), as transformers does. `truncation` and `padding` of a tokenizer.json are
  /// allowed and mean nothing: no text is cut or padded.
  static Tokenizer load(const fs::path& model_directory);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Gives the ids of a text of at most 1 GiB. Each maximal subpart of invalid UTF-8 counts as
  /// U+FFFD, as with Python's errors="replace".
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  /// Gives the ids of a text in UTF-8, and in `places` the bytes of it that each stands for: ranges
  /// whose beginnings and ends ascend. The bytes of a character may share one place, and a token
  /// that was put in has none. Throws Error where a place cannot be told: of an unknown token.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options,
                              std::vector<ByteRange>& places) const;
  /// Gives the ids of a text in which special tokens are recognised only where they lie wholly
  /// inside one of the ranges (ascending, not touching); elsewhere their characters are ordinary
  /// text. Adds nothing around it. The text must be UTF-8. `places`, where given, is as above.
  std::vector<int32_t> encode(std::string_view text, std::span<const ByteRange> special_in,
                              std::vector<ByteRange>* places = nullptr) const;

  /// Gives the text of the ids, always valid UTF-8: bytes that make no character become U+FFFD, as
  /// above. Special tokens are left out with skip_special. An id below vocab_size() that no token
  /// has (a padded vocabulary) stands for nothing; any other throws Error.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  /// Returns one more than the largest id.
  int64_t vocab_size() const;
  std::optional<int32_t> token_id(std::string_view token) const;
  /// Returns a token as it stands in tokenizer.json ("Ġthe"). Throws Error where none has the id.
  std::string token(int32_t id) const;
  /// Returns the bytes that a token adds to a text, which may be part of a character; none for an
  /// id that no token has.
  std::string token_bytes(int32_t id) const;
  bool is_special(int32_t id) const;
  /// Whether the id is one of the added tokens, special or not.
  bool is_added(int32_t id) const;
  /// Returns the hash of the tokenizer.json it was made from, and of the tokens that other files
  /// add; shards carry it.
  const std::string& hash() const;

 private:
  friend class StreamDecoder;
  struct Impl;
  static Tokenizer make(std::string_view text, const std::string& source,
                        const std::vector<ConfiguredToken>& configured);
  /// Gives false and appends nothing for an id that no token has.
  bool append_token(int32_t id, bool first, std::string& bytes) const;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Decodes one id at a time and never gives half a character: bytes of an unfinished one are held
/// back. What push and finish gave, joined, is what Tokenizer::decode gives. The tokenizer must
/// outlive it.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true);
  /// Returns the text that became certain with this id; it may be empty.
  std::string push(int32_t id);
  /// Returns what was held back, with invalid bytes as U+FFFD.
  std::string finish();

 private:
  std::string release(size_t num_bytes);

  const Tokenizer& tokenizer_;
  bool skip_special_;
  int64_t num_to_strip_;  // leading characters that the tokenizer's decoder takes off
  std::string held_;      // an unfinished character
  bool first_ = true;
};

}  // namespace longgen
