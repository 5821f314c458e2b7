// tests/unit/serve/simulated_server.h: runs requests through a scheduler on made-up pages and a
// made-up clock, as the engine's loop does: a step is planned and launched before the tokens of the
// one before are looked at. Checks after each step what must always hold.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "longgen/serve/schedule/scheduler.h"
#include "tests/unit/serve/simulated_cache.h"

namespace longgen {

struct SimulatedRequest {
  Request request;
  double arrival = 0;
  int64_t stops_after = 1 << 30;  ///< tokens: a stop token, or a reader that goes
};

/// What happened to a request.
struct SimulatedOutcome {
  double arrival = 0, first_token = -1, end = -1;
  int64_t hit_tokens = 0, num_drawn = 0;
};

class SimulatedServer {
 public:
  SimulatedServer(const KvLayout& layout, const CacheKeeperOptions& keeper_options,
                  const SchedulerOptions& options, const CostModel& cost)
      : layout_(layout),
        options_(options),
        cost_(cost),
        keeper_(layout, keeper_options, pool_, 7),
        scheduler_(options, cost, keeper_) {
    scheduler_.set_copy_cost(kCopySeconds);
  }

  CacheKeeper& keeper() { return keeper_; }
  Scheduler& scheduler() { return scheduler_; }
  SimulatedPool& pool() { return pool_; }
  double now() const { return now_; }
  double worst_gap_over_budget() const { return worst_gap_; }
  const std::map<RequestId, SimulatedOutcome>& outcomes() const { return outcomes_; }
  int64_t num_to_host() const { return num_to_host_; }
  int64_t num_to_device() const { return num_to_device_; }
  int64_t num_swaps() const { return num_swaps_; }

  Submission submit(const SimulatedRequest& simulated) {
    const Submission submission = scheduler_.submit(simulated.request, now_);
    if (submission.outcome != Submission::Outcome::accepted) return submission;
    live_[simulated.request.id] = Live{simulated, simulated.request.prompt, nullptr};
    outcomes_[simulated.request.id].arrival = now_;
    return submission;
  }

  static constexpr double kCopySeconds = 0.0002;  // a page

  /// One turn of the loop. False where there was nothing to do.
  bool step() {
    if (host_.is_copying() && now_ >= copies_end_) end_copies();
    StepPlan plan = scheduler_.next_step(now_);
    launch(plan);
    copy(plan);
    const bool works =
        !plan.parts.empty() || !in_flight_.parts.empty() || keeper_.pages().has_copies();
    look(in_flight_);
    now_ += plan.predicted_seconds;
    if (plan.parts.empty() && host_.is_copying()) now_ = std::max(now_, copies_end_);
    in_flight_ = std::move(plan);
    check_balance();
    return works;
  }
  void wait_until(double time) { now_ = std::max(now_, time); }

  void cancel(RequestId id) {
    if (live_.find(id) != live_.end()) finish(id);
  }
  bool is_live(RequestId id) const { return live_.find(id) != live_.end(); }
  int64_t num_live() const { return static_cast<int64_t>(live_.size()); }
  std::vector<RequestId> live() const {
    std::vector<RequestId> ids;
    for (const auto& entry : live_) ids.push_back(entry.first);
    return ids;
  }

 private:
  void copy(const StepPlan& plan) {
    if (plan.copies.size() == 0) return;
    num_to_host_ += static_cast<int64_t>(plan.copies.to_host.size());
    num_to_device_ += static_cast<int64_t>(plan.copies.to_device.size());
    host_.begin(plan.copies);
    copies_end_ = now_ + kCopySeconds * static_cast<double>(plan.copies.size());
    if (!options_.copies_beside_steps) end_copies();
  }
  void end_copies() {
    host_.end();
    keeper_.end_copies();
  }

  struct Live {
    SimulatedRequest simulated;
    std::vector<int32_t> tokens;  // the prompt, and what was drawn and looked at
    std::unique_ptr<SimulatedSequence> sequence;
    int64_t num_drawn = 0;
  };

  void launch(const StepPlan& plan) {
    for (const StepSwap& swap : plan.swaps) {
      Live& live = live_.at(swap.request);
      ASSERT_EQ(live.sequence->length(), swap.num_tokens);
      keeper_.swap_out(swap.request, swap.num_tokens, *live.sequence);
      live.sequence->clear();
      live.sequence.reset();
      ++num_swaps_;
    }
    for (const StepStart& start : plan.starts) {
      Live& live = live_.at(start.request);
      ASSERT_EQ(live.sequence, nullptr);
      live.sequence = std::make_unique<SimulatedSequence>(layout_, pool_);
      live.sequence->begin(start.hit_tokens, start.pages);
      ASSERT_EQ(static_cast<int64_t>(start.pages.size()), layout_.pages_held(start.hit_tokens));
      ASSERT_TRUE(live.sequence->holds(live.tokens)) << "a hit on other tokens";
      if (start.is_back) {
        keeper_.swapped_in(start.request);
        continue;
      }
      ASSERT_LT(start.hit_tokens, live.simulated.request.prompt_tokens());
      outcomes_[start.request].hit_tokens = start.hit_tokens;
    }
    for (const StepPart& part : plan.parts) pass(part);
    if (!plan.parts.empty()) check_time(plan);
  }

  /// What token a request draws depends on its tokens before, as it should.
  static int32_t drawn(const std::vector<int32_t>& tokens, int64_t count) {
    return static_cast<int32_t>(mix_pair(static_cast<uint64_t>(tokens.front()), count) % 1000);
  }

  void pass(const StepPart& part) {
    Live& live = live_.at(part.request);
    SimulatedSequence& sequence = *live.sequence;
    ASSERT_EQ(part.begin, sequence.length());
    ASSERT_GT(part.num_tokens, 0);
    // The tokens that the device knows already.
    std::vector<int32_t> tokens = live.tokens;
    while (static_cast<int64_t>(tokens.size()) < part.begin + part.num_tokens) {
      tokens.push_back(drawn(tokens, static_cast<int64_t>(tokens.size())));
    }
    sequence.pass(tokens, part.num_tokens);
    ASSERT_EQ(sequence.num_pages(), layout_.pages_in_pass(part.begin, sequence.length()));
    ASSERT_LE(sequence.num_own_pages(), keeper_.ledger().reserved_for(part.request));
    check_pool();
    scheduler_.passed(part, sequence);
    sequence.release_dead();
    ASSERT_EQ(sequence.num_pages(), layout_.pages_held(sequence.length()));
    ASSERT_LE(sequence.num_own_pages(), keeper_.ledger().reserved_for(part.request));
    if (part.is_prefill && !part.draws_token) {
      ASSERT_EQ((part.begin + part.num_tokens) % Pattern::kBlock, 0);
    }
  }

  void look(const StepPlan& plan) {
    for (const StepPart& part : plan.parts) {
      const auto found = live_.find(part.request);
      if (found == live_.end() || !part.draws_token) continue;  // it ended meanwhile
      Live& live = found->second;
      live.tokens.push_back(drawn(live.tokens, static_cast<int64_t>(live.tokens.size())));
      SimulatedOutcome& outcome = outcomes_[part.request];
      outcome.num_drawn = ++live.num_drawn;
      if (outcome.first_token < 0) outcome.first_token = now_;
      ASSERT_LE(live.num_drawn, live.simulated.request.max_new_tokens);
      if (live.num_drawn == live.simulated.request.max_new_tokens ||
          live.num_drawn >= live.simulated.stops_after) {
        finish(part.request);
      }
    }
  }

  void finish(RequestId id) {
    Live& live = live_.at(id);
    if (live.sequence != nullptr) {
      const auto in_pages =
          std::min<int64_t>(live.sequence->length(), static_cast<int64_t>(live.tokens.size()));
      EXPECT_TRUE(live.sequence->holds([&] {
        std::vector<int32_t> all = live.tokens;
        while (static_cast<int64_t>(all.size()) < live.sequence->length()) {
          all.push_back(drawn(all, static_cast<int64_t>(all.size())));
        }
        return all;
      }()));
      EXPECT_TRUE(scheduler_.end(id, std::span(live.tokens).first(in_pages), live.sequence.get()));
      live.sequence->clear();
    } else {
      EXPECT_TRUE(scheduler_.end(id));
    }
    outcomes_[id].end = now_;
    live_.erase(id);
  }

  /// Decoders move in every step, and prefill adds the budget at most, or one block.
  void check_time(const StepPlan& plan) {
    StepWork decoders;
    int64_t num_prefilled = 0, num_unfinished = 0;
    for (const StepPart& part : plan.parts) {
      if (!part.is_prefill) decoders.add_decoder(part.begin);
      num_prefilled += part.is_prefill ? part.num_tokens : 0;
    }
    for (const auto& entry : live_) {
      const Live& live = entry.second;
      const int64_t prompt = live.simulated.request.prompt_tokens();
      num_unfinished += live.sequence != nullptr && live.sequence->length() < prompt ? 1 : 0;
    }
    ASSERT_LE(num_unfinished, 2);
    if (decoders.is_empty() || num_prefilled == 0) return;
    const double alone = cost_.seconds(decoders);
    const double over = plan.predicted_seconds - alone - options_.step_budget_seconds;
    if (num_prefilled > Pattern::kBlock) {
      ASSERT_LE(over, 1e-9);
    }
    worst_gap_ = std::max(worst_gap_, over);
  }
  void check_pool() {
    const PageLedger& ledger = keeper_.ledger();
    ASSERT_LE(pool_.num_in_use(), ledger.reserved() + ledger.cached());
    ASSERT_LE(ledger.reserved() + ledger.cached(), ledger.capacity());
  }
  void check_balance() {
    check_pool();
    const CachedPages& pages = keeper_.pages();
    ASSERT_EQ(keeper_.ledger().cached(), pages.on_device().total());
    ASSERT_LE(pages.on_host().total(), pages.host_capacity());
    ASSERT_EQ(keeper_.ledger().num_requests(), scheduler_.num_running() - scheduler_.num_swapped());
  }

  const KvLayout& layout_;
  SchedulerOptions options_;
  CostModel cost_;
  SimulatedPool pool_;
  SimulatedHost host_{pool_};
  CacheKeeper keeper_;
  Scheduler scheduler_;
  std::map<RequestId, Live> live_;
  std::map<RequestId, SimulatedOutcome> outcomes_;
  StepPlan in_flight_;
  double now_ = 0, worst_gap_ = -1e9, copies_end_ = 0;
  int64_t num_to_host_ = 0, num_to_device_ = 0, num_swaps_ = 0;
};

}  // namespace longgen
