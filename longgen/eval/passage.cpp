#include "longgen/eval/passage.h"

#include <algorithm>
#include <utility>

namespace longgen {

std::optional<int64_t> added_tokens(const Tokenizer& tokenizer, std::string_view separator,
                                    std::string_view piece) {
  std::string text = ".";
  const size_t before = tokenizer.encode(text).size();
  text += separator;
  text += piece;
  const std::vector<int32_t> ids = tokenizer.encode(text);
  const bool special =
      std::any_of(ids.begin(), ids.end(), [&](int32_t id) { return tokenizer.is_special(id); });
  if (special) return std::nullopt;
  return std::max<int64_t>(static_cast<int64_t>(ids.size()) - static_cast<int64_t>(before), 1);
}

Passage::Passage(std::function<std::optional<Piece>()> next, std::string separator)
    : next_(std::move(next)), separator_(std::move(separator)) {}

PieceCount Passage::most(int64_t max_tokens) {
  while (tokens_before_.back() <= max_tokens) {
    std::optional<Piece> piece = next_();
    if (!piece) break;
    tokens_before_.push_back(tokens_before_.back() + piece->tokens);
    pieces_.push_back(std::move(piece->text));
  }
  auto past = std::upper_bound(tokens_before_.begin(), tokens_before_.end(), max_tokens);
  if (past == tokens_before_.begin()) return {};
  --past;
  return {past - tokens_before_.begin(), *past};
}

int64_t Passage::boundary(double percent, int64_t num_pieces) const {
  const auto end = tokens_before_.begin() + num_pieces + 1;
  const double wanted = percent / 100 * static_cast<double>(*(end - 1));
  const auto next = std::lower_bound(tokens_before_.begin(), end, wanted);
  if (next == tokens_before_.begin()) return 0;
  if (next == end) return num_pieces;
  const bool nearer =
      static_cast<double>(*next) - wanted < wanted - static_cast<double>(*(next - 1));
  return next - tokens_before_.begin() - (nearer ? 0 : 1);
}

double Passage::percent(int64_t boundary, int64_t num_pieces) const {
  if (num_pieces == 0) return 0;
  const auto tokens = [&](int64_t i) {
    return static_cast<double>(tokens_before_[static_cast<size_t>(i)]);
  };
  return 100 * tokens(boundary) / tokens(num_pieces);
}

std::string Passage::text(int64_t num_pieces, std::span<const Insertion> insertions) const {
  std::string text;
  const auto add = [&](std::string_view part) {
    if (!text.empty()) text += separator_;
    text += part;
  };
  auto insertion = insertions.begin();
  for (int64_t i = 0; i <= num_pieces; ++i) {
    for (; insertion != insertions.end() && insertion->before == i; ++insertion) {
      add(insertion->text);
    }
    if (i < num_pieces) add(piece(i));
  }
  return text;
}

}  // namespace longgen
