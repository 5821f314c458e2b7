// eval/passage.h: pieces of text in a row, with needles between them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/eval/prompt_fitter.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// Counts what the piece adds to a text that ends in a full stop: most pieces follow one, and in
/// many vocabularies the space belongs to the word after it. At least 1; nothing where the piece
/// spells a special token of the tokenizer.
std::optional<int64_t> added_tokens(const Tokenizer& tokenizer, std::string_view separator,
                                    std::string_view piece);

/// A piece of text and the tokens that it adds, by an estimate: at least 1.
struct Piece {
  std::string text;
  int64_t tokens = 0;
};

/// A text that stands before piece `before` of a passage.
struct Insertion {
  int64_t before = 0;
  std::string text;
};

/// Pieces of text in order. They are made when they are asked for, so that how many there are need
/// not be known before.
class Passage {
 public:
  /// `next` makes one piece after the other, and nothing when there is no more.
  Passage(std::function<std::optional<Piece>()> next, std::string separator);

  /// Returns the most pieces from the first on that take at most so many tokens.
  PieceCount most(int64_t max_tokens);

  /// Returns a piece that most() has reached.
  const std::string& piece(int64_t i) const { return pieces_.at(static_cast<size_t>(i)); }

  /// Returns the number of pieces before which about that share of the tokens of the first
  /// num_pieces stands.
  int64_t boundary(double percent, int64_t num_pieces) const;
  /// Returns the share of the tokens of the first num_pieces that stands before the boundary.
  double percent(int64_t boundary, int64_t num_pieces) const;

  /// Writes the first num_pieces with the insertions, which ascend, between them; the separator
  /// stands between all.
  std::string text(int64_t num_pieces, std::span<const Insertion> insertions = {}) const;

 private:
  std::function<std::optional<Piece>()> next_;
  std::string separator_;
  std::vector<std::string> pieces_;
  std::vector<int64_t> tokens_before_ = {0};
};

}  // namespace longgen
