// The kernels of the KV cache on a GPU: what they write into pages, attention of few tokens against
// the reference in fp64, graphs.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "longgen/base/check.h"
#include "longgen/kv_cache/host_pages.h"
#include "longgen/kv_cache/paged_layer.h"
#include "longgen/kv_cache/resident_tables.h"
#include "longgen/model/rope_frequencies.h"
#include "tests/gpu/gpu_test.h"
#include "tests/numerics/attend_truth.h"

namespace longgen {
namespace {

using KvCacheGpuTest = GpuTest;

/// `length` tokens in the cache, then `num_tokens` new ones.
struct Part {
  int64_t length, num_tokens;
};

torch::Tensor on_cpu(const torch::Tensor& x) { return x.to(torch::kCPU); }

/// Sequences of random numbers: keys and values of all tokens, queries of the new ones.
std::vector<Qkv> random_sequences(const LayerShape& shape, const std::vector<Part>& parts) {
  std::vector<Qkv> sequences;
  for (const Part& part : parts) {
    sequences.push_back(random_qkv({part.num_tokens, part.length + part.num_tokens, shape.num_heads,
                                    shape.num_kv_heads, shape.head_size, shape.pattern})
                            .to(torch::kBFloat16));
  }
  return sequences;
}

/// Rows of all sequences one after the other, on the GPU: the last num_tokens of each.
torch::Tensor new_rows(const std::vector<Qkv>& sequences, const std::vector<PassPart>& parts,
                       torch::Tensor Qkv::*which) {
  std::vector<torch::Tensor> rows;
  for (size_t n = 0; n < sequences.size(); ++n) {
    const torch::Tensor& x = sequences[n].*which;
    const int64_t first = which == &Qkv::q_THD ? 0 : parts[n].cache->length();
    rows.push_back(x.narrow(0, first, parts[n].num_tokens));
  }
  return on_gpu(torch::cat(rows));
}

/// A pool whose pages hold nothing but NaN: what is read without having been written shows.
void fill_with_nan(PagedLayer& layer, int64_t num_pages) {
  std::vector<PageId> pages;
  LG_CHECK(layer.pool().allocate(num_pages, pages), "no memory for the test");
  layer.memory(num_pages).fill_(NAN);
  for (const PageId page : pages) layer.pool().release(page);
}

/// The outputs of one pass over the new tokens of all sequences; the earlier ones come in chunks.
torch::Tensor run_pass(PagedLayer& layer, const std::vector<Qkv>& sequences,
                       const std::vector<Part>& parts, int64_t chunk) {
  AttendWorkspace workspace;
  const double scale = 1 / std::sqrt(static_cast<double>(sequences[0].q_THD.size(2)));
  std::vector<int64_t> counts(parts.size());
  const auto pass = [&](bool attends) {
    const auto reserved = layer.reserve(counts);
    const PassTables tables = PassTables::make(reserved, /*pinned=*/true).to(kGpu);
    gpu_cache().write(layer.pages(), tables, new_rows(sequences, reserved, &Qkv::k_SKD),
                      new_rows(sequences, reserved, &Qkv::v_SKD));
    torch::Tensor out;
    if (attends) {
      out = gpu_cache().attend(layer.pages(), tables, new_rows(sequences, reserved, &Qkv::q_THD),
                               scale, workspace);
    }
    layer.commit(reserved);
    return out;
  };
  while (true) {
    for (size_t n = 0; n < parts.size(); ++n) {
      counts[n] = std::min(chunk, parts[n].length - layer.cache(static_cast<int64_t>(n)).length());
    }
    if (std::accumulate(counts.begin(), counts.end(), int64_t{0}) == 0) break;
    pass(false);
  }
  for (size_t n = 0; n < parts.size(); ++n) counts[n] = parts[n].num_tokens;
  const torch::Tensor out = on_cpu(pass(true));
  EXPECT_EQ(max_abs(workspace.counters), 0.0);
  return out;
}

void expect_like_reference(const LayerShape& shape, const std::vector<Part>& parts,
                           int64_t chunk = 500) {
  const std::vector<Qkv> sequences = random_sequences(shape, parts);
  PagedLayer layer(shape, static_cast<int64_t>(parts.size()), kGpu, int64_t{1} << 30);
  fill_with_nan(layer, 300);
  const torch::Tensor out = run_pass(layer, sequences, parts, chunk);
  int64_t row = 0;
  for (size_t n = 0; n < parts.size(); ++n) {
    if (parts[n].num_tokens == 0) continue;
    const Qkv& x = sequences[n];
    const torch::Tensor ours = out.narrow(0, row, parts[n].num_tokens);
    row += parts[n].num_tokens;
    EXPECT_EQ(wrong_output(ours, /*lse=*/{}, output_truth(x, layer.pattern())), "")
        << shape.pattern << " H " << shape.num_heads << " K " << shape.num_kv_heads << " D "
        << shape.head_size << ": " << parts[n].num_tokens << " tokens after " << parts[n].length;
  }
}

const std::vector<std::string>& patterns() {
  static const std::vector<std::string> list = {
      "full",
      "sink",
      "blocksparse",
      "sink=1,window=2,stride=0",
      "sink=1,window=1,stride=3",
      "sink=0,window=3,stride=4",
  };
  return list;
}

/// Query heads and KV heads: groups of 1, 3, 4, 8 and 16.
const std::vector<std::pair<int64_t, int64_t>>& head_counts() {
  static const std::vector<std::pair<int64_t, int64_t>> list = {
      {3, 3}, {9, 3}, {8, 2}, {8, 1}, {32, 2}};
  return list;
}

TEST_F(KvCacheGpuTest, OneTokenOfOneSequence) {
  for (const std::string& pattern : patterns()) {
    for (const auto& [num_heads, num_kv_heads] : head_counts()) {
      for (const int64_t head_size : {64, 128}) {
        for (const int64_t length : {0, 1, 62, 63, 64, 65, 1000, 1087, 4095}) {
          expect_like_reference({num_heads, num_kv_heads, head_size, pattern}, {{length, 1}});
        }
      }
    }
  }
}

TEST_F(KvCacheGpuTest, MixedLengthsAndSeveralTokensInOneLaunch) {
  const std::vector<Part> parts = {{0, 1},    {63, 1},   {64, 16},   {60, 7},    {8999, 1},
                                   {1, 2},    {1023, 2}, {1087, 16}, {1150, 3},  {3000, 5},
                                   {500, 15}, {127, 1},  {0, 16},    {2047, 13}, {6143, 16}};
  for (const std::string& pattern : patterns()) {
    for (const auto& [num_heads, num_kv_heads] : head_counts()) {
      for (const int64_t head_size : {64, 128}) {
        expect_like_reference({num_heads, num_kv_heads, head_size, pattern}, parts);
      }
    }
  }
}

TEST_F(KvCacheGpuTest, ManySequences) {
  std::vector<Part> parts;
  for (int64_t n = 0; n < 150; ++n) parts.push_back({n * 37 % 1500, 1 + n % 2});
  for (const std::string pattern : {"full", "blocksparse"}) {
    expect_like_reference({8, 4, 64, pattern}, parts);
  }
}

// More than kFewTokens tokens are computed in tiles.
TEST_F(KvCacheGpuTest, ChunksOfPrompts) {
  for (const std::string& pattern : patterns()) {
    for (const auto& [num_heads, num_kv_heads] : head_counts()) {
      for (const int64_t head_size : {64, 128}) {
        const LayerShape shape = {num_heads, num_kv_heads, head_size, pattern};
        expect_like_reference(shape, {{1500, 300}});
        expect_like_reference(shape,
                              {{0, 129}, {63, 1}, {2000, 513}, {64, 0}, {127, 66}, {4095, 2}});
      }
    }
  }
}

TEST_F(KvCacheGpuTest, ChunksOfAwkwardSizesAtAwkwardPlaces) {
  for (const std::string pattern : {"full", "sink=1,window=1,stride=3"}) {
    for (const int64_t length : {0, 1, 63, 64, 65, 127, 128, 191, 1000}) {
      for (const int64_t num_tokens : {17, 63, 64, 65, 127, 128, 129, 255, 640}) {
        expect_like_reference({4, 2, 64, pattern}, {{length, num_tokens}}, 77);
      }
    }
  }
}

TEST_F(KvCacheGpuTest, ChunksOfAnySizeFillTheSamePages) {
  for (const int64_t chunk : {1, 63, 64, 65, 1000}) {
    expect_like_reference({4, 2, 128, "sink=1,window=2,stride=3"}, {{777, 1}, {130, 2}}, chunk);
  }
}

// The tables of so many sequences, or pairs of a sequence and a KV
// head, are not copied to shared memory.
TEST_F(KvCacheGpuTest, ManySequencesAndHeads) {
  expect_like_reference({2, 1, 64, "sink=1,window=1,stride=0"}, std::vector<Part>(130, {70, 1}));
  expect_like_reference({32, 32, 64, "full"}, std::vector<Part>(33, {40, 2}));
}

TEST_F(KvCacheGpuTest, RowsThatSeeNothingAreZero) {
  const LayerShape shape = {4, 2, 64, "full"};
  const std::vector<Part> parts = {{0, 3}};
  const auto sequences = random_sequences(shape, parts);
  PagedLayer layer(shape, 1, kGpu);
  const auto reserved = layer.reserve({3});
  PassTables tables = PassTables::make(reserved, true);
  // KV head 0 has no keys, and KV head 1 one block, of which the queries see nothing.
  auto* starts = const_cast<int32_t*>(tables.starts(0));
  starts[0] = starts[1] = 1;
  const_cast<PassBlock*>(tables.blocks())[1] = PassBlock::of(0, 7, false);
  tables = tables.to(kGpu);
  gpu_cache().write(layer.pages(), tables, new_rows(sequences, reserved, &Qkv::k_SKD),
                    new_rows(sequences, reserved, &Qkv::v_SKD));
  AttendWorkspace workspace;
  const torch::Tensor q = new_rows(sequences, reserved, &Qkv::q_THD);
  const torch::Tensor out = gpu_cache().attend(layer.pages(), tables, q, 1, workspace);
  EXPECT_TRUE(on_cpu(out).equal(torch::zeros_like(on_cpu(out))));
}

TEST_F(KvCacheGpuTest, TwoRunsAreBitEqual) {
  const LayerShape shape = {8, 2, 128, "full"};
  const std::vector<std::vector<Part>> passes = {{{5000, 1}, {77, 3}, {2000, 1}},
                                                 {{3000, 700}, {77, 3}, {2000, 64}}};
  for (const std::vector<Part>& parts : passes) {
    const auto sequences = random_sequences(shape, parts);
    std::vector<torch::Tensor> outs;
    for (int run = 0; run < 2; ++run) {
      PagedLayer layer(shape, 3, kGpu);
      outs.push_back(run_pass(layer, sequences, parts, run == 0 ? 500 : 123));
    }
    EXPECT_TRUE(outs[0].equal(outs[1]));
  }
}

TEST_F(KvCacheGpuTest, PagesHoldRowsInPanelsAndZerosBehindThem) {
  for (const int64_t head_size : {64, 128}) {
    const LayerShape shape = {2, 2, head_size, "full"};
    const std::vector<Part> parts = {{0, 100}};
    const auto sequences = random_sequences(shape, parts);
    PagedLayer layer(shape, 1, kGpu, int64_t{64} << 20);
    fill_with_nan(layer, 10);
    const auto reserved = layer.reserve({100});
    const PassTables tables = PassTables::make(reserved, true).to(kGpu);
    // Heads of a larger tensor, as the decoder gives them: rows far apart.
    const auto strided = [&](torch::Tensor Qkv::*which) {
      const torch::Tensor rows = new_rows(sequences, reserved, which);
      return torch::cat({rows, rows}, 1).narrow(1, 2, 2);
    };
    gpu_cache().write(layer.pages(), tables, strided(&Qkv::k_SKD), strided(&Qkv::v_SKD));
    const torch::Tensor memory = on_cpu(layer.memory(10));
    for (int64_t head = 0; head < 2; ++head) {
      for (const int64_t j : {0, 1}) {
        const torch::Tensor page = memory[layer.cache(0).pages(0, head)[j]];
        const int64_t rows = j == 0 ? 64 : 36;
        for (const bool values : {false, true}) {
          const torch::Tensor& x = values ? sequences[0].v_SKD : sequences[0].k_SKD;
          const torch::Tensor block = layer.block(page, values);
          EXPECT_TRUE(block.narrow(0, 0, rows).equal(x.select(1, head).narrow(0, j * 64, rows)));
          EXPECT_EQ(max_abs(block.narrow(0, rows, 64 - rows)), 0.0);
        }
      }
    }
  }
}

TEST_F(KvCacheGpuTest, OnePassIsPreparingThenWriting) {
  const std::vector<int64_t> lengths = {0, 100, 63, 64}, counts = {1, 70, 1, 128};
  for (const LayerShape& shape :
       {LayerShape{8, 2, 128, "full"}, LayerShape{6, 6, 64, "sink=1,window=1,stride=3"},
        LayerShape{9, 3, 64, "sink"}}) {
    const int64_t num_heads = shape.num_heads + 2 * shape.num_kv_heads;
    // Rows farther apart than they are long.
    const torch::Tensor heads =
        on_gpu(torch::randn({200, num_heads + 1, shape.head_size}).to(torch::kBFloat16))
            .narrow(1, 1, num_heads);
    HeadPreparation preparation;
    preparation.table = make_rope_table(on_gpu(torch::arange(1000, 1200, torch::kLong)),
                                        rope_frequencies({}, shape.head_size));
    preparation.norm_eps = 1e-6;
    for (const bool has_norm : {false, true}) {
      if (has_norm) {
        const auto weight = [&] {  // not at a multiple of 16 bytes
          return on_gpu(torch::rand({shape.head_size + 1}).to(torch::kBFloat16))
              .narrow(0, 1, shape.head_size);
        };
        preparation.q_norm_D = weight();
        preparation.k_norm_D = weight();
      }
      PagedLayer layer(shape, 4, kGpu, int64_t{64} << 20), other(shape, 4, kGpu, int64_t{64} << 20);
      for (PagedLayer* const one : {&layer, &other}) {
        fill_with_nan(*one, 60);
        PagedLayer::commit(one->reserve(lengths));
      }
      const auto reserved = layer.reserve(counts);
      ASSERT_EQ(other.reserve(counts).size(), reserved.size());
      const PassTables tables = PassTables::make(reserved, true).to(kGpu);
      HeadPreparation aligned = preparation;  // others are normed in another order of the sum
      if (has_norm) {
        aligned.q_norm_D = preparation.q_norm_D.clone();
        aligned.k_norm_D = preparation.k_norm_D.clone();
      }
      const RotatedHeads expected = prepare_heads(heads, shape.num_heads, aligned);
      gpu_cache().write(other.pages(), tables, expected.k_TKD, expected.v_TKD);
      const auto run = [&](int64_t heads_of_q, const HeadPreparation& how) {
        return gpu_cache().prepare_and_write(layer.pages(), tables, heads, heads_of_q, how);
      };
      EXPECT_TRUE(on_cpu(run(shape.num_heads, preparation)).equal(on_cpu(expected.q_THD)))
          << shape.pattern << " norm " << has_norm;
      // NaN where nothing was written: bits are compared.
      EXPECT_TRUE(on_cpu(layer.memory(60))
                      .view(torch::kShort)
                      .equal(on_cpu(other.memory(60)).view(torch::kShort)))
          << shape.pattern << " norm " << has_norm;
      EXPECT_THROW(run(shape.num_heads + 1, preparation), Error);
      HeadPreparation wrong = preparation;
      wrong.table.cos_TR = wrong.table.cos_TR.narrow(0, 0, 199);
      EXPECT_THROW(run(shape.num_heads, wrong), Error);
      wrong = preparation;
      wrong.q_norm_D = torch::Tensor();
      wrong.k_norm_D = on_gpu(torch::rand({shape.head_size}));
      EXPECT_THROW(run(shape.num_heads, wrong), Error);
    }
  }
}

// What a graph recorded over one table does with another one in the same memory.
TEST_F(KvCacheGpuTest, GraphReplayIsLikeEager) {
  const LayerShape shape = {8, 2, 128, "sink=1,window=3,stride=5"};
  const std::vector<Part> parts = {{600, 1}};
  const auto sequences = random_sequences(shape, {{900, 1}});
  const auto step = [&](const torch::Tensor Qkv::*which, int64_t position) {
    const torch::Tensor& x = sequences[0].*which;
    return on_gpu(x.narrow(0, which == &Qkv::q_THD ? 0 : position, 1));
  };
  PagedLayer layer(shape, 1, kGpu), other(shape, 1, kGpu);
  (void)run_pass(layer, sequences, parts, 100);
  (void)run_pass(other, sequences, parts, 100);
  const torch::Tensor q = step(&Qkv::q_THD, 0), k = step(&Qkv::k_SKD, 0), v = step(&Qkv::v_SKD, 0);
  const torch::Tensor memory = on_gpu(torch::zeros({4096}, torch::kInt));
  AttendWorkspace workspace, other_workspace;
  std::unique_ptr<GpuGraph> graph;
  torch::Tensor out;
  for (int64_t position = 601; position < 900; ++position) {
    k.copy_(step(&Qkv::k_SKD, position));
    v.copy_(step(&Qkv::v_SKD, position));
    const auto reserved = layer.reserve({1});
    const PassTables host = PassTables::make(reserved, true);
    ASSERT_LE(host.num_values(), memory.numel());
    memory.narrow(0, 0, host.num_values()).copy_(host.memory(), /*non_blocking=*/true);
    if (graph == nullptr) {
      const PassTables tables = host.at(memory);
      graph = gpu_backend().record(
          kGpu,
          [&] {
            gpu_cache().write(layer.pages(), tables, k, v);
            out = gpu_cache().attend(layer.pages(), tables, q, 0.1, workspace);
          },
          nullptr);
    }
    graph->replay();
    layer.commit(reserved);
    const auto eager = other.reserve({1});
    const PassTables tables = PassTables::make(eager, true).to(kGpu);
    gpu_cache().write(other.pages(), tables, k, v);
    const torch::Tensor expected =
        gpu_cache().attend(other.pages(), tables, q, 0.1, other_workspace);
    other.commit(eager);
    ASSERT_TRUE(on_cpu(out).equal(on_cpu(expected))) << position;
  }
}

/// Sequences of some lengths, whose pages nobody has written to.
std::vector<int64_t> lengths_of(int64_t num_sequences) {
  std::vector<int64_t> lengths;
  for (int64_t n = 0; n < num_sequences; ++n) lengths.push_back(n * 997 % 1500);
  return lengths;
}

/// Do the tables, brought back from the GPU, tell of the pass, and then of nobody?
void expect_like_pass_tables(const PassTables& ours, const PassTables& real, int64_t num_rows) {
  const int64_t heads = real.num_kv_heads(), num_pairs = real.num_sequences() * heads;
  ASSERT_EQ(ours.num_sequences(), num_rows);
  for (int64_t n = 0; n < num_rows; ++n) {
    const bool is_real = n < real.num_sequences();
    EXPECT_EQ(ours.sequences()[n].first_position, is_real ? real.sequences()[n].first_position : 0);
    EXPECT_EQ(ours.runs()[n].first_place, is_real ? real.runs()[n].first_place : 0);
    for (int64_t head = 0; head < heads; ++head) {
      EXPECT_EQ(ours.run_pages(0)[head * num_rows + n],
                is_real ? real.run_pages(0)[head * real.num_runs() + n] : kNoPage);
    }
  }
  for (int64_t pair = 0; pair < num_rows * heads; ++pair) {
    ASSERT_EQ(ours.starts(0)[pair], real.starts(0)[std::min(pair, num_pairs)]);
    if (pair >= num_pairs) continue;
    const PassBlock* const block = ours.blocks() + ours.row_begins(0)[pair];
    for (int32_t i = real.starts(0)[pair]; i < real.starts(0)[pair + 1]; ++i) {
      const PassBlock found = block[i - real.starts(0)[pair]];
      ASSERT_EQ(found.page, real.blocks()[i].page) << "pair " << pair;
      ASSERT_EQ(found.block_and_fate, real.blocks()[i].block_and_fate) << "pair " << pair;
    }
  }
}

// Step follows step without a wait; every one finds its own tables.
TEST_F(KvCacheGpuTest, ResidentTablesAreThoseOfTheirStep) {
  constexpr int64_t kRows = 16;
  const LayerShape shape = {4, 2, 64, "sink=1,window=3,stride=4"};
  PagedLayer layer(shape, 11, kGpu, int64_t{1} << 30);
  PagedLayer::commit(layer.reserve(lengths_of(11)));
  ResidentTables resident(layer.layout(), kGpu, kRows);
  std::vector<PassTables> ours, real;
  for (int64_t step = 0; step < 150; ++step) {
    std::vector<PassPart> parts;
    for (int64_t n = 0; n < 11; ++n) {
      if ((n + step) % 5 == 0) continue;
      ASSERT_TRUE(layer.cache(n).reserve(1));
      parts.push_back({&layer.cache(n), 1});
    }
    if (step % 7 == 0) std::reverse(parts.begin(), parts.end());
    real.push_back(PassTables::make(parts, /*pinned=*/false));
    const PassTables tables = resident.update(parts, kRows);
    ours.push_back(tables.at(tables.memory().clone()));
    PagedLayer::commit(parts);
    if (step == 70) {
      resident.forget(layer.cache(3));
      layer.cache(3).clear();
    }
  }
  for (size_t step = 0; step < ours.size(); ++step) {
    SCOPED_TRACE(step);
    expect_like_pass_tables(ours[step].at(on_cpu(ours[step].memory())), real[step], kRows);
  }
}

// Rows of nobody change no bit of the others, get zeros, and write to no page.
TEST_F(KvCacheGpuTest, PaddedStepsAreLikeExactOnes) {
  for (const LayerShape& shape :
       {LayerShape{8, 2, 128, "full"}, LayerShape{6, 6, 64, "sink=1,window=2,stride=3"},
        LayerShape{32, 32, 64, "sink=1,window=1,stride=0"}}) {
    for (const auto& [num_sequences, num_rows] :
         {std::pair<int64_t, int64_t>{1, 1}, {1, 2}, {3, 4}, {5, 8}, {33, 64}, {64, 64}}) {
      PagedLayer layer(shape, num_sequences, kGpu, int64_t{4} << 30);
      PagedLayer::commit(layer.reserve(lengths_of(num_sequences)));
      const auto parts = layer.reserve(std::vector<int64_t>(num_sequences, 1));
      layer.memory(layer.pool().high_water()).normal_();
      const torch::Tensor heads =
          on_gpu(torch::randn({num_rows, shape.num_heads + 2 * shape.num_kv_heads, shape.head_size})
                     .to(torch::kBFloat16));
      HeadPreparation preparation;
      preparation.table = make_rope_table(on_gpu(torch::arange(num_rows, torch::kLong)),
                                          rope_frequencies({}, shape.head_size));
      ResidentTables resident(layer.layout(), kGpu, 64);
      const PassTables padded = resident.update(parts, num_rows);
      const PassTables exact = PassTables::make(parts, /*pinned=*/true).to(kGpu);
      AttendWorkspace workspace;
      const auto attend = [&](const PassTables& tables, int64_t rows) {
        HeadPreparation of_rows = preparation;
        of_rows.table.cos_TR = preparation.table.cos_TR.narrow(0, 0, rows);
        of_rows.table.sin_TR = preparation.table.sin_TR.narrow(0, 0, rows);
        const torch::Tensor q = gpu_cache().prepare_and_write(
            layer.pages(), tables, heads.narrow(0, 0, rows), shape.num_heads, of_rows);
        return gpu_cache().attend(layer.pages(), tables, q, 0.1, workspace);
      };
      const auto all_bits = [&] {
        return on_cpu(layer.memory(layer.pool().high_water())).view(torch::kShort);
      };
      const torch::Tensor expected = on_cpu(attend(exact, num_sequences));
      const torch::Tensor written = all_bits();
      const torch::Tensor ours = on_cpu(attend(padded, num_rows));
      EXPECT_TRUE(ours.narrow(0, 0, num_sequences).equal(expected))
          << shape.pattern << ": " << num_sequences << " of " << num_rows;
      const torch::Tensor of_nobody = ours.narrow(0, num_sequences, num_rows - num_sequences);
      EXPECT_TRUE(of_nobody.equal(torch::zeros_like(of_nobody)));
      EXPECT_TRUE(all_bits().equal(written));
      EXPECT_EQ(max_abs(workspace.counters), 0.0);
    }
  }
}

// A step of nobody at all, with which graphs are recorded.
TEST_F(KvCacheGpuTest, AStepOfNobodyGivesZeros) {
  const LayerShape shape = {8, 2, 128, "full"};
  PagedLayer layer(shape, 1, kGpu, int64_t{64} << 20);
  PagedLayer::commit(layer.reserve({10}));
  ResidentTables resident(layer.layout(), kGpu, 64);
  AttendWorkspace workspace;
  const torch::Tensor q = on_gpu(torch::randn({64, 8, 128}).to(torch::kBFloat16));
  const PassTables tables = resident.update({{&layer.cache(0), 0}}, 64);
  const torch::Tensor out = gpu_cache().attend(layer.pages(), tables, q, 1, workspace);
  EXPECT_TRUE(on_cpu(out).equal(torch::zeros_like(on_cpu(out))));
}

/// The bytes of a page on the GPU.
torch::Tensor page_of(const PagePool& pool, PageId page) {
  return torch::from_blob(pool.address(page), {pool.page_bytes()},
                          torch::dtype(torch::kByte).device(kGpu));
}

TEST_F(KvCacheGpuTest, PagesGoToTheHostAndComeBackElsewhere) {
  constexpr int64_t kPageBytes = 96 << 10, kPages = 300;
  PagePool pool(kPageBytes, std::nullopt, gpu_cache().new_memory(kGpu, std::nullopt));
  HostPages host(pool, kPages * kPageBytes + 1);
  ASSERT_EQ(host.capacity(), kPages);
  std::vector<PageId> pages, others;
  ASSERT_TRUE(pool.allocate(kPages, pages) && pool.allocate(kPages, others));
  std::vector<torch::Tensor> expected;
  PageCopies out, in;
  for (int64_t n = 0; n < kPages; ++n) {
    const auto index = static_cast<size_t>(n);
    expected.push_back(torch::randint(0, 256, {kPageBytes}, torch::kByte));
    out.to_host.push_back({pages[index], static_cast<HostPageId>(kPages - 1 - n)});
    in.to_device.push_back({others[index], static_cast<HostPageId>(kPages - 1 - n)});
  }
  // They are written behind a long wait: copies begin when that is done.
  const torch::Tensor work = torch::randn({4096, 4096}, torch::device(kGpu));
  torch::Tensor product = work;
  for (int i = 0; i < 50; ++i) product = product.mm(work).clamp(-1, 1);
  for (int64_t n = 0; n < kPages; ++n) page_of(pool, pages[n]).copy_(expected[n]);
  host.begin(out);
  EXPECT_GT(host.end(), 0);
  EXPECT_TRUE(host.is_done());
  for (int64_t n = 0; n < kPages; ++n) page_of(pool, pages[n]).zero_();
  host.begin(in);
  host.end();
  for (int64_t n = 0; n < kPages; ++n) {
    ASSERT_TRUE(on_cpu(page_of(pool, others[n])).equal(expected[n])) << n;
  }
}

TEST_F(KvCacheGpuTest, StepsGoOnBesideCopies) {
  constexpr int64_t kPageBytes = 512 << 10, kPages = 2000;  // 1 GB: some 20 ms
  PagePool pool(kPageBytes, std::nullopt, gpu_cache().new_memory(kGpu, std::nullopt));
  HostPages host(pool, kPages * kPageBytes);
  std::vector<PageId> pages;
  ASSERT_TRUE(pool.allocate(kPages, pages));
  PageCopies out;
  for (HostPageId n = 0; n < kPages; ++n) out.to_host.push_back({pages[n], n});
  const torch::Tensor x = torch::ones({1024}, torch::device(kGpu));
  x.add(1).sum().item();  // kernels are loaded
  host.begin(out);
  EXPECT_EQ(x.add(1).sum().item<float>(), 2048);
  EXPECT_FALSE(host.is_done()) << "the engine's stream waited for the copies";
  EXPECT_GT(host.end(), 1e-3);
}

}  // namespace
}  // namespace longgen
