// serve/step_flight.h: a step between its launch and the look at what came of it.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "longgen/engine/batch_drawer.h"
#include "longgen/engine/device_mark.h"
#include "longgen/engine/engine.h"
#include "longgen/serve/schedule/scheduler.h"

namespace longgen {

/// A part of a step that was launched. Its request may have ended since.
struct LaunchedPart {
  StepPart part;
  SequenceId sequence;
  double seconds_left;  ///< until its first token, as predicted at the launch
};

struct StepFlight {
  std::vector<LaunchedPart> parts = {};
  StepWork work = {};
  double predicted_seconds = 0;
  bool is_as_planned = true;  ///< no part of the plan failed at the launch
  double begin = 0;           ///< of the launch, as all times by the clock of the options
  double launch_seconds = 0;  ///< on the CPU those of the step
  double expected_end = 0;
  at::Tensor hidden_TE = {};                 ///< where the logprobs of a prompt are wanted
  std::unique_ptr<PendingDraws> draws = {};  ///< until wait()
  std::vector<Drawn> drawn = {};             ///< of the parts that draw a token, from then on
  std::optional<DeviceMark> gpu_begin = {}, gpu_end = {};  ///< on a GPU

  /// Waits for the tokens. False where that was done before, or there are none.
  bool wait() {
    if (!draws) return false;
    drawn = draws->wait();
    draws.reset();
    return true;
  }
};

}  // namespace longgen
