// tokenizer/pre_tokenizer.h: from normalized text to the words that BPE works on.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/tokenizer/regex.h"

namespace longgen {

/// A stretch of text. `at_start` says that it begins where the original text does, which is what
/// "first" of Metaspace asks.
struct Piece {
  std::string_view text;
  bool at_start = false;
};

class PieceSink {
 public:
  virtual ~PieceSink() = default;
  /// Takes a piece, whose text is valid during the call only.
  virtual void take(const Piece& piece) = 0;
};

/// One pre-tokenizer: cuts a piece and gives the parts on, in order. Parts may be empty.
class PreTokenStep {
 public:
  virtual ~PreTokenStep() = default;
  virtual void run(const Piece& piece, RegexScratch& scratch, PieceSink& next) const = 0;
};

/// Runs Sequence, Split, Digits, ByteLevel (last only), Metaspace, Whitespace and WhitespaceSplit.
class PreTokenizer {
 public:
  /// Reads field "pre_tokenizer" of a tokenizer.json; null or missing gives the text as one word.
  static PreTokenizer from_json(const JsonObject& root);

  /// Gives every non-empty word to `words`.
  void run(const Piece& piece, RegexScratch& scratch, PieceSink& words) const;

  /// Says that the last step is ByteLevel: words are to be read as bytes, each of them written as a
  /// character of the vocabulary.
  bool byte_level() const { return byte_level_; }
  /// Returns add_prefix_space of ByteLevel, and nothing without ByteLevel.
  std::optional<bool> adds_prefix_space() const { return adds_prefix_space_; }

 private:
  class Link;
  void run_from(size_t index, const Piece& piece, RegexScratch& scratch, PieceSink& words) const;

  std::vector<std::unique_ptr<PreTokenStep>> steps_;
  bool byte_level_ = false;
  std::optional<bool> adds_prefix_space_;
};

}  // namespace longgen
