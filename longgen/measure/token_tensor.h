// measure/token_tensor.h: tokens as a decoder takes them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace longgen {

/// Gives (T) int64 on the CPU. Throws Error on a token that is not in a vocabulary of this size.
at::Tensor token_tensor(const std::vector<int32_t>& ids, int64_t vocab_size);

}  // namespace longgen
