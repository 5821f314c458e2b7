#include "longgen/cli/training_options.h"

#include "longgen/cli/options.h"

namespace longgen {

TrainingOptions TrainingMemory::parse() const {
  TrainingOptions options = {.recompute = kRecomputations.parse(recompute, "--recompute"),
                             .offload = kOffloadings.parse(offload, "--offload")};
  options.set_states(kNumberFormats.parse(states, "--states"));
  return options;
}

void add_training_memory_options(CLI::App* command, TrainingMemory& memory) {
  add_choice_option(
      command, "--recompute", memory.recompute, kRecomputations.names(),
      "activation checkpointing in training: of whole layers, of layers without their "
      "attention, or none (default layers)");
  add_choice_option(command, "--states", memory.states, kNumberFormats.names(),
                    "precision of master weights, gradients and optimizer moments in training "
                    "(default float32)");
  add_choice_option(command, "--offload", memory.offload, kOffloadings.names(),
                    "activation offloading to the host's memory in training (default none)");
}

}  // namespace longgen
