// What a model in training owns, in which types, and that the weights follow the masters.
#include "longgen/train/trainable_model.h"

#include <gtest/gtest.h>

#include "longgen/plan/memory.h"
#include "longgen/train/backward_pass.h"
#include "model_cases.h"
#include "tests/unit/folder_test.h"

namespace longgen {
namespace {

using Types = std::pair<NumberFormat, NumberFormat>;  // of the computation, and of the states
constexpr Types kTypes[] = {{NumberFormat::float32, NumberFormat::float32},
                            {NumberFormat::bfloat16, NumberFormat::float32},
                            {NumberFormat::bfloat16, NumberFormat::bfloat16}};

TrainableModel make_model(const ModelConfig& config, const Types& types) {
  return {config, varied_weights(config, scalar_type(types.second)), scalar_type(types.first)};
}

TEST(TrainableModel, OwnsTheBytesThatArePlanned) {
  for (const ModelCase& c :
       {ModelCase{"untied", ""}, ModelCase{"tied", "", true}, ModelCase{"norms", "", false, true},
        ModelCase{"biases", "sink=0,window=1", true, false, true}}) {
    const ModelConfig config = config_of(c, tiny_config());
    for (const Types& types : kTypes) {
      TrainingOptions options;
      options.set_states(types.second);
      const MemoryPlan plan = training_memory(config, 64, types.first, options);
      int64_t planned = 0;
      for (const char* item : {"weights", "masters", "gradients", "Adam m", "Adam v"}) {
        planned += plan.bytes(item);
      }
      EXPECT_EQ(make_model(config, types).total_bytes(), planned)
          << c.name << " " << kNumberFormats.name(types.first) << " "
          << kNumberFormats.name(types.second);
    }
  }
}

TEST(TrainableModel, TheWeightsFollowTheMasters) {
  const ModelConfig config = config_of({"tied", "", true}, tiny_config());
  const MicroBatch batch = packed_batch(100, {0, 40});
  for (const Types& types : kTypes) {
    TrainableModel model = make_model(config, types);
    EXPECT_EQ(model.decoder().dtype(), scalar_type(types.first));
    const at::Tensor before = model.masters().embedding_VE.detach().clone();
    backward_pass(model.decoder(), batch, {}, model.gradients());
    EXPECT_GT(gradient_norm(model.gradients()), 0);
    model.update(1, 1, {.learning_rate = 0.01});
    const auto masters = model.masters().parameters(),
               weights = model.decoder().weights().parameters();
    ASSERT_EQ(masters.size(), weights.size());
    for (size_t i = 0; i < masters.size(); ++i) {
      EXPECT_EQ(masters[i].tensor.scalar_type(), scalar_type(types.second));
      EXPECT_TRUE(at::equal(masters[i].tensor.to(scalar_type(types.first)), weights[i].tensor))
          << masters[i].name;
    }
    EXPECT_FALSE(at::equal(model.masters().embedding_VE, before));
    EXPECT_TRUE(model.masters().head_VE.is_same(model.masters().embedding_VE)) << "still tied";
    model.clear_gradients();
    EXPECT_EQ(gradient_norm(model.gradients()), 0);
  }
}

class TrainableModelFile : public FolderTest {};

TEST_F(TrainableModelFile, IsReadInTheTypesThatAreAskedFor) {
  write_tiny_model(dir_ / "model", tiny_config(), 4);
  const ModelWeights stored = load_model(dir_ / "model").weights();
  ModelConfig config = load_model_config(dir_ / "model");
  config.layers = LayerPlan::hybrid(config.num_layers, {1}, Pattern::parse("sink=0,window=1"));
  const TrainableModel model =
      load_trainable(dir_ / "model", config, {.compute_dtype = at::kBFloat16});
  EXPECT_EQ(model.config().layers, config.layers);
  EXPECT_TRUE(at::equal(model.masters().embedding_VE, stored.embedding_VE));
  EXPECT_TRUE(
      at::equal(model.decoder().weights().embedding_VE, stored.embedding_VE.to(at::kBFloat16)));
  EXPECT_TRUE(model.decoder().weights().embedding_VE.requires_grad());
  EXPECT_EQ(gradient_norm(model.moments().v), 0);
}

}  // namespace
}  // namespace longgen
