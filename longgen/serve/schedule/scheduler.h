// serve/schedule/scheduler.h: what the next step does. It has no thread and no clock: a function of
// what it was told and of the time that it is given.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "longgen/serve/schedule/cache_keeper.h"
#include "longgen/serve/schedule/cost_model.h"
#include "longgen/serve/schedule/request_queue.h"

namespace longgen {

struct SchedulerOptions {
  /// What the prefill of a step may add to the time of its decoders; twice that without decoders.
  double step_budget_seconds = 0.1;
  int64_t max_sequences = 64;
  int64_t max_queued = 256;
  double max_queued_seconds = 60;  ///< of predicted prefill before a request
  /// As long may others be admitted before one that finds too few pages.
  double patience_seconds = 5;
  /// Copies between device and host run while a step does, not before it: those of a GPU.
  bool copies_beside_steps = false;
};

/// The next tokens of a sequence.
struct StepPart {
  RequestId request;
  int64_t begin;       ///< tokens that are in its pages before
  int64_t num_tokens;  ///< of the prompt; 1 for the token that was drawn last
  bool is_prefill;
  bool draws_token;  ///< all but chunks that do not end the prompt
};

/// A sequence that begins, and the pages that it begins with; or one that comes back from the host,
/// which has become an owner of its pages before CacheKeeper::swapped_in() is called.
struct StepStart {
  RequestId request;
  int64_t hit_tokens;
  std::vector<HeldPage> pages;
  int64_t host_tokens = 0;  ///< of the hit, those that were on the host when the request came
  bool is_back = false;
};

/// A sequence that must leave its pages (CacheKeeper::swap_out()) and is in no step until it is
/// back.
struct StepSwap {
  RequestId request;
  int64_t num_tokens;  ///< in its pages
};

struct StepPlan {
  std::vector<StepSwap> swaps;
  std::vector<StepStart> starts;
  std::vector<StepPart> parts;  ///< single tokens first; none: there is nothing to do
  StepWork work;
  PageCopies copies;  ///< to be begun with the step, or alone
  double predicted_seconds = 0;
};

struct Submission {
  enum class Outcome {
    accepted,
    too_large,   ///< it would not fit if it was alone
    queue_full,  ///< it may come back after retry_after_seconds
  };
  Outcome outcome;
  double retry_after_seconds = 0;
};

/// Continuous batching with rules that docs/design/003-a-server.md gives reasons for:
///   - every sequence that has its prompt draws a token in every step;
///   - prefill adds at most the budget to a step, or one block where even that takes longer;
///   - at most two prompts are begun and unfinished after a step, the second at most half as long
///     as what is left of the first; prompts that end within the step do not count;
///   - each of these is sure of a quarter of the budget, the rest goes to those that begin, then to
///     the one that has less left;
///   - a prompt does not begin while another one leaves it a prefix sooner than it would compute
///     that itself;
///   - what begins has all its pages reserved, so nothing that has begun ever waits for pages;
///   - a prompt of which a part is on the host has its place among those that are unfinished while
///     that is copied back; copies take a share of the budget, or the time of steps that they run
///     beside.
/// With overcommit (CacheKeeper) a sequence may find no page for its next token. The last one by
/// priority and time of its beginning then goes to the host; nobody begins until all are back,
/// which come in the other order. Steps may be launched before the last one's tokens are known:
/// tokens count when they are planned, and none is planned beyond max_new_tokens. Not thread-safe.
class Scheduler {
 public:
  /// Throws Error on options out of range. The keeper must outlive it.
  Scheduler(const SchedulerOptions& options, const CostModel& cost, CacheKeeper& keeper);

  /// Throws Error on a request without tokens, one that draws none, or an id that is in use.
  [[nodiscard]] Submission submit(Request request, double now);
  /// Plans a step and counts its tokens as done.
  StepPlan next_step(double now);
  /// Says that a part of the last plan has passed through the layers; before pages that died with
  /// it are released.
  void passed(const StepPart& part, const BlockPages& pages);
  /// Ends a request in whatever phase, as CacheKeeper::end(). False where there is none.
  bool end(RequestId request, std::span<const int32_t> tokens = {},
           const BlockPages* pages = nullptr);
  /// A paused sequence keeps its pages and is in no step.
  void pause(RequestId request);
  void resume(RequestId request);
  void set_cost(const CostModel& cost) { cost_ = cost; }
  void set_copy_cost(double seconds_per_page) { copy_seconds_ = seconds_per_page; }

  /// One that was accepted and has not ended.
  const Request& request(RequestId request) const { return requests_.at(request); }
  bool is_paused(RequestId request) const;
  int64_t num_waiting() const { return queue_.size(); }
  /// Those whose turn is next, at most as many.
  std::vector<RequestQueue::Outlook> waiting(int64_t count) const { return queue_.first(count); }
  int64_t num_running() const { return static_cast<int64_t>(running_.size()); }
  /// Of the running ones those on the host, without those whose pages are coming back.
  int64_t num_swapped() const;
  /// Predicted seconds of prefill until the first token; nothing for a request that has its prompt.
  std::optional<double> seconds_to_first_token(RequestId request) const;

 private:
  struct Running {
    const Request* request;
    int64_t num_tokens;  // in its pages, those of planned steps included
    int64_t max_chunk;
    int64_t num_drawn = 0;
    bool is_paused = false;
    double sure_seconds = 0;              // of the next step, while it lacks some of its prompt
    std::optional<StepStart> start = {};  // while pages are on their way from the host
    int64_t arrives_at = 0;               // CacheKeeper::num_arrived()
    int64_t turn = 0;                     // of two requests the lower one began first
    bool is_away = false;                 // on the host, or on the way back
    bool lacks_pages = false;             // for its next token

    bool is_ready() const { return !is_paused && !start && !is_away; }
    bool has_drawn_all() const { return num_drawn == request->max_new_tokens; }
    int64_t prompt_left() const { return request->prompt_tokens() - num_tokens; }
  };
  struct Step;  // a plan in the making

  double prefix_seconds(const Request& request, const KnownPrefix& prefix) const;
  PrefixSeconds soonest_first() const;
  KnownPrefix known(const Request& request) const;
  int64_t pages_to_arrive(int64_t arrives_at) const;
  double remaining_seconds(const Running& running) const;
  std::optional<RequestQueue::Item::Expected> expected_prefix(const Request& request,
                                                              int64_t known) const;
  std::vector<Running*> in_order();
  void grow_decoders(Step& step);
  void bring_back();
  void add_decoders(Step& step);
  void add_copies(Step& step);
  void begin_arrived(Step& step);
  void add_prefills(Step& step, double now);
  int64_t chunk(const Step& step, const Running& running, bool at_least_a_block) const;
  bool add_chunk(Step& step, Running& running, bool at_least_a_block = false);
  void start_waiting(Step& step, double now);
  bool may_start(const Step& step, const Running& running) const;
  bool waits_for_prefix(const Step& step, RequestQueue::Item& item) const;
  /// Nothing where pages are lacking.
  std::optional<Running> admit(Step& step, RequestQueue::Item& item, double now);
  std::vector<RequestId> unfinished() const;

  SchedulerOptions options_;
  CostModel cost_;
  double copy_seconds_ = 0;  // of a page
  CacheKeeper& keeper_;
  std::map<RequestId, Request> requests_;
  RequestQueue queue_;
  std::map<RequestId, Running> running_;
  int64_t next_turn_ = 0;
  std::vector<RequestId> prefills_;  // unfinished ones, the oldest first
};

}  // namespace longgen
