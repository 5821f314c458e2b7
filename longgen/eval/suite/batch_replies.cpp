#include "longgen/eval/suite/batch_replies.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>

#include <algorithm>
#include <span>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen {

struct BatchReplies::Sequence {
  ReplyRequest request;
  SequenceId id;
  int64_t pages;  // that it takes at most
  TextStream stream;
  std::string text = {};
  int64_t num_given = 0;  // tokens of the prompt in the cache, or in the step under way
  int32_t drawn = 0;      // the last token of the reply, where the prompt is read

  bool is_read() const { return num_given == std::ssize(request.prompt); }
};

BatchReplies::BatchReplies(Engine& engine, const Tokenizer& tokenizer, BatchRepliesOptions options)
    : engine_(engine),
      tokenizer_(tokenizer),
      options_(std::move(options)),
      max_pages_(engine.pool().pages_in_use() + engine.pool().pages_left()) {}

BatchReplies::~BatchReplies() { clear(); }

void BatchReplies::clear() {
  for (const auto& sequence : active_) engine_.remove(sequence->id);
  active_.clear();
  waiting_.clear();
}

int64_t BatchReplies::pages_of(const ReplyRequest& request) const {
  const KvLayout& layout = engine_.layout();
  const int64_t prompt = std::ssize(request.prompt);
  return std::max(layout.pages_peak(0, prompt, options_.step_tokens),
                  layout.pages_peak(prompt, prompt + request.stop.max_tokens, 1));
}

/// Begins the request, unless the pages or the places are taken.
bool BatchReplies::admit(ReplyRequest& request) {
  if (std::ssize(active_) >= options_.max_sequences) return false;
  const int64_t pages = pages_of(request);
  int64_t taken = 0;
  for (const auto& sequence : active_) taken += sequence->pages;
  if (pages > max_pages_ - taken) {
    LG_CHECK(!active_.empty(), "[suite] a prompt of ", format_count(std::ssize(request.prompt)),
             " tokens and its reply need ", format_bytes(pages * engine_.pool().page_bytes()),
             " of KV cache, and there are ", format_bytes(max_pages_ * engine_.pool().page_bytes()),
             ". Allow more (--max-kv), or give shorter prompts.");
    return false;
  }
  TextStream stream(tokenizer_, request.stop, request.prompt);
  active_.push_back(std::make_unique<Sequence>(
      Sequence{std::move(request), engine_.add(), pages, std::move(stream)}));
  return true;
}

/// A token of each reply under way, then prompts.
std::vector<BatchPart> BatchReplies::next_parts(bool& has_prompts) const {
  std::vector<BatchPart> parts;
  for (const auto& sequence : active_) {
    if (sequence->is_read()) parts.push_back({sequence->id, std::span(&sequence->drawn, 1)});
  }
  int64_t room = std::max<int64_t>(1, options_.step_tokens - std::ssize(parts));
  has_prompts = false;
  for (const auto& sequence : active_) {
    if (sequence->is_read() || room == 0) continue;
    const std::span<const int32_t> prompt = sequence->request.prompt;
    const int64_t count = std::min(room, std::ssize(prompt) - sequence->num_given);
    const auto chunk =
        prompt.subspan(static_cast<size_t>(sequence->num_given), static_cast<size_t>(count));
    parts.push_back({sequence->id, chunk, sequence->num_given + count == std::ssize(prompt)});
    room -= count;
    has_prompts = true;
  }
  return parts;
}

/// Takes the youngest sequence out, to begin again when others have ended.
void BatchReplies::make_room() {
  LG_CHECK(active_.size() > 1, "[suite] the device has no room for the KV cache of ",
           format_count(engine_.num_tokens(active_.back()->id)),
           " tokens. Give shorter prompts, or make steps smaller (--chunk).");
  max_pages_ = std::max(engine_.pool().pages_in_use(), active_.front()->pages);
  engine_.remove(active_.back()->id);
  waiting_.push_front(std::move(active_.back()->request));
  active_.pop_back();
}

/// Draws the next token of each part that has logits.
void BatchReplies::draw(std::span<const BatchPart> parts, const at::Tensor& logits_BV) {
  at::Tensor ids_B;
  if (logits_BV.defined()) {
    const int64_t known = std::min(tokenizer_.vocab_size(), logits_BV.size(1));
    ids_B = at::argmax(logits_BV.narrow(1, 0, known), 1).cpu();
  }
  int64_t row = 0;
  for (const BatchPart& part : parts) {
    Sequence& sequence = **std::find_if(active_.begin(), active_.end(),
                                        [&](const auto& one) { return one->id == part.sequence; });
    if (!sequence.is_read()) sequence.num_given += std::ssize(part.tokens);
    if (!part.wants_logits) continue;
    sequence.drawn = static_cast<int32_t>(ids_B.const_data_ptr<int64_t>()[row++]);
    sequence.text += sequence.stream.push(sequence.drawn);
  }
}

bool BatchReplies::run(const std::function<std::optional<ReplyRequest>()>& next,
                       const std::function<void(Reply reply)>& on_reply) {
  const at::NoGradGuard no_grad;
  const auto on_layer = [this](int64_t) { return options_.goes_on(); };
  bool has_more = true;
  for (;;) {
    if (!options_.goes_on()) return clear(), false;
    for (bool fits = true; fits && std::ssize(active_) < options_.max_sequences;) {
      if (waiting_.empty() && has_more) {
        std::optional<ReplyRequest> request = next();
        has_more = request.has_value();
        if (request) waiting_.push_back(std::move(*request));
      }
      fits = !waiting_.empty() && admit(waiting_.front());
      if (fits) waiting_.pop_front();
    }
    if (active_.empty()) return true;
    bool has_prompts = false;
    const std::vector<BatchPart> parts = next_parts(has_prompts);
    const BatchResult result = engine_.step(
        parts, {.on_layer = has_prompts ? OnLayer(on_layer) : OnLayer(), .logits_on_device = true});
    if (result.end == BatchEnd::cancelled) return clear(), false;
    if (result.end == BatchEnd::out_of_pages) {
      make_room();
      continue;
    }
    draw(parts, result.logits_BV);
    for (auto& sequence : active_) {
      if (!sequence->stream.stop_reason()) continue;
      engine_.remove(sequence->id);
      on_reply({sequence->request.number, std::move(sequence->text),
                *sequence->stream.stop_reason(), std::ssize(sequence->request.prompt),
                sequence->stream.num_tokens()});
      sequence.reset();
    }
    std::erase(active_, nullptr);
  }
}

}  // namespace longgen
