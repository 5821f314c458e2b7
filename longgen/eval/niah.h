// eval/niah.h: RULER's needles in a haystack. The sentences are the benchmark's definition, word
// for word, from https://github.com/NVIDIA/RULER, scripts/data/synthetic/niah.py and constants.py
// (Copyright (c) 2024, NVIDIA CORPORATION, Apache License 2.0).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "longgen/base/random.h"
#include "longgen/eval/prompt_fitter.h"

namespace longgen {

/// Writes the sentence that holds a value. `kind` is "numbers" or "uuids".
std::string niah_needle(const std::string& kind, const std::string& key, const std::string& value);

/// Writes the question about `query`, one key or several. RULER words it differently where more
/// than one value is asked for.
PromptText niah_prompt(const std::string& kind, bool several_values, const std::string& context,
                       const std::string& query);

/// Draws a value of seven digits.
std::string draw_niah_number(RandomStream& random);

/// Counts how often a key or value stands in a prompt.
int64_t count_in(std::string_view text, std::string_view part);

}  // namespace longgen
