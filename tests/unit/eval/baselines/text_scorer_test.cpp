// Texts read under cache policies: against the model itself, and against plain loops.
#include "longgen/eval/text_scorer.h"

#include <gtest/gtest.h>

#include "longgen/engine/score.h"
#include "longgen/eval/contexts.h"
#include "longgen/eval/needle_run.h"
#include "longgen/eval/perplexity.h"
#include "tests/unit/eval/baselines/full_decoder.h"
#include "tests/unit/eval/baselines/naive_policy.h"

namespace longgen {
namespace {

const auto kGoesOn = [](int64_t) { return true; };

at::Tensor logprobs_of(const Decoder& decoder, const std::string& policy, int64_t chunk,
                       const std::vector<int32_t>& ids) {
  std::optional<CachePolicy> of_text;
  if (!policy.empty()) of_text = policy_of(policy);
  return at::tensor(*TextScorer(decoder, chunk, of_text).score(ids, kGoesOn));
}

TEST(TextScorerTest, WithoutAPolicyOrWithALargeOneItIsTheModel) {
  const Decoder decoder = full_decoder("full");
  const std::vector<int32_t> ids = some_ids(90);
  Session session(decoder, 64);
  const at::Tensor expected_T = at::tensor(score_tokens(session, ids).logprobs);
  EXPECT_TRUE(at::equal(logprobs_of(decoder, "", 64, ids), expected_T));
  for (const char* policy : {"streaming:90", "h2o:90", "h2o:4K"}) {
    for (const int64_t chunk : {100, 7}) {
      EXPECT_LT(max_abs(logprobs_of(decoder, policy, chunk, ids) - expected_T),
                4 * rounding(expected_T))
          << policy << " " << chunk;
    }
  }
}

TEST(TextScorerTest, UnderAPolicyItIsThatOfPlainLoops) {
  const at::NoGradGuard no_grad;
  const Decoder decoder = full_decoder("full");
  const std::vector<int32_t> ids = some_ids(80);
  const at::Tensor tokens_T = at::tensor(ids, at::kInt).to(at::kLong);
  const at::Tensor of_model_T = logprobs_of(decoder, "", 64, ids);
  for (const auto& [name, step] : {std::pair("streaming:5", 1),
                                   {"streaming:20", 1},
                                   {"h2o:2", 1},
                                   {"h2o:21", 1},
                                   {"h2o:32", 2},
                                   {"h2o:50", 3}}) {
    const CachePolicy policy = policy_of(name);
    if (policy.kind == PolicyKind::h2o) {
      EXPECT_EQ(policy.text_step_tokens(), step);
    }
    NaivePolicyContext naive(decoder.config(), policy, 1, std::ssize(ids), step);
    const at::Tensor logits_TV = decoder.logits(decoder.forward(tokens_T, naive));
    const at::Tensor expected_T = at::log_softmax(logits_TV, 1)
                                      .narrow(0, 0, 79)
                                      .gather(1, tokens_T.narrow(0, 1, 79).unsqueeze(1))
                                      .squeeze(1);
    EXPECT_GT(max_abs(expected_T - of_model_T), 0.01) << name;
    for (const int64_t chunk : {100, 13}) {
      EXPECT_LT(max_abs(logprobs_of(decoder, name, chunk, ids) - expected_T),
                16 * rounding(expected_T))
          << name << " " << chunk;
    }
  }
}

TEST(TextScorerTest, StepsOfH2oGrowWithTheBudget) {
  EXPECT_EQ(policy_of("h2o:16").text_step_tokens(), 1);
  EXPECT_EQ(policy_of("h2o:512").text_step_tokens(), 32);
  EXPECT_EQ(policy_of("h2o:8K").text_step_tokens(), 64);
}

TEST(TextScorerTest, RefusesWhatHasNoPromptAndHybrids) {
  EXPECT_ERROR(TextScorer(full_decoder("full"), 8, policy_of("pyramidkv:64")),
               "pyramidkv:64 chooses what to keep once, at the end of a prompt, and a text whose "
               "every token is predicted has no prompt. Give streaming:TOKENS or h2o:TOKENS");
  const TinyDecoder hybrid;
  EXPECT_ERROR(TextScorer(hybrid.decoder, 8, policy_of("h2o:64")), "layer 0 is not full");
}

TEST(TextScorerTest, EndsWhereItIsTold) {
  const Decoder decoder = full_decoder("full");
  for (const char* policy : {"streaming:8", "h2o:64"}) {
    int64_t last = 0;
    const auto ends = [&](int64_t done) { return (last = done) < 30; };
    EXPECT_FALSE(TextScorer(decoder, 16, policy_of(policy)).score(some_ids(90), ends)) << policy;
    EXPECT_TRUE(last >= 30 && last < 48) << policy << " " << last;
  }
}

TEST(TextScorerTest, PerplexitiesAndContextsAreReadUnderIt) {
  const Decoder decoder = full_decoder("full");
  const std::vector<std::vector<int32_t>> documents(1, some_ids(80));
  for (const char* policy : {"streaming:9", "h2o:9"}) {
    const PositionBuckets buckets =
        measure_perplexity(decoder, documents, {.edges = {0, 60, 80}, .policy = policy_of(policy)});
    const at::Tensor all_T = logprobs_of(decoder, policy, 16, documents[0]);
    EXPECT_NEAR(buckets.bucket(1).mean_nll, -all_T.narrow(0, 59, 20).mean().item<double>(), 1e-4);
    const auto contexts = measure_contexts(
        decoder, documents,
        {.contexts = {40}, .length_tokens = 80, .num_targets = 8, .policy = policy_of(policy)});
    const std::vector<int32_t> tail(documents[0].begin() + 40, documents[0].end());
    EXPECT_NEAR(contexts.at(0).documents.at(0).nll,
                -logprobs_of(decoder, policy, 16, tail).narrow(0, 31, 8).sum().item<double>(), 1e-3)
        << policy;
  }
}

TEST(TextScorerTest, NeedlesAreAskedForUnderIt) {
  const Decoder decoder = full_decoder("full");
  const Tokenizer tokenizer = tiny_tokenizer();
  const NeedleTask task(tokenizer, Haystack::noise(), {.new_tokens = 12});
  const auto replies = [&](const char* policy) {
    NeedleRunOptions options;
    options.lengths_tokens = {600};
    options.depths_percent = {0, 80};
    if (policy != nullptr) options.policy = policy_of(policy);
    std::vector<std::string> texts;
    for (const NeedleReply& reply : run_needle(decoder, tokenizer, task, options).replies) {
      texts.push_back(reply.reply);
    }
    return texts;
  };
  const std::vector<std::string> of_model = replies(nullptr);
  EXPECT_EQ(of_model.size(), 2u);
  for (const char* policy : {"streaming:600", "h2o:600", "pyramidkv:600"}) {
    EXPECT_EQ(replies(policy), of_model) << policy;
  }
  for (const char* policy : {"streaming:8", "h2o:8", "pyramidkv:12"}) {
    EXPECT_NE(replies(policy), of_model) << policy;
  }
}

}  // namespace
}  // namespace longgen
