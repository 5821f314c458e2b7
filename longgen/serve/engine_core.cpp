#include "longgen/serve/engine_core.h"

#include <ATen/ops/log_softmax.h>

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

CacheKeeperOptions keeper_options(const ServingOptions& options, const KvLayout& layout) {
  return {.capacity_pages = *options.engine.max_kv_bytes / layout.page_bytes(),
          .max_chunk = options.max_chunk,
          .checkpoint_tokens = options.checkpoint_tokens,
          .keeps_prefixes = options.keeps_prefixes};
}

}  // namespace

EngineCore::EngineCore(const Decoder& decoder, const ServingOptions& options)
    : options_(with_defaults(options, decoder)),
      engine_(decoder, options_.engine),
      vocab_size_(decoder.config().vocab_size),
      owners_(engine_.pool()),
      keeper_(engine_.layout(), keeper_options(options_, engine_.layout()), owners_, random_key()),
      scheduler_(options_.schedule, options_.cost.value_or(CostModel({})), keeper_) {
  if (options_.vocab_size > 0) vocab_size_ = std::min(vocab_size_, options_.vocab_size);
  const int64_t least = engine_.layout().pages_peak(0, kLeastTokens, Pattern::kBlock);
  LG_CHECK(keeper_.ledger().capacity() >= least, "[serve] the KV cache may take ",
           format_bytes(*options_.engine.max_kv_bytes), ", but ", kLeastTokens, " tokens take ",
           format_bytes(least * engine_.layout().page_bytes()), ". Give it more memory.");
}

void EngineCore::calibrate() {
  if (options_.cost) return;
  longgen::calibrate(engine_,
                     {.seconds = options_.calibration_seconds,
                      .max_chunk = options_.max_chunk,
                      .max_sequences = options_.schedule.max_sequences},
                     options_.now, calibration_);
  scheduler_.set_cost(*calibration_.fit());
}

ServedRequest EngineCore::make_served(const Submit& submit, double arrived) const {
  const auto check = [&](const char* what, int32_t token) {
    LG_CHECK(token >= 0 && token < vocab_size_, "[serve] ", what, ": expected tokens from 0 to ",
             vocab_size_ - 1, ", found ", token, ".");
  };
  for (const int32_t token : submit.request.prompt) check("prompt", token);
  for (const LogitBias& bias : submit.draw.sampling.logit_bias) check("logit_bias", bias.token);
  LG_CHECK(!submit.draw.num_prompt_logprobs || !submit.request.reads_prefixes,
           "[serve] a request for logprobs of its prompt must not read prefixes.");
  ServedRequest served(submit.draw);
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
}

/// Lets go what a request has, as the last thing that is done for it.
void EngineCore::finish(RequestId id, bool keeps_prefix, FinishReason reason) {
  const auto found = requests_.find(id);
  const ServedRequest& served = found->second;
  metrics_.finished(served.times, now(), reason);
  if (!served.sequence) {
    scheduler_.end(id);
  } else {
    const SequenceCache& cache = engine_.sequence(*served.sequence);
    const SequencePages pages(cache);
    std::vector<int32_t> tokens;
    if (keeps_prefix) tokens = served.first_tokens(scheduler_.request(id).prompt, cache.length());
    scheduler_.end(id, tokens, keeps_prefix ? &pages : nullptr);
    engine_.remove(*served.sequence);
  }
  requests_.erase(found);
}

bool EngineCore::plan() {
  plan_ = scheduler_.next_step(now());
  for (const StepStart& start : plan_.starts) begin(start);
  return !plan_.parts.empty();
}

void EngineCore::begin(const StepStart& start) {
  ServedRequest& served = requests_.at(start.request);
  served.sequence =
      start.hit_tokens > 0 ? engine_.adopt(start.hit_tokens, start.pages) : engine_.add();
  served.hit_tokens = start.hit_tokens;
  const Request& request = scheduler_.request(start.request);
  if (request.reads_prefixes && options_.keeps_prefixes) {
    counts_.queried_tokens += request.prompt_tokens();
    counts_.hit_tokens += start.hit_tokens;
  }
  counts_.prompt_tokens += request.prompt_tokens();
  metrics_.began(served.times, now());
  tell(start.request, RequestBegan{start.hit_tokens});
}

std::vector<BatchPart> EngineCore::batch() const {
  std::vector<BatchPart> parts;
  for (const StepPart& part : plan_.parts) {
    const ServedRequest& served = requests_.at(part.request);
    const std::span<const int32_t> tokens =
        part.is_prefill
            ? std::span(scheduler_.request(part.request).prompt)
                  .subspan(static_cast<size_t>(part.begin), static_cast<size_t>(part.num_tokens))
            : std::span(served.generated).last(1);
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
    BatchOptions options = {.keep_hidden = keeps_hidden, .keep_dead = has_prefill};
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
  const double begin = now();
  const size_t num_planned = plan_.parts.size();
  const std::optional<BatchResult> result = forward(on_layer);
  if (!result || result->end == BatchEnd::cancelled) return;
  look_at(*result);
  const double seconds = now() - begin;
  ++counts_.num_steps;
  if (plan_.parts.size() < num_planned) return;  // not what was predicted
  counts_.predicted_seconds += plan_.predicted_seconds;
  counts_.measured_seconds += seconds;
  std::optional<double> ratio;
  if (seconds > 0) ratio = plan_.predicted_seconds / seconds;
  metrics_.stepped(static_cast<int64_t>(plan_.work.rows), ratio);
  if (options_.cost || result->hidden_TE.defined()) return;
  calibration_.add(plan_.work, seconds);
  scheduler_.set_cost(*calibration_.fit());
}

void EngineCore::look_at(const BatchResult& result) {
  int64_t first_row = 0, num_drawn = 0;
  for (const StepPart& part : plan_.parts) {
    if (part.is_prefill) {
      look_at_prefill(part, result.hidden_TE.defined()
                                ? result.hidden_TE.narrow(0, first_row, part.num_tokens)
                                : at::Tensor());
    }
    first_row += part.num_tokens;
    if (!part.draws_token) continue;
    const at::Tensor logits_V = result.logits_BV[num_drawn++];
    if (requests_.find(part.request) != requests_.end()) draw(part.request, logits_V);
  }
  if (!plan_.parts.back().is_prefill) return;
  for (const StepPart& part : plan_.parts) {
    const auto found = requests_.find(part.request);
    if (found != requests_.end()) engine_.release_dead(*found->second.sequence);
  }
}

void EngineCore::look_at_prefill(const StepPart& part, const at::Tensor& hidden_TE) {
  const ServedRequest& served = requests_.at(part.request);
  scheduler_.passed(part, SequencePages(engine_.sequence(*served.sequence)));
  if (served.draw.tells_progress) {
    const double left = scheduler_.seconds_to_first_token(part.request).value_or(0);
    tell(part.request, RequestProgress{part.begin + part.num_tokens, left});
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

std::span<const float> EngineCore::known(const at::Tensor& values_V) const {
  return {values_V.const_data_ptr<float>(), static_cast<size_t>(vocab_size_)};
}

/// Draws the next token of a request. Where that cannot be done, the request fails.
void EngineCore::draw(RequestId id, const at::Tensor& logits_V) {
  ServedRequest& served = requests_.at(id);
  const Request& request = scheduler_.request(id);
  try {
    served.draw_token(request.prompt, known(logits_V));
  } catch (const Error& error) {
    return fail(id, error.what());
  }
  ++counts_.generated_tokens;
  metrics_.drew_token(served.times, now());
  const int32_t token = served.generated.back();
  if (served.draw.num_logprobs) {
    tell(id, TokenDrawn{token, describe_token(known(at::log_softmax(logits_V, 0)), token,
                                              *served.draw.num_logprobs)});
  } else {
    tell(id, TokenDrawn{token, std::nullopt});
  }
  const bool is_stop = served.has_stopped();
  if (!is_stop && std::ssize(served.generated) < request.max_new_tokens) return;
  finish(id, /*keeps_prefix=*/true, is_stop ? FinishReason::stop : FinishReason::length);
  tell(id, RequestEnded{is_stop ? RequestEnd::stop_token : RequestEnd::length});
}

EngineState EngineCore::state() const {
  EngineState state = counts_;
  const PageLedger& ledger = keeper_.ledger();
  for (const auto& [id, served] : requests_) {
    if (!served.sequence) continue;
    const int64_t num_tokens = engine_.num_tokens(*served.sequence);
    state.running.push_back(
        {.id = id,
         .prompt_tokens = served.times.prompt_tokens,
         .hit_tokens = served.hit_tokens,
         .num_tokens = num_tokens,
         .generated_tokens = std::ssize(served.generated),
         .remaining_seconds = scheduler_.seconds_to_first_token(id).value_or(0)});
  }
  state.num_running = std::ssize(state.running);
  state.num_waiting = num_requests() - state.num_running;
  state.page_bytes = engine_.layout().page_bytes();
  state.capacity = ledger.capacity();
  state.reserved = ledger.reserved();
  state.cached = ledger.cached();
  state.cached_kinds = keeper_.prefixes().pages();
  state.in_use = engine_.pool().pages_in_use();
  return state;
}

}  // namespace longgen
