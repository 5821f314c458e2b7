#include "longgen/eval/needle_run.h"

#include <atomic>
#include <numeric>
#include <optional>
#include <span>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/engine/generate.h"
#include "longgen/eval/answer_score.h"

namespace longgen {
namespace {

/// Returns the reply, or nothing if `goes_on`, which is asked with the number of tokens of the
/// prompt that are read, has said no.
std::optional<NeedleReply> ask(Session& session, const Tokenizer& tokenizer, const NeedleTask& task,
                               const NeedleRunOptions& options, NeedleReply reply,
                               const std::function<bool(int64_t done_tokens)>& goes_on) {
  const NeedleSample sample = task.sample(reply.length_tokens, reply.depth_percent, reply.index);
  session.clear();
  GenerateOptions generation;
  generation.vocab_size = tokenizer.vocab_size();
  generation.sampling.temperature = 0;
  generation.stop.tokens = options.stop_tokens;
  generation.stop.max_tokens = task.options().new_tokens;
  TextStream stream(tokenizer, generation.stop, sample.ids);
  GenerateCallbacks callbacks;
  std::atomic<bool> stopped = false;
  generation.interrupted = &stopped;
  const auto check = [&](int64_t done) {
    if (!goes_on(done)) stopped = true;
  };
  callbacks.prefill = check;
  callbacks.text = [&](const std::string& text) {
    reply.reply += text;
    check(static_cast<int64_t>(sample.ids.size()));
  };
  generate(session, sample.ids, sample.ids, stream, generation, callbacks);
  if (stopped) return std::nullopt;
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
