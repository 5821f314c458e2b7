#include "longgen/eval/needle_run.h"

#include <atomic>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/engine/generate.h"
#include "longgen/eval/answer_score.h"
#include "longgen/eval/baselines/baseline_runs.h"

namespace longgen {
namespace {

/// Asked with the number of tokens of the prompt that are read.
using GoesOn = std::function<bool(int64_t done_tokens)>;

/// Returns the greedy reply, or nothing if `goes_on` has said no.
std::optional<std::string> reply_of_session(Session& session, const Tokenizer& tokenizer,
                                            const std::vector<int32_t>& prompt,
                                            const StopCriteria& stop, const GoesOn& goes_on) {
  session.clear();
  GenerateOptions generation;
  generation.vocab_size = tokenizer.vocab_size();
  generation.sampling.temperature = 0;
  generation.stop = stop;
  TextStream stream(tokenizer, stop, prompt);
  GenerateCallbacks callbacks;
  std::atomic<bool> stopped = false;
  generation.interrupted = &stopped;
  const auto check = [&](int64_t done) {
    if (!goes_on(done)) stopped = true;
  };
  std::string reply;
  callbacks.prefill = check;
  callbacks.text = [&](const std::string& text) {
    reply += text;
    check(std::ssize(prompt));
  };
  generate(session, prompt, prompt, stream, generation, callbacks);
  if (stopped) return std::nullopt;
  return reply;
}

/// Does the same under a cache policy.
std::optional<std::string> reply_under_policy(const Decoder& decoder, const Tokenizer& tokenizer,
                                              const std::vector<int32_t>& prompt,
                                              const StopCriteria& stop,
                                              const NeedleRunOptions& options,
                                              const GoesOn& goes_on) {
  const int64_t chunk = prefill_chunk(options.chunk, decoder.device());
  const BaselineRuns runs(decoder, *options.policy, chunk, goes_on);
  std::optional<Reply> reply = runs.reply(tokenizer, {.number = 0, .prompt = prompt, .stop = stop});
  if (!reply) return std::nullopt;
  return std::move(reply->text);
}

/// Returns the reply, or nothing if `goes_on` has said no.
std::optional<NeedleReply> ask(Session& session, const Tokenizer& tokenizer, const NeedleTask& task,
                               const NeedleRunOptions& options, NeedleReply reply,
                               const GoesOn& goes_on) {
  const NeedleSample sample = task.sample(reply.length_tokens, reply.depth_percent, reply.index);
  const StopCriteria stop = {.tokens = options.stop_tokens,
                             .max_tokens = task.options().new_tokens};
  std::optional<std::string> text =
      options.policy
          ? reply_under_policy(session.decoder(), tokenizer, sample.ids, stop, options, goes_on)
          : reply_of_session(session, tokenizer, sample.ids, stop, goes_on);
  if (!text) return std::nullopt;
  reply.reply = std::move(*text);
  reply.answer = sample.answer;
  reply.found = score_all_answers(reply.reply, std::span(&sample.answer, 1)) == 1;
  return reply;
}

}  // namespace

int64_t NeedleRunOptions::total_tokens() const {
  const auto per_length = static_cast<int64_t>(depths_percent.size()) * num_samples;
  return std::accumulate(lengths_tokens.begin(), lengths_tokens.end(), int64_t{0}) * per_length;
}

NeedleResult run_needle(const Decoder& decoder, const Tokenizer& tokenizer, const NeedleTask& task,
                        const NeedleRunOptions& options) {
  Session session(decoder, options.chunk);
  NeedleResult result;
  int64_t done = 0;
  std::string note;
  const auto goes_on = [&](int64_t more) { return options.on_progress(done + more, note); };
  for (const int64_t length : options.lengths_tokens) {
    for (const double depth : options.depths_percent) {
      NeedleCell cell = {.length_tokens = length, .depth_percent = depth};
      for (int64_t i = 0; i < options.num_samples; ++i) {
        NeedleReply place;
        place.length_tokens = length;
        place.depth_percent = depth;
        place.index = i;
        const auto reply = ask(session, tokenizer, task, options, place, goes_on);
        if (!reply) return result;
        result.replies.push_back(*reply);
        ++cell.num_samples;
        cell.num_found += result.replies.back().found ? 1 : 0;
        note = detail::concat(reply->found ? "found" : "not found", " at ", format_count(length),
                              " tokens, ", static_cast<int>(depth), "% deep");
        done += length;
        if (!goes_on(0)) return result;
      }
      result.cells.push_back(cell);
    }
  }
  return result;
}

}  // namespace longgen
