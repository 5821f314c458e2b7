// tokenizer/added_tokens.h: tokens that are cut out of the text before anything else sees it
// ("<|im_start|>").
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "longgen/base/json.h"
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
  /// normalization. Longest match first, from left to right. Without parse_special, special tokens
  /// are left in the text.
  template <typename Visit>
  void split(std::string_view text, bool normalized, bool parse_special, Visit&& visit) const;

 private:
  /// Longest-match search for a set of strings.
  class Finder {
   public:
    void add(std::string_view content, size_t token);
    struct Match {
      size_t begin, end, token;
    };
    /// The leftmost match at or after `from`, the longest of those; false when there is none.
    bool find(std::string_view text, size_t from, Match& match) const;

   private:
    size_t longest_at(std::string_view text, size_t at, size_t& token) const;
    std::unordered_map<uint64_t, uint32_t> edges_;  // (node, byte) -> node
    std::vector<int64_t> token_of_ = {-1};          // per node
    std::array<bool, 256> starts_{};
  };

  /// Widens a match by what lstrip and rstrip take. False when the settings rule it out.
  bool accept(std::string_view text, bool parse_special, size_t done, Finder::Match& match) const;

  std::vector<AddedToken> tokens_;
  std::unordered_set<int32_t> special_ids_;
  Finder raw_, normalized_;
};

template <typename Visit>
void AddedTokens::split(std::string_view text, bool normalized, bool parse_special,
                        Visit&& visit) const {
  const Finder& finder = normalized ? normalized_ : raw_;
  size_t done = 0, from = 0;
  Finder::Match match{};
  while (finder.find(text, from, match)) {
    from = match.end;
    if (!accept(text, parse_special, done, match)) continue;
    if (match.begin > done) visit(Segment{text.substr(done, match.begin - done), nullptr});
    visit(Segment{text.substr(match.begin, match.end - match.begin), &tokens_[match.token]});
    done = match.end;
    from = std::max(from, done);
  }
  if (done < text.size()) visit(Segment{text.substr(done), nullptr});
}

}  // namespace longgen
