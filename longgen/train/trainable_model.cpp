#include "longgen/train/trainable_model.h"

#include "longgen/model/model_directory.h"
#include "longgen/train/backward_pass.h"

namespace longgen {
namespace {

at::ScalarType dtype_of(const ModelWeights& weights) { return weights.embedding_VE.scalar_type(); }

ModelWeights computing_weights(const ModelWeights& masters, at::ScalarType dtype) {
  const bool shared = dtype_of(masters) == dtype;
  ModelWeights weights =
      shared ? masters : converted(masters, dtype, masters.embedding_VE.device());
  require_gradients(weights);
  return weights;
}

int64_t bytes_of(const ModelWeights& weights) {
  int64_t bytes = 0;
  for (const NamedTensor& parameter : weights.parameters()) {
    bytes += static_cast<int64_t>(parameter.tensor.nbytes());
  }
  return bytes;
}

}  // namespace

at::ScalarType scalar_type(NumberFormat format) {
  return format == NumberFormat::bfloat16 ? at::kBFloat16 : at::kFloat;
}

TrainableModel::TrainableModel(ModelConfig config, ModelWeights masters,
                               at::ScalarType compute_dtype)
    : TrainableModel(std::move(config), masters, make_adamw_state(masters), compute_dtype) {}

TrainableModel::TrainableModel(ModelConfig config, ModelWeights masters, AdamWState moments,
                               at::ScalarType compute_dtype)
    : masters_(std::move(masters)),
      gradients_(zeros_like(masters_, dtype_of(masters_))),
      moments_(std::move(moments)),
      decoder_(std::move(config), computing_weights(masters_, compute_dtype)) {}

bool TrainableModel::has_masters() const {
  return !decoder_.weights().embedding_VE.is_same(masters_.embedding_VE);
}

void TrainableModel::clear_gradients() {
  for (const NamedTensor& gradient : gradients_.parameters()) gradient.tensor.zero_();
}

void TrainableModel::update(double grad_scale, int64_t step, const AdamWOptions& options) {
  adamw_step(gradients_, grad_scale, step, options, masters_, moments_);
  if (has_masters()) copy_weights(masters_, decoder_.weights());
}

int64_t TrainableModel::total_bytes() const {
  return (has_masters() ? bytes_of(decoder_.weights()) : 0) + bytes_of(masters_) +
         bytes_of(gradients_) + bytes_of(moments_.m) + bytes_of(moments_.v);
}

TrainableModel load_trainable(const fs::path& directory, ModelConfig config,
                              const TrainableOptions& options) {
  const LoadOptions load = {.dtype = options.states_dtype, .device = options.device};
  return {std::move(config), load_model(directory, load).weights(), options.compute_dtype};
}

}  // namespace longgen
