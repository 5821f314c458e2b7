// The code of the GPU's draws, by threads of the CPU.
#include "longgen/engine/cuda/draw_in_block.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <thread>

#include "longgen/engine/draw_setup.h"
#include "tests/unit/engine/draw_cases.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

/// Threads in place of a GPU's; one of a single thread waits for nobody.
class CpuBlock {
 public:
  CpuBlock(int rank, int size, std::barrier<>* barrier)
      : rank_(rank), size_(size), barrier_(barrier) {}
  int rank() const { return rank_; }
  int size() const { return size_; }
  void sync() {
    if (barrier_ != nullptr) barrier_->arrive_and_wait();
  }
  static uint32_t add(uint32_t* to, uint32_t value) {
    return std::atomic_ref<uint32_t>(*to).fetch_add(value);
  }

 private:
  int rank_, size_;
  std::barrier<>* barrier_;
};

void run_row(const DrawJob& job, int num_threads) {
  const auto memory = std::make_unique<cuda::DrawMemory>();
  std::barrier<> barrier(num_threads);
  const auto run = [&](int rank) {
    CpuBlock block(rank, num_threads, num_threads > 1 ? &barrier : nullptr);
    cuda::RowDraw<CpuBlock>(block, *memory, job, 0).run();
  };
  std::vector<std::thread> threads;
  for (int rank = 1; rank < num_threads; ++rank) threads.emplace_back(run, rank);
  run(0);
  for (std::thread& thread : threads) thread.join();
}

struct BlockDraw {
  DrawnToken drawn;
  DrawnLogprobs logprobs;
  int64_t in_slot;
  std::vector<uint32_t> counts;
};

BlockDraw drawn_by_block(const DrawCase& of, int64_t number, int num_threads) {
  BlockDraw result = {};
  DrawRow row = draw_row(of.sampling);
  row.draw = static_cast<uint64_t>(number);
  const std::vector<TokenBias> bias = sorted_bias(of.sampling);
  row.bias = bias.data();
  row.num_bias = static_cast<int32_t>(bias.size());
  row.barred = of.barred.data();
  row.num_barred = static_cast<int32_t>(of.barred.size());
  if (counts_tokens(of.sampling)) {
    result.counts = first_counts(of.prompt, of.num_classes);
    for (const int32_t id : of.generated) ++result.counts[static_cast<size_t>(id)];
    row.counts_V = result.counts.data();
  }
  if (!of.allowed.empty()) row.allowed = of.allowed.data();
  const bool changes = row.counts_V != nullptr || row.allowed != nullptr;
  if (changes || row.num_bias + row.num_barred > 0) row.changed = 0;
  if (of.num_best >= 0) {
    row.logprobs = 0;
    row.num_best = static_cast<int32_t>(of.num_best);
  }
  std::vector<float> scratch(static_cast<size_t>(of.num_classes));
  const DrawJob job = {of.logits.data(), std::ssize(of.logits), of.num_classes, &row,
                       scratch.data(),   &result.in_slot,       &result.drawn,  &result.logprobs};
  run_row(job, num_threads);
  return result;
}

double log_of_sum(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

void expect_logprobs(const DrawCase& of, const BlockDraw& found) {
  std::vector<float> logits = of.logits;
  logits.resize(static_cast<size_t>(of.num_classes));
  const TokenLogprobs expected = describe_token(logits, found.drawn.token, of.num_best);
  const TokenLogprobs told = told_logprobs(found.logprobs, std::min(of.num_best, of.num_classes));
  const double log_sum = log_of_sum(of.logits);
  const auto expect_near = [&](double logprob, double logit) {
    if (std::isinf(logit)) {
      EXPECT_EQ(logprob, logit) << of.what;
    } else {
      EXPECT_NEAR(logprob, logit - log_sum, 1e-7 * (1 + std::abs(logprob))) << of.what;
    }
  };
  expect_near(told.logprob, expected.logprob);
  EXPECT_EQ(told.rank, expected.rank) << of.what;
  ASSERT_EQ(told.best.size(), expected.best.size()) << of.what;
  for (size_t i = 0; i < told.best.size(); ++i) {
    EXPECT_EQ(told.best[i].token, expected.best[i].token) << of.what << ", best " << i;
    expect_near(told.best[i].logprob, expected.best[i].logprob);
  }
}

/// Draws twice, as the Sampler does.
void expect_same(const DrawCase& of, int num_threads) {
  Sampler sampler(of.sampling);
  DrawCase next = of;
  const auto known = std::span(of.logits).first(static_cast<size_t>(of.num_classes));
  for (int64_t number = 0; number < 2; ++number) {
    const BlockDraw found = drawn_by_block(next, number, num_threads);
    int32_t expected = -1;
    const std::string error = error_of([&] {
      expected = sampler.next(known, {next.prompt, next.generated}, next.barred, next.allowed);
    });
    if (!error.empty()) {
      EXPECT_EQ(draw_error(found.drawn, number + 1, of.num_classes), error) << of.what;
      EXPECT_EQ(found.in_slot, 0);
      return;
    }
    ASSERT_EQ(found.drawn.status, DrawStatus::drawn) << of.what;
    ASSERT_EQ(found.drawn.token, expected) << of.what << ", draw " << number;
    EXPECT_EQ(found.in_slot, expected);
    if (of.num_best >= 0) expect_logprobs(of, found);
    next.generated.push_back(expected);
    if (found.counts.empty()) continue;
    std::vector<uint32_t> counts = first_counts(next.prompt, next.num_classes);
    for (const int32_t id : next.generated) ++counts[static_cast<size_t>(id)];
    ASSERT_EQ(found.counts, counts) << of.what;
  }
}

TEST(DrawInBlockTest, DrawsAreTheSamplers) {
  std::mt19937_64 random(21);
  const std::vector<size_t> sizes = {1, 2, 3, 17, 257, 300, 2000};
  for (int round = 0; round < 2000 && !HasFatalFailure(); ++round) {
    expect_same(random_draw_case(random, round, sizes[random() % sizes.size()]), 1);
  }
}

TEST(DrawInBlockTest, ThreadsDoNotDisturbEachOther) {
  std::mt19937_64 random(22);
  for (int round = 0; round < 60 && !HasFatalFailure(); ++round) {
    expect_same(random_draw_case(random, round, 1 + random() % 3000), round % 3 == 0 ? 40 : 3);
  }
}

TEST(DrawInBlockTest, LargeVocabulariesDrawTheSameToo) {
  std::mt19937_64 random(23);
  for (int round = 0; round < 12 && !HasFatalFailure(); ++round) {
    expect_same(random_draw_case(random, round, 70'000 + random() % 200'000), 1);
  }
}

// All logits alike: every id is as good, and sums need all bits.
TEST(DrawInBlockTest, EqualLogitsOfALargeVocabulary) {
  for (const double top_p : {1.0, 1 - 0x1p-53, 0.3}) {
    DrawCase equal;
    equal.logits.assign(262'144, -3.0F);
    equal.num_classes = 262'144;
    equal.num_best = 20;
    equal.sampling = {.top_p = top_p, .seed = 5};
    equal.what = "equal logits";
    expect_same(equal, 1);
    equal.sampling.top_k = 70'001;  // cuts within the tokens of one logit
    expect_same(equal, 1);
  }
}

TEST(DrawInBlockTest, BadLogitsAreToldAsTheSamplerTellsThem) {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto expect = [](std::vector<float> logits, std::vector<int32_t> barred,
                         DrawStatus status) {
    for (const double temperature : {0.0, 1.0}) {
      DrawCase bad;
      bad.logits = std::move(logits);
      bad.num_classes = std::ssize(bad.logits);
      bad.barred = barred;
      bad.num_best = 3;
      bad.sampling.temperature = temperature;
      EXPECT_EQ(drawn_by_block(bad, 0, 1).drawn.status, status);
      expect_same(bad, 1);
      logits = bad.logits;
    }
  };
  expect({0, 1, NAN, infinity}, {}, DrawStatus::not_a_number);
  expect({0, infinity, NAN}, {}, DrawStatus::infinite);
  expect({-NAN, 1}, {}, DrawStatus::not_a_number);
  expect({-infinity, -infinity}, {}, DrawStatus::nothing);
  expect({-infinity, 3, 2}, {2, 1}, DrawStatus::all_barred);
}

}  // namespace
}  // namespace longgen
