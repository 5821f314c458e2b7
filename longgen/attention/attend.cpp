#include "longgen/attention/attend.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include "longgen/attention/cuda/work_lists.h"
#include "longgen/attention/operator.h"

namespace longgen {

Attended attend(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                const Pattern& pattern, const AttendOptions& options) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longgen::attend", "")
                             .typed<AttendSignature>();
  const std::optional<at::Tensor> doc_starts =
      options.doc_starts.defined() ? std::optional(options.doc_starts) : std::nullopt;
  const auto [out, lse] = op.call(
      q_THD, k_SKD, v_SKD, pattern.sink_blocks(), pattern.window_blocks(), pattern.stride_blocks(),
      pattern.stride_offsets(), doc_starts, options.scale, pattern.window_tokens());
  return {out, lse};
}

bool is_left_to_cudnn(int64_t num_queries, int64_t num_keys, const Pattern& pattern,
                      const at::Tensor& doc_starts) {
  const bool one_document = !doc_starts.defined() || doc_starts.numel() == 1;
  return pattern.is_full() && one_document && num_queries == num_keys &&
         num_queries >= cuda::kTileRows;
}

}  // namespace longgen
