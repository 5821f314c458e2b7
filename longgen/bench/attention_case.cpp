#include "longgen/bench/attention_case.h"

#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>

#include "longgen/attention/operator.h"

namespace longgen {

AttentionInputs::AttentionInputs(const AttentionShape& wanted) : shape(wanted) {
  at::manual_seed(1);
  const auto random = [&](int64_t heads) {
    return at::randn({shape.num_tokens, heads, shape.head_size},
                     at::TensorOptions(shape.device).dtype(shape.dtype));
  };
  q_THD = random(shape.num_heads);
  k_TKD = random(shape.num_kv_heads);
  v_TKD = random(shape.num_kv_heads);
  grad_THD = random(shape.num_heads);
}

Attended attend_forward(const AttentionInputs& inputs, const Pattern& pattern) {
  const at::NoGradGuard no_grad;
  return attend(inputs.q_THD, inputs.k_TKD, inputs.v_TKD, pattern);
}

AttentionGradients attend_backward(const AttentionInputs& inputs, const Pattern& pattern,
                                   const Attended& attended) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longgen::attend_backward", "")
                             .typed<AttendBackwardSignature>();
  const auto [grad_q, grad_k, grad_v] = op.call(
      inputs.grad_THD, inputs.q_THD, inputs.k_TKD, inputs.v_TKD, attended.out_THD, attended.lse_HT,
      pattern.sink_blocks(), pattern.window_blocks(), pattern.stride_blocks(),
      pattern.stride_offsets(), std::nullopt, std::nullopt, pattern.window_tokens());
  return {grad_q, grad_k, grad_v};
}

double attention_flops(const AttentionShape& shape, const Pattern& pattern) {
  const Pattern heads = pattern.for_heads(shape.num_kv_heads);
  double pairs = 0;
  for (int64_t head = 0; head < shape.num_kv_heads; ++head) {
    pairs += static_cast<double>(heads.visited_pairs(0, shape.num_tokens, head));
  }
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  return 4.0 * static_cast<double>(shape.head_size * group) * pairs;
}

}  // namespace longgen
