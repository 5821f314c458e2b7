#include "longgen/api/generation_run.h"

#include <algorithm>

#include "longgen/api/stop_tokens.h"
#include "longgen/base/check.h"

namespace longgen {
namespace {

GenerationEnd as_public(GenerateEnd end) {
  switch (end) {
    case GenerateEnd::stop_token:
      return GenerationEnd::stop_token;
    case GenerateEnd::stop_string:
      return GenerationEnd::stop_string;
    case GenerateEnd::interrupted:
      return GenerationEnd::cancelled;
    default:
      return GenerationEnd::length;
  }
}

StopCriteria stop_criteria(const Model::Impl& model, const GenerationOptions& options,
                           const std::vector<std::string>& stop_names) {
  const Tokenizer& tokenizer = model.loaded.tokenizer;
  StopCriteria stop{.strings = options.stop, .max_tokens = options.max_tokens};
  if (!options.ignore_eos) {
    stop.tokens = find_stop_tokens(tokenizer, model.directory, stop_names);
  }
  for (const int32_t id : options.stop_tokens) {
    LG_CHECK(id >= 0 && id < tokenizer.vocab_size(),
             "stop_tokens: expected tokens of the vocabulary, from 0 to ",
             tokenizer.vocab_size() - 1, ", found ", id, ".");
    stop.tokens.push_back(id);
  }
  return stop;
}

}  // namespace

GenerationRun::GenerationRun(const Model::Impl& model, const GenerationOptions& options,
                             const std::vector<std::string>& stop_names)
    : options_(options),
      engine_options_{.sampling = {.repetition_penalty = options.repetition_penalty,
                                   .temperature = options.temperature,
                                   .top_k = options.top_k,
                                   .top_p = options.top_p,
                                   .min_p = options.min_p,
                                   .seed = options.seed},
                      .stop = stop_criteria(model, options, stop_names),
                      .vocab_size = model.loaded.tokenizer.vocab_size(),
                      .interrupted = &cancelled_} {}

GenerateCallbacks GenerationRun::callbacks(int64_t prompt_tokens) {
  GenerateCallbacks callbacks;
  callbacks.text = [this](const std::string& part) {
    if (part.empty()) return;
    text_ += part;
    if (options_.on_text && !options_.on_text(part)) cancelled_ = true;
  };
  callbacks.prefill = [this, prompt_tokens](int64_t done) {
    if (options_.on_prompt && !options_.on_prompt(done, prompt_tokens)) cancelled_ = true;
  };
  return callbacks;
}

Generation GenerationRun::result(const Generated& generated, const Session& session) {
  return {.text = std::move(text_),
          .tokens = generated.ids,
          .end = as_public(generated.end),
          .prompt_tokens = generated.prompt_tokens,
          .first_token_seconds = generated.first_token_seconds,
          .decode_seconds = generated.decode_seconds,
          .tokens_per_second = generated.tokens_per_second(),
          .kv_cache_bytes = session.kv_bytes(),
          .full_kv_cache_bytes = session.full_kv_bytes()};
}

}  // namespace longgen
