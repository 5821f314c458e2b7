#include "longgen/eval/needle_run.h"

#include "longgen/base/units.h"
#include "longgen/generate/generate.h"

namespace longgen {
namespace {

NeedleReply ask(const Decoder& decoder, const Tokenizer& tokenizer, const NeedleTask& task,
                const NeedleRunOptions& options, NeedleReply reply) {
  const NeedleSample sample = task.sample(reply.length_tokens, reply.depth_percent, reply.index);
  Session session(decoder, options.chunk);
  GenerateOptions generation;
  generation.vocab_size = tokenizer.vocab_size();
  generation.sampling.temperature = 0;
  generation.stop.tokens = options.stop_tokens;
  generation.stop.max_tokens = task.options().new_tokens;
  TextStream stream(tokenizer, generation.stop, sample.ids);
  GenerateCallbacks callbacks;
  callbacks.text = [&](const std::string& text) { reply.reply += text; };
  generate(session, sample.ids, sample.ids, stream, generation, callbacks);
  reply.answer = sample.answer;
  reply.found = score_needle(reply.reply, sample.answer) == 1;
  return reply;
}

}  // namespace

NeedleResult run_needle(const Decoder& decoder, const Tokenizer& tokenizer, const NeedleTask& task,
                        const NeedleRunOptions& options) {
  NeedleResult result;
  int64_t done = 0;
  for (const int64_t length : options.lengths_tokens) {
    for (const double depth : options.depths_percent) {
      NeedleCell cell = {.length_tokens = length, .depth_percent = depth};
      for (int64_t i = 0; i < options.num_samples; ++i) {
        NeedleReply place;
        place.length_tokens = length;
        place.depth_percent = depth;
        place.index = i;
        result.replies.push_back(ask(decoder, tokenizer, task, options, place));
        ++cell.num_samples;
        cell.num_found += result.replies.back().found ? 1 : 0;
        const std::string note = format_count(length) + " tokens, " +
                                 std::to_string(static_cast<int>(depth)) +
                                 "% deep: " + (result.replies.back().found ? "found" : "not found");
        if (!options.on_progress(++done, note)) return result;
      }
      result.cells.push_back(cell);
    }
  }
  return result;
}

}  // namespace longgen
