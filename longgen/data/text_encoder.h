// data/text_encoder.h: a model's tokenizer in the form that prepare_dataset() takes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "longgen/data/prepare.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// Makes an encoder. `begin_id` and `end_id` are what the model was trained with around a document,
/// if anything; the tokenizer's own post-processor is not run. A special token written out in a
/// corpus stays ordinary text: only prepare puts special ids into the data. The tokenizer must
/// outlive what this returns.
TextEncoder text_encoder(const Tokenizer& tokenizer, std::string name,
                         std::optional<int32_t> begin_id, std::optional<int32_t> end_id);

}  // namespace longgen
