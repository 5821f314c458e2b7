#include "longgen/serve/engine_core.h"

#include <ATen/ops/log_softmax.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <string_view>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/host.h"
#include "longgen/device/gpu_memory.h"
#include "longgen/engine/score.h"
#include "longgen/serve/calibrate_engine.h"
#include "longgen/serve/random_key.h"

namespace longgen {
namespace {

// Of the memory that is free, pages get as much; the rest is for activations and for others.
constexpr double kShareOfPages = 0.75;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ServingOptions completed(ServingOptions options, const Decoder& decoder) {
  const at::Device device = decoder.device();
  if (!options.now) options.now = steady_seconds;
  if (!options.engine.max_kv_bytes) {
    const int64_t free =
        device.is_cuda() ? gpu_memory(device).free : machine_memory().available_bytes;
    LG_CHECK(free > 0,
             "[serve] the system does not say how much memory is free. Say how much the "
             "KV cache may take.");
    options.engine.max_kv_bytes = static_cast<int64_t>(kShareOfPages * static_cast<double>(free));
  }
  options.max_chunk = prefill_chunk(options.max_chunk, device);
  return options;
}

CacheKeeperOptions keeper_options(const ServingOptions& options, const KvLayout& layout) {
  return {.capacity_pages = *options.engine.max_kv_bytes / layout.page_bytes(),
          .max_chunk = options.max_chunk,
          .checkpoint_tokens = options.checkpoint_tokens,
          .keeps_prefixes = options.keeps_prefixes};
}

/// What ran out, if that is what the error says.
std::optional<std::string> out_of_memory(const std::exception& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return out_of_gpu_memory();
  // torch's allocator for the CPU has no type of error of its own.
  const std::string_view text = error.what();
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
      text.find("DefaultCPUAllocator") != std::string_view::npos) {
    return "out of memory.";
  }
  return std::nullopt;
}

}  // namespace

EngineCore::EngineCore(const Decoder& decoder, const ServingOptions& options)
    : options_(completed(options, decoder)),
      engine_(decoder, options_.engine),
      vocab_size_(decoder.config().vocab_size),
      owners_(engine_.pool()),
      keeper_(engine_.layout(), keeper_options(options_, engine_.layout()), owners_, random_key()),
      scheduler_(options_.schedule, options_.cost.value_or(CostModel({})), keeper_) {
  if (options_.vocab_size > 0) vocab_size_ = std::min(vocab_size_, options_.vocab_size);
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

EngineCore::Served EngineCore::make_served(const Submit& submit) const {
  const auto check = [&](const char* what, int32_t token) {
    LG_CHECK(token >= 0 && token < vocab_size_, "[serve] ", what, ": expected tokens from 0 to ",
             vocab_size_ - 1, ", found ", token, ".");
  };
  for (const int32_t token : submit.request.prompt) check("prompt", token);
  for (const LogitBias& bias : submit.draw.sampling.logit_bias) check("logit_bias", bias.token);
  LG_CHECK(!submit.draw.num_prompt_logprobs || !submit.request.reads_prefixes,
           "[serve] a request for logprobs of its prompt must not read prefixes.");
  return {submit.draw, Sampler(submit.draw.sampling)};
}

void EngineCore::submit(Submit submit) {
  const RequestId id = submit.request.id;
  try {
    Served served = make_served(submit);
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
  forget(cancel.request, cancel.keeps_prefix);
  tell(cancel.request, RequestEnded{RequestEnd::cancelled});
}

void EngineCore::cancel_all() {
  while (!requests_.empty()) cancel({requests_.begin()->first});
}

void EngineCore::fail_all(const std::string& message) {
  for (const auto& entry : requests_) tell(entry.first, RequestFailed{message});
  requests_.clear();
}

/// Lets go what a request has, as the last thing that is done for it.
void EngineCore::forget(RequestId id, bool keeps_prefix) {
  const auto found = requests_.find(id);
  const Served& served = found->second;
  if (!served.sequence) {
    scheduler_.end(id);
  } else {
    const SequenceCache& cache = engine_.sequence(*served.sequence);
    const SequencePages pages(cache);
    std::vector<int32_t> tokens;
    if (keeps_prefix) {
      tokens = scheduler_.request(id).prompt;
      tokens.insert(tokens.end(), served.generated.begin(), served.generated.end());
      tokens.resize(static_cast<size_t>(cache.length()));
    }
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
  Served& served = requests_.at(start.request);
  served.sequence =
      start.hit_tokens > 0 ? engine_.adopt(start.hit_tokens, start.pages) : engine_.add();
  const Request& request = scheduler_.request(start.request);
  if (request.reads_prefixes && options_.keeps_prefixes) {
    counts_.queried_tokens += request.prompt_tokens();
    counts_.hit_tokens += start.hit_tokens;
  }
  counts_.prompt_tokens += request.prompt_tokens();
  tell(start.request, RequestBegan{start.hit_tokens});
}

std::vector<BatchPart> EngineCore::batch() const {
  std::vector<BatchPart> parts;
  for (const StepPart& part : plan_.parts) {
    const Served& served = requests_.at(part.request);
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
      LG_CHECK(result.end != BatchEnd::out_of_pages,
               "[longgen] internal error: a step found too few pages. Please report this.");
      return result;
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
  const Served& served = requests_.at(part.request);
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
  forget(request, /*keeps_prefix=*/false);
  tell(request, RequestFailed{message});
}

std::span<const float> EngineCore::known(const at::Tensor& values_V) const {
  return {values_V.const_data_ptr<float>(), static_cast<size_t>(vocab_size_)};
}

/// Draws the next token of a request. Where that fails, the request does.
std::optional<int32_t> EngineCore::next_token(RequestId id, const at::Tensor& logits_V) {
  Served& served = requests_.at(id);
  std::span<const int32_t> barred;
  if (std::ssize(served.generated) < served.draw.min_tokens) barred = served.draw.stop_tokens;
  try {
    return served.sampler.next(
        known(logits_V), {.prompt = scheduler_.request(id).prompt, .generated = served.generated},
        barred);
  } catch (const Error& error) {
    fail(id, error.what());
    return std::nullopt;
  }
}

void EngineCore::draw(RequestId id, const at::Tensor& logits_V) {
  const std::optional<int32_t> token = next_token(id, logits_V);
  if (!token) return;
  ++counts_.generated_tokens;
  Served& served = requests_.at(id);
  served.generated.push_back(*token);
  if (served.draw.num_logprobs) {
    tell(id, TokenDrawn{*token, describe_token(known(at::log_softmax(logits_V, 0)), *token,
                                               *served.draw.num_logprobs)});
  } else {
    tell(id, TokenDrawn{*token, std::nullopt});
  }
  const auto& stops = served.draw.stop_tokens;
  const bool is_stop = std::find(stops.begin(), stops.end(), *token) != stops.end();
  const bool is_last = std::ssize(served.generated) == scheduler_.request(id).max_new_tokens;
  if (!is_stop && !is_last) return;
  forget(id, /*keeps_prefix=*/true);
  tell(id, RequestEnded{is_stop ? RequestEnd::stop_token : RequestEnd::length});
}

EngineState EngineCore::state() const {
  EngineState state = counts_;
  const PageLedger& ledger = keeper_.ledger();
  state.num_running = scheduler_.num_running();
  state.num_waiting = scheduler_.num_waiting();
  state.page_bytes = engine_.layout().page_bytes();
  state.capacity = ledger.capacity();
  state.reserved = ledger.reserved();
  state.cached = ledger.cached();
  state.in_use = engine_.pool().pages_in_use();
  return state;
}

}  // namespace longgen
