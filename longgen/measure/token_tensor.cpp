#include "longgen/measure/token_tensor.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "longgen/base/check.h"

namespace longgen {

at::Tensor token_tensor(const std::vector<int32_t>& ids, int64_t vocab_size) {
  const auto largest = std::max_element(ids.begin(), ids.end());
  LG_CHECK(largest == ids.end() || *largest < vocab_size, "[measure] token ", *largest,
           " of the text is not in the model's vocabulary of ", vocab_size,
           ". A tokenizer may have tokens that its model has not: leave them out.");
  const at::Tensor tokens_T = at::empty({static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), tokens_T.data_ptr<int64_t>());
  return tokens_T;
}

}  // namespace longgen
