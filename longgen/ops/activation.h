// ops/activation.h: what the gate of a feed-forward network goes through.
#pragma once

#include <string>
#include <vector>

namespace longgen {

enum class Activation {
  kSilu,      ///< x / (1 + e^-x)
  kGeluTanh,  ///< 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
};

/// Gives the names of an activation in config.json files, the one to write first.
std::vector<std::string> activation_names(Activation activation);

}  // namespace longgen
