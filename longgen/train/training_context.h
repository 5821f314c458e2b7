// train/training_context.h: attention of a layer that is computed twice.
#pragma once

#include <vector>

#include "longgen/model/attention_context.h"

namespace longgen {

/// Attends within the batch. With keep_results, what a layer's attention gave without gradients
/// (the forward pass) is given again when the same layer asks with gradients (its recomputation).
class TrainingContext : public AttentionContext {
 public:
  TrainingContext(int64_t num_tokens, const at::Tensor& doc_starts, int64_t num_layers,
                  bool keep_results);

  const at::Tensor& positions_T() const override { return batch_.positions_T(); }
  at::Tensor attend(const LayerAttention& layer, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                    const at::Tensor& v_TKD) override;
  /// Frees what is kept of a layer.
  void forget(int64_t layer) { kept_[layer] = {}; }

 private:
  BatchContext batch_;
  at::Tensor doc_starts_;
  bool keep_results_;
  std::vector<Attended> kept_;  // of each layer
};

}  // namespace longgen
