#include "longgen/eval/baselines/kept_tokens.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros.h>

#include <tuple>

namespace longgen {
namespace {

at::Tensor joined(const at::Tensor& before, const at::Tensor& added) {
  return before.defined() ? at::cat({before, added}, 1) : added.contiguous();
}

/// The numbers from begin to end, (K, end - begin), beside `like` (K, ...).
at::Tensor numbers(int64_t begin, int64_t end, const at::Tensor& like) {
  return at::arange(begin, end, like.options().dtype(at::kLong)).expand({like.size(0), -1});
}

at::Tensor gathered(const at::Tensor& x_KND, const at::Tensor& places_KM) {
  return x_KND.gather(1, places_KM.unsqueeze(2).expand({-1, -1, x_KND.size(2)}));
}

}  // namespace

void KeptTokens::append(const at::Tensor& k_TKD, const at::Tensor& v_TKD, int64_t first) {
  k_KND = joined(k_KND, k_TKD.transpose(0, 1));
  v_KND = joined(v_KND, v_TKD.transpose(0, 1));
  const int64_t num_heads = k_TKD.size(1), num_tokens = k_TKD.size(0);
  positions_KN = joined(positions_KN, numbers(first, first + num_tokens, k_KND));
  scores_KN =
      joined(scores_KN, at::zeros({num_heads, num_tokens}, k_TKD.options().dtype(at::kFloat)));
}

void KeptTokens::keep_ends(int64_t num_first, int64_t num_last) {
  if (size() <= num_first + num_last) return;
  keep(at::cat({numbers(0, num_first, k_KND), numbers(size() - num_last, size(), k_KND)}, 1));
}

void KeptTokens::keep_best(const at::Tensor& scores_KM, int64_t num_best) {
  if (scores_KM.size(1) <= num_best) return;
  const auto order = at::sort(scores_KM, /*stable=*/true, /*dim=*/1, /*descending=*/true);
  const at::Tensor best_KN = std::get<1>(order).narrow(1, 0, num_best);
  keep(at::cat({std::get<0>(at::sort(best_KN, 1)), numbers(scores_KM.size(1), size(), k_KND)}, 1));
}

void KeptTokens::keep(const at::Tensor& places_KM) {
  k_KND = gathered(k_KND, places_KM);
  v_KND = gathered(v_KND, places_KM);
  positions_KN = positions_KN.gather(1, places_KM);
  scores_KN = scores_KN.gather(1, places_KM);
}

}  // namespace longgen
