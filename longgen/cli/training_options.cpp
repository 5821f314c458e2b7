#include "longgen/cli/training_options.h"

namespace longgen {

TrainingOptions TrainingMemory::parse() const {
  TrainingOptions options = {.recompute = parse_recomputation(recompute),
                             .offload = parse_offloading(offload)};
  options.set_states(parse_number_format(states));
  return options;
}

void add_training_memory_options(CLI::App* command, TrainingMemory& memory) {
  command
      ->add_option("--recompute", memory.recompute,
                   "what training computes again: layers, layers_keep_attention or none (default "
                   "layers)")
      ->option_text("MODE");
  command
      ->add_option("--states", memory.states,
                   "numbers of masters, gradients and moments in training: float32 or bfloat16 "
                   "(default float32)")
      ->option_text("float32|bfloat16");
  command
      ->add_option(
          "--offload", memory.offload,
          "what waits in the host's memory in training: none or layer_inputs (default none)")
      ->option_text("MODE");
}

}  // namespace longgen
