// tokenizer/decoder.h: from tokens to the bytes they stand for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/tokenizer/regex.h"

namespace longgen {

/// Runs Sequence, Replace, ByteFallback, ByteLevel, Metaspace, Fuse and Strip. All of them but one
/// Strip after Fuse work on single tokens, so that text can be decoded while it is generated; a
/// decoder of another order is refused.
class Decoder {
 public:
  /// Reads field "decoder" of a tokenizer.json. Where there is none, tokens are written with spaces
  /// between them.
  static Decoder from_json(const JsonObject& root);

  /// Appends the bytes of one token, which is the text's first one where `first` says so.
  void append(std::string_view token, bool first, RegexScratch& scratch, std::string& out) const;

  /// Returns how many leading strip characters the whole text loses (the Strip after Fuse).
  int64_t strip_count() const { return strip_count_; }
  /// Takes up to `left` of them off the front of `text`, the next part of a whole text, and counts
  /// `left` down; to 0 at the first other character.
  void strip_start(std::string& text, int64_t& left) const;

 private:
  struct ReplaceText {
    std::string from, to;
  };
  struct ReplaceRegex {
    Regex from;
    std::string to;
  };
  struct ByteFallback {};
  struct ByteLevel {};
  struct Metaspace {
    std::string replacement;
    bool drops_first;
  };
  struct StripToken {
    std::string content;
    int64_t start, stop;
  };
  using Step =
      std::variant<ReplaceText, ReplaceRegex, ByteFallback, ByteLevel, Metaspace, StripToken>;

  void read_component(const JsonObject& component);
  void read_strip(const JsonObject& component);
  static Step read_step(const JsonObject& component, const std::string& type);
  static void run(const Step& step, bool first, RegexScratch& scratch, std::string& text);

  std::vector<Step> steps_;
  bool joins_with_spaces_ = false;
  bool gives_bytes_ = false;  // while reading: ByteFallback has been there
  bool fused_ = false;        // while reading: the tokens are one text by now
  std::string strip_char_;    // of the Strip after Fuse
  int64_t strip_count_ = 0;   // how many of them at the start
};

}  // namespace longgen
