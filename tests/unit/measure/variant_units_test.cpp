#include "longgen/measure/variant_units.h"

#include "tests/unit/model/test_support.h"

namespace longgen {
namespace {

TEST(VariantUnits, AreTheFullLayersOrTheirKvHeads) {
  ModelConfig config = parse(tiny_json(3));
  config.layers = config.layers.with_windows({1}, 100);
  const Pattern sparse = Pattern::sparse(1, 4);
  const VariantUnits layers = units_of(config, sparse, false);
  EXPECT_EQ(layers.candidates, (LayerSet{0, 2}));
  EXPECT_EQ(layers.per_layer, 1);
  EXPECT_EQ(layers.sparse, sparse);
  ASSERT_EQ(config.num_kv_heads, 2);
  const VariantUnits heads = units_of(config, sparse, true);
  EXPECT_EQ(heads.candidates, (LayerSet{0, 1, 4, 5}));
  EXPECT_EQ(heads.per_layer, 2);
}

TEST(VariantUnits, OneKvHeadIsALayer) {
  ModelConfig config = parse(tiny_json(3));
  config.num_kv_heads = 1;
  EXPECT_ERROR(units_of(config, Pattern::sparse(1, 4), true),
               "--heads: the model has one KV head in each layer, which is the layer. Measure "
               "without --heads.");
  EXPECT_EQ(units_of(config, Pattern::sparse(1, 4), false).candidates, (LayerSet{0, 1, 2}));
}

}  // namespace
}  // namespace longgen
