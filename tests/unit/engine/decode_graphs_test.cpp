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
  GpuGraph* graph(int64_t num_sequences, bool tables_moved = false) {
    return table_
        .get(num_sequences, tables_moved,
             [&] {
               LG_CHECK(!fails, "no memory");
               recorded.push_back(num_sequences);
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

TEST(DecodeGraphTest, OneIsRecordedForEachNumberOfSequences) {
  Recorder recorder;
  GpuGraph* const one = recorder.graph(1);
  GpuGraph* const three = recorder.graph(3);
  EXPECT_NE(one, three);
  for (int repeat = 0; repeat < 3; ++repeat) {
    EXPECT_EQ(recorder.graph(3), three);
    EXPECT_EQ(recorder.graph(1), one);
  }
  recorder.graph(2);
  EXPECT_EQ(recorder.recorded, (Sizes{1, 3, 2}));
}

TEST(DecodeGraphTest, AllAreVoidWhereTheTablesHaveMoved) {
  Recorder recorder;
  for (const int64_t size : {1, 2, 3}) recorder.graph(size);
  recorder.graph(2, /*tables_moved=*/true);
  EXPECT_EQ(recorder.recorded, (Sizes{1, 2, 3, 2}));
  for (const int64_t size : {2, 1, 3, 2, 1}) recorder.graph(size);
  EXPECT_EQ(recorder.recorded, (Sizes{1, 2, 3, 2, 1, 3}));
}

TEST(DecodeGraphTest, AFailedRecordingLeavesNone) {
  Recorder recorder;
  recorder.graph(1);
  recorder.fails = true;
  EXPECT_THROW(recorder.graph(2), Error);
  EXPECT_THROW(recorder.graph(1, /*tables_moved=*/true), Error);
  recorder.fails = false;
  recorder.graph(1);  // its first recording is void
  recorder.graph(2);
  EXPECT_EQ(recorder.recorded, (Sizes{1, 1, 2}));
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
