// eval/suite/batch_replies.h: greedy replies to many prompts at once.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "longgen/engine/engine.h"
#include "longgen/engine/stop.h"
#include "longgen/engine/text_stream.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

struct ReplyRequest {
  int64_t number = 0;           ///< names it in the result
  std::vector<int32_t> prompt;  ///< at least one token
  StopCriteria stop;            ///< max_tokens of at least 1
};

struct Reply {
  int64_t number = 0;
  std::string text;
  StopReason end = StopReason::length;
  int64_t prompt_tokens = 0, new_tokens = 0;
};

struct BatchRepliesOptions {
  int64_t step_tokens = 512;   ///< that pass the layers at once
  int64_t max_sequences = 64;  ///< that are under way at once
  /// Asked between steps, and after each layer of a step with tokens of prompts.
  std::function<bool()> goes_on = [] { return true; };
};

/// Prompts are read and replies continued in the same steps: a token of each reply under way, then
/// as many tokens of the next prompts as fit. A prompt is begun when the pages that it takes at
/// most are left. Where the device has fewer than the engine's limit says, the youngest sequence
/// makes room and begins again later. A step copies its tokens from the device, and nothing else
/// waits for it. Replies are those of a prompt alone, but where rounding decides (see Engine).
class BatchReplies {
 public:
  /// Engine and tokenizer must outlive it.
  BatchReplies(Engine& engine, const Tokenizer& tokenizer, BatchRepliesOptions options);
  ~BatchReplies();

  /// Takes requests from `next` until it has no more, and gives each reply as soon as it ends.
  /// Returns false where goes_on() has said no. Throws Error where the pages do not suffice for one
  /// request alone.
  bool run(const std::function<std::optional<ReplyRequest>()>& next,
           const std::function<void(Reply reply)>& on_reply);

 private:
  struct Sequence;

  bool admit(ReplyRequest& request);
  int64_t pages_of(const ReplyRequest& request) const;
  std::vector<BatchPart> next_parts(bool& has_prompts) const;
  void make_room();
  void draw(std::span<const BatchPart> parts, const at::Tensor& logits_BV);
  void clear();

  Engine& engine_;
  const Tokenizer& tokenizer_;
  BatchRepliesOptions options_;
  int64_t max_pages_;
  std::deque<ReplyRequest> waiting_;               // taken from next(), not under way
  std::vector<std::unique_ptr<Sequence>> active_;  // in order of admission
};

}  // namespace longgen
