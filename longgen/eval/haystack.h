// eval/haystack.h: the sentences that a needle is hidden among.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longgen {

/// An endless supply of sentences: after the last one comes the first again.
class Haystack {
 public:
  /// Makes RULER's `noise`: one refrain of five short sentences, a line each time. The refrain
  /// counts as one sentence.
  static Haystack noise();

  /// Makes RULER's `essay` of a text of the caller's. Runs of white space become one space.
  /// Sentences are those of data/sentences.h. Lines that hold just <|endoftext|> separate documents
  /// and are left out. Bytes that are not UTF-8 become U+FFFD. Throws Error naming `source` when
  /// the text has no sentence.
  static Haystack from_text(std::string_view text, const std::string& source);

  int64_t num_sentences() const { return static_cast<int64_t>(sentences_.size()); }
  /// Returns sentence i, which is in [0, num_sentences()).
  std::string_view sentence(int64_t i) const;
  /// Returns what stands between two sentences: a newline (noise) or a space.
  std::string_view separator() const { return separator_; }
  /// Returns "noise" or "text", for reports.
  const std::string& kind() const { return kind_; }
  /// Returns the source given to from_text(), or "refrain".
  const std::string& source() const { return source_; }

 private:
  struct Range {
    int64_t begin, end;  // bytes of text_
  };

  void add_paragraph(std::string_view words);

  std::string text_;
  std::vector<Range> sentences_;
  std::string separator_, kind_, source_;
};

}  // namespace longgen
