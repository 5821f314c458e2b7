// tokenizer/added_tokens.h: tokens such as "<|im_start|>", which are cut out of the text before
// anything else sees it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/tokenizer/byte_range.h"
#include "longgen/tokenizer/normalizer.h"

namespace longgen {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  std::string spelling;  ///< what decoding gives: the content, normalized if `normalized` is set
  bool special = false;
  bool single_word = false;  ///< only where no word character stands beside it
  bool lstrip = false;       ///< takes white space before it along
  bool rstrip = false;       ///< and after it
  bool normalized = false;   ///< looked for in the normalized text instead of the raw one
  std::string where;         ///< file and field that name it, for errors
};

/// Reads what tokenizer.json and tokenizer_config.json say of a token: content, special,
/// single_word, lstrip, rstrip, normalized (true unless special). The id is left at 0.
AddedToken read_added_token(const JsonObject& object);
/// The places of a text in which special tokens are recognised.
struct SpecialPlaces {
  enum class Kind { nowhere, everywhere, ranges };
  Kind kind = Kind::everywhere;
  std::span<const ByteRange> ranges = {};  ///< of kind ranges: wholly inside one of these
};

class AddedTokens {
 public:
  struct Segment {
    std::string_view text;
    const AddedToken* token;  ///< nullptr: ordinary text
  };

  /// Reads field "added_tokens" of a tokenizer.json.
  static std::vector<AddedToken> read(const JsonObject& root);

  /// Throws Error when a content or an id stands twice.
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer);

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  bool is_special(int32_t id) const { return special_ids_.contains(id); }

  /// Cuts text at the tokens that are looked for before (`normalized` false) or after
  /// normalization, the longest match first, from left to right. Special tokens that `where` does
  /// not allow are left in the text.
  template <typename Visit>
  void split(std::string_view text, bool normalized, const SpecialPlaces& where,
             Visit&& visit) const;
  /// Whether a special token is looked for after normalization.
  bool normalizes_special() const { return normalizes_special_; }

 private:
  /// Searches for a set of strings, and finds the longest match.
  class Finder {
   public:
    void add(std::string_view content, size_t token);
    struct Match {
      size_t begin, end, token;
    };
    /// Finds the leftmost match at or after `from`, the longest of those that are allowed(match)
    /// there. Returns false when there is none.
    template <typename Allowed>
    bool find(std::string_view text, size_t from, Match& match, Allowed&& allowed) const;

   private:
    std::unordered_map<uint64_t, uint32_t> edges_;  // (node, byte) -> node
    std::vector<int64_t> token_of_ = {-1};          // per node
    std::array<bool, 256> starts_{};
  };

  /// Widens a match by lstrip and rstrip. Returns false when single_word or `where` rule it out.
  bool accept(std::string_view text, const SpecialPlaces& where, size_t done,
              Finder::Match& match) const;

  std::vector<AddedToken> tokens_;
  std::unordered_set<int32_t> special_ids_;
  bool normalizes_special_ = false;
  Finder raw_, normalized_;
};

template <typename Allowed>
bool AddedTokens::Finder::find(std::string_view text, size_t from, Match& match,
                               Allowed&& allowed) const {
  if (edges_.empty()) return false;
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    bool found = false;
    uint32_t node = 0;
    for (size_t i = begin; i < text.size(); ++i) {
      const auto edge = edges_.find(uint64_t{node} << 8 | static_cast<unsigned char>(text[i]));
      if (edge == edges_.end()) break;
      node = edge->second;
      if (token_of_[node] < 0) continue;
      const Match longer{begin, i + 1, static_cast<size_t>(token_of_[node])};
      if (!allowed(longer)) continue;
      match = longer;
      found = true;
    }
    if (found) return true;
  }
  return false;
}

template <typename Visit>
void AddedTokens::split(std::string_view text, bool normalized, const SpecialPlaces& where,
                        Visit&& visit) const {
  const Finder& finder = normalized ? normalized_ : raw_;
  size_t done = 0, from = 0;
  Finder::Match match{};
  // A token that data only completes must not hide the one that the template wrote there.
  const auto allowed = [&](const Finder::Match& found) {
    return where.kind != SpecialPlaces::Kind::ranges || !tokens_[found.token].special ||
           within_one_of(where.ranges, found.begin, found.end);
  };
  while (finder.find(text, from, match, allowed)) {
    from = match.end;
    if (!accept(text, where, done, match)) continue;
    if (match.begin > done) visit(Segment{text.substr(done, match.begin - done), nullptr});
    visit(Segment{text.substr(match.begin, match.end - match.begin), &tokens_[match.token]});
    done = match.end;
    from = std::max(from, done);
  }
  if (done < text.size()) visit(Segment{text.substr(done), nullptr});
}

}  // namespace longgen
