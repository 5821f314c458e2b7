#include "longgen/model/gpu_limits.h"

#include "longgen/base/check.h"

namespace longgen {

void check_runs_on(at::Device device, const ModelConfig& config) {
  if (!device.is_cuda()) return;
  std::string lacks;
  const auto add = [&lacks](bool is_lacking, const std::string& what) {
    if (is_lacking) lacks += (lacks.empty() ? "" : ", ") + what;
  };
  add(config.head_size != 64 && config.head_size != 128,
      detail::concat("heads of ", config.head_size, " (they have 64 and 128)"));
  add(!config.layers.window_layers().empty(), "sliding windows of the family's own");
  add(config.norms_add_one, "norms that multiply by 1 + weight");
  add(config.activation != Activation::kSilu,
      "the activation " + activation_names(config.activation).front());
  LG_CHECK(lacks.empty(), "[model] the kernels for GPUs lack what this model of the family ",
           config.family, " needs: ", lacks, ". Use --device cpu.");
}

}  // namespace longgen
