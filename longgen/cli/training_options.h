// cli/training_options.h: what decides the memory of a training step, for commands that predict or
// measure one.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "longgen/plan/memory.h"

namespace longgen {

/// The values of --recompute, --states and --offload.
struct TrainingMemory {
  std::string recompute = "layers", states = "float32", offload = "none";

  /// Reads the names into options. Throws Error on a wrong one.
  TrainingOptions parse() const;
};
void add_training_memory_options(CLI::App* command, TrainingMemory& memory);

}  // namespace longgen
