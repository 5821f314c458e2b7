// train/trainer.h: `longgen extend`: the whole run that a recipe describes.
#pragma once

#include <c10/core/Device.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "longgen/dist/agreement.h"
#include "longgen/dist/communicator.h"
#include "longgen/train/recipe/recipe.h"

namespace longgen {

/// What makes a process one of several that train one model: each computes every P-th micro-batch
/// of a step.
struct TrainRanks {
  Communicator* communicator = nullptr;  ///< null: there are no others
  int num_local = 1;                     ///< of the ranks, on this machine: they share its cores
  /// What all ranks must have alike, besides recipe, model, data and the state of the run.
  std::vector<Fact> facts = {};
};

struct TrainOptions {
  bool resume = false;   ///< go on from the last checkpoint (or begin, where there is none)
  bool replace = false;  ///< begin anew although the run's directory holds a run
  bool show_progress = true;
  /// Weights, gradients and moments are there, and everything is computed there. A GPU needs the
  /// plug-in (load_gpu_plugin()) and train.precision = "bfloat16".
  c10::Device device = c10::kCPU;
  /// Set from outside (Ctrl-C): the run saves a checkpoint at the next step and stops.
  const std::atomic<bool>* stop = nullptr;
  TrainRanks ranks = {};
};

struct TrainSummary {
  int64_t steps = 0, total_steps = 0;  ///< done, of the recipe
  int64_t tokens = 0;
  // What follows is about the steps of this call.
  int64_t skipped_steps = 0;  ///< whose loss or gradient norm was not finite
  double first_loss = 0, last_loss = 0;
  double seconds = 0;
  double tokens_per_second = 0;
  int64_t peak_memory_bytes = 0;  ///< of the process, or what it held of the GPU
  bool finished = false;
  fs::path model;  ///< the trained model's directory, if finished
};

/// Files in model.output (run_directory.h): recipe.toml, metrics.jsonl, tensorboard/, checkpoints/
/// and, at the end, state.json and model/. On one machine with one number of threads the weights at
/// the end are the same to the bit whether or not the run was killed and resumed; on a GPU not
/// where a full layer attends within a single document, for which cuDNN's gradients differ from run
/// to run. A step whose loss or gradient norm is not finite changes no weight, and a warning says
/// so; after train.max_skipped_steps of them in a row, or where every step was one, the run stops
/// with an Error. Weights that are not finite are never written: neither as a model nor as a
/// checkpoint. Until the model, the data and, to resume, a checkpoint have been read, nothing of an
/// earlier run is touched.
///
/// With several ranks, rank 0 alone writes files and tells; it stops when any rank is told to.
/// Loss, weights and files have the same bits for any number of ranks with one number of threads
/// each, and a run may be resumed with another number. Before the first step all are compared.
/// Throws Error naming the recipe's key or the file.
TrainSummary train(const Recipe& recipe, const TrainOptions& options);

}  // namespace longgen
