#include "longgen/cli/generation.h"

#include <cstdio>
#include <memory>

#include "longgen/api/stop_tokens.h"
#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/progress.h"
#include "longgen/base/units.h"
#include "longgen/chat/chat_request.h"
#include "longgen/cli/interrupt.h"

namespace longgen {
namespace {

std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f", value);
  return text;
}

std::string kv_text(const Session& session) {
  return "KV cache " + format_bytes(session.kv_bytes()) + ", full attention would hold " +
         format_bytes(session.full_kv_bytes());
}

}  // namespace

void add_generation_options(CLI::App* app, GenerationCommand& command) {
  SamplingOptions& sampling = command.sampling;
  add_count_option(app, "--max-tokens", command.max_tokens, 0,
                   "tokens to generate at most (default 512)");
  app->add_option("--temperature", sampling.temperature,
                  "0 takes the most probable token, higher is more varied (default 0)")
      ->option_text("X");
  app->add_option("--top-k", sampling.top_k, "draw from the K most probable tokens (0: all)")
      ->option_text("K");
  app->add_option("--top-p", sampling.top_p,
                  "draw from the fewest tokens that have this share of the probability")
      ->option_text("P");
  app->add_option("--min-p", sampling.min_p,
                  "draw from tokens with this share of the most probable one's probability")
      ->option_text("P");
  app->add_option("--repetition-penalty", sampling.repetition_penalty,
                  "above 1 makes tokens that stand in the text less probable (default 1)")
      ->option_text("X");
  add_seed_option(app, sampling.seed, "of the draws");
  app->add_option("--stop", command.stop_strings, "end before this text; may be given repeatedly")
      ->option_text("TEXT")
      ->take_all();
  app->add_flag("--ignore-eos", command.ignore_eos, "go on after the model's stop tokens");
  add_prefill_chunk_option(app, command.chunk);
  add_model_options(app, command.model_options);
  add_quiet_flag(app, command.quiet);
}

CLI::Option* add_template_args_option(CLI::App* app, std::string& template_args) {
  return app
      ->add_option("--template-args", template_args,
                   "variables of the chat template as a JSON object: {\"enable_thinking\": false}; "
                   "\"tools\" and \"documents\" are what templates know by these names")
      ->option_text("JSON");
}

ChatRequest chat_request(const std::string& template_args) {
  return chat_request(template_args, "--template-args");
}

GenerateOptions generate_options(const GenerationCommand& command, const Tokenizer& tokenizer,
                                 const std::vector<std::string>& stop_token_names) {
  GenerateOptions options;
  options.sampling = command.sampling;
  options.vocab_size = tokenizer.vocab_size();
  options.stop.strings = command.stop_strings;
  options.stop.max_tokens = command.max_tokens;
  if (!command.ignore_eos) {
    options.stop.tokens = find_stop_tokens(tokenizer, command.model, stop_token_names);
  }
  options.interrupted = &interrupted();
  return options;
}

GenerateCallbacks generate_callbacks(int64_t prompt_tokens, bool quiet,
                                     std::function<void(const std::string&)> on_text) {
  GenerateCallbacks callbacks;
  callbacks.text = [on_text = std::move(on_text)](const std::string& text) {
    if (!text.empty()) on_text(text);
  };
  if (quiet) return callbacks;
  const auto progress =
      std::make_shared<Progress>("prompt", prompt_tokens, "tokens", kBarOfSlowWork);
  callbacks.prefill = [progress, prompt_tokens](int64_t done) {
    progress->update(done);
    if (done == prompt_tokens) progress->finish();
  };
  return callbacks;
}

bool warn_beyond_context(const ModelConfig& config, int64_t num_tokens) {
  if (num_tokens <= config.context) return false;
  const std::string before =
      config.original_context < config.context
          ? ", " + format_count(config.original_context) + " before it was extended"
          : "";
  log_warning(detail::concat("the text has ", format_count(num_tokens),
                             " tokens, more than the model's context of ",
                             format_count(config.context), before,
                             ". It was not trained on so long ones: what it writes from there on "
                             "gets worse, and may make no sense."));
  return true;
}

std::string report_text(const Generated& generated, const Session& session) {
  return detail::concat("prompt ", format_count(generated.prompt_tokens, "token"),
                        " | first token after ", format_duration(generated.first_token_seconds),
                        " | ", format_count(static_cast<int64_t>(generated.ids.size()), "token"),
                        ", ", rounded(generated.tokens_per_second()), " tokens/s (",
                        generate_end_name(generated.end), ") | ", kv_text(session));
}

std::string status_text(const Generated& generated, const Session& session) {
  const double speed = generated.tokens_per_second();
  std::string text = format_count(session.num_tokens(), "token") + " | " +
                     (speed > 0 ? rounded(speed) + " tokens/s | " : "") + kv_text(session);
  if (generated.end == GenerateEnd::interrupted) {
    text += generated.ids.empty() ? " | stopped before the reply; the message is taken back"
                                  : " | stopped";
  }
  if (generated.end == GenerateEnd::length) text += " | ended by --max-tokens";
  return text;
}

OrderedJson report_json(const Generated& generated, const Session& session) {
  return {{"prompt_tokens", generated.prompt_tokens},
          {"generated_tokens", generated.ids.size()},
          {"end", generate_end_name(generated.end)},
          {"first_token_seconds", generated.first_token_seconds},
          {"decode_tokens_per_s", generated.tokens_per_second()},
          {"kv_bytes", session.kv_bytes()},
          {"kv_bytes_peak", session.kv_bytes_peak()},
          {"full_kv_bytes", session.full_kv_bytes()}};
}

}  // namespace longgen
