#include "longgen/ops/activation.h"

namespace longgen {

std::vector<std::string> activation_names(Activation activation) {
  if (activation == Activation::kGeluTanh) return {"gelu_pytorch_tanh"};
  return {"silu", "swish"};
}

}  // namespace longgen
