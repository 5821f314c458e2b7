#include "longgen/engine/generate.h"

#include <algorithm>
#include <chrono>

#include "longgen/base/check.h"

namespace longgen {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

GenerateEnd as_end(StopReason reason) {
  switch (reason) {
    case StopReason::token:
      return GenerateEnd::stop_token;
    case StopReason::string:
      return GenerateEnd::stop_string;
    default:
      return GenerateEnd::length;
  }
}

}  // namespace

const char* generate_end_name(GenerateEnd end) {
  switch (end) {
    case GenerateEnd::stop_token:
      return "stop token";
    case GenerateEnd::stop_string:
      return "stop string";
    case GenerateEnd::interrupted:
      return "interrupted";
    default:
      return "length";
  }
}

double Generated::tokens_per_second() const {
  const auto steps = static_cast<double>(ids.size()) - 1;
  return steps > 0 && decode_seconds > 0 ? steps / decode_seconds : 0;
}

Generated generate(Session& session, std::span<const int32_t> prompt,
                   std::span<const int32_t> history, TextStream& stream,
                   const GenerateOptions& options, const GenerateCallbacks& callbacks) {
  Generated result;
  result.prompt_tokens = static_cast<int64_t>(prompt.size());
  const auto interrupted = [&] { return options.interrupted && *options.interrupted; };
  Sampler sampler(options.sampling);

  const auto start = Clock::now();
  at::Tensor logits_V = session.append(prompt, [&](int64_t done) {
    callbacks.prefill(done);
    return !interrupted();
  });
  Clock::time_point first_token;
  while (!stream.stop_reason() && logits_V.defined()) {
    const int64_t vocab_size =
        options.vocab_size > 0 ? std::min(options.vocab_size, logits_V.numel()) : logits_V.numel();
    const int32_t id =
        sampler.next({logits_V.const_data_ptr<float>(), static_cast<size_t>(vocab_size)},
                     {.prompt = history, .generated = result.ids});
    if (result.ids.empty()) {
      result.first_token_seconds = seconds_since(start);
      first_token = Clock::now();
    }
    result.ids.push_back(id);
    callbacks.text(stream.push(id));
    if (stream.stop_reason() || interrupted()) break;
    logits_V = session.append(std::span(&id, 1));
  }
  if (!result.ids.empty()) result.decode_seconds = seconds_since(first_token);
  if (stream.stop_reason()) {
    result.end = as_end(*stream.stop_reason());
  } else {
    result.end = GenerateEnd::interrupted;
    callbacks.text(stream.finish());
  }
  return result;
}

}  // namespace longgen
