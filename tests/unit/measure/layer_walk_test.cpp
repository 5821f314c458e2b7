#include "longgen/measure/layer_walk.h"

#include <map>

#include "tests/unit/measure/tiny_variants.h"

namespace longgen {
namespace {

struct Visited {
  std::map<int64_t, at::Tensor> hidden_TE;  // by toggled layer
  int64_t num_layers_run = 0;
};

Visited walk(LayerWalk& layer_walk, const LayerSet& full, const std::vector<int64_t>& toggled,
             bool itself) {
  Visited visited;
  layer_walk.run(
      some_ids(), full, toggled, itself,
      [&](int64_t layer, const at::Tensor& hidden_TE) {
        visited.hidden_TE[layer] = hidden_TE;
        return true;
      },
      [&] { return ++visited.num_layers_run > 0; });
  return visited;
}

void expect_whole_passes(const Decoder& decoder, const LayerSet& candidates, const LayerSet& full) {
  LayerWalk layer_walk(decoder, {candidates, tiny_sparse(), 1}, kLength);
  const Visited visited = walk(layer_walk, full, candidates, true);
  EXPECT_EQ(visited.hidden_TE.size(), candidates.size() + 1);
  for (const auto& [toggled, hidden_TE] : visited.hidden_TE) {
    LayerSet of;
    for (const int64_t layer : candidates) {
      const bool was_full = std::find(full.begin(), full.end(), layer) != full.end();
      if (was_full != (layer == toggled)) of.push_back(layer);
    }
    EXPECT_TRUE(hidden_TE.equal(whole_pass(decoder, candidates, of, some_ids()))) << toggled;
  }
}

TEST(LayerWalk, EveryVariantIsAWholePassToTheBit) {
  const Decoder decoder = tiny_decoder();
  for (const LayerSet& full : {LayerSet{0, 1, 2, 3, 4}, LayerSet{}, LayerSet{1, 3}}) {
    expect_whole_passes(decoder, {0, 1, 2, 3, 4}, full);
  }
}

TEST(LayerWalk, LayersWithWindowsOfTheirOwnKeepThem) {
  ModelCase gemma = {.name = "gemma", .sparse = "", .gemma = true};
  const ModelConfig config = config_of(gemma, tiny_json());
  const Decoder decoder(config, varied_weights(config, at::kFloat));
  ASSERT_EQ(decoder.config().layers.full_layers(), LayerSet{1});
  expect_whole_passes(decoder, {1}, {1});
  expect_whole_passes(decoder, {1}, {});
}

TEST(LayerWalk, VariantsDiffer) {
  const Decoder decoder = tiny_decoder();
  LayerWalk layer_walk(decoder, {{0, 1, 2, 3, 4}, tiny_sparse(), 1}, kLength);
  const Visited visited = walk(layer_walk, {0, 1, 2, 3, 4}, {0, 4}, true);
  EXPECT_FALSE(visited.hidden_TE.at(0).equal(visited.hidden_TE.at(4)));
  EXPECT_FALSE(visited.hidden_TE.at(0).equal(visited.hidden_TE.at(LayerWalk::kNothing)));
}

TEST(LayerWalk, HeadsAreSparseOneByOne) {
  const at::NoGradGuard no_grad;
  const Decoder decoder = tiny_decoder(2);
  const LayerSet heads = {0, 1, 2, 3};  // of layers 0, 0, 1, 1
  LayerWalk by_head(decoder, {heads, tiny_sparse(), 2}, kLength);
  LayerWalk by_layer(decoder, {{0, 1}, tiny_sparse(), 1}, kLength);
  const Visited one_of_each = walk(by_head, {1, 2, 3}, {1}, true);
  // Both heads of a layer sparse are the layer sparse.
  EXPECT_TRUE(one_of_each.hidden_TE.at(1).equal(
      walk(by_layer, {1}, {}, true).hidden_TE.at(LayerWalk::kNothing)));
  EXPECT_TRUE(walk(by_head, heads, {}, true)
                  .hidden_TE.at(-1)
                  .equal(walk(by_layer, {0, 1}, {}, true).hidden_TE.at(-1)));
  // One of them is the model whose context gives that head, and no other, the sparse result.
  struct Mixed : BatchContext {
    using BatchContext::BatchContext;
    at::Tensor attend(const LayerAttention& layer, const at::Tensor& q, const at::Tensor& k,
                      const at::Tensor& v) override {
      const at::Tensor full = BatchContext::attend(layer, q, k, v);
      if (layer.index == 1) return full;
      const at::Tensor sparse =
          BatchContext::attend({0, tiny_sparse().for_heads(2), layer.scale}, q, k, v);
      return at::cat({sparse.slice(1, 0, 3), full.slice(1, 3, 6)}, 1);
    }
  } context(kLength);
  const at::Tensor ids = at::tensor(some_ids(), at::kInt).to(at::kLong);
  EXPECT_TRUE(one_of_each.hidden_TE.at(-1).equal(decoder.forward(ids, context)));
  EXPECT_EQ(walk(by_head, heads, {0, 1, 3}, false).num_layers_run, 2 + 2 + 1 + 1);
}

TEST(LayerWalk, ComputesWhatIsBelowOnce) {
  const Decoder decoder = tiny_decoder();
  LayerWalk layer_walk(decoder, {{0, 1, 2, 3, 4}, tiny_sparse(), 1}, kLength);
  const LayerSet all = {0, 1, 2, 3, 4};
  // Layers 2 to 4 and 4 of the branches, and 0 to 3 on the way to the last of them.
  EXPECT_EQ(walk(layer_walk, all, {2, 4}, false).num_layers_run, 3 + 1 + 4);
  EXPECT_EQ(walk(layer_walk, all, {2, 4}, true).num_layers_run, 3 + 1 + 5);
  EXPECT_EQ(walk(layer_walk, all, {}, true).num_layers_run, 5);
  EXPECT_EQ(walk(layer_walk, all, {}, false).num_layers_run, 0);
}

TEST(LayerWalk, TokensThatTheModelHasNotAreTold) {
  const Decoder decoder = tiny_decoder(1);
  LayerWalk layer_walk(decoder, {{0}, tiny_sparse(), 1}, 3);
  EXPECT_ERROR(layer_walk.run({1, 131, 2}, {}, {}, true, {}, {}),
               "token 131 of the text is not in the model's vocabulary of 131");
}

TEST(LayerWalk, EndsWhenItIsToldTo) {
  const Decoder decoder = tiny_decoder();
  LayerWalk layer_walk(decoder, {{0, 1, 2, 3, 4}, tiny_sparse(), 1}, kLength);
  int64_t layers = 0, visits = 0;
  const auto count_visit = [&](int64_t, const at::Tensor&) { return ++visits > 0; };
  layer_walk.run(some_ids(), {}, {1, 2}, true, count_visit, [&] { return ++layers < 7; });
  EXPECT_EQ(layers, 7);
  EXPECT_EQ(visits, 1);
  layer_walk.run(
      some_ids(), {}, {1, 2}, true, [&](int64_t, const at::Tensor&) { return ++visits < 2; },
      [] { return true; });
  EXPECT_EQ(visits, 2);
}

}  // namespace
}  // namespace longgen
