#include "longgen/cli/training_options.h"

#include "longgen/cli/options.h"

namespace longgen {

TrainingOptions TrainingMemory::parse() const {
  TrainingOptions options = {.recompute = parse_recomputation(recompute),
                             .offload = parse_offloading(offload)};
  options.set_states(parse_number_format(states));
  return options;
}

void add_training_memory_options(CLI::App* command, TrainingMemory& memory) {
  add_choice_option(
      command, "--recompute", memory.recompute, {"layers", "layers_keep_attention", "none"},
      "activation checkpointing in training: of whole layers, of layers without their "
      "attention, or none (default layers)");
  add_choice_option(command, "--states", memory.states, {"float32", "bfloat16"},
                    "precision of master weights, gradients and optimizer moments in training "
                    "(default float32)");
  add_choice_option(command, "--offload", memory.offload, {"none", "layer_inputs"},
                    "activation offloading to the host's memory in training (default none)");
}

}  // namespace longgen
