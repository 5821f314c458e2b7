#include "longgen/serve/schedule/scheduler.h"

#include <algorithm>
#include <cmath>
#include <tuple>
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
// What copies may take of the budget where steps wait for them.
constexpr double kCopyShare = 0.5;
// Copies beside a shorter step may take longer than it; the next ones then wait for a later step.
constexpr double kLeastCopySeconds = 0.01;
constexpr int64_t kMostCopies = int64_t{1} << 20;

}  // namespace

struct Scheduler::Step {
  StepPlan plan = {};
  double budget = 0;         // seconds that prefill may add
  double limit_seconds = 0;  // of the step, for whose turn it is
  bool lacks_pages = false;  // some sequence does

  bool starts(RequestId request) const {
    return std::any_of(plan.starts.begin(), plan.starts.end(),
                       [&](const StepStart& start) { return start.request == request; });
  }
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

/// Until the whole prompt is there.
double Scheduler::prefix_seconds(const Request& request, const KnownPrefix& prefix) const {
  return copy_seconds_ * static_cast<double>(prefix.pages_to_load) +
         cost_.prefill_seconds(prefix.num_tokens, request.prompt_tokens(),
                               options_.step_budget_seconds);
}

PrefixSeconds Scheduler::soonest_first() const {
  return [this](const Request& request, const KnownPrefix& prefix) {
    return prefix_seconds(request, prefix);
  };
}

KnownPrefix Scheduler::known(const Request& request) const {
  return keeper_.known(request, soonest_first());
}

/// How many copies to the device are made before that many have been.
int64_t Scheduler::pages_to_arrive(int64_t arrives_at) const {
  return std::max<int64_t>(0, arrives_at - keeper_.num_arrived());
}

double Scheduler::remaining_seconds(const Running& running) const {
  return prefix_seconds(*running.request,
                        {running.num_tokens, pages_to_arrive(running.arrives_at)});
}

Submission Scheduler::submit(Request request, double now) {
  LG_CHECK(!request.prompt.empty() && request.max_new_tokens >= 1,
           "[serve] a request needs a prompt and a token to draw, found ", request.prompt.size(),
           " and ", request.max_new_tokens, " tokens.");
  LG_CHECK(requests_.find(request.id) == requests_.end(), "[serve] request ", request.id,
           " is there already.");
  if (!keeper_.can_ever_fit(request)) return {Submission::Outcome::too_large};
  RequestQueue::Item item = {.known = known(request)};
  item.expected = expected_prefix(request, item.known.num_tokens);
  item.prefill_seconds =
      prefix_seconds(request, item.expected ? KnownPrefix{item.expected->num_tokens} : item.known);
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
  begin_arrived(step);
  grow_decoders(step);
  if (!step.lacks_pages) bring_back();
  add_decoders(step);
  const bool has_decoders = !step.plan.work.is_empty();
  step.budget = options_.step_budget_seconds * (has_decoders ? 1 : kBudgetsWithoutDecoders);
  step.limit_seconds = step.budget + (has_decoders ? cost_.seconds(step.plan.work) : 0);
  if (!options_.copies_beside_steps) add_copies(step);
  add_prefills(step, now);
  prefills_ = unfinished();
  const StepWork& work = step.plan.work;
  step.plan.predicted_seconds = work.is_empty() ? work.copy_seconds : cost_.seconds(work);
  if (options_.copies_beside_steps) add_copies(step);
  return std::move(step.plan);
}

/// At least one page, whatever the budget: what is to be copied is some time.
void Scheduler::add_copies(Step& step) {
  const double seconds = options_.copies_beside_steps
                             ? std::max(kLeastCopySeconds, step.plan.predicted_seconds)
                             : kCopyShare * step.budget;
  const double fitting = std::min<double>(kMostCopies, seconds / copy_seconds_);
  step.plan.copies = keeper_.begin_copies(std::max<int64_t>(1, static_cast<int64_t>(fitting)));
  if (options_.copies_beside_steps) return;
  step.plan.work.copy_seconds = copy_seconds_ * static_cast<double>(step.plan.copies.size());
}

/// Requests whose pages have come from the host begin, or go on.
void Scheduler::begin_arrived(Step& step) {
  for (auto& entry : running_) {
    Running& running = entry.second;
    if (!running.start || pages_to_arrive(running.arrives_at) > 0) continue;
    step.plan.starts.push_back(*std::exchange(running.start, std::nullopt));
    running.is_away = false;
  }
}

/// By priority, and by when they began.
std::vector<Scheduler::Running*> Scheduler::in_order() {
  std::vector<Running*> all;
  for (auto& entry : running_) all.push_back(&entry.second);
  std::sort(all.begin(), all.end(), [](const Running* a, const Running* b) {
    return std::tie(a->request->priority, a->turn) < std::tie(b->request->priority, b->turn);
  });
  return all;
}

int64_t Scheduler::num_swapped() const {
  return std::count_if(running_.begin(), running_.end(), [](const auto& entry) {
    return entry.second.is_away && !entry.second.start;
  });
}

/// Sees to it that there is a page for each next token, as far as there are any. Where not, one
/// sequence goes to the host, when those before it have left.
void Scheduler::grow_decoders(Step& step) {
  if (!keeper_.overcommits()) return;
  const std::vector<Running*> all = in_order();
  for (Running* const running : all) {
    running->lacks_pages = running->is_ready() && running->prompt_left() <= 0 &&
                           !running->has_drawn_all() &&
                           !keeper_.extend(running->request->id, running->num_tokens + 1);
    step.lacks_pages = step.lacks_pages || running->lacks_pages;
  }
  if (!step.lacks_pages || keeper_.pages().num_leaving() > 0) return;
  const auto last = std::find_if(all.rbegin(), all.rend(), [&](const Running* running) {
    return !running->start && !running->is_away && !running->has_drawn_all() &&
           running->num_tokens > 0 && !step.starts(running->request->id) &&
           keeper_.can_swap_out(running->request->id);
  });
  if (last == all.rend()) return;
  (*last)->is_away = true;
  step.plan.swaps.push_back({(*last)->request->id, (*last)->num_tokens});
}

/// Those on the host come back as soon as there is room, who began first before the others.
void Scheduler::bring_back() {
  if (num_swapped() == 0) return;
  for (Running* const running : in_order()) {
    if (!running->is_away || running->start) continue;
    const RequestId id = running->request->id;
    std::optional<CacheKeeper::Admission> back = keeper_.swap_in(id);
    if (!back) return;
    running->start = {.request = id,
                      .hit_tokens = back->hit_tokens,
                      .pages = std::move(back->pages),
                      .is_back = true};
    running->arrives_at = back->arrives_at;
    running->max_chunk = back->max_chunk;
  }
}

void Scheduler::add_decoders(Step& step) {
  for (auto& entry : running_) {
    Running& running = entry.second;
    if (!running.is_ready() || running.prompt_left() > 0 || running.lacks_pages) continue;
    if (running.has_drawn_all()) continue;  // its last is on the way
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
    if (!running.is_ready()) continue;
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
  const bool waits = pages_to_arrive(running.arrives_at) > 0;
  if (count == running.prompt_left() && !waits) return true;
  if ((count == 0 && !waits) || others.size() > 1) return false;
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
    item.known = known(*item.request);
    return false;
  }
  const auto seconds = [&](int64_t begin) {
    return begin >= wanted ? 0 : cost_.prefill_seconds(begin, wanted, options_.step_budget_seconds);
  };
  return seconds(found->second.num_tokens) <= seconds(item.known.num_tokens);
}

std::optional<Scheduler::Running> Scheduler::admit(Step& step, RequestQueue::Item& item,
                                                   double now) {
  if (item.is_blocked && item.num_releases == keeper_.num_releases()) return std::nullopt;
  std::optional<CacheKeeper::Admission> admission = keeper_.admit(*item.request, soonest_first());
  if (!admission) {
    if (!item.is_blocked) item.blocked_since = now;
    item.is_blocked = true;
    item.num_releases = keeper_.num_releases();
    return std::nullopt;
  }
  item.is_blocked = false;
  item.known = {admission->hit_tokens, pages_to_arrive(admission->arrives_at)};
  Running running = {item.request, admission->hit_tokens, admission->max_chunk};
  running.arrives_at = admission->arrives_at;
  if (!may_start(step, running)) {  // less of its prompt is known than was thought
    keeper_.end(item.request->id, {}, nullptr);
    return std::nullopt;
  }
  running.start = {item.request->id, admission->hit_tokens, std::move(admission->pages),
                   admission->host_tokens};
  return running;
}

void Scheduler::start_waiting(Step& step, double now) {
  int64_t num_refused = 0;
  if (step.lacks_pages || num_swapped() > 0) return;
  for (RequestQueue::Item* const item : queue_.items()) {
    if (num_running() >= options_.max_sequences || num_refused == kMostRefused) return;
    if (waits_for_prefix(step, *item)) continue;
    Running thought = {item->request, item->known.num_tokens, kBlock << 20};
    thought.arrives_at = keeper_.num_arrived() + item->known.pages_to_load;
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
    begun.turn = next_turn_++;
    prefills_.push_back(id);
    if (pages_to_arrive(begun.arrives_at) > 0) continue;
    step.plan.starts.push_back(*std::exchange(begun.start, std::nullopt));
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
