// engine/generate.h: the generation loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "longgen/engine/sampler.h"
#include "longgen/engine/session.h"
#include "longgen/engine/stop.h"
#include "longgen/engine/text_stream.h"

namespace longgen {

struct GenerateOptions {
  SamplingOptions sampling;
  StopCriteria stop;
  /// Tokens from here on are never drawn: models whose vocabulary is padded beyond the tokenizer's.
  /// 0: the model's vocabulary.
  int64_t vocab_size = 0;
  /// Set from outside (Ctrl-C) to end early: what was generated so far is the result.
  const std::atomic<bool>* interrupted = nullptr;
};

enum class GenerateEnd { stop_token, stop_string, length, interrupted };
/// "stop token", "stop string", "length" or "interrupted".
const char* generate_end_name(GenerateEnd end);

struct Generated {
  std::vector<int32_t> ids;  ///< a stop token included
  GenerateEnd end = GenerateEnd::length;
  int64_t prompt_tokens = 0;       ///< given to this call
  double first_token_seconds = 0;  ///< TTFT: from the call to the first token
  double decode_seconds = 0;       ///< from the first token to the last

  /// How many tokens a second came after the first one; 0 for fewer than two.
  double tokens_per_second() const;
};

struct GenerateCallbacks {
  std::function<void(const std::string& text)> text = [](const std::string&) {};
  std::function<void(int64_t done_tokens)> prefill = [](int64_t) {};
};

/// Appends the prompt to the session, then samples until a stop criterion holds. `history` are all
/// tokens that the repetition penalty counts, the prompt among them. `stream` makes the text. The
/// cache holds every token but the last one generated.
Generated generate(Session& session, std::span<const int32_t> prompt,
                   std::span<const int32_t> history, TextStream& stream,
                   const GenerateOptions& options, const GenerateCallbacks& callbacks = {});

}  // namespace longgen
