// data/compose/fit.h: a document of exactly so many tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/data/compose/task.h"
#include "longgen/data/prepare.h"

namespace longgen {

/// How many tokens `longgen prepare` makes of a text, begin and end token included.
class TokenCounter {
 public:
  explicit TokenCounter(const TextEncoder& encoder) : encoder_(encoder) {}

  int64_t around() const { return (encoder_.begin_id ? 1 : 0) + (encoder_.end_id ? 1 : 0); }
  /// Counts those of the text alone.
  int64_t inside(std::string_view text) const {
    return static_cast<int64_t>(encoder_.encode(text).size());
  }
  int64_t document(std::string_view text) const { return around() + inside(text); }
  /// Returns the bytes that a token takes on average, measured on pieces of the text.
  double bytes_per_token(std::string_view text) const;

 private:
  const TextEncoder& encoder_;
};

struct ComposedDocument {
  std::string text;
  std::vector<ByteRange> answers, passages;  ///< bytes of `text`, ascending
};

/// Puts the task's passages between sentences of the scene, spread over all of it, its questions at
/// the end, and lets the text begin where the document has exactly `num_tokens`: at the beginning
/// of a word; where no word gives that number, with dots before it; else inside a word. Gives
/// nothing, and says in `problem` why, where the scene does not give such a document.
std::optional<ComposedDocument> fit_document(const Scene& scene, const TaskText& task,
                                             int64_t num_tokens, const TokenCounter& counter,
                                             Draw& draw, std::string& problem);

}  // namespace longgen
