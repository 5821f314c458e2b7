// Cache policies on tiny full models: against the model itself, and against plain loops.
#include <gtest/gtest.h>

#include "longgen/eval/baselines/baseline_context.h"
#include "longgen/eval/baselines/baseline_runs.h"
#include "longgen/eval/suite/run_task.h"
#include "tests/unit/eval/baselines/full_decoder.h"
#include "tests/unit/eval/baselines/naive_policy.h"
#include "tests/unit/folder_test.h"

namespace longgen {
namespace {

using Ids = std::vector<int32_t>;

struct PolicyRun {
  at::Tensor logits_TV;
  BaselineContext context;
};

/// Gives the prompt in chunks and the rest token by token. Calls `visit` after each pass.
PolicyRun run_policy(const Decoder& decoder, const CachePolicy& policy, const Ids& ids,
                     int64_t prompt_tokens, int64_t chunk,
                     const std::function<void(const BaselineContext&, int64_t)>& visit = {}) {
  const at::NoGradGuard no_grad;
  const at::Tensor tokens_T = at::tensor(ids, at::kInt).to(at::kLong);
  BaselineContext context(decoder, policy);
  std::vector<at::Tensor> logits;
  int64_t done = 0;
  while (done < std::ssize(ids)) {
    int64_t count = 1;
    if (done < prompt_tokens) {
      count = std::min(chunk, prompt_tokens - done);
      context.begin_prompt(count, done + count == prompt_tokens);
    } else {
      context.begin_step();
    }
    logits.push_back(decoder.logits(decoder.forward(tokens_T.narrow(0, done, count), context)));
    done += count;
    if (visit) visit(context, done);
  }
  return {at::cat(logits), context};
}

std::vector<int64_t> positions_of(const KeptTokens& kept, int64_t head) {
  const at::Tensor row = kept.positions_KN[head].contiguous();
  return {row.data_ptr<int64_t>(), row.data_ptr<int64_t>() + row.numel()};
}

TEST(CachePolicyTest, IsReadAndNamed) {
  EXPECT_EQ(policy_of("streaming:1K").name(), "streaming:1024");
  EXPECT_EQ(policy_of("h2o:2").budget_tokens, 2);
  EXPECT_EQ(policy_of("pyramidkv:9").kind, PolicyKind::pyramidkv);
  EXPECT_ERROR(policy_of("h2o"),
               "--policy: expected a policy and its budget in tokens, as in streaming:1024, found "
               "\"h2o\".");
  EXPECT_ERROR(policy_of("h20:64"),
               "--policy: expected streaming, h2o or pyramidkv, found \"h20\".");
  EXPECT_ERROR(policy_of("streaming:4"),
               "--policy: streaming expects a budget of 5 to 1,073,741,824 tokens, found 4.");
  EXPECT_ERROR(policy_of("h2o:1"), "h2o expects a budget of 2 to");
  EXPECT_ERROR(policy_of("pyramidkv:8"), "pyramidkv expects a budget of 9 to");
  EXPECT_ERROR(policy_of("pyramidkv:2G"), "found 2,147,483,648.");
  EXPECT_ERROR(policy_of("h2o:many"), "--policy");
}

TEST(CachePolicyTest, NeedsAFullModel) {
  const TinyDecoder hybrid;
  EXPECT_ERROR(BaselineContext(hybrid.decoder, policy_of("h2o:8")),
               "the policy h2o:8 keeps a part of what full attention sees, and layer 0 is not full "
               "(sink=1,window=2,stride=3). Give a model whose layers are all full.");
  EXPECT_ERROR(BaselineContext(full_decoder("gemma_tied"), policy_of("h2o:8")), "layer 0");
}

TEST(CachePolicyTest, APyramidFallsAndItsMeanIsTheBudget) {
  // 1,008 tokens, 8 of them observed: 1,000 a layer, from 1,950 to 50.
  for (const int64_t layers : {2, 3, 30, 31}) {
    int64_t sum = 0;
    for (int64_t layer = 0; layer < layers; ++layer) {
      const int64_t tokens = pyramid_tokens(1008, layer, layers, 100000);
      if (layer > 0) {
        EXPECT_LT(tokens, pyramid_tokens(1008, layer - 1, layers, 100000));
      }
      sum += tokens;
    }
    EXPECT_EQ(pyramid_tokens(1008, 0, layers, 100000), 1958);
    EXPECT_EQ(pyramid_tokens(1008, layers - 1, layers, 100000), 58);
    EXPECT_EQ(sum, layers * 1008);
  }
  // No layer has more than the prompt; what the lowest cannot use the highest have.
  EXPECT_EQ(pyramid_tokens(108, 0, 30, 200), 200);
  EXPECT_EQ(pyramid_tokens(108, 29, 30, 200), 16);
  EXPECT_EQ(pyramid_tokens(1008, 0, 30, 1999), 1008);
  EXPECT_EQ(pyramid_tokens(1008, 29, 30, 1008), 1008);
  EXPECT_EQ(pyramid_tokens(1008, 29, 30, 10), 10);
  EXPECT_EQ(pyramid_tokens(1008, 0, 1, 100000), 1008);
}

TEST(BaselineContextTest, ABudgetOfTheWholeTextIsTheModel) {
  const Ids ids = some_ids(70);
  for (const char* name : {"full", "qk_norm_bias"}) {
    Decoder decoder = full_decoder("full");
    if (std::string(name) != "full") {
      ModelCase all_full = {.name = name, .sparse = "", .qk_norm = true, .bias = true};
      Json json = tiny_json();
      json["vocab_size"] = kVocab;
      const ModelConfig config = config_of(all_full, json);
      decoder = Decoder(config, varied_weights(config, at::kFloat));
    }
    const at::Tensor expected_TV = logits_of(decoder, ids);
    for (const char* text : {"streaming:70", "h2o:70", "pyramidkv:70"}) {
      for (const int64_t chunk : {64, 9}) {
        const PolicyRun run = run_policy(decoder, policy_of(text), ids, 55, chunk);
        EXPECT_LT(max_abs(run.logits_TV - expected_TV), 4 * rounding(expected_TV))
            << name << " " << text << " " << chunk;
      }
    }
  }
}

TEST(BaselineContextTest, TokensKeptAndLogitsAreThoseOfPlainLoops) {
  const at::NoGradGuard no_grad;
  const Decoder decoder = full_decoder("full");
  const Ids ids = some_ids(75);
  const int64_t prompt_tokens = 60;
  const at::Tensor full_TV = logits_of(decoder, ids);
  for (const char* text : {"streaming:5", "streaming:20", "h2o:2", "h2o:21", "pyramidkv:9",
                           "pyramidkv:24", "pyramidkv:50"}) {
    const CachePolicy policy = policy_of(text);
    NaivePolicyContext naive(decoder.config(), policy, prompt_tokens, std::ssize(ids));
    const at::Tensor expected_TV =
        decoder.logits(decoder.forward(at::tensor(ids, at::kInt).to(at::kLong), naive));
    EXPECT_GT(max_abs(expected_TV - full_TV), 0.01) << text;
    for (const int64_t chunk : {100, 13, 1}) {
      int64_t num_compared = 0;
      const auto visit = [&](const BaselineContext& context, int64_t done) {
        if (done < prompt_tokens && policy.kind != PolicyKind::streaming) return;
        for (const auto& [place, kept_after] : naive.trace) {
          const KeptTokens& kept = context.layer(place.first);
          EXPECT_EQ(positions_of(kept, place.second), kept_after[static_cast<size_t>(done - 1)])
              << text << ", layer " << place.first << ", head " << place.second << ", " << done;
          ++num_compared;
        }
      };
      const PolicyRun run = run_policy(decoder, policy, ids, prompt_tokens, chunk, visit);
      EXPECT_GE(num_compared, 16 * 6);
      EXPECT_LT(max_abs(run.logits_TV - expected_TV), 16 * rounding(expected_TV))
          << text << " " << chunk;
    }
  }
}

TEST(BaselineContextTest, BudgetsHold) {
  const Decoder decoder = full_decoder("full");
  int64_t most = 0, prompt = 0;
  const auto visit = [&](const BaselineContext& context, int64_t done) {
    int64_t sum = 0;
    for (int64_t layer = 0; layer < 3; ++layer) {
      most = std::max(most, context.layer(layer).size());
      sum += context.layer(layer).size();
    }
    if (done == 60) prompt = sum;
  };
  run_policy(decoder, policy_of("streaming:12"), some_ids(80), 60, 7, visit);
  EXPECT_EQ(most, 12);
  most = 0;
  run_policy(decoder, policy_of("h2o:12"), some_ids(80), 60, 60, visit);
  EXPECT_EQ(most, 12);
  run_policy(decoder, policy_of("pyramidkv:12"), some_ids(80), 60, 60, visit);
  EXPECT_EQ(prompt, 3 * 12);
}

TEST(BaselineContextTest, ACopyIsAnotherSequence) {
  const at::NoGradGuard no_grad;
  const Decoder decoder = full_decoder("full");
  const Ids ids = some_ids(40);
  for (const char* text : {"streaming:9", "h2o:9", "pyramidkv:12"}) {
    BaselineContext context = run_policy(decoder, policy_of(text), ids, 40, 40).context;
    const auto next = [&](BaselineContext& one, int64_t token) {
      one.begin_step();
      return decoder.logits(decoder.forward(at::full({1}, token, at::kLong), one));
    };
    BaselineContext first = context, second = context;
    const at::Tensor alone = next(first, 7);
    next(second, 9);
    next(second, 11);
    EXPECT_TRUE(at::equal(next(context, 7), alone)) << text;
  }
}

TEST(BaselineContextTest, StepsFollowThePrompt) {
  const Decoder decoder = full_decoder("full");
  BaselineContext context(decoder, policy_of("h2o:9"));
  EXPECT_ERROR(context.begin_step(0), "expected tokens of a step, found 0");
  EXPECT_ERROR(context.begin_step(), "a step before the end of the prompt");
  context.begin_prompt(3, true);
  EXPECT_ERROR(context.begin_prompt(3, true), "found 3 after its end");
  EXPECT_ERROR(context.attend({0, Pattern()}, {}, {}, {}), "Call prepare_and_attend()");
}

class PolicyTaskTest : public FolderTest {};

TEST_F(PolicyTaskTest, TasksWithALargeBudgetAreThoseOfTheEngine) {
  const Decoder decoder = full_decoder("full");
  const Tokenizer tokenizer = tiny_tokenizer();
  const PromptEncoder encoder(tokenizer, {.context_tokens = 200});
  Engine engine(decoder);
  SuiteTask choices{.name = "c", .group = "g", .num_items = 4, .scores = {"acc"}};
  choices.choice = [](int64_t number) {
    const std::string context = "hello " + std::to_string(number);
    return ChoiceItem{std::to_string(number), {{context, " a"}, {context, " abc hello"}}, 1};
  };
  SuiteTask replies{.name = "r", .group = "g", .num_items = 3, .scores = {}};
  replies.generation = [](int64_t number) {
    GenerationItem item;
    item.id = std::to_string(number);
    item.prompt = "hello hello " + item.id;
    item.new_tokens = 12;
    return item;
  };
  int64_t number = 0;
  const auto run = [&](const SuiteTask& task, const std::string& policy) {
    ItemLog log(dir_ / std::to_string(number++), OrderedJson::object());
    SuiteModel model{engine, tokenizer, encoder, {}, 5};
    if (!policy.empty()) model.policy = policy_of(policy);
    TaskRun result = run_task(task, model, log);
    EXPECT_TRUE(result.finished);
    return result;
  };
  const TaskRun scored = run(choices, ""), replied = run(replies, "");
  for (const char* policy : {"streaming:200", "h2o:200", "pyramidkv:200"}) {
    const TaskRun also_scored = run(choices, policy), also_replied = run(replies, policy);
    EXPECT_EQ(also_scored.tokens, scored.tokens);
    EXPECT_EQ(also_replied.tokens, replied.tokens);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(also_scored.items[i]->details["greedy"], scored.items[i]->details["greedy"]);
      for (size_t choice = 0; choice < 2; ++choice) {
        EXPECT_NEAR(also_scored.items[i]->details["loglikelihoods"][choice].get<double>(),
                    scored.items[i]->details["loglikelihoods"][choice].get<double>(), 1e-3);
      }
    }
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(also_replied.items[i]->details["reply"], replied.items[i]->details["reply"]);
    }
  }
  const TaskRun small = run(choices, "streaming:5");
  EXPECT_NE(small.items[0]->details["loglikelihoods"][1],
            scored.items[0]->details["loglikelihoods"][1]);
}

TEST_F(PolicyTaskTest, AnInterruptKeepsWhatIsDone) {
  const Decoder decoder = full_decoder("full");
  const Tokenizer tokenizer = tiny_tokenizer();
  int64_t left = 20;
  const BaselineRuns runs(decoder, policy_of("h2o:8"), 5, [&](int64_t) { return --left > 0; });
  int64_t number = 0, done = 0;
  const auto next = [&]() -> std::optional<ReplyRequest> {
    return ReplyRequest{number++, some_ids(7), {.max_tokens = 3}};
  };
  EXPECT_FALSE(runs.replies(tokenizer, next, [&](const Reply&) { ++done; }));
  EXPECT_EQ(done, 2);
  const std::vector<ChoiceRequest> requests(1, {some_ids(7), {some_ids(3)}});
  EXPECT_FALSE(runs.score(requests));
}

}  // namespace
}  // namespace longgen
