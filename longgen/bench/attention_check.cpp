#include "longgen/bench/attention_check.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;

at::Tensor exact(const at::Tensor& x) { return x.to(at::kDouble); }

/// NaN counts as infinitely wrong.
double worse(double a, double b) { return std::isnan(b) ? INFINITY : std::max(a, b); }

/// The error of a row that is the sum of the rows of terms (N, D).
double row_error(const at::Tensor& found_D, const at::Tensor& truth_D, const at::Tensor& terms_ND) {
  return row_errors(found_D, truth_D, terms_ND.square().sum(0).sqrt()).item<double>();
}

/// The size of a sum over an axis: its own, or that of its terms where they cancel. Delta, the sum
/// of grad_out * out, errs by as much.
at::Tensor size_of_sum(const at::Tensor& terms, int64_t axis) {
  return at::maximum(terms.sum(axis).abs(), terms.square().sum(axis).sqrt());
}

at::Tensor as_tensor(const std::vector<int64_t>& values, at::Device device) {
  const at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.data_ptr<int64_t>());
  return tensor.to(device);
}

/// Everything that does not depend on the row.
struct Checked {
  Checked(const AttentionInputs& in, const Pattern& pattern_in)
      : inputs(in),
        shape(in.shape),
        pattern(pattern_in.for_heads(in.shape.num_kv_heads)),
        scale(1 / std::sqrt(static_cast<double>(in.shape.head_size))) {}

  int64_t group() const { return shape.num_heads / shape.num_kv_heads; }

  std::set<int64_t> queries() const {
    const int64_t last = shape.num_tokens - 1;
    return {0, std::min<int64_t>(63, last), last / 5, last / 3, last / 2, last - last / 7, last};
  }
  std::set<int64_t> heads() const { return {0, shape.num_heads - 1}; }

  at::Tensor keys_seen_by(int64_t query, int64_t kv_head) const {
    std::vector<int64_t> keys;
    for (const int64_t block : pattern.blocks_seen(query, query, kv_head)) {
      for (int64_t s = block * kBlock; s < std::min((block + 1) * kBlock, query + 1); ++s) {
        if (pattern.sees(query, s, kv_head)) keys.push_back(s);
      }
    }
    return as_tensor(keys, shape.device);
  }
  at::Tensor queries_seeing(int64_t key, int64_t kv_head) const {
    std::vector<int64_t> queries;
    for (int64_t t = key; t < shape.num_tokens; ++t) {
      if (pattern.sees(t, key, kv_head)) queries.push_back(t);
    }
    return as_tensor(queries, shape.device);
  }

  const AttentionInputs& inputs;
  const AttentionShape& shape;
  Pattern pattern;
  double scale;
};

/// One query of one head, with all that it sees, in fp64.
struct Row {
  Row(const Checked& checked, int64_t query, int64_t head) {
    const int64_t kv_head = head / checked.group();
    const at::Tensor keys = checked.keys_seen_by(query, kv_head);
    const AttentionInputs& inputs = checked.inputs;
    q_D = exact(inputs.q_THD[query][head]);
    k_ND = exact(inputs.k_TKD.select(1, kv_head).index_select(0, keys));
    v_ND = exact(inputs.v_TKD.select(1, kv_head).index_select(0, keys));
    const at::Tensor scores_N = at::matmul(k_ND, q_D) * checked.scale;
    lse = at::logsumexp(scores_N, 0).item<double>();
    p_N = (scores_N - lse).exp();
  }
  at::Tensor q_D, k_ND, v_ND, p_N;
  double lse;
};

/// The gradient of q at one row: scale * sum over its keys of p (grad . v - grad . out) k.
double query_gradient_error(const Checked& checked, int64_t query, int64_t head,
                            const at::Tensor& found_THD) {
  const Row row(checked, query, head);
  const at::Tensor grad_D = exact(checked.inputs.grad_THD[query][head]);
  const at::Tensor grad_p_N = at::matmul(row.v_ND, grad_D);
  const at::Tensor out_D = at::matmul(row.p_N, row.v_ND), delta = (grad_D * out_D).sum();
  const at::Tensor truth_D = at::matmul(row.p_N * (grad_p_N - delta), row.k_ND) * checked.scale;
  const at::Tensor sizes_N =
      row.p_N * (grad_p_N.abs() + size_of_sum(grad_D * out_D, 0)) * checked.scale;
  return row_error(found_THD[query][head], truth_D, sizes_N.unsqueeze(1) * row.k_ND);
}

/// Terms of the gradients of k and v at one key, from the queries of one head that see it.
struct KeyTerms {
  KeyTerms(const Checked& checked, const at::Tensor& queries, int64_t key, int64_t head,
           const Attended& attended) {
    const auto rows = [&](const at::Tensor& x_THD) {
      return exact(x_THD.select(1, head).index_select(0, queries));
    };
    const auto row_of_key = [&](const at::Tensor& x_TKD) {
      return exact(x_TKD[key][head / checked.group()]);
    };
    const at::Tensor q_ND = rows(checked.inputs.q_THD), grad_ND = rows(checked.inputs.grad_THD);
    const at::Tensor lse_N = exact(attended.lse_HT[head].index_select(0, queries));
    const at::Tensor p_N =
        (at::matmul(q_ND, row_of_key(checked.inputs.k_TKD)) * checked.scale - lse_N).exp();
    const at::Tensor delta_terms_ND = grad_ND * rows(attended.out_THD);
    const at::Tensor delta_N = delta_terms_ND.sum(1);
    const at::Tensor grad_p_N = at::matmul(grad_ND, row_of_key(checked.inputs.v_TKD));
    v_ND = p_N.unsqueeze(1) * grad_ND;
    const at::Tensor weights_N = p_N * checked.scale;
    k_ND = (weights_N * (grad_p_N - delta_N)).unsqueeze(1) * q_ND;
    k_sizes_ND =
        (weights_N * (grad_p_N.abs() + size_of_sum(delta_terms_ND, 1))).unsqueeze(1) * q_ND;
  }
  at::Tensor v_ND, k_ND, k_sizes_ND;
};

double key_gradients_error(const Checked& checked, int64_t key, int64_t kv_head,
                           const Attended& attended, const AttentionGradients& gradients) {
  const at::Tensor queries = checked.queries_seeing(key, kv_head);
  std::vector<at::Tensor> k, v, k_sizes;
  for (int64_t i = 0; i < checked.group(); ++i) {
    const KeyTerms terms(checked, queries, key, kv_head * checked.group() + i, attended);
    k.push_back(terms.k_ND);
    v.push_back(terms.v_ND);
    k_sizes.push_back(terms.k_sizes_ND);
  }
  const at::Tensor k_terms = at::cat(k), v_terms = at::cat(v);
  return worse(row_error(gradients.k_TKD[key][kv_head], k_terms.sum(0), at::cat(k_sizes)),
               row_error(gradients.v_TKD[key][kv_head], v_terms.sum(0), v_terms));
}

}  // namespace

double output_error(const AttentionInputs& inputs, const Pattern& pattern,
                    const Attended& attended) {
  const Checked checked(inputs, pattern);
  double worst = 0;
  for (const int64_t head : checked.heads()) {
    for (const int64_t query : checked.queries()) {
      const Row row(checked, query, head);
      const at::Tensor terms_ND = row.p_N.unsqueeze(1) * row.v_ND;
      worst = worse(worst, row_error(attended.out_THD[query][head], terms_ND.sum(0), terms_ND));
      if (!attended.lse_HT.defined()) continue;
      worst = worse(worst, std::abs(attended.lse_HT[head][query].item<double>() - row.lse));
    }
  }
  return worst;
}

double gradient_error(const AttentionInputs& inputs, const Pattern& pattern,
                      const Attended& attended, const AttentionGradients& gradients) {
  const Checked checked(inputs, pattern);
  double worst = 0;
  for (const int64_t head : checked.heads()) {
    for (const int64_t query : checked.queries()) {
      worst = worse(worst, query_gradient_error(checked, query, head, gradients.q_THD));
    }
  }
  for (const int64_t kv_head : std::set<int64_t>{0, inputs.shape.num_kv_heads - 1}) {
    for (const int64_t key : std::set<int64_t>{0, inputs.shape.num_tokens / 2}) {
      worst = worse(worst, key_gradients_error(checked, key, kv_head, attended, gradients));
    }
  }
  return worst;
}

}  // namespace longgen
