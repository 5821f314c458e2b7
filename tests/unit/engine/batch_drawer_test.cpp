#include "longgen/engine/batch_drawer.h"

#include <gtest/gtest.h>

#include "longgen/engine/engine.h"
#include "tests/unit/engine/draw_cases.h"
#include "tests/unit/engine/tiny_decoder.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

TEST(BatchDrawerTest, EachSequenceDrawsAsItsSamplerDoes) {
  constexpr int64_t kKnown = 280;
  std::mt19937_64 random(1);
  const auto drawer = batch_drawer(at::kCPU, kKnown, 3);
  std::vector<DrawCase> cases;
  std::vector<Sampler> samplers;
  std::vector<int64_t> slots;
  for (int n = 0; n < 3; ++n) {
    cases.push_back(random_draw_case(random, 10 * n, 300));
    DrawCase& of = cases.back();
    of.sampling.repetition_penalty = 1.4;
    of.sampling.frequency_penalty = 0.3;
    of.sampling.logit_bias = {{7, 2.5}};
    for (int32_t& id : of.prompt) id %= kKnown;
    of.generated.clear();
    samplers.emplace_back(of.sampling);
    slots.push_back(drawer->begin({.sampling = of.sampling, .num_logprobs = n}, of.prompt));
  }
  for (int step = 0; step < 20; ++step) {
    // In changing order, and not always all of them.
    std::vector<int64_t> order = {step % 3, (step + 1) % 3};
    std::vector<int64_t> rows_of;
    at::Tensor logits_NV = at::empty({2, 300});
    for (int64_t i = 0; i < 2; ++i) {
      logits_NV[i] = at::tensor(cases[static_cast<size_t>(order[i])].logits);
      rows_of.push_back(slots[static_cast<size_t>(order[i])]);
    }
    const std::vector<Drawn> drawn = drawer->draw(logits_NV, rows_of)->wait();
    for (size_t i = 0; i < 2; ++i) {
      const auto n = static_cast<size_t>(order[i]);
      DrawCase& of = cases[n];
      const int32_t expected = samplers[n].next(std::span(of.logits).first(kKnown),
                                                {.prompt = of.prompt, .generated = of.generated});
      of.generated.push_back(expected);
      EXPECT_EQ(drawn[i].token, expected);
      EXPECT_EQ(drawer->drawn_S()[slots[n]].item<int64_t>(), expected);
      ASSERT_TRUE(drawn[i].logprobs.has_value());
      EXPECT_EQ(drawn[i].logprobs->best.size(), n);
      EXPECT_NEAR(drawn[i].logprobs->logprob,
                  at::log_softmax(logits_NV[static_cast<int64_t>(i)], 0)[expected].item<float>(),
                  1e-6);
    }
  }
}

TEST(BatchDrawerTest, TokensAreBarredFromTheFirstDrawsOnly) {
  const auto drawer = batch_drawer(at::kCPU, 3, 1);
  DrawSettings settings;
  settings.sampling.temperature = 0;
  settings.barred = {2};
  settings.num_barred = 2;
  const std::vector<int64_t> slot = {drawer->begin(settings, {})};
  std::vector<int32_t> tokens;
  for (int i = 0; i < 4; ++i) {
    tokens.push_back(
        drawer->draw(at::tensor({1.0F, 2.0F, 3.0F}).view({1, 3}), slot)->wait()[0].token);
  }
  EXPECT_EQ(tokens, (std::vector<int32_t>{1, 1, 2, 2}));
}

TEST(BatchDrawerTest, OnlyAllowedTokensAreDrawn) {
  const auto drawer = batch_drawer(at::kCPU, 40, 2);
  DrawSettings settings;
  settings.sampling.temperature = 0;
  settings.num_logprobs = 0;
  const std::vector<int64_t> slots = {drawer->begin(settings, {}), drawer->begin(settings, {})};
  const at::Tensor logits_NV = at::arange(80).to(at::kFloat).view({2, 40});
  const std::vector<uint32_t> bits = {uint32_t{1} << 5 | uint32_t{1} << 31, 0};
  std::vector<AllowedTokens> allowed = {bits, {}};
  const std::vector<Drawn> drawn = drawer->draw(logits_NV, slots, allowed)->wait();
  EXPECT_EQ(drawn[0].token, 31);
  EXPECT_EQ(drawn[1].token, 39);
  EXPECT_NEAR(drawn[0].logprobs->logprob, drawn[1].logprobs->logprob - 8, 1e-5)
      << "the model's own";
  const std::vector<uint32_t> none = {0, 0};
  allowed[1] = none;
  EXPECT_EQ(drawer->draw(logits_NV, slots, allowed)->wait()[1].error,
            "[sample] step 2: every token that could follow is barred.");
}

TEST(BatchDrawerTest, SlotsAreGivenOutAgainAndForgetWhatWasThere) {
  const auto drawer = batch_drawer(at::kCPU, 4, 2);
  const int64_t a = drawer->begin({.sampling = {.presence_penalty = 2, .temperature = 0}}, {});
  drawer->begin({}, {});
  EXPECT_EQ(error_of([&] { drawer->begin({}, {}); }),
            "[sample] expected at most 2 sequences at a time, found one more.");
  const at::Tensor logits_NV = at::tensor({0.0F, 0.5F, 1.0F, 0.0F}).view({1, 4});
  const auto next = [&](int64_t slot) {
    return drawer->draw(logits_NV, std::vector<int64_t>{slot})->wait()[0].token;
  };
  EXPECT_EQ(next(a), 2);
  EXPECT_EQ(next(a), 1) << "the penalty counts";
  drawer->end(a);
  EXPECT_EQ(drawer->begin({.sampling = {.presence_penalty = 2, .temperature = 0}}, {}), a);
  EXPECT_EQ(next(a), 2);
}

TEST(BatchDrawerTest, ABadRowIsAnErrorOfThatRow) {
  const auto drawer = batch_drawer(at::kCPU, 2, 2);
  const std::vector<int64_t> slots = {drawer->begin({}, {}),
                                      drawer->begin({.sampling = {.temperature = 0}}, {})};
  const at::Tensor logits_NV = at::tensor({NAN, 0.0F, 1.0F, 2.0F}).to(at::kFloat).view({2, 2});
  const std::vector<Drawn> drawn = drawer->draw(logits_NV, slots)->wait();
  EXPECT_EQ(drawn[0].error,
            "[sample] step 1: the logit of token 0 is NaN, expected a number. The model's weights "
            "are damaged or the computation overflowed.");
  EXPECT_EQ(drawer->drawn_S()[slots[0]].item<int64_t>(), 0);
  EXPECT_EQ(drawn[1].error, "");
  EXPECT_EQ(drawn[1].token, 1);
}

TEST(BatchDrawerTest, BadSettingsAreNamed) {
  const auto drawer = batch_drawer(at::kCPU, 10, 1);
  const auto error = [&](const DrawSettings& settings, const std::vector<int32_t>& prompt = {}) {
    return error_of([&] { drawer->begin(settings, prompt); });
  };
  EXPECT_EQ(error({.num_logprobs = 21}),
            "[sample] logprobs: expected at most 20 best tokens, found 21.");
  EXPECT_NE(error({.num_logprobs = -1}).find("found -1"), std::string::npos);
  EXPECT_EQ(error({.sampling = {.logit_bias = {{10, 1}}}}),
            "[sample] logit_bias: expected tokens from 0 to 9, found 10.");
  EXPECT_EQ(error({}, {3, -1}), "[sample] prompt: expected tokens from 0 to 9, found -1.");
  EXPECT_NE(error({.sampling = {.top_p = 2}}).find("top_p"), std::string::npos);
}

// The next step may name a token by its slot.
TEST(BatchDrawerTest, ATokenInASlotIsTheToken) {
  const TinyDecoder model;
  Engine engine(model.decoder);
  const auto drawer = batch_drawer(at::kCPU, kVocab, 2);
  drawer->begin({}, {});
  const int64_t slot = drawer->begin({.sampling = {.seed = 3}}, {});
  const SequenceId one = engine.add(), other = engine.add();
  const std::vector<int32_t> prompt = some_ids(70);
  const at::Tensor logits_BV = engine.step({{one, prompt}, {other, prompt}}).logits_BV;
  const std::vector<int32_t> drawn = {
      drawer->draw(logits_BV.narrow(0, 0, 1), std::vector<int64_t>{slot})->wait()[0].token};
  const std::vector<int32_t> in_slot = {token_in_slot(slot)};
  const at::Tensor next_BV =
      engine.step({{one, drawn}, {other, in_slot}}, {.drawn_S = drawer->drawn_S()}).logits_BV;
  EXPECT_TRUE(next_BV[0].equal(next_BV[1]));

  const std::vector<int32_t> beyond = {token_in_slot(2)};
  EXPECT_NE(error_of([&] {
              engine.step({{one, beyond}}, {.drawn_S = drawer->drawn_S()});
            }).find("token -3 is not in the model's vocabulary of 320"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              engine.step({{one, in_slot}});
            }).find("token -2 is not in"),
            std::string::npos);
}

}  // namespace
}  // namespace longgen
