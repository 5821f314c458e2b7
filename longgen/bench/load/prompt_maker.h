// bench/load/prompt_maker.h: prompts of planned requests, of as many tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/bench/load/planned_request.h"

namespace longgen {

/// The same plan gives the same prompt.
class PromptMaker {
 public:
  virtual ~PromptMaker() = default;
  /// Returns the prompt as JSON: a text, or a list of token ids.
  virtual std::string json(const PlannedRequest& request) const = 0;
  /// Prepares to make these prompts: asks the server about tokens, if it must.
  virtual void fit(const std::vector<PlannedRequest>& requests) = 0;
};

/// Random ids: exactly as many tokens as planned. For completions only.
class IdPrompts : public PromptMaker {
 public:
  /// Ids from `low` on, below `end`.
  IdPrompts(int64_t low, int64_t end) : low_(low), end_(end) {}
  std::string json(const PlannedRequest& request) const override;
  void fit(const std::vector<PlannedRequest>&) override {}

 private:
  int64_t low_, end_;
};

/// Words: how many make so many tokens is measured on two samples; where counting is cheap, each
/// prompt is counted, too, and mended.
class WordPrompts : public PromptMaker {
 public:
  /// How many tokens the server makes of a text, with all that it puts around a prompt.
  using Count = std::function<int64_t(const std::string& text)>;
  struct Source {
    std::vector<std::string> words;
    bool is_in_order;  ///< words that follow each other (a text), or any of them
  };
  WordPrompts(Source source, Count count, bool counts_each);

  std::string json(const PlannedRequest& request) const override;
  void fit(const std::vector<PlannedRequest>& requests) override;

 private:
  void measure_words();
  int64_t words_of(int64_t num_tokens) const;
  void fit_one(const PlannedRequest& request);
  std::string text(const PlannedRequest& request, int64_t last_words) const;

  Source source_;
  Count count_;
  bool counts_each_;
  double tokens_per_word_ = 1, tokens_around_ = 0;
  std::map<uint64_t, int64_t> fitted_;  // words of a prompt's last piece, by fit_key()
};

/// Frequent words of English, most of which are one token of most tokenizers.
WordPrompts::Source frequent_words();
/// The words of a text. Throws Error where it has fewer than a hundred.
WordPrompts::Source words_of_text(std::string_view text, const std::string& source);

}  // namespace longgen
