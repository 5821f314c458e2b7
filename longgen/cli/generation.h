// cli/generation.h: what generate and chat share: their options, and the report at the end.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "longgen/api/load.h"
#include "longgen/base/json.h"
#include "longgen/chat/chat_template.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"
#include "longgen/engine/generate.h"

namespace longgen {

struct GenerationCommand {
  std::string model;
  ModelOptions model_options;
  SamplingOptions sampling{.temperature = 0};
  std::vector<std::string> stop_strings;
  int64_t max_tokens = 512;
  int64_t chunk = kDefaultPrefillChunk;
  bool ignore_eos = false, quiet = false;
};
void add_generation_options(CLI::App* app, GenerationCommand& command);

/// Adds --template-args JSON.
CLI::Option* add_template_args_option(CLI::App* app, std::string& template_args);
/// Makes a request of --template-args, without messages yet.
ChatRequest chat_request(const std::string& template_args);

/// Makes options for generate(), with the model's stop tokens unless --ignore-eos is set.
GenerateOptions generate_options(const GenerationCommand& command, const Tokenizer& tokenizer,
                                 const std::vector<std::string>& stop_token_names);

/// Makes callbacks that give the text to `on_text` and, unless quiet, show a progress bar while a
/// prompt is read that takes longer than a second.
GenerateCallbacks generate_callbacks(int64_t prompt_tokens, bool quiet,
                                     std::function<void(const std::string&)> on_text);

/// Warns where a text of num_tokens is longer than the model's context, and says whether it is.
bool warn_beyond_context(const ModelConfig& config, int64_t num_tokens);

/// Returns "prompt 10,234 tokens | first token after 12.3s | 45 tokens, 31.2 tokens/s (stop token)
/// | KV cache 35.2 MiB, full attention would hold 92.1 MiB".
std::string report_text(const Generated& generated, const Session& session);
/// Returns the line after a reply: "1,284 tokens | 31.2 tokens/s | KV cache 35.2 MiB, full
/// attention would hold 92.1 MiB", and why it ended if not by the model or a --stop text.
std::string status_text(const Generated& generated, const Session& session);
OrderedJson report_json(const Generated& generated, const Session& session);

}  // namespace longgen
