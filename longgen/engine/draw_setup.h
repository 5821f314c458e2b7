// engine/draw_setup.h: from sampling options to the plain data of a draw on a GPU, and back.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "longgen/engine/draw_rows.h"
#include "longgen/engine/sampler.h"
#include "longgen/engine/token_logprobs.h"

namespace longgen {

/// A row with what the options say, and without addresses.
DrawRow draw_row(const SamplingOptions& options);
/// The bias as DrawRow::bias wants it.
std::vector<TokenBias> sorted_bias(const SamplingOptions& options);
/// Does a penalty ask for DrawRow::counts_V?
bool counts_tokens(const SamplingOptions& options);
/// DrawRow::counts_V before the first draw. Throws Error on tokens outside [0, num_classes).
std::vector<uint32_t> first_counts(std::span<const int32_t> prompt, int64_t num_classes);

/// What is wrong with a draw that failed, as Sampler says it; steps count from 1.
std::string draw_error(const DrawnToken& failed, int64_t step, int64_t num_classes);
TokenLogprobs told_logprobs(const DrawnLogprobs& drawn, int64_t num_best);

}  // namespace longgen
