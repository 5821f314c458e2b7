#include "longgen/serve/engine_core.h"

#include <algorithm>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/engine/score.h"
#include "longgen/serve/calibrate_engine.h"
#include "longgen/serve/out_of_memory.h"
#include "longgen/serve/random_key.h"

namespace longgen {
namespace {

// What a server must have room for at least; its first steps take as much.
constexpr int64_t kLeastTokens = 3 * Pattern::kBlock;
// Behind a longer step the next one is planned so long before its end; planning and the first
// launches take less.
constexpr double kLongStepSeconds = 20e-3, kPlanningSeconds = 5e-3;
// A step may end before its predicted time, so it is asked for its end so often.
constexpr double kAskAgainSeconds = 10e-3;
// Copies may end before or after theirs, too.
constexpr double kLeastWaitSeconds = 0.2e-3;
std::unique_ptr<HostCopies> host_copies(PagePool& pool, int64_t bytes) {
  return bytes > 0 ? std::make_unique<HostCopies>(pool, bytes) : nullptr;
}

CacheKeeperOptions keeper_options(const ServingOptions& options, const KvLayout& layout,
                                  const HostCopies* host) {
  return {.capacity_pages = *options.engine.max_kv_bytes / layout.page_bytes(),
          .max_chunk = options.max_chunk,
          .checkpoint_tokens = options.checkpoint_tokens,
          .keeps_prefixes = options.keeps_prefixes,
          .host_pages = host == nullptr ? 0 : host->capacity(),
          .overcommit = options.overcommit};
}

}  // namespace

EngineCore::EngineCore(const Decoder& decoder, const ServingOptions& options)
    : options_(with_defaults(options, decoder)),
      engine_(decoder, options_.engine),
      host_(host_copies(engine_.pool(), options_.host_cache_bytes)),
      vocab_size_(decoder.config().vocab_size),
      owners_(engine_.pool()),
      keeper_(engine_.layout(), keeper_options(options_, engine_.layout(), host_.get()), owners_,
              random_key()),
      scheduler_(options_.schedule, options_.cost.value_or(CostModel({})), keeper_) {
  if (options_.vocab_size > 0) vocab_size_ = std::min(vocab_size_, options_.vocab_size);
  drawer_ = batch_drawer(decoder.device(), vocab_size_, options_.schedule.max_sequences);
  const int64_t least = engine_.layout().pages_peak(0, kLeastTokens, Pattern::kBlock);
  LG_CHECK(keeper_.ledger().capacity() >= least, "[serve] the KV cache may take ",
           format_bytes(*options_.engine.max_kv_bytes), ", but ", kLeastTokens, " tokens take ",
           format_bytes(least * engine_.layout().page_bytes()), ". Give it more memory.");
}

void EngineCore::calibrate() {
  engine_.record_graphs(options_.schedule.max_sequences);
  if (options_.cost) return scheduler_.set_copy_cost(options_.copy_seconds);
  if (host_ != nullptr) {
    host_->measure();
    scheduler_.set_copy_cost(host_->seconds_per_page());
  }
  longgen::calibrate(engine_,
                     {.seconds = options_.calibration_seconds,
                      .max_chunk = options_.max_chunk,
                      .max_sequences = options_.schedule.max_sequences},
                     options_.now, calibration_);
  scheduler_.set_cost(*calibration_.fit());
}

ServedRequest EngineCore::make_served(const Submit& submit, double arrived) const {
  ServedRequest served = {.draw = submit.draw};
  check_draw_settings(served.settings(), submit.request.prompt, vocab_size_);
  LG_CHECK(!submit.draw.num_prompt_logprobs || !submit.request.reads_prefixes,
           "[serve] a request for logprobs of its prompt must not read prefixes.");
  if (submit.draw.grammar) {
    LG_CHECK(submit.draw.min_tokens == 0, "[serve] a request with a grammar may end at any token.");
    served.matcher.emplace(submit.draw.grammar, submit.draw.stop_tokens);
  }
  served.times = {.arrived = arrived, .prompt_tokens = submit.request.prompt_tokens()};
  return served;
}

void EngineCore::submit(Submit submit, double arrived) {
  const RequestId id = submit.request.id;
  try {
    ServedRequest served = make_served(submit, arrived);
    const Submission submission = scheduler_.submit(std::move(submit.request), now());
    switch (submission.outcome) {
      case Submission::Outcome::accepted:
        requests_.emplace(id, std::move(served));
        waits_for_copies_ = false;
        return;
      case Submission::Outcome::queue_full:
        return tell(id, RequestRejected{submission.retry_after_seconds});
      case Submission::Outcome::too_large:
        return tell(id, RequestFailed{"The request needs more memory than the KV cache has."});
    }
  } catch (const std::exception& error) {
    tell(id, RequestFailed{error.what()});
  }
}

void EngineCore::cancel(const Cancel& cancel) {
  if (requests_.find(cancel.request) == requests_.end()) return;
  finish(cancel.request, cancel.keeps_prefix,
         cancel.keeps_prefix ? FinishReason::stop : FinishReason::abort);
  tell(cancel.request, RequestEnded{RequestEnd::cancelled});
}

void EngineCore::cancel_all() {
  while (!requests_.empty()) cancel({requests_.begin()->first});
}

void EngineCore::fail_all(const std::string& message) {
  for (const auto& [id, served] : requests_) {
    metrics_.finished(served.times, served.times.arrived, FinishReason::error);
    tell(id, RequestFailed{message});
  }
  requests_.clear();
  flight_.reset();
}

/// Lets go what a request has, as the last thing that is done for it.
void EngineCore::finish(RequestId id, bool keeps_prefix, FinishReason reason) {
  const auto found = requests_.find(id);
  const ServedRequest& served = found->second;
  metrics_.finished(served.times, now(), reason);
  if (!served.sequence) {
    scheduler_.end(id);
  } else if (served.away_tokens) {
    scheduler_.end(id);
    drawer_->end(served.slot);
  } else {
    const SequenceCache& cache = engine_.sequence(*served.sequence);
    const SequencePages pages(cache);
    std::vector<int32_t> tokens;
    if (keeps_prefix) tokens = served.first_tokens(scheduler_.request(id).prompt, cache.length());
    scheduler_.end(id, tokens, keeps_prefix ? &pages : nullptr);
    drawer_->end(served.slot);
    engine_.remove(*served.sequence);
  }
  requests_.erase(found);
}

bool EngineCore::plan() {
  if (keeper_.pages().is_copying() && host_->is_done()) end_copies();
  plan_ = scheduler_.next_step(now());
  for (const StepSwap& swap : plan_.swaps) swap_out(swap);
  for (const StepStart& start : plan_.starts) {
    if (start.is_back) {
      swap_in(start);
      continue;
    }
    if (begin(start)) continue;
    std::erase_if(plan_.parts, [&](const StepPart& part) { return part.request == start.request; });
  }
  begin_copies();
  waits_for_copies_ = plan_.parts.empty() && keeper_.pages().is_copying();
  return !plan_.parts.empty() || plan_.copies.size() > 0 || keeper_.pages().has_copies();
}

/// The pages belong to who copies them from now on; a step that writes to them is queued before.
void EngineCore::swap_out(const StepSwap& swap) {
  ServedRequest& served = requests_.at(swap.request);
  keeper_.swap_out(swap.request, swap.num_tokens,
                   SequencePages(engine_.sequence(*served.sequence)));
  engine_.remove(*served.sequence);
  served.away_tokens = swap.num_tokens;
  ++counts_.num_preemptions;
}

void EngineCore::swap_in(const StepStart& start) {
  ServedRequest& served = requests_.at(start.request);
  served.sequence = engine_.adopt(start.hit_tokens, start.pages);
  served.away_tokens.reset();
  keeper_.swapped_in(start.request);
}

void EngineCore::begin_copies() {
  if (plan_.copies.size() == 0) return;
  host_->begin(plan_.copies, now());
  counts_.pages_to_host += std::ssize(plan_.copies.to_host);
  counts_.pages_to_device += std::ssize(plan_.copies.to_device);
  if (host_->is_done()) end_copies();
}

/// Of those that are made.
void EngineCore::end_copies() {
  host_->end();
  if (!options_.cost) scheduler_.set_copy_cost(host_->seconds_per_page());
  keeper_.end_copies();
}

/// False, and the request has failed, where memory runs out.
bool EngineCore::begin(const StepStart& start) {
  ServedRequest& served = requests_.at(start.request);
  const Request& request = scheduler_.request(start.request);
  try {
    served.slot = drawer_->begin(served.settings(), request.prompt);
  } catch (const std::exception& error) {
    const std::optional<std::string> message = out_of_memory(error);
    if (!message) throw;
    fail(start.request, *message);
    return false;
  }
  served.input = token_in_slot(served.slot);
  served.sequence =
      start.hit_tokens > 0 ? engine_.adopt(start.hit_tokens, start.pages) : engine_.add();
  served.hit_tokens = start.hit_tokens;
  if (request.reads_prefixes && options_.keeps_prefixes) {
    counts_.queried_tokens += request.prompt_tokens();
    counts_.hit_tokens += start.hit_tokens;
    counts_.host_hit_tokens += start.host_tokens;
  }
  counts_.prompt_tokens += request.prompt_tokens();
  metrics_.began(served.times, now());
  tell(start.request, RequestBegan{start.hit_tokens});
  return true;
}

std::vector<BatchPart> EngineCore::batch() const {
  std::vector<BatchPart> parts;
  for (const StepPart& part : plan_.parts) {
    const ServedRequest& served = requests_.at(part.request);
    const std::span<const int32_t> tokens =
        part.is_prefill
            ? std::span(scheduler_.request(part.request).prompt)
                  .subspan(static_cast<size_t>(part.begin), static_cast<size_t>(part.num_tokens))
            : std::span(&served.input, 1);
    parts.push_back({*served.sequence, tokens, part.draws_token});
  }
  return parts;
}

/// Nothing where memory ran out and the step had nothing but prefills.
std::optional<BatchResult> EngineCore::forward(const OnLayer& on_layer) {
  while (!plan_.parts.empty()) {
    const bool has_prefill = plan_.parts.back().is_prefill;  // they come last
    const bool keeps_hidden =
        std::any_of(plan_.parts.begin(), plan_.parts.end(), [this](const StepPart& part) {
          return part.is_prefill && requests_.at(part.request).draw.num_prompt_logprobs.has_value();
        });
    BatchOptions options = {.keep_hidden = keeps_hidden,
                            .logits_on_device = true,
                            .keep_dead = has_prefill,
                            .drawn_S = drawer_->drawn_S()};
    if (has_prefill) options.on_layer = on_layer;
    try {
      const std::vector<BatchPart> parts = batch();
      BatchResult result =
          options_.step ? options_.step(engine_, parts, options) : engine_.step(parts, options);
      if (result.end != BatchEnd::out_of_pages) return result;
      // All pages are promised, but the system may lack memory for them.
      constexpr const char* kMessage = "out of memory for the KV cache.";
      if (!fail_prefills(kMessage)) fail_decoder(*result.without_pages, kMessage);
    } catch (const std::exception& error) {
      const std::optional<std::string> message = out_of_memory(error);
      if (!message || !fail_prefills(*message)) throw;
    }
  }
  return std::nullopt;
}

/// False where the step has none.
bool EngineCore::fail_prefills(const std::string& message) {
  const auto first = std::find_if(plan_.parts.begin(), plan_.parts.end(),
                                  [](const StepPart& part) { return part.is_prefill; });
  if (first == plan_.parts.end()) return false;
  for (auto part = first; part != plan_.parts.end(); ++part) fail(part->request, message);
  plan_.parts.erase(first, plan_.parts.end());
  return true;
}

void EngineCore::fail_decoder(SequenceId sequence, const std::string& message) {
  const auto part = std::find_if(plan_.parts.begin(), plan_.parts.end(), [&](const StepPart& one) {
    return requests_.at(one.request).sequence == sequence;
  });
  fail(part->request, message);
  plan_.parts.erase(part);
}

void EngineCore::run(const OnLayer& on_layer) {
  std::optional<StepFlight> flight;
  if (!plan_.parts.empty()) flight = launch(on_layer);
  if (*options_.overlaps) std::swap(flight, flight_);
  if (flight) look_at(*flight);
  if (!flight_) return;
  // It begins when the one before has ended.
  flight_->expected_end = (flight ? now() : flight_->begin) + flight_->predicted_seconds;
}

double EngineCore::seconds_until_plan() const {
  if (!flight_ && waits_for_copies_ && !host_->is_done()) {
    return std::clamp(host_->expected_end() - now(), kLeastWaitSeconds, kAskAgainSeconds);
  }
  if (!flight_ || !flight_->gpu_end || flight_->predicted_seconds <= kLongStepSeconds) return 0;
  if (flight_->gpu_end->is_done()) return 0;
  return std::min(kAskAgainSeconds, flight_->expected_end - kPlanningSeconds - now());
}

/// Nothing where the step was given up, or all of it failed.
std::optional<StepFlight> EngineCore::launch(const OnLayer& on_layer) {
  StepFlight flight = {.begin = now()};
  const at::Device device = engine_.decoder().device();
  if (device.is_cuda()) flight.gpu_begin.emplace(device);
  const size_t num_planned = plan_.parts.size();
  const std::optional<BatchResult> result = forward(on_layer);
  if (!result || result->end == BatchEnd::cancelled) return std::nullopt;
  const bool has_prefill = plan_.parts.back().is_prefill;
  for (const StepPart& part : plan_.parts) {
    flight.parts.push_back(launched(part));
    // Who owns the pages next writes or reads them behind this step.
    if (has_prefill) engine_.release_dead(flight.parts.back().sequence);
  }
  flight.work = plan_.work;
  flight.predicted_seconds = plan_.predicted_seconds - plan_.work.copy_seconds;  // these are made
  flight.is_as_planned = plan_.parts.size() == num_planned;
  flight.hidden_TE = result->hidden_TE;
  if (result->logits_BV.defined()) flight.draws = draw(result->logits_BV);
  if (device.is_cuda()) flight.gpu_end.emplace(device);
  flight.launch_seconds = now() - flight.begin;
  return flight;
}

/// Keeps what others may find of a part that has passed the layers.
LaunchedPart EngineCore::launched(const StepPart& part) {
  const SequenceId sequence = *requests_.at(part.request).sequence;
  scheduler_.passed(part, SequencePages(engine_.sequence(sequence)));
  return {part, sequence, scheduler_.seconds_to_first_token(part.request).value_or(0)};
}

/// What a grammar allows depends on the token before, which may be in flight. A GPU works on the
/// layers of this step while that one is waited for.
std::unique_ptr<PendingDraws> EngineCore::draw(const at::Tensor& logits_BV) {
  std::vector<int64_t> slots;
  std::vector<ServedRequest*> rows;
  for (const StepPart& part : plan_.parts) {
    if (!part.draws_token) continue;
    rows.push_back(&requests_.at(part.request));
    slots.push_back(rows.back()->slot);
  }
  const bool has_grammar = std::any_of(rows.begin(), rows.end(), [](const ServedRequest* served) {
    return served->matcher.has_value();
  });
  if (!has_grammar) return drawer_->draw(logits_BV, slots);
  if (flight_) follow(*flight_);
  std::vector<AllowedTokens> allowed;
  for (ServedRequest* const served : rows) allowed.push_back(served->allowed_tokens(options_.now));
  return drawer_->draw(logits_BV, slots, allowed);
}

/// Waits for the tokens of a step, and tells the grammars of them, once.
void EngineCore::follow(StepFlight& flight) {
  if (!flight.wait()) return;
  size_t num_drawn = 0;
  for (const LaunchedPart& launched : flight.parts) {
    if (!launched.part.draws_token) continue;
    const Drawn& drawn = flight.drawn[num_drawn++];
    if (!drawn.error.empty() || !is_there(launched)) continue;
    ServedRequest& served = requests_.at(launched.part.request);
    if (served.follows_grammar()) served.follow(drawn.token);
  }
}

void EngineCore::look_at(StepFlight& flight) {
  if (flight.gpu_end) flight.gpu_end->wait();
  count(flight);
  follow(flight);
  int64_t first_row = 0;
  size_t num_drawn = 0;
  for (const LaunchedPart& launched : flight.parts) {
    const StepPart& part = launched.part;
    if (part.is_prefill && is_there(launched)) {
      look_at_prefill(launched, flight.hidden_TE.defined()
                                    ? flight.hidden_TE.narrow(0, first_row, part.num_tokens)
                                    : at::Tensor());
    }
    first_row += part.num_tokens;
    if (!part.draws_token) continue;
    Drawn& token = flight.drawn[num_drawn++];
    if (is_there(launched)) take(part.request, std::move(token));
  }
}

/// Counts how long a step took that has ended.
void EngineCore::count(const StepFlight& flight) {
  ++counts_.num_steps;
  if (!flight.is_as_planned) return;  // not what was predicted
  const double seconds =
      flight.gpu_end ? flight.gpu_end->seconds_since(*flight.gpu_begin) : flight.launch_seconds;
  counts_.predicted_seconds += flight.predicted_seconds;
  counts_.measured_seconds += seconds;
  std::optional<double> ratio;
  if (seconds > 0) ratio = flight.predicted_seconds / seconds;
  metrics_.stepped(static_cast<int64_t>(flight.work.rows), ratio);
  if (options_.cost || flight.hidden_TE.defined()) return;
  calibration_.add(flight.work, seconds);
  scheduler_.set_cost(*calibration_.fit());
}

/// Has its request not ended since? (Another one may have its number by now.)
bool EngineCore::is_there(const LaunchedPart& launched) const {
  const auto found = requests_.find(launched.part.request);
  return found != requests_.end() && found->second.sequence == launched.sequence;
}

void EngineCore::look_at_prefill(const LaunchedPart& launched, const at::Tensor& hidden_TE) {
  const StepPart& part = launched.part;
  const ServedRequest& served = requests_.at(part.request);
  if (served.draw.tells_progress) {
    tell(part.request, RequestProgress{part.begin + part.num_tokens, launched.seconds_left});
  }
  if (served.draw.num_prompt_logprobs) tell_prompt_logprobs(part, hidden_TE);
}

void EngineCore::tell_prompt_logprobs(const StepPart& part, const at::Tensor& hidden_TE) {
  const Request& request = scheduler_.request(part.request);
  // The last token of the prompt is followed by none of it.
  const int64_t num_places = std::min(part.num_tokens, request.prompt_tokens() - 1 - part.begin);
  if (num_places <= 0) return;
  const int64_t num_best = *requests_.at(part.request).draw.num_prompt_logprobs;
  PromptLogprobs logprobs;
  const int32_t* next = request.prompt.data() + part.begin + 1;
  try {
    visit_logprobs(engine_.decoder(), hidden_TE.narrow(0, 0, num_places),
                   [&](std::span<const float> logprobs_V) {
                     logprobs.places.push_back(describe_token(
                         logprobs_V.first(static_cast<size_t>(vocab_size_)), *next++, num_best));
                   });
  } catch (const std::exception& error) {
    const std::optional<std::string> message = out_of_memory(error);
    if (!message) throw;
    return fail(part.request, *message);
  }
  tell(part.request, std::move(logprobs));
}

/// Ends a request that cannot go on, beside others that can.
void EngineCore::fail(RequestId request, const std::string& message) {
  finish(request, /*keeps_prefix=*/false, FinishReason::error);
  tell(request, RequestFailed{message});
}

/// Tells of the next token of a request. Where its draw failed, the request does.
void EngineCore::take(RequestId id, Drawn drawn) {
  ServedRequest& served = requests_.at(id);
  if (drawn.error.empty()) drawn.error = served.grammar_error;
  if (!drawn.error.empty()) return fail(id, drawn.error);
  served.generated.push_back(drawn.token);
  ++counts_.generated_tokens;
  metrics_.drew_token(served.times, now());
  tell(id, TokenDrawn{drawn.token, std::move(drawn.logprobs)});
  const bool is_stop = served.has_stopped();
  const bool is_last = std::ssize(served.generated) == scheduler_.request(id).max_new_tokens;
  if (!is_stop && !is_last) return;
  finish(id, /*keeps_prefix=*/true, is_stop ? FinishReason::stop : FinishReason::length);
  tell(id, RequestEnded{is_stop ? RequestEnd::stop_token : RequestEnd::length});
}

EngineState EngineCore::state() const {
  EngineState state = counts_;
  const PageLedger& ledger = keeper_.ledger();
  for (const auto& [id, served] : requests_) {
    if (!served.sequence) continue;
    const int64_t num_tokens =
        served.away_tokens ? *served.away_tokens : engine_.num_tokens(*served.sequence);
    state.running.push_back({.id = id,
                             .prompt_tokens = served.times.prompt_tokens,
                             .hit_tokens = served.hit_tokens,
                             .num_tokens = num_tokens,
                             .generated_tokens = std::ssize(served.generated),
                             .remaining_seconds = scheduler_.seconds_to_first_token(id).value_or(0),
                             .max_new_tokens = scheduler_.request(id).max_new_tokens,
                             .reserved_pages = ledger.reserved_for(id),
                             .is_paused = scheduler_.is_paused(id),
                             .is_swapped = served.away_tokens.has_value()});
    state.num_swapped += served.away_tokens ? 1 : 0;
  }
  state.waiting = scheduler_.waiting(kMostWaitingNamed);
  state.num_running = std::ssize(state.running);
  state.num_waiting = num_requests() - state.num_running;
  state.page_bytes = engine_.layout().page_bytes();
  state.capacity = ledger.capacity();
  state.reserved = ledger.reserved();
  state.cached = ledger.cached();
  state.cached_kinds = keeper_.pages().on_device();
  state.host_capacity = keeper_.pages().host_capacity();
  state.host_kinds = keeper_.pages().on_host();
  state.in_use = engine_.pool().pages_in_use();
  state.own_kinds = engine_.pool().kinds_in_use();
  state.own_kinds -= state.cached_kinds;
  state.step_budget_seconds = options_.schedule.step_budget_seconds;
  return state;
}

}  // namespace longgen
