#include <ATen/ops/cat.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include "longgen/attention/attend.h"
#include "longgen/attention/operator.h"

namespace longgen {
namespace {

/// (T, S) bool: does the query at position S - T + t see key s?
at::Tensor visible_TS(const Pattern& pattern, int64_t num_queries, int64_t num_keys,
                      int64_t kv_head) {
  const at::Tensor mask = at::zeros({num_queries, num_keys}, at::kBool);
  bool* cell = mask.mutable_data_ptr<bool>();
  for (int64_t t = 0; t < num_queries; ++t) {
    const int64_t position = num_keys - num_queries + t;
    for (int64_t s = 0; s < num_keys; ++s) {
      *cell++ = pattern.sees(position, s, kv_head);
    }
  }
  return mask;
}

Attended attend_one_document(const at::Tensor& q_THD, const at::Tensor& k_SKD,
                             const at::Tensor& v_SKD, const Pattern& pattern, double scale) {
  const int64_t group = q_THD.size(1) / k_SKD.size(1);
  std::vector<at::Tensor> outs, lses;
  for (int64_t head = 0; head < q_THD.size(1); ++head) {
    const at::Tensor hidden = visible_TS(pattern, q_THD.size(0), k_SKD.size(0), head / group)
                                  .logical_not()
                                  .to(q_THD.device());
    const at::Tensor scores =
        (at::matmul(q_THD.select(1, head), k_SKD.select(1, head / group).t()) * scale)
            .masked_fill(hidden, -std::numeric_limits<double>::infinity());
    const at::Tensor lse = at::logsumexp(scores, 1);
    // A row that sees nothing has an LSE of -inf: its probabilities are zero, not NaN.
    const at::Tensor safe = lse.masked_fill(lse == -std::numeric_limits<double>::infinity(), 0.0);
    const at::Tensor probabilities = (scores - safe.unsqueeze(1)).exp();
    outs.push_back(at::matmul(probabilities, v_SKD.select(1, head / group)));
    lses.push_back(lse);
  }
  return {at::stack(outs, 1), at::stack(lses, 0)};
}

}  // namespace

Attended attend_reference(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                          const Pattern& pattern_in, const AttendOptions& options) {
  const Pattern pattern = pattern_in.for_heads(k_SKD.size(1));
  const double scale = attend_scale(q_THD, options.scale);
  if (!options.doc_starts.defined())
    return attend_one_document(q_THD, k_SKD, v_SKD, pattern, scale);
  std::vector<at::Tensor> outs, lses;
  const int64_t* starts = options.doc_starts.const_data_ptr<int64_t>();
  for (int64_t d = 0; d < options.doc_starts.numel(); ++d) {
    const int64_t end = d + 1 < options.doc_starts.numel() ? starts[d + 1] : q_THD.size(0);
    const auto rows = [&](const at::Tensor& x) { return x.slice(0, starts[d], end); };
    const Attended part =
        attend_one_document(rows(q_THD), rows(k_SKD), rows(v_SKD), pattern, scale);
    outs.push_back(part.out_THD);
    lses.push_back(part.lse_HT);
  }
  return {at::cat(outs, 0), at::cat(lses, 1)};
}

}  // namespace longgen
