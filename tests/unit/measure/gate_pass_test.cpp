#include "longgen/measure/gate_pass.h"

#include "longgen/measure/row_scorer.h"
#include "tests/unit/measure/tiny_variants.h"

namespace longgen {
namespace {

constexpr double kGate = 0.5;
const LayerSet kAll = {0, 1, 2, 3, 4};
bool go_on() { return true; }

/// The figures of tiny_sample() that slopes are of, and the full model's as their reference.
class Figures {
 public:
  explicit Figures(const Decoder& decoder)
      : head_(decoder), sample_(tiny_sample()), scorer_(head_, sample_, {128, kLength}) {
    scorer_.set_reference(whole_pass(decoder, kAll, kAll, some_ids()));
  }

  std::vector<double> of(const at::Tensor& hidden_TE) const {
    const VariantValues values = scorer_.score(hidden_TE, scorer_.reference_logprobs());
    return {values.far_text().kl, -values.answer_logprob};
  }
  std::vector<std::vector<double>> slopes(GatePass& pass) const {
    const RowScorer::Gradients gradients = scorer_.gradients(pass.forward(some_ids(), go_on));
    return pass.backward({gradients.text_TE, gradients.answers_TE}, go_on);
  }

 private:
  FloatHead head_;
  MeasureSample sample_;
  RowScorer scorer_;
};

TEST(GatePass, GatesLeadFromTheFullModelToTheSparseOne) {
  const Decoder decoder = tiny_decoder();
  for (const double gate : {0.0, 1.0}) {
    GatePass pass(decoder, {kAll, tiny_sparse(), 1}, kLength, gate);
    const at::Tensor expected =
        whole_pass(decoder, kAll, gate == 0 ? kAll : LayerSet{}, some_ids());
    EXPECT_TRUE(pass.forward(some_ids(), go_on).allclose(expected, 1e-4, 1e-5)) << gate;
  }
}

TEST(GatePass, SlopesAreWhatALittleMoreOfAGateChanges) {
  const Decoder decoder = tiny_decoder();
  const Figures figures(decoder);
  GatePass pass(decoder, {kAll, tiny_sparse(), 1}, kLength, kGate);
  const std::vector<std::vector<double>> slopes = figures.slopes(pass);
  constexpr double kStep = 0.05;
  for (const int64_t layer : kAll) {
    const auto figures_at = [&](double gate) {
      pass.set_gate(layer, gate);
      return figures.of(pass.forward(some_ids(), go_on));
    };
    const std::vector<double> more = figures_at(kGate + kStep), less = figures_at(kGate - kStep);
    pass.set_gate(layer, kGate);
    for (size_t f = 0; f < slopes.size(); ++f) {
      const double difference = (more[f] - less[f]) / (2 * kStep);
      // A central difference is wrong by the third derivative times the step's square, and by the
      // rounding of float32 sums over it.
      EXPECT_NEAR(slopes[f][static_cast<size_t>(layer)], difference,
                  0.01 * std::abs(difference) + 1e-3)
          << "layer " << layer << ", figure " << f;
    }
  }
}

TEST(GatePass, TheSlopeOfALayerIsTheSumOfThoseOfItsHeads) {
  const Decoder decoder = tiny_decoder(2);
  const LayerSet layers = {0, 1};
  const FloatHead head(decoder);
  const MeasureSample sample = tiny_sample();
  RowScorer scorer(head, sample, {128, kLength});
  scorer.set_reference(whole_pass(decoder, layers, layers, some_ids()));
  const auto slopes_of = [&](const VariantUnits& units) {
    GatePass pass(decoder, units, kLength, kGate);
    const RowScorer::Gradients gradients = scorer.gradients(pass.forward(some_ids(), go_on));
    return pass.backward({gradients.text_TE}, go_on).front();
  };
  const std::vector<double> of_layers = slopes_of({layers, tiny_sparse(), 1});
  const std::vector<double> of_heads = slopes_of({{0, 1, 2, 3}, tiny_sparse(), 2});
  ASSERT_EQ(of_heads.size(), 4u);
  for (size_t layer = 0; layer < 2; ++layer) {
    const double sum = of_heads[2 * layer] + of_heads[2 * layer + 1];
    EXPECT_NE(of_layers[layer], 0);
    EXPECT_NEAR(sum, of_layers[layer], 1e-4 * std::abs(of_layers[layer]) + 1e-6);
  }
}

TEST(GatePass, LayersWithWindowsOfTheirOwnHaveNoGate) {
  ModelCase gemma = {.name = "gemma", .sparse = "", .gemma = true};
  const ModelConfig config = config_of(gemma, tiny_json());
  const Decoder decoder(config, varied_weights(config, at::kFloat));
  GatePass pass(decoder, {{1}, tiny_sparse(), 1}, kLength, 0);
  const at::Tensor hidden_TE = pass.forward(some_ids(), go_on);
  BatchContext context(kLength);
  const at::Tensor ids = at::tensor(some_ids(), at::kInt).to(at::kLong);
  EXPECT_TRUE(hidden_TE.allclose(decoder.forward(ids, context), 1e-4, 1e-5));
  EXPECT_EQ(pass.backward({at::ones_like(hidden_TE)}, go_on).front().size(), 1u);
}

TEST(GatePass, EndsWhenItIsToldTo) {
  const Decoder decoder = tiny_decoder();
  GatePass pass(decoder, {kAll, tiny_sparse(), 1}, kLength, 0);
  EXPECT_FALSE(pass.forward(some_ids(), [] { return false; }).defined());
  const at::Tensor hidden_TE = pass.forward(some_ids(), go_on);
  EXPECT_TRUE(pass.backward({at::ones_like(hidden_TE)}, [] { return false; }).empty());
}

}  // namespace
}  // namespace longgen
