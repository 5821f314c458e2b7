// tests/numerics/attend_truth.h: what the attend op and its gradients are in fp64, and which rows
// of a result differ from it by more than rounding.
#pragma once

#include <ATen/TensorOperators.h>

#include <sstream>

#include "longgen/attention/operator.h"
#include "longgen/bench/row_error.h"
#include "tests/numerics/attend_cases.h"

namespace longgen {

/// What the op and its gradients gave.
struct AttendResults {
  torch::Tensor out, lse, grad_q, grad_k, grad_v;

  AttendResults to(torch::Device device) const {
    return {out.to(device), lse.to(device), grad_q.to(device), grad_k.to(device),
            grad_v.to(device)};
  }
};

/// Runs the op on inputs of one type, and gives the gradients of sum(out * grad_out).
template <typename Attend>
AttendResults results_of(const Attend& op, const Qkv& x, const torch::Tensor& grad_out_THD,
                         const Pattern& pattern, const AttendOptions& options) {
  const auto leaf = [](const torch::Tensor& t) { return t.detach().requires_grad_(); };
  const Qkv leaves = {leaf(x.q_THD), leaf(x.k_SKD), leaf(x.v_SKD)};
  const Attended result = op(leaves.q_THD, leaves.k_SKD, leaves.v_SKD, pattern, options);
  result.out_THD.backward(grad_out_THD.to(result.out_THD.scalar_type()));
  return {result.out_THD.detach(), result.lse_HT, leaves.q_THD.grad(), leaves.k_SKD.grad(),
          leaves.v_SKD.grad()};
}

/// A tensor in fp64, and for each of its numbers the root of the sum of the squares of its terms.
struct ExactRows {
  torch::Tensor values, term_sizes;
};

/// Multiplies matrices in fp64 for each head, (H, rows, terms) (H, terms, D), where the terms are
/// of the sizes that `a_sizes` gives instead of a.
inline ExactRows exact_products(const torch::Tensor& a, const torch::Tensor& a_sizes,
                                const torch::Tensor& b) {
  return {torch::matmul(a, b), torch::matmul(a_sizes.square(), b.square()).sqrt()};
}

/// The output and the LSE, exact.
struct OutputTruth {
  ExactRows out;                  // (T, H, D)
  torch::Tensor lse, lse_bounds;  // (H, T)
};

/// Gives (tokens, K, D) of KV heads as (H, tokens, D) of query heads.
inline torch::Tensor of_query_heads(const torch::Tensor& x_SKD, int64_t group) {
  return x_SKD.transpose(0, 1).repeat_interleave(group, 0);
}

/// Bounds the error of an fp32 LSE. Each of the D products of a score is added with an error of up
/// to a spacing (2^-23; tensor cores cut off) of what the score's terms add up to, and each of the
/// S exponentials with one of the sum so far, which is the same error of its logarithm. Eight more
/// are for the exponential, the logarithm and the factors that change their base.
inline torch::Tensor lse_bounds_HT(const torch::Tensor& q_THD, const torch::Tensor& k_SKD,
                                   double scale) {
  const torch::Tensor k_HSD = of_query_heads(k_SKD.abs(), q_THD.size(1) / k_SKD.size(1));
  const torch::Tensor sizes_HTS =
      torch::matmul(q_THD.abs().transpose(0, 1), k_HSD.transpose(1, 2)) * scale;
  const auto head_size = static_cast<double>(q_THD.size(2)),
             num_keys = static_cast<double>(k_SKD.size(0));
  return ((head_size + 8) * sizes_HTS.amax(2) + num_keys + 8) * 0x1p-23;
}

/// Computes the truth of inputs of any type, exactly from here on.
inline OutputTruth output_truth(const Qkv& inputs, const Pattern& pattern,
                                const AttendOptions& options = {}) {
  const Qkv x = inputs.to(torch::kDouble);
  const Attended truth = attend_reference(x.q_THD, x.k_SKD, x.v_SKD, pattern, options);
  // The squares of probabilities are the probabilities of twice the queries, but for their sum.
  const Attended squares =
      attend_reference(2 * x.q_THD, x.k_SKD, x.v_SKD.square(), pattern, options);
  const torch::Tensor factors_HT = (squares.lse_HT - 2 * truth.lse_HT).exp().nan_to_num(0.0);
  return {{truth.out_THD, (squares.out_THD * factors_HT.t().unsqueeze(2)).sqrt()},
          truth.lse_HT,
          lse_bounds_HT(x.q_THD, x.k_SKD, attend_scale(x.q_THD, options.scale))};
}

/// The output, the LSE and the gradients of sum(out * grad_out).
struct AttendTruth : OutputTruth {
  /// Holds some (H, T, S) tensors in fp64.
  AttendTruth(const Qkv& inputs, const torch::Tensor& grad_out_THD, const Pattern& pattern,
              const AttendOptions& options)
      : OutputTruth(output_truth(inputs, pattern, options)) {
    const Qkv x = inputs.to(torch::kDouble);
    const int64_t num_keys = x.k_SKD.size(0), num_kv_heads = x.k_SKD.size(1),
                  group = x.q_THD.size(1) / num_kv_heads;
    const double scale = attend_scale(x.q_THD, options.scale);
    // Values that are one-hot rows make the output the probabilities.
    const torch::Tensor one_hot_SKS = torch::eye(num_keys, x.q_THD.options())
                                          .unsqueeze(1)
                                          .expand({num_keys, num_kv_heads, num_keys});
    const torch::Tensor p_HTS =
        attend_reference(x.q_THD, x.k_SKD, one_hot_SKS, pattern, options).out_THD.transpose(0, 1);
    const torch::Tensor q_HTD = x.q_THD.transpose(0, 1), k_HSD = of_query_heads(x.k_SKD, group),
                        v_HSD = of_query_heads(x.v_SKD, group),
                        grad_HTD = grad_out_THD.to(torch::kDouble).transpose(0, 1);
    const torch::Tensor p_HST = p_HTS.transpose(1, 2);
    grad_v = over_groups(exact_products(p_HST, p_HST, grad_HTD), group);

    const torch::Tensor grad_p_HTS = torch::matmul(grad_HTD, v_HSD.transpose(1, 2));
    // Delta, the sum of grad_out * out over D, errs by the size of its terms where they cancel.
    const torch::Tensor terms_HTD = grad_HTD * out.values.transpose(0, 1);
    const torch::Tensor delta_HT1 = terms_HTD.sum(2, /*keepdim=*/true);
    const torch::Tensor delta_sizes_HT1 =
        torch::maximum(delta_HT1.abs(), terms_HTD.square().sum(2, /*keepdim=*/true).sqrt());
    const torch::Tensor scores_HTS = p_HTS * (grad_p_HTS - delta_HT1) * scale;
    const torch::Tensor sizes_HTS = p_HTS * (grad_p_HTS.abs() + delta_sizes_HT1) * scale;
    const ExactRows grad_q_HTD = exact_products(scores_HTS, sizes_HTS, k_HSD);
    grad_q = {grad_q_HTD.values.transpose(0, 1), grad_q_HTD.term_sizes.transpose(0, 1)};
    grad_k = over_groups(
        exact_products(scores_HTS.transpose(1, 2), sizes_HTS.transpose(1, 2), q_HTD), group);
  }

  ExactRows grad_q, grad_k, grad_v;  // (tokens, heads, D)

 private:
  /// Adds (H, S, D) of query heads up to (S, K, D) of KV heads.
  static ExactRows over_groups(const ExactRows& x, int64_t group) {
    const auto sum = [&](const torch::Tensor& heads) {
      return heads.unflatten(0, {-1, group}).sum(1).transpose(0, 1);
    };
    return {sum(x.values), sum(x.term_sizes.square()).sqrt()};
  }
};

/// Returns where the largest error above its bound stands and how large it is; empty without one.
inline std::string worst_above(const char* name, const torch::Tensor& errors, double tolerance) {
  const torch::Tensor worst = errors.max();
  if (worst.item<double>() <= tolerance) return "";
  const int64_t at = errors.argmax().item<int64_t>(), width = errors.size(1);
  std::ostringstream text;
  text << name << " errs by " << worst.item<double>() << " of the row (" << at / width << ", "
       << at % width << "), " << (errors > tolerance).sum().item<int64_t>() << " of "
       << errors.numel() << " rows by more than " << tolerance << ". ";
  return text.str();
}

/// Returns what is wrong; empty where each row is right to the rounding of its type.
inline std::string wrong_rows(const char* name, const torch::Tensor& found, const ExactRows& truth,
                              double tolerance) {
  return worst_above(name, row_errors(found, truth.values, truth.term_sizes), tolerance);
}

/// Does the same for the output and the LSE (if defined): an infinite LSE needs an infinite one.
inline std::string wrong_output(const torch::Tensor& out, const torch::Tensor& lse,
                                const OutputTruth& truth) {
  std::string wrong = wrong_rows("out", out, truth.out, output_tolerance(out.scalar_type()));
  if (!lse.defined()) return wrong;
  const torch::Tensor infinite = truth.lse.isinf();
  if (!torch::equal(lse.isinf(), infinite)) return wrong + "lse is infinite in other rows. ";
  const torch::Tensor errors =
      (lse.to(torch::kDouble) - truth.lse).abs().masked_fill(infinite, 0.0) / truth.lse_bounds;
  return wrong + worst_above("lse in units of its bound", errors.nan_to_num(INFINITY), 1);
}

inline std::string wrong_results(const AttendResults& found, const AttendTruth& truth) {
  const double tolerance = gradient_tolerance(found.grad_q.scalar_type());
  return wrong_output(found.out, found.lse, truth) +
         wrong_rows("grad_q", found.grad_q, truth.grad_q, tolerance) +
         wrong_rows("grad_k", found.grad_k, truth.grad_k, tolerance) +
         wrong_rows("grad_v", found.grad_v, truth.grad_v, tolerance);
}

}  // namespace longgen
