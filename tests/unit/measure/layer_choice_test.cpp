#include "longgen/measure/layer_choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/unit/error_text.h"
#include "tests/unit/measure/test_support.h"

namespace longgen {
namespace {

bool holds(const LayerSet& layers, int64_t layer) {
  return std::binary_search(layers.begin(), layers.end(), layer);
}

/// A model of 10 layers. Each sparse one adds its weight to the KL of far text, and as much to its
/// loss. Answers are found while layers 3 and 7 are both full.
class MadeUpModel : public VariantSource {
 public:
  VariantValues values_of(const LayerSet& full) override {
    seen_.insert(full);
    double kl = 0;
    for (int64_t layer = 0; layer < 10; ++layer) {
      if (!holds(full, layer)) kl += weights_[layer];
    }
    const bool finds = holds(full, 3) && holds(full, 7);
    return values_with_means(3 + kl, kl, finds || !answers_ ? -0.1 : -2.1);
  }
  std::vector<VariantValues> values_with(const LayerSet& full,
                                         const std::vector<int64_t>& toggled) override {
    std::vector<VariantValues> values;
    for (const int64_t layer : toggled) {
      LayerSet of = full;
      if (holds(full, layer)) {
        of.erase(std::find(of.begin(), of.end(), layer));
      } else {
        of.insert(std::upper_bound(of.begin(), of.end(), layer), layer);
      }
      values.push_back(values_of(of));
    }
    return values;
  }

  void spare(int64_t num_variants) override { num_spared_ += num_variants; }

  std::vector<double> weights_ = {.01, .02, .03, .001, .05, .06, .002, .003, .08, .004};
  bool answers_ = true;
  std::set<LayerSet> seen_;
  int64_t num_spared_ = 0;
};

const LayerSet kAll = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

std::vector<int64_t> order_of(const LayerChoice& choice) {
  std::vector<int64_t> layers;
  for (const ChoiceStep& step : choice.order) layers.push_back(step.layer);
  return layers;
}

TEST(LayerChoice, KeepsLayersThatOnlyWorkTogether) {
  MadeUpModel model;
  const LayerChoice choice = choose_layers(model, kAll, {.num_full = 3, .within = {}});
  // Of the five that lose most alone the two that answer stay to the end.
  EXPECT_EQ(choice.full_layers(), (LayerSet{3, 7, 8}));
  const std::vector<int64_t> order = order_of(choice);
  EXPECT_EQ(std::vector<int64_t>(order.begin() + 2, order.end()), (std::vector<int64_t>{8, 5, 4}));
  EXPECT_TRUE(choice.shares().answers_count());
}

TEST(LayerChoice, EveryStepHasTheJointModelsValues) {
  MadeUpModel model;
  const LayerChoice choice = choose_layers(model, kAll, {.num_full = 6, .within = {}});
  ASSERT_EQ(choice.order.size(), 9u);
  LayerSet full;
  for (const ChoiceStep& step : choice.order) {
    full.insert(std::upper_bound(full.begin(), full.end(), step.layer), step.layer);
    EXPECT_EQ(step.values, model.values_of(full));
  }
  EXPECT_EQ(choice.full, model.values_of(kAll));
  EXPECT_EQ(choice.sparse, model.values_of({}));
  EXPECT_EQ(choice.effects[8].alone, model.values_of({0, 1, 2, 3, 4, 5, 6, 7, 9}));
}

TEST(LayerChoice, FollowsTheTextWhereNobodyAnswers) {
  MadeUpModel model;
  model.answers_ = false;
  const LayerChoice choice = choose_layers(model, kAll, {.num_full = 2, .within = {}});
  EXPECT_FALSE(choice.shares().answers_count());
  EXPECT_EQ(order_of(choice), (std::vector<int64_t>{8, 5, 4, 2}));
}

TEST(LayerChoice, MeasuresAsMuchAsItSays) {
  for (const int64_t num_full : {1, 4, 7, 10}) {
    MadeUpModel model;
    choose_layers(model, kAll, {.num_full = num_full, .within = {}});
    // Where all are tried together, they and each of them taken away are known already.
    const int64_t twice = num_tried_together(10, num_full) == 10 ? 11 : 0;
    EXPECT_EQ(static_cast<int64_t>(model.seen_.size()) + model.num_spared_,
              num_variants_to_measure(10, num_full) - twice);
  }
  EXPECT_EQ(num_tried_together(30, 6), 12);
  EXPECT_EQ(num_tried_together(30, 10), 15);
  EXPECT_EQ(num_tried_together(90, 30), 30);
  EXPECT_EQ(num_tried_together(80, 16), 24);
  EXPECT_EQ(num_variants_to_measure(30, 6), 2 + 30 + 1 + 77);
}

/// Tries every layer of the set, and takes away the one that is missed least, down to one.
std::vector<int64_t> order_by_trying_all(MadeUpModel& model, LayerSet layers,
                                         const LossShares& shares) {
  std::vector<int64_t> order;
  while (!layers.empty()) {
    const std::vector<VariantValues> fewer = model.values_with(layers, layers);
    size_t least = 0;
    for (size_t i = 1; i < fewer.size(); ++i) {
      if (shares.lost(fewer[i]) < shares.lost(fewer[least])) least = i;
    }
    order.insert(order.begin(), layers[least]);
    layers.erase(layers.begin() + static_cast<int64_t>(least));
  }
  return order;
}

TEST(LayerChoice, SparesLayersThatWereMissedMoreAlready) {
  int64_t num_spared = 0;
  for (const auto& weights : {MadeUpModel().weights_,
                              std::vector<double>(10, 0.02),
                              {.09, .08, .07, .06, .05, .04, .03, .02, .01, 0},
                              {.05, .01, .04, .04, .01, .01, .05, .02, .02, .05}}) {
    for (const bool answers : {false, true}) {
      MadeUpModel model;
      model.weights_ = weights;
      model.answers_ = answers;
      const LayerChoice choice = choose_layers(model, kAll, {.num_full = 8, .within = {}});
      ASSERT_EQ(choice.order.size(), 10u);
      num_spared += model.num_spared_;
      EXPECT_EQ(order_of(choice), order_by_trying_all(model, kAll, choice.shares()));
    }
  }
  EXPECT_EQ(num_spared, 118);  // of 8 times 54
}

TEST(LayerChoice, WithinABound) {
  MadeUpModel model;
  const auto chosen = [&](double bound) {
    return choose_layers(model, kAll, {.num_full = 0, .within = bound}).full_layers();
  };
  // Sparse without 3, 7, 8, 5: the others' weights add up to .117, and e^.117 - 1 is .1241.
  EXPECT_EQ(chosen(.125), (LayerSet{3, 5, 7, 8}));
  EXPECT_EQ(chosen(.20), (LayerSet{3, 7, 8}));
  // More than the first four are needed: 4 and 2 come to them.
  EXPECT_EQ(chosen(.04), (LayerSet{2, 3, 4, 5, 7, 8}));
  EXPECT_EQ(chosen(1e-9), kAll);
}

TEST(LayerChoice, RefusesNumbersThatTheModelHasNot) {
  MadeUpModel model;
  EXPECT_ERROR(choose_layers(model, kAll, {.num_full = 11, .within = {}}),
               "full layers: expected from 1 to 10, found 11");
  EXPECT_ERROR(choose_layers(model, {}, {.num_full = 1, .within = {}}), "no layer to choose");
}

TEST(LossShares, AreNothingForTheFullModelAndOneForTheSparseOne) {
  const VariantValues full = values_with_means(3, 0, -0.5),
                      sparse = values_with_means(3.4, .2, -2.5);
  const LossShares shares(full, sparse);
  EXPECT_DOUBLE_EQ(shares.lost(full), 0);
  EXPECT_DOUBLE_EQ(shares.lost(sparse), 1);
  EXPECT_DOUBLE_EQ(shares.lost(values_with_means(3.1, .05, -1.5)), (0.25 + 0.5) / 2);
  EXPECT_DOUBLE_EQ(shares.answers(values_with_means(3, 0, -0.1)), 0);  // better than full
  EXPECT_NEAR(perplexity_over(sparse, full), std::expm1(.4), 1e-12);
}

}  // namespace
}  // namespace longgen
