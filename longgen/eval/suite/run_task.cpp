#include "longgen/eval/suite/run_task.h"

#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/eval/baselines/baseline_runs.h"
#include "longgen/eval/suite/batch_replies.h"
#include "longgen/eval/suite/choice_scorer.h"

namespace longgen {
namespace {

// Contexts of so many steps are gathered before their continuations are scored: the last step of
// each, which is not full, then counts little.
constexpr int64_t kStepsOfWave = 4;

/// Errors of `make` and `encode` do not know which item they have.
template <typename Function>
auto of_item(const SuiteTask& task, const std::string& id, Function function) {
  try {
    return function();
  } catch (const Error& error) {
    LG_FAIL(task.label(), ", item ", id, ": ", error.what());
  }
}

class TaskRunner {
 public:
  TaskRunner(const SuiteTask& task, const SuiteModel& model, ItemLog& log,
             const RunTaskOptions& options)
      : task_(task), model_(model), log_(log), options_(options) {
    run_.items.resize(static_cast<size_t>(task.num_items));
  }

  TaskRun run() {
    const auto start = std::chrono::steady_clock::now();
    run_.finished = task_.choice ? run_choices() : run_replies();
    run_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(run_);
  }

 private:
  /// An item of choices that waits for its scores.
  struct Waiting {
    int64_t number;
    ChoiceItem item;
    bool truncated = false;
    std::vector<std::pair<size_t, size_t>> places;  // of each choice: request, continuation
  };

  /// Is the item in the log? Then it is taken from there.
  bool is_done(int64_t number, const std::string& id) {
    const ItemResult* result = log_.find(id);
    if (result == nullptr) return false;
    run_.items[static_cast<size_t>(number)] = *result;
    options_.on_progress(++num_done_);
    return true;
  }

  void finish(int64_t number, ItemResult result) {
    log_.add(result);
    run_.items[static_cast<size_t>(number)] = std::move(result);
    ++run_.num_new;
    options_.on_progress(++num_done_);
  }

  bool run_choices() {
    for (int64_t number = 0; number < task_.num_items; ++number) {
      ChoiceItem item = task_.choice(number);
      if (is_done(number, item.id)) continue;
      add_to_wave(number, std::move(item));
      if (is_full() && !score_wave()) return false;
    }
    return score_wave();
  }

  void add_to_wave(int64_t number, ChoiceItem item) {
    Waiting waiting{number, std::move(item), false, {}};
    const size_t first_request = requests_.size();
    for (const Continuation& choice : waiting.item.choices) {
      EncodedContinuation encoded = of_item(task_, waiting.item.id, [&] {
        EncodedContinuation ids = model_.encoder.encode(choice);
        model_.engine.check_tokens(ids.context);
        model_.engine.check_tokens(ids.continuation);
        return ids;
      });
      waiting.truncated = waiting.truncated || encoded.truncated;
      size_t request = first_request;  // that has the same context
      while (request < requests_.size() && requests_[request].context != encoded.context) ++request;
      if (request == requests_.size()) {
        wave_tokens_ += std::ssize(encoded.context);
        wave_pages_ += model_.engine.layout().pages_held(std::ssize(encoded.context));
        requests_.push_back({std::move(encoded.context), {}});
      }
      const int64_t scored = std::ssize(encoded.continuation);
      run_.tokens += scored;
      // A fork writes to a copy of the last page, and to new ones.
      wave_pages_ += model_.engine.layout().pages_held(scored + Pattern::kBlock);
      waiting.places.emplace_back(request, requests_[request].continuations.size());
      requests_[request].continuations.push_back(std::move(encoded.continuation));
    }
    waiting_.push_back(std::move(waiting));
  }

  bool is_full() const {
    return wave_tokens_ >= kStepsOfWave * model_.step_tokens ||
           wave_pages_ >= model_.engine.pool().pages_left() / 2;
  }

  bool score_wave() {
    const auto scores =
        model_.policy
            ? baseline_runs().score(requests_)
            : ChoiceScorer(model_.engine, model_.step_tokens).score(requests_, options_.goes_on);
    if (!scores) return false;
    for (const Waiting& waiting : waiting_) {
      std::vector<ContinuationScore> choices;
      for (const auto& [request, place] : waiting.places)
        choices.push_back((*scores)[request][place]);
      finish(waiting.number, choice_result(waiting.item, choices, waiting.truncated));
    }
    run_.tokens += wave_tokens_;
    wave_tokens_ = wave_pages_ = 0;
    waiting_.clear();
    requests_.clear();
    return true;
  }

  bool run_replies() {
    std::map<int64_t, std::pair<GenerationItem, bool>> under_way;
    int64_t number = 0;
    const auto next = [&]() -> std::optional<ReplyRequest> {
      for (; number < task_.num_items; ++number) {
        GenerationItem item = task_.generation(number);
        if (is_done(number, item.id)) continue;
        const StopCriteria stop{
            .tokens = model_.stop_tokens, .strings = item.stops, .max_tokens = item.new_tokens};
        EncodedPrompt prompt = of_item(task_, item.id, [&] {
          stop.check();
          EncodedPrompt ids = model_.encoder.encode(item);
          model_.engine.check_tokens(ids.ids);
          return ids;
        });
        under_way.emplace(number, std::pair(std::move(item), prompt.truncated));
        return ReplyRequest{number++, std::move(prompt.ids), stop};
      }
      return std::nullopt;
    };
    const auto on_reply = [&](const Reply& reply) {
      const auto& [item, truncated] = under_way.at(reply.number);
      run_.tokens += reply.prompt_tokens + reply.new_tokens;
      finish(reply.number, reply_result(item, reply.text, stop_reason_name(reply.end), truncated));
      under_way.erase(reply.number);
    };
    if (model_.policy) return baseline_runs().replies(model_.tokenizer, next, on_reply);
    BatchReplies replies(model_.engine, model_.tokenizer,
                         {.step_tokens = model_.step_tokens, .goes_on = options_.goes_on});
    return replies.run(next, on_reply);
  }

  BaselineRuns baseline_runs() const {
    return {model_.engine.decoder(), *model_.policy, model_.step_tokens,
            [this](int64_t) { return options_.goes_on(); }};
  }

  const SuiteTask& task_;
  const SuiteModel& model_;
  ItemLog& log_;
  const RunTaskOptions& options_;
  TaskRun run_;
  int64_t num_done_ = 0;
  std::vector<ChoiceRequest> requests_;  // of the wave
  std::vector<Waiting> waiting_;         // for its scores
  int64_t wave_tokens_ = 0, wave_pages_ = 0;
};

}  // namespace

TaskRun run_task(const SuiteTask& task, const SuiteModel& model, ItemLog& log,
                 const RunTaskOptions& options) {
  return TaskRunner(task, model, log, options).run();
}

}  // namespace longgen
