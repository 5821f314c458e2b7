// measure/row_scorer.h: what is read off the hidden states of a variant.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "longgen/measure/sample.h"
#include "longgen/measure/variant_values.h"
#include "longgen/model/decoder.h"

namespace longgen {

/// The output layer with which variants are scored: in float32, because differences between
/// variants are smaller than the steps between bfloat16 logits.
class FloatHead {
 public:
  /// Copies the decoder's output layer if that is not in float32.
  explicit FloatHead(const Decoder& decoder);
  /// Gives room for a result of logprobs() (R, V).
  at::Tensor room(int64_t num_rows) const;
  /// Writes logarithms of probabilities after hidden states (R, E) into logprobs_RV; logits_RV is
  /// room that it needs.
  void logprobs(const at::Tensor& hidden_RE, at::Tensor logits_RV, at::Tensor logprobs_RV) const;
  const at::Tensor& weight_VE() const { return head_VE_; }
  at::Device device() const;

 private:
  at::Tensor head_VE_;
};

/// Scores variants on one sample. Of the far text it takes kMostTextRows positions at even
/// distances; answers are taken whole. Logits exist for some rows at a time only.
class RowScorer {
 public:
  static constexpr int64_t kMostTextRows = 1024;

  /// `edges` are far_text_edges(). Both references must outlive the scorer.
  RowScorer(const FloatHead& head, const MeasureSample& sample, std::vector<int64_t> edges);

  /// Keeps what the full model's hidden states (T, E) say; score() needs it.
  void set_reference(const at::Tensor& hidden_TE);
  bool has_reference() const { return reference_RE_.defined(); }
  /// Gives the logarithms of the full model's probabilities on far text, (num_text, V) in float32.
  /// Variants that are scored one after the other share them; they are as large as an output layer
  /// with kMostTextRows columns, and not kept here.
  at::Tensor reference_logprobs() const;
  /// Gives a variant's values from its hidden states (T, E) and reference_logprobs().
  VariantValues score(const at::Tensor& hidden_TE, const at::Tensor& reference_RV) const;

  /// Gradients (T, E) of two sums by the hidden states: the KL divergence of far text, and the
  /// answers' negative log-probability, in nats.
  struct Gradients {
    at::Tensor text_TE, answers_TE;
  };
  Gradients gradients(const at::Tensor& hidden_TE) const;

 private:
  const FloatHead& head_;
  const MeasureSample& sample_;
  std::vector<int64_t> edges_;
  std::vector<int64_t> positions_;  // that are predicted: num_text_ of far text, then answers
  int64_t num_text_ = 0;
  at::Tensor rows_R_, targets_R_;  // on the device; row t predicts position t + 1
  at::Tensor reference_RE_;        // (num_text, E)
};

}  // namespace longgen
