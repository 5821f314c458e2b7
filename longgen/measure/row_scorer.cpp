#include "longgen/measure/row_scorer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/ops/linear_distillation.h"

namespace longgen {
namespace {

// How many rows of logits exist at once: 256 of a vocabulary of 150,000 are 146 MiB.
constexpr int64_t kChunkRows = 256;

/// Chooses `count` of the list at even distances; all where it is not longer.
std::vector<int64_t> evenly(const std::vector<int64_t>& list, int64_t count) {
  const auto size = static_cast<int64_t>(list.size());
  if (size <= count) return list;
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < count; ++i) chosen.push_back(list[(2 * i + 1) * size / (2 * count)]);
  return chosen;
}

at::Tensor to_tensor(const std::vector<int64_t>& values, at::Device device) {
  return at::from_blob(const_cast<int64_t*>(values.data()), {static_cast<int64_t>(values.size())},
                       at::kLong)
      .clone()
      .to(device);
}

}  // namespace

FloatHead::FloatHead(const Decoder& decoder) : head_VE_(decoder.weights().head_VE.to(at::kFloat)) {}

at::Tensor FloatHead::room(int64_t num_rows) const {
  return at::empty({num_rows, head_VE_.size(0)}, head_VE_.options());
}

void FloatHead::logprobs(const at::Tensor& hidden_RE, at::Tensor logits_RV,
                         at::Tensor logprobs_RV) const {
  at::mm_out(logits_RV, hidden_RE.to(at::kFloat), head_VE_.t());
  at::log_softmax_out(logprobs_RV, logits_RV, 1);
}

at::Device FloatHead::device() const { return head_VE_.device(); }

RowScorer::RowScorer(const FloatHead& head, const MeasureSample& sample, std::vector<int64_t> edges)
    : head_(head), sample_(sample), edges_(std::move(edges)) {
  positions_ = evenly(sample.far_text, kMostTextRows);
  num_text_ = static_cast<int64_t>(positions_.size());
  for (const TokenRange& answer : sample.answers) {
    for (int64_t at = answer.begin; at < answer.end; ++at) positions_.push_back(at);
  }
  std::vector<int64_t> rows, targets;
  for (const int64_t position : positions_) {
    rows.push_back(position - 1);
    targets.push_back(sample.ids.at(static_cast<size_t>(position)));
  }
  rows_R_ = to_tensor(rows, head.device());
  targets_R_ = to_tensor(targets, head.device());
}

void RowScorer::set_reference(const at::Tensor& hidden_TE) {
  reference_RE_ = hidden_TE.index_select(0, rows_R_.narrow(0, 0, num_text_));
}

RowScorer::Gradients RowScorer::gradients(const at::Tensor& hidden_TE) const {
  LG_DCHECK(has_reference());
  const at::AutoGradMode builds_graph(true);
  const at::Tensor& head_VE = head_.weight_VE();
  const auto gradient_of = [&](int64_t first, int64_t count, const auto& loss_of_rows) {
    const at::Tensor rows_R = rows_R_.narrow(0, first, count);
    const at::Tensor hidden_RE =
        hidden_TE.index_select(0, rows_R).to(at::kFloat).detach().requires_grad_(true);
    const at::Tensor loss = loss_of_rows(hidden_RE, targets_R_.narrow(0, first, count));
    const at::Tensor grad_RE = torch::autograd::grad({loss}, {hidden_RE}).front();
    return at::zeros_like(hidden_TE).index_copy_(0, rows_R, grad_RE.to(hidden_TE.scalar_type()));
  };
  const auto divergence = [&](const at::Tensor& hidden_RE, const at::Tensor& targets_R) {
    return linear_distillation(hidden_RE, head_VE, targets_R,
                               {reference_RE_.to(at::kFloat), head_VE}, /*share=*/1)
        .loss;
  };
  const auto cross_entropy = [&](const at::Tensor& hidden_RE, const at::Tensor& targets_R) {
    return linear_cross_entropy(hidden_RE, head_VE, targets_R);
  };
  return {gradient_of(0, num_text_, divergence),
          gradient_of(num_text_, rows_R_.size(0) - num_text_, cross_entropy)};
}

at::Tensor RowScorer::reference_logprobs() const {
  LG_DCHECK(has_reference());
  const at::Tensor reference_RV = head_.room(num_text_);
  const at::Tensor logits_RV = head_.room(std::min(kChunkRows, num_text_));
  for (int64_t first = 0; first < num_text_; first += kChunkRows) {
    const int64_t count = std::min(kChunkRows, num_text_ - first);
    head_.logprobs(reference_RE_.narrow(0, first, count), logits_RV.narrow(0, 0, count),
                   reference_RV.narrow(0, first, count));
  }
  return reference_RV;
}

VariantValues RowScorer::score(const at::Tensor& hidden_TE, const at::Tensor& reference_RV) const {
  const auto num_rows = static_cast<int64_t>(positions_.size());
  const int64_t most_rows = std::min(kChunkRows, num_rows);
  const at::Tensor room_RV = head_.room(most_rows), other_room_RV = head_.room(most_rows);
  std::vector<at::Tensor> parts;  // (3, rows): log-probability, whether it is the largest, KL
  for (int64_t first = 0; first < num_rows;) {
    const bool with_kl = first < num_text_;  // no chunk has both kinds
    const int64_t count = std::min(kChunkRows, (with_kl ? num_text_ : num_rows) - first);
    const at::Tensor targets_R = targets_R_.narrow(0, first, count);
    at::Tensor logprobs_RV = room_RV.narrow(0, 0, count);
    at::Tensor product_RV = other_room_RV.narrow(0, 0, count);
    head_.logprobs(hidden_TE.index_select(0, rows_R_.narrow(0, first, count)), product_RV,
                   logprobs_RV);
    const at::Tensor logprobs_R = logprobs_RV.gather(1, targets_R.unsqueeze(1)).squeeze(1);
    const at::Tensor right_R = logprobs_RV.argmax(1).eq(targets_R).to(at::kFloat);
    at::Tensor kl_R = at::zeros_like(logprobs_R);
    if (with_kl) {
      const at::Tensor full_RV = reference_RV.narrow(0, first, count);
      at::sub_out(logprobs_RV, full_RV, logprobs_RV);
      kl_R = at::exp_out(product_RV, full_RV).mul_(logprobs_RV).sum(1);
    }
    parts.push_back(at::stack({logprobs_R, right_R, kl_R}));
    first += count;
  }
  const at::Tensor all = at::cat(parts, 1).cpu().contiguous();
  const auto* const logprobs = all.const_data_ptr<float>();
  const auto *const right = logprobs + num_rows, *const kl = right + num_rows;
  VariantValues values;
  values.ranges.resize(edges_.size() - 1);
  for (int64_t i = 0; i < num_text_; ++i) {
    const auto above = std::upper_bound(edges_.begin(), edges_.end(), positions_[i]);
    FarTextSums& range = values.ranges.at(above - edges_.begin() - 1);
    ++range.num_tokens;
    range.nll -= logprobs[i];
    range.kl += kl[i];
  }
  int64_t at = num_text_;
  for (const TokenRange& answer : sample_.answers) {
    bool all_right = true;
    for (int64_t t = answer.begin; t < answer.end; ++t, ++at) {
      values.answer_logprob += logprobs[at];
      all_right = all_right && right[at] > 0;
    }
    values.num_right += all_right ? 1 : 0;
  }
  values.num_answers = static_cast<int64_t>(sample_.answers.size());
  values.num_answer_tokens = num_rows - num_text_;
  return values;
}

}  // namespace longgen
