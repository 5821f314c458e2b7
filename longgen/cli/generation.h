// cli/generation.h: what generate and chat share: their options, and the report at the end.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/cli/load.h"
#include "longgen/cli/output.h"
#include "longgen/generate/generate.h"

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

/// Options of one call of generate(), with the model's stop tokens unless --ignore-eos.
GenerateOptions generate_options(const GenerationCommand& command, const Tokenizer& tokenizer,
                                 const std::vector<std::string>& stop_token_names);

/// Runs generate() with a progress bar for the prompt, unless quiet; text goes to `output` as it
/// comes.
Generated generate_to_output(Session& session, const std::vector<int32_t>& prompt,
                             const std::vector<int32_t>& history, TextStream& stream,
                             const GenerateOptions& options, bool quiet, Output& output);

/// "prompt 10,234 tokens | first token after 12.3s | 45 tokens, 31.2 tokens/s (stop token) | KV
/// cache 35.2 MiB, full attention would hold 92.1 MiB".
std::string report_text(const Generated& generated, const Session& session);
OrderedJson report_json(const Generated& generated, const Session& session);

}  // namespace longgen
