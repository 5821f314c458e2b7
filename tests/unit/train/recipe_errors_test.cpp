// Every message that a recipe's author can get.
#include "longgen/train/recipe/recipe.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"

namespace longgen {
namespace {

/// A recipe with `train` as its last section, from line 8 on.
std::string with_train(const std::string& train) {
  return "[model]\npath = 'in'\noutput = 'out'\n[architecture]\ncontext = 4096\n"
         "[data]\npath = 'd'\n" +
         train;
}

std::string message(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return error_of([&] { parse_recipe(text, "r.toml", overrides); });
}

/// The message about one value, given in the file's line 10.
std::string message_of(const std::string& key, const std::string& value) {
  return message(with_train("[train]\nsteps = 10\n" + key + " = " + value + "\n"));
}

std::string set_message(const std::vector<std::string>& overrides) {
  return message(with_train("[train]\nsteps = 10\n"), overrides);
}

TEST(RecipeErrorsTest, WrongTypesNameFileLineKeyExpectedAndFound) {
  EXPECT_EQ(message_of("batch_size", "\"many\""),
            "r.toml: line 10: train.batch_size: expected an integer from 1 to 1,048,576 (also as "
            "\"16K\" or \"20M\"), found \"many\".");
  EXPECT_EQ(message_of("batch_size", "2.0"),
            "r.toml: line 10: train.batch_size: expected an integer from 1 to 1,048,576, found 2.");
  EXPECT_EQ(message_of("batch_size", "[1]"),
            "r.toml: line 10: train.batch_size: expected an integer from 1 to 1,048,576, found a "
            "list.");
  EXPECT_EQ(message_of("learning_rate", "\"4e-4\""),
            "r.toml: line 10: train.learning_rate: expected 0 or a number from 1e-12 to 1, found "
            "\"4e-4\".");
  EXPECT_EQ(
      message_of("learning_rate", "true"),
      "r.toml: line 10: train.learning_rate: expected 0 or a number from 1e-12 to 1, found true.");
  EXPECT_EQ(message_of("learning_rate", "2024-01-31"),
            "r.toml: line 10: train.learning_rate: expected 0 or a number from 1e-12 to 1, found "
            "2024-01-31.");
  EXPECT_EQ(message_of("learning_rate", "{ a = 1 }"),
            "r.toml: line 10: train.learning_rate: expected 0 or a number from 1e-12 to 1, found a "
            "table.");
  EXPECT_EQ(message("[log]\ntensorboard = 1\n", {"model.path=a", "model.output=b", "data.path=c"}),
            "r.toml: line 2: log.tensorboard: expected true or false, found 1.");
  EXPECT_EQ(message("[model]\npath = 5\n"),
            "r.toml: line 2: model.path: expected a string, found 5.");
}

/// The message about [[data.sources]] with this text in place of data.path, from line 8 on.
std::string sources_message(const std::string& data) {
  return message(
      "[model]\npath = 'in'\noutput = 'out'\n[architecture]\ncontext = 4096\n"
      "[train]\nsteps = 10\n" +
      data);
}

TEST(RecipeErrorsTest, SourcesNameLineSourceAndKey) {
  const std::string good = "[[data.sources]]\npath = 'a'\nweight = 1\n";
  EXPECT_EQ(sources_message(good), "");
  EXPECT_EQ(sources_message(good + "[[data.sources]]\nweight = 1\n"),
            "r.toml: line 11: data.sources[1].path is missing.");
  EXPECT_EQ(sources_message("[[data.sources]]\npath = 'a'\n"),
            "r.toml: line 8: data.sources[0].weight is missing.");
  const auto weight = [&](const std::string& value) {
    return sources_message("[[data.sources]]\npath = 'a'\nweight = " + value + "\n");
  };
  const std::string range =
      "r.toml: line 10: data.sources[0].weight: expected a number from 1e-06 to 1000000, found ";
  EXPECT_EQ(weight("0"), range + "0.");
  EXPECT_EQ(weight("-1"), range + "-1.");
  EXPECT_EQ(weight("nan"), range + "nan.");
  EXPECT_EQ(weight("'much'"), range + "\"much\".");
  EXPECT_EQ(sources_message(good + "packing = 'padded'\n"),
            "r.toml: line 11: data.sources[0].packing: expected \"packed\" or \"whole\", found "
            "\"padded\".");
  EXPECT_EQ(sources_message(good + "wieght = 2\n"),
            "r.toml: line 8: unknown key \"data.sources[0].wieght\". Did you mean weight?");
  EXPECT_EQ(
      sources_message(good + "shuffle = true\n"),
      "r.toml: line 8: unknown key \"data.sources[0].shuffle\". Known are path, weight, packing "
      "or name.");
  EXPECT_EQ(
      sources_message(good + "name = 'b'\n[[data.sources]]\npath = 'c'\nweight = 1\nname = 'b'\n"),
      "r.toml: line 15: data.sources[1].name: expected a name that no other source has, found "
      "\"b\" twice.");
  EXPECT_EQ(sources_message(good + "name = ' '\n"),
            "r.toml: line 11: data.sources[0].name: expected a string, found an empty one.");
  EXPECT_EQ(sources_message("[data]\npath = 'b'\n" + good),
            "r.toml: line 10: data.sources: expected either data.path or data.sources, found both. "
            "Remove one.");
  const std::string tables =
      "expected 1 to 1000 tables [[data.sources]], each with path and weight, found ";
  EXPECT_EQ(sources_message("[data]\nsources = []\n"),
            "r.toml: line 9: data.sources: " + tables + "a list.");
  EXPECT_EQ(sources_message("[data]\nsources = [1]\n"),
            "r.toml: line 9: data.sources: " + tables + "a list.");
  EXPECT_EQ(sources_message("[data.sources]\npath = 'a'\n"),
            "r.toml: line 8: data.sources: " + tables + "a table.");
  EXPECT_EQ(sources_message("[data]\nsource = 'a'\n"),
            "r.toml: line 9: unknown key \"data.source\". Did you mean data.sources?");
  EXPECT_EQ(set_message({"data.sources=books"}),
            "--set data.sources=books: " + tables + "\"books\".");
  EXPECT_EQ(set_message({"data.sources=[{path=1, weight=1}]"}),
            "--set data.sources=[{path=1, weight=1}]: data.sources[0].path: expected a string, "
            "found 1.");
}

TEST(RecipeErrorsTest, NumbersOutOfRange) {
  const std::string rate =
      "r.toml: line 10: train.learning_rate: expected 0 or a number from 1e-12 to 1, ";
  EXPECT_EQ(message_of("learning_rate", "-1e-4"), rate + "found -0.0001.");
  EXPECT_EQ(message_of("learning_rate", "nan"), rate + "found nan.");
  EXPECT_EQ(message_of("learning_rate", "-nan").substr(0, rate.size()), rate);
  EXPECT_EQ(message_of("learning_rate", "inf"), rate + "found inf.");
  EXPECT_EQ(message_of("learning_rate", "-inf"), rate + "found -inf.");
  EXPECT_EQ(message_of("learning_rate", "4"), rate + "found 4.");
  EXPECT_EQ(message_of("beta2", "1.0"),
            "r.toml: line 10: train.beta2: expected a number from 0 to 0.999999, found 1.");
  EXPECT_EQ(message_of("eps", "0.0"),
            "r.toml: line 10: train.eps: expected a number from 1e-16 to 1, found 0.");
  EXPECT_EQ(message_of("seed", "-1"),
            "r.toml: line 10: train.seed: expected an integer of at least 0, found -1.");
  EXPECT_EQ(message_of("threads", "-2"),
            "r.toml: line 10: train.threads: expected an integer from 0 to 1,024, found -2.");
  EXPECT_EQ(message_of("loss_chunk_rows", "-1"),
            "r.toml: line 10: train.loss_chunk_rows: expected an integer from 0 to 1,073,741,824, "
            "found -1.");
  EXPECT_EQ(message_of("loss_chunk_rows", "\"9999999G\""),
            "r.toml: line 10: train.loss_chunk_rows: expected an integer from 0 to 1,073,741,824, "
            "found \"9999999G\".");
  EXPECT_EQ(message_of("threads", "1025"),
            "r.toml: line 10: train.threads: expected an integer from 0 to 1,024, found 1025.");
  EXPECT_EQ(message_of("threads", "1024"), "");
  for (const char* key : {"weight_decay", "beta1", "beta2", "eps", "clip_norm", "final_lr_share",
                          "warmup_steps", "accumulation"}) {
    EXPECT_TRUE(contains(message_of(key, "-1"), "line 10: train." + std::string(key)));
    EXPECT_TRUE(contains(message_of(key, "nan"), "found nan."));
    EXPECT_TRUE(contains(message_of(key, "1e300"), "found 1e+300."));
  }
}

/// float32, in which the optimizer computes, makes 0 of the first ones, or 1 of 1 - beta.
TEST(RecipeErrorsTest, NumbersThatAFloatLosesAreRefused) {
  EXPECT_EQ(message_of("eps", "1e-40"),
            "r.toml: line 10: train.eps: expected a number from 1e-16 to 1, found 1e-40.");
  EXPECT_EQ(message_of("eps", "1e-16"), "");
  EXPECT_EQ(message_of("clip_norm", "1e-40"),
            "r.toml: line 10: train.clip_norm: expected 0 or a number from 1e-06 to 1000000, found "
            "1e-40.");
  EXPECT_EQ(message_of("clip_norm", "0"), "");
  EXPECT_EQ(message_of("clip_norm", "1e-6"), "");
  EXPECT_TRUE(contains(message_of("learning_rate", "1e-40"), "found 1e-40."));
  EXPECT_EQ(message_of("learning_rate", "0"), "");
  for (const char* beta : {"beta1", "beta2"}) {
    EXPECT_TRUE(contains(message_of(beta, "0.9999999"), "from 0 to 0.999999, found 0.9999999."));
    EXPECT_EQ(message_of(beta, "0.999999"), "");
  }
  EXPECT_EQ(set_message({"train.learning_rate=0.5", "train.weight_decay=2"}),
            "--set train.weight_decay=2: a step takes learning_rate * weight_decay of every matrix "
            "away: expected less than 1, found 0.5 * 2 = 1.");
}

TEST(RecipeErrorsTest, ATokenAloneIsNoSequence) {
  EXPECT_EQ(set_message({"data.sequence_length=1"}),
            "--set data.sequence_length=1: expected an integer from 2 to 1,073,741,824, found 1.");
  EXPECT_EQ(set_message({"architecture.context=1"}),
            "--set architecture.context=1: expected an integer from 2 to 1,073,741,824, found 1.");
  EXPECT_EQ(set_message({"data.sequence_length=2"}), "");
}

TEST(RecipeErrorsTest, NamesOutsideTheirChoicesListThem) {
  EXPECT_EQ(
      message_of("schedule", "\"cosin\""),
      "r.toml: line 10: train.schedule: expected \"cosine\", \"linear\" or \"constant\", found "
      "\"cosin\".");
  EXPECT_EQ(message_of("precision", "16"),
            "r.toml: line 10: train.precision: expected \"float32\" or \"bfloat16\", found 16.");
  EXPECT_EQ(set_message({"data.packing=padded"}),
            "--set data.packing=padded: expected \"packed\" or \"whole\", found \"padded\".");
  const std::string rope =
      "expected \"auto\", \"yarn\", \"keep\" or a base, a number from 1.0001 "
      "to 1e+15, found ";
  for (const char* value :
       {"ntk", "0", "1", "1.0000000001", "-5", "nan", "inf", "1e16", "true", "[2]"}) {
    EXPECT_TRUE(contains(set_message({"architecture.rope=" + std::string(value)}), rope)) << value;
  }
}

TEST(RecipeErrorsTest, EmptyAndUnusableStrings) {
  EXPECT_EQ(set_message({"model.path="}),
            "--set model.path=: expected a string, found an empty one.");
  EXPECT_EQ(message("[model]\npath = '   '\n"),
            "r.toml: line 2: model.path: expected a string, found an empty one.");
  EXPECT_EQ(set_message({"architecture.layers=[]"}),
            "--set architecture.layers=[]: expected a string or a list of integers, found an empty "
            "one.");
  EXPECT_EQ(set_message({"architecture.layers=[1, 'a']"}),
            "--set architecture.layers=[1, 'a']: expected a string or a list of integers, found a "
            "list.");
  EXPECT_EQ(message("[model]\npath = \"a\\u0000b\"\n"),
            "r.toml: line 2: model.path: expected a string without control characters, found "
            "\"a\\u0000b\".");
  EXPECT_TRUE(contains(set_message({"model.path=\xFF\xFE"}), "expected text in UTF-8"));
  EXPECT_TRUE(contains(set_message({"model.path=a\nb"}), "without control characters"));
  // A value cannot bring keys of its own.
  EXPECT_TRUE(contains(set_message({"train.steps=1\nvalue2 = 3"}), "expected an integer"));
}

TEST(RecipeErrorsTest, UnknownKeysSuggestTheNearest) {
  EXPECT_EQ(message_of("learnig_rate", "1"),
            "r.toml: line 10: unknown key \"train.learnig_rate\". Did you mean "
            "train.learning_rate?");
  EXPECT_EQ(message("[model]\nlayers = 'all'\n"),
            "r.toml: line 2: unknown key \"model.layers\". Did you mean architecture.layers?");
  EXPECT_EQ(message("steps = 5\n"),
            "r.toml: line 1: unknown key \"steps\". Did you mean train.steps?");
  EXPECT_EQ(message("[eval]\nbanana = 1\n"),
            "r.toml: line 2: unknown key \"eval.banana\". Known are eval.every, eval.sequences.");
  EXPECT_EQ(message("banana = 1\n"),
            "r.toml: line 1: unknown key \"banana\". The keys of a recipe are listed in "
            "docs/recipes.md.");
  EXPECT_EQ(message("\n[trian]\nsteps = 1\n"),
            "r.toml: line 2: unknown section \"trian\". Did you mean [train]?");
  EXPECT_EQ(
      message("[optimizer]\n"),
      "r.toml: line 1: unknown section \"optimizer\". Expected one of [model], [architecture], "
      "[data], [train], [eval], [save], [log].");
  EXPECT_TRUE(contains(message("[\"\\u001b[2J\"]\n"), "unknown section \"\\u001b[2J\"."))
      << "what a file says must not reach the terminal as an escape sequence";
  EXPECT_TRUE(contains(message("[train.more]\nx = 1\n"),
                       "r.toml: line 1: unknown key \"train.more\". Known are train.batch_size, "));
  EXPECT_EQ(message("train = 5\n"), "r.toml: line 1: expected a section [train], found 5.");
  EXPECT_EQ(message("[[train]]\nsteps = 5\n"),
            "r.toml: line 1: expected a section [train], found a list.");
}

TEST(RecipeErrorsTest, OverridesMustNameAKey) {
  EXPECT_EQ(set_message({"train.stpes=5"}),
            "--set train.stpes=5: unknown key \"train.stpes\". Did you mean train.steps?");
  EXPECT_EQ(set_message({"steps=5"}),
            "--set steps=5: unknown key \"steps\". Did you mean train.steps?");
  const std::string form = "--set: expected KEY=VALUE such as train.steps=20, found ";
  EXPECT_EQ(set_message({"train.steps"}), form + "\"train.steps\".");
  EXPECT_EQ(set_message({"=5"}), form + "\"=5\".");
  EXPECT_EQ(set_message({""}), form + "\"\".");
  EXPECT_EQ(
      set_message({"train.steps=many"}),
      "--set train.steps=many: expected an integer from 1 to 1,000,000,000 (also as \"16K\" or "
      "\"20M\"), found \"many\".");
}

TEST(RecipeErrorsTest, MissingValues) {
  EXPECT_EQ(message(""), "r.toml: model.path is missing: expected the directory of the model.");
  EXPECT_EQ(message("[model]\npath = 'a'\n"),
            "r.toml: model.output is missing: expected a directory to write to.");
  EXPECT_EQ(message("[model]\npath = 'a'\noutput = 'b'\n"),
            "r.toml: data.path is missing: expected the directory of a prepared dataset, or "
            "[[data.sources]].");
  EXPECT_EQ(message("[model]\npath = 'a'\noutput = 'b'\n[data]\npath = 'c'\n"),
            "r.toml: architecture.context is missing: expected the context length in tokens, such "
            "as 32768 or \"32K\".");
  EXPECT_EQ(message(with_train("")),
            "r.toml: expected train.steps or train.tokens (how long to train), found neither.");
}

TEST(RecipeErrorsTest, ValuesThatContradictEachOther) {
  EXPECT_EQ(
      message_of("tokens", "100"),
      "r.toml: line 10: train.tokens: expected either train.steps or train.tokens, found both. "
      "Remove one.");
  EXPECT_TRUE(contains(set_message({"train.steps=5", "train.tokens=5"}), "found both"));
  EXPECT_EQ(message_of("accumulation", "3"),
            "r.toml: line 10: train.accumulation: expected a divisor of train.batch_size, 1, found "
            "3.");
  EXPECT_EQ(message_of("states", "\"bfloat16\""),
            "r.toml: line 10: train.states: weights in bfloat16 are computed with in bfloat16: "
            "expected \"float32\" with train.precision = \"float32\", found \"bfloat16\".");
  EXPECT_EQ(set_message({"train.recompute=none", "train.offload=layer_inputs"}),
            "--set train.offload=layer_inputs: with train.recompute = \"none\" everything stays on "
            "the GPU: expected \"none\", found \"layer_inputs\".");
  EXPECT_EQ(message_of("warmup_steps", "11"),
            "r.toml: line 10: train.warmup_steps: expected at most the total number of steps, 10, "
            "found 11.");
  EXPECT_EQ(set_message({"data.sequence_length=8K"}),
            "--set data.sequence_length=8K: expected at most architecture.context, 4096, found "
            "8192.");
  EXPECT_EQ(
      set_message({"train.steps=1000000000", "train.batch_size=1M", "architecture.context=1G"}),
      "--set train.steps=1000000000: expected at most 1,152,921,504,606,846,976 tokens in all, "
      "found 1,000,000,000 steps of 1,125,899,906,842,624 tokens.");
}

TEST(RecipeErrorsTest, TextThatIsNotToml) {
  EXPECT_TRUE(contains(message("[model]\npath = \n"), "r.toml: line 2: not valid TOML: "));
  EXPECT_TRUE(contains(message("[model\n"), "r.toml: line 1: not valid TOML: "));
  EXPECT_TRUE(contains(message("[model]\npath = 'a'\npath = 'b'\n"), "line 3: not valid TOML: "));
  EXPECT_TRUE(contains(message("# \xFF\n"), "not valid TOML: "));
  EXPECT_TRUE(contains(message("a = " + std::string(100000, '[')), "not valid TOML: "));
  EXPECT_TRUE(contains(message(std::string(100000, '{')), "not valid TOML: "));
  EXPECT_TRUE(contains(message("x = 99999999999999999999\n"), "not valid TOML: "));
  // A key of very many parts would overflow the stack of the TOML reader.
  std::string deep = "train";
  for (int i = 0; i < 100000; ++i) deep += ".a";
  EXPECT_EQ(message("\n" + deep + " = 1\n"),
            "r.toml: line 2: expected at most 100 dots in a line, found 100000.");
  EXPECT_EQ(message("[" + deep + "]"),
            "r.toml: line 1: expected at most 100 dots in a line, found 100000.");
  EXPECT_EQ(set_message({"model.path={" + deep + " = 1}"}), "");
  // In --set, text that is not TOML is a path like any other.
  EXPECT_EQ(set_message({"model.path=" + std::string(100000, '[')}), "");
}

TEST(RecipeErrorsTest, LargeTextsAndLongValuesStayShort) {
  EXPECT_EQ(message(std::string((1 << 20) + 1, '\n')),
            "r.toml: expected a recipe of at most 1,048,576 bytes, found 1,048,577.");
  const std::string wide(100000, 'x');
  EXPECT_LT(message_of("schedule", "\"" + wide + "\"").size(), 300u);
  EXPECT_LT(message_of(wide, "1").size(), 900u);
  EXPECT_LT(message("[" + wide + "]\n").size(), 300u);
  EXPECT_LT(set_message({wide + "=1"}).size(), 300u);
  EXPECT_LT(set_message({"train.steps=" + wide}).size(), 300u);
}

using RecipeFileTest = FolderTest;

TEST_F(RecipeFileTest, FilesAreNamedByTheirPath) {
  const fs::path path = put("run.toml", "[train]\nstep = 5\n");
  EXPECT_EQ(error_of([&] { load_recipe(path); }),
            path.string() + ": line 2: unknown key \"train.step\". Did you mean train.steps?");
  EXPECT_TRUE(contains(error_of([&] { load_recipe(dir_ / "none.toml"); }), "No such file"));
  put("large.toml", std::string((1 << 20) + 1, '\n'));
  EXPECT_TRUE(contains(error_of([&] { load_recipe(dir_ / "large.toml"); }), "at most 1048576"));
}

TEST(RecipeErrorsTest, AlignmentIsNotAllOfARun) {
  EXPECT_EQ(set_message({"train.align_steps=10"}),
            "--set train.align_steps=10: expected less than the total number of steps, 10, found "
            "10.");
  EXPECT_EQ(set_message({"train.align_steps=9"}), "");
}

TEST(RecipeErrorsTest, AShareNeedsATeacherAndATeacherAShare) {
  EXPECT_EQ(message_of("distill_share", "0.5"),
            "r.toml: line 10: train.distill_share: expected 0 without a train.teacher, found 0.5. "
            "Set train.teacher to \"self\" or to a model's directory, or remove this.");
  EXPECT_EQ(set_message({"train.teacher=self", "train.distill_share=0"}),
            "--set train.distill_share=0: expected more than 0 with a train.teacher, found 0: "
            "nothing would be learnt from it. Remove train.teacher, or give a share.");
  EXPECT_EQ(set_message({"train.teacher=self", "train.distill_share=1.5"}),
            "--set train.distill_share=1.5: expected a number from 0 to 1, found 1.5.");
  EXPECT_EQ(message_of("teacher", "\"\""),
            "r.toml: line 10: train.teacher: expected a string, found an empty one.");
  EXPECT_EQ(message_of("far_weight", "0.5"),
            "r.toml: line 10: train.far_weight: expected 0 or a number from 1 to 1000, found 0.5.");
}

}  // namespace
}  // namespace longgen
