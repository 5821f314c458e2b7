// measure/gate_slopes.h: what a pass through gates (gate_pass.h) says of each unit of a model.
#pragma once

#include <cstdint>
#include <vector>

#include "longgen/base/json.h"

namespace longgen {

/// Where all gates stand in a measurement: every unit gives half of what it gives full and half of
/// what it gives sparse.
inline constexpr double kHalfOpen = 0.5;

/// Derivatives by the gate of each candidate, in their order, at gates that are half open: sums
/// over one sample or several, in nats. A gate is 0 where its unit is full, and 1 where it is
/// sparse.
struct GateSlopes {
  std::vector<double> kl;       ///< of the KL divergence of far text from the full model
  std::vector<double> answers;  ///< of the answers' negative log-probability

  GateSlopes& operator+=(const GateSlopes& other);
  bool operator==(const GateSlopes&) const = default;
  bool are_finite() const;
};

OrderedJson to_json(const GateSlopes& slopes);
/// Reads to_json() back. Throws Error naming the source and the field on anything else, and where
/// there are not num_units of both.
GateSlopes gate_slopes_from_json(const JsonObject& json, size_t num_units);

}  // namespace longgen
