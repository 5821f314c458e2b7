// Which graph does a step, and when one is recorded: what needs no GPU.
#include "longgen/engine/decode_graphs.h"

#include <gtest/gtest.h>

#include <array>

#include "longgen/base/check.h"
#include "longgen/engine/engine.h"

namespace longgen {
namespace {

/// Stands for a recording.
class NoGraph : public GpuGraph {
 public:
  void replay() override {}
};

/// Counts what is recorded.
class Recorder {
 public:
  /// The graph for a step of `num_sequences`.
  GpuGraph* graph(int64_t num_sequences) {
    const int64_t num_rows = DecodeGraphTable::rows_for(num_sequences);
    return table_
        .get(num_rows,
             [&](GpuGraph* beside) {
               LG_CHECK(!fails, "no memory");
               EXPECT_EQ(beside == nullptr, recorded.empty()) << "graphs share their memory";
               recorded.push_back(num_rows);
               return DecodeGraph{{}, {}, std::make_unique<NoGraph>()};
             })
        .graph.get();
  }
  bool fails = false;
  std::vector<int64_t> recorded;

 private:
  DecodeGraphTable table_;
};

using Sizes = std::vector<int64_t>;

TEST(DecodeGraphTest, OneIsRecordedForEachPowerOfTwo) {
  Recorder recorder;
  GpuGraph* const one = recorder.graph(1);
  GpuGraph* const four = recorder.graph(3);
  EXPECT_NE(one, four);
  for (int repeat = 0; repeat < 3; ++repeat) {
    EXPECT_EQ(recorder.graph(4), four);
    EXPECT_EQ(recorder.graph(1), one);
  }
  for (const int64_t size : {2, 64, 33, 5, 8, 9, 16, 17}) recorder.graph(size);
  EXPECT_EQ(recorder.recorded, (Sizes{1, 4, 2, 64, 8, 16, 32}));
}

TEST(DecodeGraphTest, AFailedRecordingLeavesNone) {
  Recorder recorder;
  recorder.graph(1);
  recorder.fails = true;
  EXPECT_THROW(recorder.graph(2), Error);
  recorder.fails = false;
  recorder.graph(1);
  recorder.graph(2);
  EXPECT_EQ(recorder.recorded, (Sizes{1, 2}));
}

TEST(DecodeGraphTest, AStepOfSingleTokensIsOne) {
  const std::array<int32_t, 2> tokens = {1, 2};
  const BatchPart single = {0, std::span(tokens).first(1)}, chunk = {1, tokens};
  BatchPart silent = single;
  silent.wants_logits = false;
  const auto is = [](const std::vector<BatchPart>& parts, const BatchOptions& step = {},
                     const EngineOptions& engine = {}) {
    return is_graph_step(parts, step, engine);
  };
  EXPECT_TRUE(is({single}));
  EXPECT_TRUE(is({single, silent, single}));
  EXPECT_TRUE(is({single}, {.logits_on_device = true}));
  EXPECT_FALSE(is({chunk}));
  EXPECT_FALSE(is({single, chunk}));
  EXPECT_FALSE(is({single}, {.keep_hidden = true}));
  EXPECT_FALSE(is({single}, {.on_layer = [](int64_t) { return true; }}));
  EXPECT_TRUE(is(std::vector<BatchPart>(64, single)));
  EXPECT_FALSE(is(std::vector<BatchPart>(65, single)));
  EXPECT_TRUE(is({single}, {}, {.isolate_sequences = true}));
  EXPECT_FALSE(is({single, single}, {}, {.isolate_sequences = true}));
}

}  // namespace
}  // namespace longgen
