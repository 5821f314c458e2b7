// Many items at once on a tiny model, against one at a time.
#include <gtest/gtest.h>

#include "longgen/engine/generate.h"
#include "longgen/engine/score.h"
#include "longgen/eval/suite/batch_replies.h"
#include "longgen/eval/suite/choice_scorer.h"
#include "longgen/eval/suite/run_task.h"
#include "tests/unit/engine/tiny_decoder.h"
#include "tests/unit/folder_test.h"

namespace longgen {
namespace {

using Ids = std::vector<int32_t>;

bool always() { return true; }

Ids ids_from(int64_t begin, int64_t count) {
  Ids ids = some_ids(begin + count);
  ids.erase(ids.begin(), ids.begin() + begin);
  return ids;
}

TEST(ChoiceScorerTest, ScoresAreThoseOfEachTextAlone) {
  const TinyDecoder model;
  std::vector<ChoiceRequest> requests;
  for (const int64_t context : {1, 5, 64, 200, 63}) {
    ChoiceRequest request{ids_from(context, context), {}};
    for (const int64_t length : {1, 2, 70}) request.continuations.push_back(ids_from(3, length));
    requests.push_back(std::move(request));
  }
  Session session(model.decoder, 1000);
  // What the model would write itself after the first context.
  Ids greedy = requests[0].context;
  for (int i = 0; i < 4; ++i) {
    greedy.push_back(
        static_cast<int32_t>(logits_of(model.decoder, greedy)[-1].argmax().item<int64_t>()));
  }
  requests[0].continuations.push_back(Ids(greedy.begin() + 1, greedy.end()));
  for (const int64_t step : {1000, 50, 7}) {
    Engine engine(model.decoder);
    const auto scores = ChoiceScorer(engine, step).score(requests, always);
    ASSERT_TRUE(scores);
    EXPECT_EQ(engine.num_sequences(), 0);
    EXPECT_EQ(engine.pool().pages_in_use(), 0);
    for (size_t r = 0; r < requests.size(); ++r) {
      for (size_t i = 0; i < requests[r].continuations.size(); ++i) {
        Ids whole = requests[r].context;
        const Ids& added = requests[r].continuations[i];
        whole.insert(whole.end(), added.begin(), added.end());
        const TokenScores alone = score_tokens(session, whole);
        double sum = 0;
        for (size_t t = requests[r].context.size() - 1; t < alone.logprobs.size(); ++t) {
          sum += alone.logprobs[t];
        }
        EXPECT_NEAR((*scores)[r][i].loglikelihood, sum, 1e-4 * std::max(1.0, std::abs(sum) / 10));
        EXPECT_EQ((*scores)[r][i].greedy, r == 0 && i == 3) << r << " " << i;
      }
    }
  }
}

TEST(ChoiceScorerTest, AnInterruptLeavesNoSequences) {
  const TinyDecoder model;
  Engine engine(model.decoder);
  int64_t left = 5;
  const std::vector<ChoiceRequest> requests(3, {ids_from(0, 20), {ids_from(1, 9)}});
  EXPECT_FALSE(ChoiceScorer(engine, 10).score(requests, [&] { return --left > 0; }));
  EXPECT_EQ(engine.num_sequences(), 0);
}

struct Prompt {
  Ids ids;
  int64_t new_tokens;
};

/// The replies of all prompts, by number.
std::map<int64_t, Reply> replies_of(Engine& engine, const Tokenizer& tokenizer,
                                    const std::vector<Prompt>& prompts,
                                    const BatchRepliesOptions& options) {
  std::map<int64_t, Reply> replies;
  int64_t number = 0;
  BatchReplies batch(engine, tokenizer, options);
  const bool finished = batch.run(
      [&]() -> std::optional<ReplyRequest> {
        if (number == std::ssize(prompts)) return std::nullopt;
        const Prompt& prompt = prompts[static_cast<size_t>(number)];
        return ReplyRequest{number++, prompt.ids, {.max_tokens = prompt.new_tokens}};
      },
      [&](Reply reply) { replies[reply.number] = std::move(reply); });
  EXPECT_TRUE(finished);
  EXPECT_EQ(engine.num_sequences(), 0);
  return replies;
}

TEST(BatchRepliesTest, RepliesAreThoseOfEachPromptAlone) {
  const TinyDecoder model;
  const Tokenizer tokenizer = tiny_tokenizer();
  std::vector<Prompt> prompts;
  for (const int64_t length : {1, 90, 3, 150, 64, 20, 33}) {
    prompts.push_back({ids_from(length, length), 4 + length % 7});
  }
  std::vector<std::string> alone;
  for (const Prompt& prompt : prompts) {
    Session session(model.decoder, 64);
    GenerateOptions options;
    options.vocab_size = tokenizer.vocab_size();
    options.sampling.temperature = 0;
    options.stop.max_tokens = prompt.new_tokens;
    TextStream stream(tokenizer, options.stop, prompt.ids);
    std::string text;
    GenerateCallbacks callbacks;
    callbacks.text = [&](const std::string& part) { text += part; };
    generate(session, prompt.ids, prompt.ids, stream, options, callbacks);
    alone.push_back(text);
  }
  const KvLayout layout(model.config, PageType::kFloat32);
  const int64_t few = layout.page_bytes() * layout.pages_peak(0, 160, 64) * 3 / 2;
  for (const auto& [step, most, bytes] : {std::tuple(int64_t{512}, int64_t{64}, int64_t{0}),
                                          std::tuple(int64_t{16}, int64_t{3}, int64_t{0}),
                                          std::tuple(int64_t{64}, int64_t{64}, few)}) {
    EngineOptions limits;
    if (bytes > 0) limits.max_kv_bytes = bytes;
    Engine engine(model.decoder, limits);
    const auto replies =
        replies_of(engine, tokenizer, prompts, {.step_tokens = step, .max_sequences = most});
    ASSERT_EQ(replies.size(), prompts.size());
    for (const auto& [number, reply] : replies) {
      const auto n = static_cast<size_t>(number);
      EXPECT_EQ(reply.text, alone[n]) << number << " with steps of " << step;
      EXPECT_EQ(reply.new_tokens, prompts[n].new_tokens);
      EXPECT_EQ(reply.prompt_tokens, std::ssize(prompts[n].ids));
      EXPECT_EQ(reply.end, StopReason::length);
    }
  }
  Engine engine(model.decoder, {.max_kv_bytes = layout.page_bytes() * 2});
  EXPECT_ERROR(replies_of(engine, tokenizer, prompts, {}), "Allow more (--max-kv)");
}

class RunTaskTest : public FolderTest {
 protected:
  static SuiteTask task() {
    SuiteTask task{.name = "t", .group = "g", .num_items = 9, .scores = {"acc"}};
    task.choice = [](int64_t number) {
      const std::string context = "hello " + std::to_string(number);
      return ChoiceItem{std::to_string(number), {{context, " a"}, {context, " abc hello"}}, 1};
    };
    return task;
  }
};

TEST_F(RunTaskTest, AnInterruptedTaskGoesOnWithTheSameResults) {
  const TinyDecoder model;
  const Tokenizer tokenizer = tiny_tokenizer();
  const PromptEncoder encoder(tokenizer, {.context_tokens = 5});
  Engine engine(model.decoder);
  const SuiteModel suite_model{engine, tokenizer, encoder, {}, 2};
  ItemLog whole_log(dir_ / "whole", OrderedJson::object()),
      log(dir_ / "parts", OrderedJson::object());
  const TaskRun whole = run_task(task(), suite_model, whole_log);
  EXPECT_TRUE(whole.finished);
  EXPECT_EQ(whole.num_new, 9);
  int64_t finished = 0;
  const TaskRun part = run_task(task(), suite_model, log,
                                {.on_progress = [&](int64_t items) { finished = items; },
                                 .goes_on = [&] { return finished < 3; }});
  EXPECT_FALSE(part.finished);
  EXPECT_GE(part.num_new, 3);
  EXPECT_LT(part.num_new, 9);
  ItemLog again(dir_ / "parts", OrderedJson::object());
  const TaskRun rest = run_task(task(), suite_model, again);
  EXPECT_TRUE(rest.finished);
  EXPECT_EQ(rest.num_new, 9 - part.num_new);
  for (size_t i = 0; i < 9; ++i) {
    // "hello 3" and " abc hello" have 3 and 4 tokens; the last of all is not given.
    EXPECT_EQ(whole.items[i]->truncated, true);
    for (size_t choice = 0; choice < 2; ++choice) {
      EXPECT_NEAR(whole.items[i]->details["loglikelihoods"][choice].get<double>(),
                  rest.items[i]->details["loglikelihoods"][choice].get<double>(), 1e-4);
    }
  }
}

TEST_F(RunTaskTest, ErrorsNameTaskAndItem) {
  const TinyDecoder model;
  const Tokenizer tokenizer = tiny_tokenizer();
  const PromptEncoder encoder(tokenizer, {.context_tokens = 100});
  Engine engine(model.decoder);
  const SuiteModel suite_model{engine, tokenizer, encoder, {}, 64};
  ItemLog log(dir_ / "log", OrderedJson::object());
  SuiteTask joined = task();
  joined.choice = [](int64_t number) {
    return ChoiceItem{std::to_string(number), {{"ab", "c"}}, 0};  // "abc" is one token
  };
  EXPECT_ERROR(run_task(joined, suite_model, log),
               "t, item 0: [suite] the text \"c\" has no token of its own after its context");
  SuiteTask empty = task();
  empty.choice = [](int64_t number) { return ChoiceItem{std::to_string(number), {{"", "c"}}, 0}; };
  EXPECT_ERROR(run_task(empty, suite_model, log), "neither a BOS nor an EOS");
}

}  // namespace
}  // namespace longgen
