// serve/engine_core.h: the requests of a server, from submit to the last token, step by step.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "longgen/engine/engine.h"
#include "longgen/serve/engine_messages.h"
#include "longgen/serve/engine_state.h"
#include "longgen/serve/host_copies.h"
#include "longgen/serve/metrics/request_metrics.h"
#include "longgen/serve/schedule/cache_keeper.h"
#include "longgen/serve/schedule/scheduler.h"
#include "longgen/serve/sequence_pages.h"
#include "longgen/serve/served_request.h"
#include "longgen/serve/serving_options.h"
#include "longgen/serve/step_flight.h"

namespace longgen {

/// Owns the engine and what decides, and has no thread: EngineLoop is its thread. A step is plan(),
/// then run(), which launches it and looks at what came of it; or, where steps overlap, at what
/// came of the one before, which the device has worked on meanwhile. Whatever it does is told by
/// events, in order. Not thread-safe, but for can_ever_fit(), pages_read() and full_bytes(). The
/// decoder must outlive it.
class EngineCore {
 public:
  /// Throws Error on options out of range, and as Engine does.
  EngineCore(const Decoder& decoder, const ServingOptions& options);

  /// Records graphs and measures steps; to be called once, before the first request.
  void calibrate();
  double now() const { return options_.now(); }
  const Decoder& decoder() const { return engine_.decoder(); }
  /// Could the request run if there was no other one? From any thread.
  bool can_ever_fit(const Request& request) const { return keeper_.can_ever_fit(request); }

  /// `arrived`: when it was posted, by now().
  void submit(Submit submit, double arrived);
  void refuse(RequestId request, const std::string& message) {
    tell(request, RequestFailed{message});
  }
  void cancel(const Cancel& cancel);
  void pause(RequestId request) { scheduler_.pause(request); }
  void resume(RequestId request) {
    scheduler_.resume(request);
    waits_for_copies_ = false;
  }
  void cancel_all();
  /// Ends all requests as failed and touches nothing else: what follows a fault.
  void fail_all(const std::string& message);
  int64_t num_requests() const { return static_cast<int64_t>(requests_.size()); }

  /// Plans a step, begins its new sequences and copies of pages. False where there is nothing to
  /// do.
  bool plan();
  /// Launches the planned step, if one is, and looks at the one whose turn it is. on_layer as in
  /// BatchOptions is called where there is prefill; it may give the step up where all of its
  /// requests are cancelled next. Where memory runs out, the prefills in the step fail, and the
  /// rest is done; a decoder fails only if it finds no memory for a page. Throws what else the step
  /// throws.
  void run(const OnLayer& on_layer);
  const std::vector<StepPart>& planned() const { return plan_.parts; }
  /// Is there a step that was launched and not looked at?
  bool is_in_flight() const { return flight_.has_value(); }
  /// In so many seconds one should ask again, because it is too early to plan the next step: what
  /// comes while a long one is in flight can then still be in it; or pages are on their way without
  /// which there is nothing to do. 0 or less: it is time.
  double seconds_until_plan() const;

  std::vector<EngineEvent> take_events() { return std::exchange(events_, {}); }
  /// All but the phase, and what requests read.
  EngineState state() const;
  /// The pages that a sequence of as many tokens reads. From any thread.
  PageKinds pages_read(int64_t num_tokens) const { return keeper_.demand().held(0, num_tokens); }
  /// What they would take if all layers were full. From any thread.
  int64_t full_bytes(int64_t num_tokens) const {
    return engine_.layout().full_kv_bytes(num_tokens);
  }
  const RequestMetrics& metrics() const { return metrics_; }

 private:
  template <typename What>
  void tell(RequestId request, What&& what) {
    events_.push_back({request, std::forward<What>(what)});
  }
  ServedRequest make_served(const Submit& submit, double arrived) const;
  bool begin(const StepStart& start);
  void swap_out(const StepSwap& swap);
  void swap_in(const StepStart& start);
  void begin_copies();
  void end_copies();
  std::vector<BatchPart> batch() const;
  std::optional<BatchResult> forward(const OnLayer& on_layer);
  bool fail_prefills(const std::string& message);
  void fail_decoder(SequenceId sequence, const std::string& message);
  std::optional<StepFlight> launch(const OnLayer& on_layer);
  LaunchedPart launched(const StepPart& part);
  std::unique_ptr<PendingDraws> draw(const at::Tensor& logits_BV);
  void follow(StepFlight& flight);
  void look_at(StepFlight& flight);
  void count(const StepFlight& flight);
  bool is_there(const LaunchedPart& launched) const;
  void look_at_prefill(const LaunchedPart& launched, const at::Tensor& hidden_TE);
  void tell_prompt_logprobs(const StepPart& part, const at::Tensor& hidden_TE);
  void take(RequestId request, Drawn drawn);
  void finish(RequestId request, bool keeps_prefix, FinishReason reason);
  void fail(RequestId request, const std::string& message);

  ServingOptions options_;
  Engine engine_;
  std::unique_ptr<HostCopies> host_;  // where it keeps pages
  int64_t vocab_size_;                // of tokens that are drawn
  PoolOwners owners_;
  CacheKeeper keeper_;
  Scheduler scheduler_;
  CostCalibration calibration_;
  bool waits_for_copies_ = false;  // nothing else could be planned
  std::unique_ptr<BatchDrawer> drawer_;
  std::map<RequestId, ServedRequest> requests_;  // from submit to the end
  StepPlan plan_;
  std::optional<StepFlight> flight_;  // only where steps overlap
  std::vector<EngineEvent> events_;
  EngineState counts_;  // those that grow
  RequestMetrics metrics_;
};

}  // namespace longgen
