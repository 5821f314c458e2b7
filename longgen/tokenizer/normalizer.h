// tokenizer/normalizer.h: what happens to the text before it is split.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/tokenizer/byte_range.h"
#include "longgen/tokenizer/regex.h"

namespace longgen {

/// Runs Sequence, Prepend, Replace and NFC.
class Normalizer {
 public:
  /// Reads field "normalizer" of a tokenizer.json; null or missing leaves text as it is.
  static Normalizer from_json(const JsonObject& root);

  /// Gives the normalized text: `text` itself when nothing changes, else a view of `buffer`. What
  /// each step changed, in the text that the steps before it made, is appended to `edits` if given.
  std::string_view apply(std::string_view text, RegexScratch& scratch, std::string& buffer,
                         std::vector<std::vector<TextEdit>>* edits = nullptr) const;

 private:
  struct Prepend {
    std::string text;
  };
  struct ReplaceText {
    std::string from, to;
  };
  struct ReplaceRegex {
    Regex from;
    std::string to;
  };
  struct Nfc {};
  using Step = std::variant<Prepend, ReplaceText, ReplaceRegex, Nfc>;

  static Step read_step(const JsonObject& component);
  /// Writes the result to `out` and returns true, or returns false when nothing changes.
  static bool run(const Step& step, std::string_view text, RegexScratch& scratch, std::string& out,
                  std::vector<TextEdit>* edits);

  std::vector<Step> steps_;
};

/// Appends `text` with every occurrence of `from` (not empty) replaced, and says where in `edits`.
void append_replaced(std::string_view text, std::string_view from, std::string_view to,
                     std::string& out, std::vector<TextEdit>* edits = nullptr);

/// Appends `text` with every match replaced, and says where in `edits`.
void append_replaced(std::string_view text, const Regex& from, std::string_view to,
                     RegexScratch& scratch, std::string& out,
                     std::vector<TextEdit>* edits = nullptr);

}  // namespace longgen
