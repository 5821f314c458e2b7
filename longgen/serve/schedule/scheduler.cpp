#include "longgen/serve/schedule/scheduler.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;
// As many requests are asked for their pages in vain in a step: that takes time.
constexpr int64_t kMostRefused = 16;
// What each unfinished prompt is sure of.
constexpr double kSureShare = 0.25;
// Where no decoder waits, larger chunks save steps; still larger ones gain little, and keep a short
// prompt waiting.
constexpr double kBudgetsWithoutDecoders = 2;

}  // namespace

struct Scheduler::Step {
  StepPlan plan = {};
  double budget = 0;         // seconds that prefill may add
  double limit_seconds = 0;  // of the step, for whose turn it is

  /// Does it take a request past so many tokens of its prompt?
  bool passes(RequestId request, int64_t num_tokens) const {
    return std::any_of(plan.parts.begin(), plan.parts.end(), [&](const StepPart& part) {
      return part.request == request && part.is_prefill && part.begin < num_tokens;
    });
  }
};

Scheduler::Scheduler(const SchedulerOptions& options, const CostModel& cost, CacheKeeper& keeper)
    : options_(options), cost_(cost), keeper_(keeper) {
  const auto check = [](const char* name, double value) {
    LG_CHECK(value > 0 && std::isfinite(value), "[serve] ", name,
             ": expected a number above 0, found ", value, ".");
  };
  check("seconds of a step", options.step_budget_seconds);
  check("number of sequences", static_cast<double>(options.max_sequences));
  check("length of the queue", static_cast<double>(options.max_queued));
  check("seconds of the queue", options.max_queued_seconds);
  LG_CHECK(options.patience_seconds >= 0, "[serve] patience: expected seconds >= 0, found ",
           options.patience_seconds, ".");
}

double Scheduler::remaining_seconds(const Running& running) const {
  return cost_.prefill_seconds(running.num_tokens, running.request->prompt_tokens(),
                               options_.step_budget_seconds);
}

Submission Scheduler::submit(Request request, double now) {
  LG_CHECK(!request.prompt.empty() && request.max_new_tokens >= 1,
           "[serve] a request needs a prompt and a token to draw, found ", request.prompt.size(),
           " and ", request.max_new_tokens, " tokens.");
  LG_CHECK(requests_.find(request.id) == requests_.end(), "[serve] request ", request.id,
           " is there already.");
  if (!keeper_.can_ever_fit(request)) return {Submission::Outcome::too_large};
  RequestQueue::Item item = {.known_tokens = keeper_.known_tokens(request)};
  item.expected = expected_prefix(request, item.known_tokens);
  const int64_t known = item.expected ? item.expected->num_tokens : item.known_tokens;
  item.prefill_seconds =
      cost_.prefill_seconds(known, request.prompt_tokens(), options_.step_budget_seconds);
  double due = now + item.prefill_seconds;
  if (item.expected && queue_.holds(item.expected->from)) {
    due = std::max(due, queue_.due(item.expected->from));
  }
  double wait = queue_.seconds_before({request.priority, due, request.id});
  for (const RequestId id : prefills_) {  // a short one need not wait for all of a long one
    wait += std::min(item.prefill_seconds, remaining_seconds(running_.at(id)));
  }
  const bool is_full = queue_.size() >= options_.max_queued;
  if (is_full || wait > options_.max_queued_seconds) {
    const double until_one_begins = wait / static_cast<double>(queue_.size() + 1);
    const double seconds = std::max(until_one_begins, wait - options_.max_queued_seconds);
    return {Submission::Outcome::queue_full, std::max(1.0, std::ceil(seconds))};
  }
  const RequestId id = request.id;
  item.request = &requests_.emplace(id, std::move(request)).first->second;
  queue_.push(item, due);
  return {Submission::Outcome::accepted};
}

/// Who asks about a text that another one is computing, or will before it, can wait for that one.
std::optional<RequestQueue::Item::Expected> Scheduler::expected_prefix(const Request& request,
                                                                       int64_t known) const {
  std::optional<RequestQueue::Item::Expected> expected;
  for (const auto& entry : requests_) {
    const int64_t left = keeper_.tokens_left_by(entry.second, request);
    if (left <= (expected ? expected->num_tokens : known)) continue;
    const auto running = running_.find(entry.first);
    const bool comes = running == running_.end() ? entry.second.priority <= request.priority
                                                 : running->second.num_tokens < left;
    if (comes) expected = {entry.first, left};
  }
  return expected;
}

StepPlan Scheduler::next_step(double now) {
  Step step;
  add_decoders(step);
  const bool has_decoders = !step.plan.work.is_empty();
  step.budget = options_.step_budget_seconds * (has_decoders ? 1 : kBudgetsWithoutDecoders);
  step.limit_seconds = step.budget + (has_decoders ? cost_.seconds(step.plan.work) : 0);
  add_prefills(step, now);
  prefills_ = unfinished();
  if (!step.plan.parts.empty()) step.plan.predicted_seconds = cost_.seconds(step.plan.work);
  return std::move(step.plan);
}

void Scheduler::add_decoders(Step& step) {
  for (auto& entry : running_) {
    Running& running = entry.second;
    if (running.is_paused || running.prompt_left() > 0) continue;
    if (running.num_drawn == running.request->max_new_tokens) continue;  // its last is on the way
    step.plan.parts.push_back({entry.first, running.num_tokens, 1, false, true});
    step.plan.work.add_decoder(running.num_tokens);
    ++running.num_tokens;
    ++running.num_drawn;
  }
}

/// Those that have begun and lack some of their prompt as things are planned, the oldest first.
std::vector<RequestId> Scheduler::unfinished() const {
  std::vector<RequestId> all = prefills_;
  const auto has_prompt = [&](RequestId id) { return running_.at(id).prompt_left() == 0; };
  all.erase(std::remove_if(all.begin(), all.end(), has_prompt), all.end());
  return all;
}

int64_t Scheduler::chunk(const Step& step, const Running& running, bool at_least_a_block) const {
  const int64_t fitting =
      std::min(running.max_chunk,
               cost_.prefill_tokens(step.plan.work, running.num_tokens, step.limit_seconds));
  if (fitting >= running.prompt_left()) return running.prompt_left();
  if (fitting < kBlock && at_least_a_block) return std::min(kBlock, running.prompt_left());
  return fitting / kBlock * kBlock;
}

bool Scheduler::add_chunk(Step& step, Running& running, bool at_least_a_block) {
  if (running.prompt_left() == 0) return false;
  const int64_t count = chunk(step, running, at_least_a_block);
  if (count == 0) return false;
  const bool ends_prompt = count == running.prompt_left();
  step.plan.parts.push_back({running.request->id, running.num_tokens, count, true, ends_prompt});
  step.plan.work.add_prefill(running.num_tokens, count);
  running.num_tokens += count;
  running.num_drawn += ends_prompt ? 1 : 0;
  return true;
}

void Scheduler::add_prefills(Step& step, double now) {
  const double quarter = kSureShare * step.budget;
  std::vector<Running*> active;
  double kept = 0;  // for those whose turn has not come
  for (const RequestId id : prefills_) {
    Running& running = running_.at(id);
    if (running.is_paused) continue;
    // A quarter may be less than a block takes: what one did not get is kept for it.
    running.sure_seconds = std::min(step.budget, running.sure_seconds + quarter);
    kept += running.sure_seconds;
    active.push_back(&running);
  }
  const double limit = step.limit_seconds;
  step.limit_seconds = limit - kept;
  start_waiting(step, now);
  std::vector<Running*> shortest_first = active;
  std::stable_sort(shortest_first.begin(), shortest_first.end(),
                   [this](const Running* a, const Running* b) {
                     return remaining_seconds(*a) < remaining_seconds(*b);
                   });
  for (Running* const running : shortest_first) {
    kept -= running->sure_seconds;
    step.limit_seconds = limit - kept;
    if (add_chunk(step, *running)) running->sure_seconds = 0;
  }
  if (active.empty() || step.plan.work.has_prefill) return;
  // The budget is less than a block takes: they take turns.
  Running* const next = *std::max_element(
      active.begin(), active.end(),
      [](const Running* a, const Running* b) { return a->sure_seconds < b->sure_seconds; });
  add_chunk(step, *next, /*at_least_a_block=*/true);
  next->sure_seconds = 0;
}

/// May a request that has not begun do so in this step?
bool Scheduler::may_start(const Step& step, const Running& running) const {
  const std::vector<RequestId> others = unfinished();
  const bool is_first = others.empty() && !step.plan.work.has_prefill;
  const int64_t count = chunk(step, running, is_first);
  if (count == running.prompt_left()) return true;
  if (count == 0 || others.size() > 1) return false;
  return others.empty() ||
         2 * remaining_seconds(running) <= remaining_seconds(running_.at(others.front()));
}

/// Is somebody about to leave a part of the prompt in the prefix cache, sooner than it would be
/// computed?
bool Scheduler::waits_for_prefix(const Step& step, RequestQueue::Item& item) const {
  if (!item.expected || queue_.holds(item.expected->from)) return false;
  const auto found = running_.find(item.expected->from);
  const int64_t wanted = item.expected->num_tokens;
  const bool comes = found != running_.end() && !found->second.is_paused &&
                     (found->second.num_tokens < wanted || step.passes(found->first, wanted));
  if (!comes) {
    item.expected.reset();
    item.known_tokens = keeper_.known_tokens(*item.request);
    return false;
  }
  const auto seconds = [&](int64_t begin) {
    return begin >= wanted ? 0 : cost_.prefill_seconds(begin, wanted, options_.step_budget_seconds);
  };
  return seconds(found->second.num_tokens) <= seconds(item.known_tokens);
}

std::optional<Scheduler::Running> Scheduler::admit(Step& step, RequestQueue::Item& item,
                                                   double now) {
  if (item.is_blocked && item.num_releases == keeper_.num_releases()) return std::nullopt;
  std::optional<CacheKeeper::Admission> admission = keeper_.admit(*item.request);
  if (!admission) {
    if (!item.is_blocked) item.blocked_since = now;
    item.is_blocked = true;
    item.num_releases = keeper_.num_releases();
    return std::nullopt;
  }
  item.is_blocked = false;
  item.known_tokens = admission->hit_tokens;
  Running running = {item.request, admission->hit_tokens, admission->max_chunk};
  if (!may_start(step, running)) {  // less of its prompt is known than was thought
    keeper_.end(item.request->id, {}, nullptr);
    return std::nullopt;
  }
  step.plan.starts.push_back(
      {item.request->id, admission->hit_tokens, std::move(admission->pages)});
  return running;
}

void Scheduler::start_waiting(Step& step, double now) {
  int64_t num_refused = 0;
  for (RequestQueue::Item* const item : queue_.items()) {
    if (num_running() >= options_.max_sequences || num_refused == kMostRefused) return;
    if (waits_for_prefix(step, *item)) continue;
    const Running thought = {item->request, item->known_tokens, kBlock << 20};
    if (!may_start(step, thought)) continue;
    const std::optional<Running> running = admit(step, *item, now);
    if (!running) {
      if (item->is_blocked && now - item->blocked_since > options_.patience_seconds) return;
      ++num_refused;
      continue;
    }
    const RequestId id = item->request->id;
    queue_.remove(id);  // the item is gone
    const bool is_first = unfinished().empty() && !step.plan.work.has_prefill;
    Running& begun = running_.emplace(id, *running).first->second;
    prefills_.push_back(id);
    add_chunk(step, begun, is_first);
  }
}

void Scheduler::passed(const StepPart& part, const BlockPages& pages) {
  if (!part.is_prefill) return;
  keeper_.passed(part.request, part.begin, part.begin + part.num_tokens, pages);
}

bool Scheduler::end(RequestId id, std::span<const int32_t> tokens, const BlockPages* pages) {
  if (requests_.find(id) == requests_.end()) return false;
  if (!queue_.remove(id)) {
    keeper_.end(id, tokens, pages);
    prefills_.erase(std::remove(prefills_.begin(), prefills_.end(), id), prefills_.end());
    running_.erase(id);
  }
  requests_.erase(id);
  return true;
}

void Scheduler::pause(RequestId request) {
  const auto found = running_.find(request);
  if (found != running_.end()) found->second.is_paused = true;
}

void Scheduler::resume(RequestId request) {
  const auto found = running_.find(request);
  if (found != running_.end()) found->second.is_paused = false;
}

bool Scheduler::is_paused(RequestId request) const {
  const auto found = running_.find(request);
  return found != running_.end() && found->second.is_paused;
}

std::optional<double> Scheduler::seconds_to_first_token(RequestId request) const {
  if (queue_.holds(request)) return queue_.seconds_until(request);
  const auto found = running_.find(request);
  if (found == running_.end() || found->second.prompt_left() <= 0) return std::nullopt;
  return remaining_seconds(found->second);
}

}  // namespace longgen
