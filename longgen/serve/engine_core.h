// serve/engine_core.h: the requests of a server, from submit to the last token, step by step.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "longgen/engine/engine.h"
#include "longgen/serve/engine_messages.h"
#include "longgen/serve/engine_state.h"
#include "longgen/serve/schedule/cache_keeper.h"
#include "longgen/serve/schedule/scheduler.h"
#include "longgen/serve/sequence_pages.h"
#include "longgen/serve/serving_options.h"

namespace longgen {

/// Owns the engine and what decides, and has no thread: EngineLoop is its thread. A step is plan(),
/// then run(). Whatever it does is told by events, in order. Not thread-safe, but for
/// can_ever_fit(). The decoder must outlive it.
class EngineCore {
 public:
  /// Throws Error on options out of range, and as Engine does.
  EngineCore(const Decoder& decoder, const ServingOptions& options);

  /// Measures steps; to be called once, before the first request.
  void calibrate();
  double now() const { return options_.now(); }
  /// Could the request run if there was no other one? From any thread.
  bool can_ever_fit(const Request& request) const { return keeper_.can_ever_fit(request); }

  void submit(Submit submit);
  void refuse(RequestId request, const std::string& message) {
    tell(request, RequestFailed{message});
  }
  void cancel(const Cancel& cancel);
  void pause(RequestId request) { scheduler_.pause(request); }
  void resume(RequestId request) { scheduler_.resume(request); }
  void cancel_all();
  /// Ends all requests as failed and touches nothing else: what follows a fault.
  void fail_all(const std::string& message);
  int64_t num_requests() const { return static_cast<int64_t>(requests_.size()); }

  /// Plans a step and begins its new sequences. False where there is nothing to do.
  bool plan();
  /// Does the planned step. on_layer as in BatchOptions is called where there is prefill; it may
  /// give the step up where all of its requests are cancelled next. Where memory runs out, the
  /// prefills in the step fail, and the rest is done. Throws what else the step throws.
  void run(const OnLayer& on_layer);
  const std::vector<StepPart>& planned() const { return plan_.parts; }

  std::vector<EngineEvent> take_events() { return std::exchange(events_, {}); }
  /// All but the phase.
  EngineState state() const;

 private:
  /// A request from submit to its end.
  struct Served {
    DrawOptions draw;
    Sampler sampler;
    std::optional<SequenceId> sequence = {};  // once it has begun
    std::vector<int32_t> generated = {};
  };

  template <typename What>
  void tell(RequestId request, What&& what) {
    events_.push_back({request, std::forward<What>(what)});
  }
  Served make_served(const Submit& submit) const;
  void begin(const StepStart& start);
  std::vector<BatchPart> batch() const;
  std::optional<BatchResult> forward(const OnLayer& on_layer);
  bool fail_prefills(const std::string& message);
  void look_at(const BatchResult& result);
  void look_at_prefill(const StepPart& part, const at::Tensor& hidden_TE);
  void tell_prompt_logprobs(const StepPart& part, const at::Tensor& hidden_TE);
  /// Those of tokens that are drawn and told of.
  std::span<const float> known(const at::Tensor& values_V) const;
  std::optional<int32_t> next_token(RequestId request, const at::Tensor& logits_V);
  void draw(RequestId request, const at::Tensor& logits_V);
  void fail(RequestId request, const std::string& message);
  void forget(RequestId request, bool keeps_prefix);

  ServingOptions options_;
  Engine engine_;
  int64_t vocab_size_;  // of tokens that are drawn
  PoolOwners owners_;
  CacheKeeper keeper_;
  Scheduler scheduler_;
  CostCalibration calibration_;
  std::map<RequestId, Served> requests_;
  StepPlan plan_;
  std::vector<EngineEvent> events_;
  EngineState counts_;  // those that grow
};

}  // namespace longgen
