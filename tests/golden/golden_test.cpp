// Ten steps of training must give the losses of the files beside this one. With --update it writes
// them anew instead.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "tests/unit/folder_test.h"
#include "tiny_run.h"

namespace longgen {
namespace {

// Processors differ in the order of sums, and ten steps of AdamW enlarge that.
constexpr double kTolerance = 1e-3;

bool update = false;

fs::path golden_file() { return fs::path(LONGGEN_GOLDEN_DIR) / "extend_losses.json"; }

class Golden : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    Json config = tiny_config();
    config["num_hidden_layers"] = 4;
    config["tie_word_embeddings"] = true;
    write_tiny_model(dir_ / "model", config, 11);
    write_dataset(dir_ / "data", dir_ / "model", documents(40, 60, 12), 0.2);
  }

  /// The losses of the steps, and of the held-out part after the last.
  OrderedJson curve(const std::vector<std::string>& overrides) {
    std::vector<std::string> all = {"train.steps=10",
                                    "train.batch_size=4",
                                    "train.accumulation=2",
                                    "train.learning_rate=0.01",
                                    "train.weight_decay=0.1",
                                    "train.clip_norm=0.5",
                                    "architecture.layers=middle:1/2",
                                    "architecture.sparse=sink=1,window=1,stride=2",
                                    "data.sequence_length=300",
                                    "eval.every=10"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    train(tiny_recipe(dir_, all), {.replace = true, .show_progress = false});
    OrderedJson result;
    for (const char* key : {"loss", "grad_norm", "eval_loss"}) {
      result[key] = metric(dir_ / "run", key);
    }
    return result;
  }
};

void expect_near(const Json& expected, const OrderedJson& found, const std::string& name) {
  for (const auto& [key, values] : expected.items()) {
    ASSERT_TRUE(found.contains(key)) << name << "." << key;
    ASSERT_EQ(found[key].size(), values.size()) << name << "." << key;
    for (size_t i = 0; i < values.size(); ++i) {
      const auto value = values[i].get<double>();
      EXPECT_NEAR(found[key][i].get<double>(), value, kTolerance * value)
          << name << "." << key << " of step " << i + 1
          << "\nIf this change of numerics is meant: golden_test --update, and say why.";
    }
  }
}

TEST_F(Golden, TenStepsGiveTheKnownLosses) {
  const OrderedJson found = {
      {"float32_documents", curve({})},
      {"float32_none_whole", curve({"data.mask=none", "data.packing=whole"})},
  };
  if (update) {
    write_file(golden_file(), dump_json(found, 1) + "\n");
    std::printf("wrote %s\n", golden_file().c_str());
    return;
  }
  const Json expected = parse_json(read_file(golden_file()), golden_file().string());
  ASSERT_EQ(expected.size(), found.size());
  for (const auto& [name, curves] : expected.items()) {
    ASSERT_EQ(curves.size(), 3u);
    ASSERT_EQ(curves["loss"].size(), 10u);
    EXPECT_LT(curves["loss"][9], curves["loss"][0].get<double>() - 1) << "something is learnt";
    expect_near(curves, found[name], name);
  }
}

}  // namespace
}  // namespace longgen

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--update") {
      std::fprintf(stderr, "usage: golden_test [--update]; found %s\n", argv[i]);
      return 2;
    }
    longgen::update = true;
  }
  return RUN_ALL_TESTS();
}
